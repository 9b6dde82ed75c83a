"""Small archives and files in the layouts of published datasets, written byte by byte."""

import gzip
import io
import struct
import tarfile


def cifar_batch(pixels, labels, label=b"training batch 1 of 5"):
    """A batch [N, 3072] as Python 2 pickled the published ones: protocol 2, texts of single bytes."""

    def text(content):
        short = len(content) < 256
        return (b"U" + bytes([len(content)]) if short else b"T" + struct.pack("<i", len(content))) + content

    def number(value):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + 2 * (b"J" + struct.pack("<i", -1)) + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + b"".join(map(number, pixels.shape)) + b"\x86" + dtype + b"\x89"
    array += text(pixels.tobytes()) + b"tb"
    numbers = b"](" + b"".join(map(number, labels)) + b"e"
    items = text(b"batch_label") + text(label) + text(b"labels") + numbers + text(b"data") + array
    return b"\x80\x02}(" + items + b"u."


def cifar_archive(path, batches):
    """`cifar-10-python.tar.gz` of contents by name."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def idx(path, array):
    """A gzipped file of MNIST: bytes [N, 28, 28] or [N]."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))

"""Archives that claim too much, hold too much, or name what they should not."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from dvae_tf import storage

LIMIT = 1 << 20


def header(shape="(2,)", descr="'<f4'", order="False", version=1):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode() + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + len(text).to_bytes(2 if version == 1 else 4, "little") + text


def npz(*members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def npz_of(array):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(24, dtype=">i4").reshape(2, 3, 4)),
        np.array(True),
        np.zeros((0, 5), np.uint8),
        np.ones((2, 1), np.complex64),
    ],
    ids=["matrix", "columns first", "scalar", "empty", "complex"],
)
def test_what_numpy_writes_is_read(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with (tmp_path / "a.npy").open("rb") as file:
        alone = storage.read_npy(file)
    for found in (alone, storage.read_npz(npz_of(array), LIMIT)["a"]):
        np.testing.assert_array_equal(found, array)
        assert (found.dtype, found.flags.writeable) == (array.dtype, True)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_the_header_is_read(version):
    found = storage.read_npz(npz(("a.npy", header(version=version) + struct.pack("<2f", 1, 2))), LIMIT)
    np.testing.assert_array_equal(found["a"], [1, 2])


EIGHT = b"\0" * 8


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a.npy", header("(3,)") + EIGHT)], "'a': its header promises 12 bytes, there are 8"),
        ([("a.npy", header("(1,)") + EIGHT)], "promises 4 bytes, there are 8"),
        ([("a.npy", header("(10**9,)") + EIGHT)], "header is damaged"),
        ([("a.npy", header(f"({10**15},)") + EIGHT)], "promises 4,000,000,000,000,000 bytes"),
        ([("a.npy", header(f"(0, {10**30})"))], "no array has the shape"),
        ([("a.npy", header("(-2,)") + EIGHT)], "shape of integers"),
        ([("a.npy", header("(True,)") + EIGHT)], "shape of integers"),
        ([("a.npy", header("2") + EIGHT)], "shape of integers"),
        ([("a.npy", header(order="0") + EIGHT)], "fortran_order"),
        ([("a.npy", header(descr="'|O'") + EIGHT)], "expected a dtype of booleans or numbers, got '|O'"),
        ([("a.npy", header(descr="[('x', '<f4')]") + EIGHT)], "expected a dtype of booleans or numbers"),
        ([("a.npy", header(descr="'(9999999,)f4'") + EIGHT)], "expected a dtype of booleans or numbers"),
        ([("a.npy", header(descr="'<f3'") + EIGHT)], "header is damaged"),
        ([("a.npy", header(descr="'|b1'") + b"\1\2")], "neither 0 nor 1"),
        ([("a.npy", header("(" * 300 + ")" * 300) + EIGHT)], "header is damaged"),
        ([("a.npy", header("-" * 4000 + "1") + EIGHT)], "header is damaged"),
        ([("a.npy", header(" " * 5000 + "(2,)") + EIGHT)], "claims a header of 5,0"),
        ([("a.npy", header("{[]: 1}") + EIGHT)], "header is damaged"),
        ([("a.npy", header(version=4) + EIGHT)], "version 4.0"),
        ([("a.npy", header()[:40])], "the file ends in it"),
        ([("a.npy", b"text")], "starts with"),
        ([("a.txt", b"text")], "'a.txt' is not the name of an array"),
        ([("../a.npy", EIGHT)], "is a path outside"),
        ([("b/../../a.npy", EIGHT)], "is a path outside"),
        ([("/a.npy", EIGHT)], "is a path outside"),
        ([("..\\a.npy", EIGHT)], "is a path outside"),
        ([("b/", b"")], "is not the name of an array"),
        ([("a.npy", EIGHT), ("b.npy", bytes(2 * LIMIT))], "claims 2,097,160 bytes, expected at most"),
        ([(f"{'n' * 200}{index}.npy", b"") for index in range(5000)], "directory has more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(members, message):
    with pytest.raises(storage.ArchiveError) as error:
        storage.read_npz(npz(*members), LIMIT)
    assert message in str(error.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused():
    with pytest.raises(storage.ArchiveError, match="occurs twice"):
        storage.read_npz(npz(("a.npy", EIGHT), ("a.npy", EIGHT)), LIMIT)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_what_numpy_writes_is_decompressed(compression):
    with pytest.raises(storage.ArchiveError, match="is compressed by method"):
        storage.read_npz(npz(("a.npy", header() + EIGHT), compression=compression), LIMIT)


def test_encrypted_archives_are_refused():
    content = bytearray(npz(("a.npy", header() + EIGHT)))
    content[content.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(storage.ArchiveError, match="is encrypted"):
        storage.read_npz(bytes(content), LIMIT)


def peak(read):
    tracemalloc.start()
    try:
        with pytest.raises(storage.ArchiveError):
            read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_claims_take_no_memory():
    """Of arrays, of their compressed size, of the directory: gigabytes in files of a few bytes."""
    claimed = 1 << 30
    small = npz(("a.npy", header(f"({claimed},)", "'|u1'") + EIGHT))
    sized = bytearray(small)
    at = sized.index(b"PK\1\2")
    # As if the member were as long as its header says.
    sized[at + 24 : at + 28] = (claimed + len(header(f"({claimed},)", "'|u1'"))).to_bytes(4, "little")
    for content in (small, bytes(sized)):
        assert peak(lambda content=content: storage.read_npz(content, 2**31)) < 4 << 20
    # A megabyte that is a gigabyte is refused by its size.
    bomb = npz(("a.npy", header(f"({64 << 20},)", "'|u1'") + bytes(64 << 20)))
    assert len(bomb) < 100_000
    assert peak(lambda: storage.read_npz(bomb, LIMIT)) < 4 << 20

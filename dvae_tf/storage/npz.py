"""A guarded reader of numeric arrays from untrusted `.npy` and `.npz` files.

Nothing is unpickled, no name becomes a path, and the sizes that a header claims are compared with the size of
the file before memory is allocated. Every fault raises `ArchiveError`; the caller adds the name of the file.
"""

import ast
import io
import math
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Self

import numpy as np

_MAGIC = b"\x93NUMPY"
# Major version -> (bytes of the header-length field, encoding of the header).
_VERSIONS = {1: (2, "latin-1"), 2: (4, "latin-1"), 3: (4, "utf-8")}
# NumPy writes 118 bytes; 64 axes, its maximum, need fewer than this.
_MAX_HEADER = 4_096
# Python 2 wrote long integers, such as a side of 40L, which NumPy reads too.
_LONG = re.compile(r"(\d)L\b")
_NUMBERS = re.compile(r"[<>|=]?[?biufc]\d{0,2}")
_MAX_ELEMENTS = 2**60
_BLOCK = 1 << 20
# The largest directory of an archive; enough for thousands of arrays.
_MAX_DIRECTORY = 1 << 20
_ENCRYPTED = 0x1
# Exceptions that `zipfile` raises for damaged archives, found by fuzzing.
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    IndexError,
    OverflowError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArchiveError(ValueError):
    """A file is not a valid archive; the message says why, but does not name the file."""


def read_npy(file: IO[bytes]) -> np.ndarray:
    """Reads the array of an open `.npy` file, which must hold nothing else.

    Raises:
      ArchiveError: if it is damaged, holds anything but numbers, or its size differs from its header.
    """
    return _read_array(file, os.stat(file.fileno()).st_size)


def read_npz(content: bytes, max_bytes: int) -> dict[str, np.ndarray]:
    """Reads all arrays of a `.npz` archive held in memory, by name.

    Args:
      content: the archive.
      max_bytes: limit on all arrays together, decompressed.

    Raises:
      ArchiveError: if the archive or an array is damaged, holds anything but numbers, or is too large.
    """
    with NpzFile(io.BytesIO(content), max_bytes) as archive:
        if (total := sum(archive.sizes.values())) > max_bytes:
            raise ArchiveError(f"claims {total:,} bytes, expected at most {max_bytes:,}")
        return {name: archive.read(name) for name in archive.sizes}


class NpzFile:
    """A `.npz` archive whose arrays are read one by one; a context manager.

    Attributes:
      sizes: name -> bytes of the array and its header, decompressed, as the directory claims.
    """

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        """Reads the directory of the archive.

        Args:
          file: the open archive.
          max_bytes: limit on one array.

        Raises:
          ArchiveError: if the directory is damaged, or lists anything but arrays.
        """
        self._max_bytes = max_bytes
        try:
            # `zipfile` reads the directory at once, in the size that the archive claims.
            self._archive = zipfile.ZipFile(_Bounded(file))
        except _DAMAGE as error:
            raise ArchiveError(f"{type(error).__name__}: {error}") from error
        self._entries = _entries(self._archive.infolist())
        self.sizes: Mapping[str, int] = {name: entry.file_size for name, entry in self._entries.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def read(self, name: str) -> np.ndarray:
        """Reads one of the arrays.

        Raises:
          ArchiveError: if it is damaged, holds anything but numbers, or is too large.
        """
        entry = self._entries[name]
        if entry.file_size > self._max_bytes:
            raise ArchiveError(
                f"{name!r} claims {entry.file_size:,} bytes, expected at most {self._max_bytes:,}"
            )
        try:
            with self._archive.open(entry) as member:
                return _read_array(member, entry.file_size)
        except _DAMAGE as error:
            kind = "" if isinstance(error, ArchiveError) else f"{type(error).__name__}: "
            raise ArchiveError(f"{name!r}: {kind}{error}") from error


class _Bounded:
    """An open file with a limit on the bytes of one read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(min(size, _MAX_DIRECTORY + 1) if size >= 0 else _MAX_DIRECTORY + 1)
        if len(content) > _MAX_DIRECTORY:
            raise ArchiveError(f"its directory has more than {_MAX_DIRECTORY:,} bytes")
        return content

    def seekable(self) -> bool:
        return True


def _entries(listed: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The directory entries, by the names of their arrays."""
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in listed:
        file, name = entry.filename, entry.filename.removesuffix(".npy")
        if name == file or not name:
            raise ArchiveError(f"{file!r} is not the name of an array, which ends with .npy")
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise ArchiveError(f"{file!r} is a path outside of the archive")
        if name in entries:
            raise ArchiveError(f"{file!r} occurs twice")
        if entry.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"{file!r} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArchiveError(f"{file!r} is compressed by method {entry.compress_type}, expected 0 or 8")
        entries[name] = entry
    return entries


def _read_array(file: IO[bytes], size: int) -> np.ndarray:
    """Reads an array of `size` bytes, header included; memory grows with the bytes actually read."""
    dtype, fortran_order, shape, start = _read_header(file)
    count = math.prod(shape)
    if start + count * dtype.itemsize != size:
        raise ArchiveError(
            f"its header promises {count * dtype.itemsize:,} bytes, there are {size - start:,}"
        )
    content = bytearray()
    while len(content) < size - start:
        block = file.read(min(_BLOCK, size - start - len(content)))
        if not block:
            raise ArchiveError(f"ends after {len(content):,} of {size - start:,} bytes")
        content += block
    if dtype.kind == "b" and content.translate(None, b"\0\1"):
        raise ArchiveError("holds booleans that are neither 0 nor 1")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")


def _read_header(file: IO[bytes]) -> tuple[np.dtype, bool, tuple[int, ...], int]:
    """Returns dtype, Fortran order, shape, and the offset of the data."""
    magic = file.read(len(_MAGIC) + 2)
    if len(magic) < len(_MAGIC) + 2 or not magic.startswith(_MAGIC):
        raise ArchiveError(f"expected an array, which starts with {_MAGIC!r}, got {magic!r}")
    major, minor = magic[-2:]
    if major not in _VERSIONS or minor:
        raise ArchiveError(f"format version {major}.{minor} is not known")
    width, encoding = _VERSIONS[major]
    length = int.from_bytes(file.read(width), "little")
    if length > _MAX_HEADER:
        raise ArchiveError(f"claims a header of {length:,} bytes, expected at most {_MAX_HEADER:,}")
    text = file.read(length)
    try:
        if len(text) < length:
            raise ArchiveError("the file ends in it")
        header = _LONG.sub(r"\1", text.decode(encoding).strip())
        return *_parse_header(ast.literal_eval(header)), len(magic) + width + length
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ArchiveError(f"its header is damaged: {error}") from error


def _parse_header(header: object) -> tuple[np.dtype, bool, tuple[int, ...]]:
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ArchiveError("expected the fields descr, fortran_order and shape")
    descr, fortran_order, shape = header["descr"], header["fortran_order"], header["shape"]
    if not isinstance(descr, str) or not _NUMBERS.fullmatch(descr):
        raise ArchiveError(f"expected a dtype of booleans or numbers, got {descr!r}")
    if not isinstance(fortran_order, bool):
        raise ArchiveError(f"fortran_order: expected True or False, got {fortran_order!r}")
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ArchiveError(f"expected a shape of integers, got {shape!r}")
    # Also checked where another side is 0.
    if math.prod(max(side, 1) for side in shape) > _MAX_ELEMENTS:
        raise ArchiveError(f"no array has the shape {shape}")
    return np.dtype(descr), fortran_order, shape

"""Files written whole or not at all: raw bytes, JSON, and named arrays as sealed `.npz` archives.

A sealed archive ends in a ZIP comment, `dvae_tf archive 1 sha256=<digest>`, with the SHA-256 digest of every
byte before it, so an archive is parsed only if it is exactly what was written. Nothing is unpickled.
"""

import hashlib
import io
import json
import os
import pathlib
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import npz

# The largest archive that is read.
MAX_BYTES = 2**31
_MAX_JSON_BYTES = 2**24

# Version of the archive format.
FORMAT = 1
_DIGITS = 64
_SEAL = re.compile(rb"dvae_tf archive (\d{1,9}) sha256=([0-9a-f]{64})\Z")


class StorageError(Exception):
    """A file cannot be read or written, or has unexpected content; the message names the file."""


class DamagedFileError(StorageError):
    """A file is truncated, altered, empty or missing."""


def as_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """A path as the user gave it, with a leading `~` expanded; shells leave it in `--flag=~/folder`."""
    expanded = pathlib.Path(os.path.expanduser(path))
    # `./~` is a folder of that name; a path loses the dot, which would be expanded the next time.
    return expanded.absolute() if str(expanded).startswith("~") else expanded


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file atomically: a reader sees the old content or the new, never a part of either.

    Raises:
      StorageError: if the disk is full or the folder is not writable; the old file is still there.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        # Opening an existing symbolic link would follow it.
        partial.unlink(missing_ok=True)
        try:
            with open(partial, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_json(path: pathlib.Path, values: Any) -> None:
    """Writes indented JSON atomically."""
    write_bytes(path, (json.dumps(values, indent=2) + "\n").encode())


def read_json(path: pathlib.Path) -> Any:
    """Reads JSON.

    Raises:
      StorageError: if the file is missing, not JSON, or larger than any that the library writes.
    """
    try:
        return json.loads(_read_bytes(path, _MAX_JSON_BYTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path}: expected a JSON file: {error}") from error


def write_arrays(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as one compressed, sealed archive, atomically.

    Raises:
      StorageError: as `write_bytes`.
    """
    write_bytes(path, sealed(arrays))


def sealed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of a sealed archive: a compressed `.npz` file with its digest as the ZIP comment."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = f"dvae_tf archive {FORMAT} sha256={'0' * _DIGITS}".encode()
    content = buffer.getvalue()[:-_DIGITS]
    return content + hashlib.sha256(content).hexdigest().encode()


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads an archive that `write_arrays` wrote.

    Raises:
      DamagedFileError: if the file is missing, or does not match its digest.
      StorageError: if it has another format version, is too large, or holds Python objects.
    """
    try:
        content = _read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    seal = _SEAL.search(content[-2 * _DIGITS :])
    if seal is None or hashlib.sha256(content[:-_DIGITS]).hexdigest().encode() != seal[2]:
        raise DamagedFileError(f"{path}: expected an archive that ends in its digest; it is damaged")
    if int(seal[1]) != FORMAT:
        raise StorageError(f"{path}: expected format {FORMAT}, got {int(seal[1])}")
    try:
        return npz.read_npz(content, MAX_BYTES)
    except npz.ArchiveError as error:
        raise StorageError(f"{path}: expected an archive of arrays: {error}") from error


def _read_bytes(path: pathlib.Path, at_most: int) -> bytes:
    """The content of a regular file; reading a device or a pipe might never end."""
    if path.exists() and not path.is_file():
        raise OSError("it is not a regular file")
    with path.open("rb") as file:
        # `read` allocates the size that it is given.
        size = os.fstat(file.fileno()).st_size
        if size > at_most:
            raise OSError(f"it has {size:,} bytes, expected at most {at_most:,}")
        return file.read(size)

"""Files of a run, written whole or not at all: JSON, and variables as `.npz` archives.

An archive maps each variable's path to its array. It ends in a ZIP comment, `dvae_tf archive 1
sha256=<digest>`: the digest of every byte before it, so an archive is only parsed if it is the one that was
written. It is read with `allow_pickle=False`, and only into variables of the same names, shapes and dtypes:
anything missing, extra or different is an error.
"""

import hashlib
import io
import json
import os
import pathlib
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import archives

# Of one archive: a header that claims more is not believed.
MAX_BYTES = 2**31
_MAX_JSON_BYTES = 2**24

# Of archives: another number for another meaning of their content.
FORMAT = 1
_DIGITS = 64
_SEAL = re.compile(rb"dvae_tf archive (\d{1,9}) sha256=([0-9a-f]{64})\Z")


class StorageError(Exception):
    """A file of a run cannot be read or written, or is not what it should be; the message names it."""


class DamagedFileError(StorageError):
    """A file is not the one that was written: cut, changed, empty or gone."""


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Replaces a file in one step: a reader sees the old content or the new, never a part.

    Raises:
      StorageError: if the disk is full or the folder cannot be written; the old file is still there.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        # A link that somebody left there would be followed.
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
    """Writes JSON, indented, one step."""
    write_bytes(path, (json.dumps(values, indent=2) + "\n").encode())


def read_json(path: pathlib.Path) -> Any:
    """Reads JSON.

    Raises:
      StorageError: if the file is missing, not JSON, or too large for what the library writes.
    """
    try:
        return json.loads(_read_bytes(path, _MAX_JSON_BYTES).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path}: expected a JSON file: {error}") from error


def write_arrays(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes named arrays as one compressed and sealed archive, one step.

    Raises:
      StorageError: as of `write_bytes`.
    """
    write_bytes(path, sealed(arrays))


def sealed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of an archive: what NumPy writes, with the digest as its comment."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = f"dvae_tf archive {FORMAT} sha256={'0' * _DIGITS}".encode()
    content = buffer.getvalue()[:-_DIGITS]
    return content + hashlib.sha256(content).hexdigest().encode()


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads what `write_arrays` wrote.

    Raises:
      DamagedFileError: if the file is missing, or is not what was written.
      StorageError: if it is of another format, too large, or holds objects.
    """
    try:
        content = _read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise DamagedFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    seal = _SEAL.search(content[-2 * _DIGITS :])
    if seal is None or hashlib.sha256(content[:-_DIGITS]).hexdigest().encode() != seal[2]:
        raise DamagedFileError(f"{path}: expected an archive that ends in its digest; it is damaged")
    if int(seal[1]) != FORMAT:
        raise StorageError(f"{path}: expected format {FORMAT}, got {int(seal[1])}: of another version")
    try:
        return archives.read_npz(content, MAX_BYTES)
    except archives.ArchiveError as error:
        raise StorageError(f"{path}: expected an archive of arrays: {error}") from error


def _read_bytes(path: pathlib.Path, at_most: int) -> bytes:
    """The content of a regular file: others may never end."""
    if path.exists() and not path.is_file():
        raise OSError("it is not a regular file")
    with path.open("rb") as file:
        # Memory is taken for as much as is asked for.
        size = os.fstat(file.fileno()).st_size
        if size > at_most:
            raise OSError(f"it has {size:,} bytes, expected at most {at_most:,}")
        return file.read(size)


def variable_arrays(variables: Sequence[Any]) -> dict[str, np.ndarray]:
    """The values of Keras variables by path.

    Raises:
      ValueError: if two variables share a path.
    """
    arrays = {variable.path: np.asarray(variable) for variable in variables}
    if len(arrays) < len(variables):
        paths = [variable.path for variable in variables]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        raise ValueError(f"variables: these paths occur twice, name the layers apart: {twice}")
    return arrays


def check_variables(variables: Sequence[Any], arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> None:
    """Whether arrays are values of Keras variables: of exactly the same paths, shapes and dtypes.

    Raises:
      StorageError: if any is missing, unexpected or different.
    """
    expected = variable_arrays(variables)
    if set(expected) != set(arrays):
        raise StorageError(
            f"{source}: missing variables {sorted(set(expected) - set(arrays))}, "
            f"unexpected variables {sorted(set(arrays) - set(expected))}"
        )
    for path, array in expected.items():
        if (array.shape, array.dtype) != (arrays[path].shape, arrays[path].dtype):
            raise StorageError(
                f"{source}: {path} expected {array.dtype}{array.shape}, "
                f"got {arrays[path].dtype}{arrays[path].shape}"
            )


def assign_variables(
    variables: Sequence[Any], arrays: Mapping[str, np.ndarray], source: pathlib.Path
) -> None:
    """Assigns arrays to Keras variables.

    Raises:
      StorageError: as of `check_variables`; then nothing has been assigned.
    """
    check_variables(variables, arrays, source)
    for variable in variables:
        variable.assign(arrays[variable.path])

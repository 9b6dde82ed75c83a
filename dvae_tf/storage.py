"""Files of a run, written whole or not at all: JSON, and variables as `.npz` archives.

An archive maps each variable's path to its array. It is read with `allow_pickle=False`, and only into
variables of the same names, shapes and dtypes: anything missing, extra or different is an error.
"""

import io
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import archives

# Of one archive: a header that claims more is not believed.
MAX_BYTES = 2**31
_MAX_JSON_BYTES = 2**24


class StorageError(Exception):
    """A file of a run cannot be read, or is not what it should be; the message names it."""


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Replaces a file in one step: a reader sees the old content or the new, never a part."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        # A link that somebody left there would be followed.
        partial.unlink(missing_ok=True)
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


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
    """Writes named arrays as one compressed archive, one step."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads an archive of named arrays.

    Raises:
      StorageError: if the file is missing, damaged, too large, or holds objects.
    """
    try:
        return archives.read_npz(_read_bytes(path, MAX_BYTES), MAX_BYTES)
    except (OSError, archives.ArchiveError) as error:
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


def assign_variables(
    variables: Sequence[Any], arrays: Mapping[str, np.ndarray], source: pathlib.Path
) -> None:
    """Assigns arrays to Keras variables of exactly the same paths, shapes and dtypes.

    Raises:
      StorageError: if any is missing, unexpected or different; then nothing has been assigned.
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
    for variable in variables:
        variable.assign(arrays[variable.path])

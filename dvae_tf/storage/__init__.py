"""Files on disk: atomic writes, sealed archives of arrays, guarded reading of untrusted `.npy` and `.npz`."""

from .files import (
    DamagedFileError,
    StorageError,
    as_path,
    read_arrays,
    read_json,
    sealed,
    write_arrays,
    write_bytes,
    write_json,
)
from .npz import ArchiveError, NpzFile, read_npy, read_npz
from .variables import assign_variables, check_variables, variable_arrays

__all__ = [
    "ArchiveError",
    "DamagedFileError",
    "NpzFile",
    "StorageError",
    "as_path",
    "assign_variables",
    "check_variables",
    "read_arrays",
    "read_json",
    "read_npy",
    "read_npz",
    "sealed",
    "variable_arrays",
    "write_arrays",
    "write_bytes",
    "write_json",
]

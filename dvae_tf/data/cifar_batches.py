"""The pickled batches of the published archive of CIFAR-10, read without running code of theirs."""

import pathlib
import pickle
import tarfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import images

_CHANNELS, _SIDE = 3, 32
_NUM_PIXELS = _CHANNELS * _SIDE * _SIDE
_NUM_CLASSES = 10


class Batch(NamedTuple):
    """Images `[N, 32, 32, 3]` and their classes `[N]`, uint8 each."""

    pixels: np.ndarray
    labels: np.ndarray


def read(path: pathlib.Path, names: Sequence[str]) -> list[Batch]:
    """Reads batches of an archive.

    Args:
      path: `cifar-10-python.tar.gz`.
      names: the files in it, such as `cifar-10-batches-py/test_batch`.

    Raises:
      DataError: If the archive cannot be read, or a batch is missing or is something else.
    """
    try:
        with tarfile.open(path, "r:gz") as archive:
            return [_read(archive, name) for name in names]
    # Damaged archives and pickles raise errors of many types.
    except Exception as error:
        raise images.DataError(
            f"{path}: expected batches of CIFAR-10: {type(error).__name__}: {error}"
        ) from error


def _read(archive: tarfile.TarFile, name: str) -> Batch:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name}: expected a file")
    found = _Unpickler(file, encoding="bytes").load()
    pixels, labels = (found.get(key) for key in (b"data", b"labels"))
    if not isinstance(pixels, _Array) or not isinstance(labels, list):
        raise ValueError(f"{name}: expected data and labels")
    rows = pixels.bytes(len(labels) * _NUM_PIXELS).reshape(-1, _CHANNELS, _SIDE, _SIDE)
    classes = np.array(labels)
    if classes.dtype.kind != "i" or not ((classes >= 0) & (classes < _NUM_CLASSES)).all():
        raise ValueError(f"{name}: expected labels from 0 to {_NUM_CLASSES - 1}")
    # Each image is stored channel by channel.
    return Batch(np.ascontiguousarray(rows.transpose(0, 2, 3, 1)), classes.astype(np.uint8))


class _Unpickler(pickle.Unpickler):
    """Builds numbers, strings, lists, dictionaries, and what stands for an array; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        stand_ins: dict[tuple[str, str], Any] = {
            ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
            ("numpy", "ndarray"): None,
            ("numpy", "dtype"): lambda kind, *_: _Dtype(kind),
        }
        if (module, name) not in stand_ins:
            raise pickle.UnpicklingError(f"expected an array, got {module}.{name}")
        return stand_ins[module, name]


class _Dtype:
    """Stands for the type of an array."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __setstate__(self, state: Any) -> None:
        """The byte order, which a byte does not have, and fields, which it does not have either."""


class _Array:
    """Stands for an array: its state as pickled, which NumPy does not see."""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.is_fortran, self.content = state

    def bytes(self, size: int) -> np.ndarray:
        """The array as uint8 `[size]`.

        Raises:
          ValueError: If it is none of bytes, row by row, or of another size.
        """
        is_bytes = isinstance(self.dtype, _Dtype) and self.dtype.kind == b"u1" and not self.is_fortran
        if not is_bytes or not isinstance(self.content, bytes) or len(self.content) != size:
            raise ValueError(f"expected {size} bytes, got an array of shape {self.shape}")
        return np.frombuffer(self.content, np.uint8)

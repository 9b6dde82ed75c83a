"""The datasets: each a file that loads it, and a row in the table below."""

import os
from collections.abc import Callable

from . import binarized_mnist, caltech101_silhouettes, digits, omniglot
from .arrays import from_arrays, likely_shape, read_array
from .batches import batch_indices
from .binarization import binarize_once
from .images import DataError, Images, check

__all__ = [
    "DataError",
    "Images",
    "batch_indices",
    "binarize_once",
    "check",
    "from_arrays",
    "likely_shape",
    "load",
    "read_array",
]

_Folder = str | os.PathLike[str] | None

_LOADERS: dict[str, Callable[[_Folder, _Folder], Images]] = {
    "binarized_mnist": binarized_mnist.load,
    "caltech101_silhouettes": caltech101_silhouettes.load,
    "digits": digits.load,
    "omniglot": omniglot.load,
}


def load(name: str, *, data_dir: _Folder = None, manual_dir: _Folder = None) -> Images:
    """Loads a dataset by name.

    Args:
      name: `binarized_mnist`, `omniglot`, `caltech101_silhouettes` or `digits`.
      data_dir: The folder where prepared datasets are kept; None is the default of TensorFlow
        Datasets.
      manual_dir: The folder with files of the dataset that were put in place by hand; None if
        there is none.

    Returns:
      The three splits, checked.

    Raises:
      ValueError: If `name` is not known.
      DataError: If data is missing, unreadable or damaged.
    """
    if name not in _LOADERS:
        raise ValueError(f"name must be one of {', '.join(sorted(_LOADERS))}, got {name!r}.")
    images = _LOADERS[name](data_dir, manual_dir)
    check(images)
    return images

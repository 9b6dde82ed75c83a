"""Datasets by name, images from the user's arrays, batches, binarisation.

Each dataset is a module that loads it and an entry of the table below; `embedded` holds what comes with the
package.
"""

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

    `binarized_mnist` and `digits` need neither a folder nor a network. `omniglot` and
    `caltech101_silhouettes` are prepared once by TensorFlow Datasets, and so is `binarized_mnist` if a folder
    is given, with the same images in the same order.

    Args:
      name: `binarized_mnist`, `omniglot`, `caltech101_silhouettes` or `digits`.
      data_dir: The folder of prepared datasets; None is the default of TensorFlow Datasets.
      manual_dir: A folder with the published files of the dataset, which are then not downloaded.

    Returns:
      The three splits, checked.

    Raises:
      ValueError: If `name` is not known.
      DataError: If data is missing, unreadable or damaged.
    """
    if name not in _LOADERS:
        raise ValueError(
            f"name: expected one of {', '.join(sorted(_LOADERS))}, got {name!r}. "
            "For images of your own use data.from_arrays"
        )
    images = _LOADERS[name](data_dir, manual_dir)
    check(images)
    return images

"""Datasets by name, images from the user's arrays, batches, binarization.

Each dataset is a module that loads it and an entry of the table below; `embedded` holds what comes with the
package.
"""

import os
from collections.abc import Callable

from ..config import DATASETS, LIKELIHOODS
from . import binarized_mnist, caltech101_silhouettes, cifar10, digits, mnist, omniglot
from .arrays import from_arrays, likely_shape, read_array
from .batches import batch_indices
from .binarization import binarize_held_out, binarize_once
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
    "cifar10": cifar10.load,
    "digits": digits.load,
    "mnist": mnist.load,
    "omniglot": omniglot.load,
}
# Their images are bits; those of the others are levels.
_OF_BITS = ("binarized_mnist", "caltech101_silhouettes")
_PIXELS = ("bits", "levels")


def load(
    name: str, *, data_dir: _Folder = None, manual_dir: _Folder = None, pixels: str | None = None
) -> Images:
    """Loads a dataset by name.

    `binarized_mnist` and `digits` need neither a folder nor a network. The others are prepared once by
    TensorFlow Datasets, and so is `binarized_mnist` if a folder is given, with the same images in the same
    order.

    Args:
      name: `binarized_mnist`, `caltech101_silhouettes`, `cifar10`, `digits`, `mnist` or `omniglot`.
      data_dir: The folder of prepared datasets; None is the default of TensorFlow Datasets.
      manual_dir: A folder with the published files of the dataset, which are then not downloaded.
      pixels: What images of levels become: "bits" are pixel probabilities that `train` keeps, while
        `validation` and `test` are binarized once, with `VALIDATION_SEED` and `TEST_SEED` of `binarization`;
        "levels" are kept. None is what the likelihood of the dataset takes: levels for `cifar10`, otherwise
        bits.

    Returns:
      The three splits, checked.

    Raises:
      ValueError: If `name` or `pixels` is not known.
      DataError: If data is missing, unreadable or damaged.
    """
    if name not in _LOADERS:
        raise ValueError(
            f"name: expected one of {', '.join(sorted(_LOADERS))}, got {name!r}. "
            "For images of your own use data.from_arrays"
        )
    if pixels not in (None, *_PIXELS):
        raise ValueError(f"pixels: expected one of {', '.join(_PIXELS)}, or None; got {pixels!r}")
    images = _LOADERS[name](data_dir, manual_dir)
    likelihood = LIKELIHOODS[DATASETS[name].likelihood]
    bits = likelihood.pixels == "bits" if pixels is None else pixels == "bits"
    if bits and name not in _OF_BITS:
        held_out = binarize_held_out({"validation": images.validation, "test": images.test})
        images = images._replace(validation=held_out["validation"], test=held_out["test"])
    check(images, "bits" if bits else "levels")
    return images

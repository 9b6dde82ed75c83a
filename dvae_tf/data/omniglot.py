"""OMNIGLOT, 28x28: grey levels as pixel probabilities, prepared by TensorFlow Datasets."""

import os

from . import binarization, images, prepared

_SIZES = {"train": 23_000, "validation": 1_345, "test": 8_070}


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads OMNIGLOT, 23,000 / 1,345 / 8,070 images, after preparing it if necessary.

    The last 1,345 of the published training images are the validation images. `train` keeps the grey
    levels; `validation` and `test` are binarised once, with `VALIDATION_SEED` and `TEST_SEED` of
    `binarization`.

    Args:
      data_dir: see `prepared.load`.
      manual_dir: see `prepared.load`; the file is `chardata.mat`.

    Returns:
      The images, image_shape (28, 28); `source` says which of the two known files was read.

    Raises:
      DataError: see `prepared.load`.
    """
    from .builders import omniglot28x28 as builder  # Slow to import.

    published = prepared.Published([builder.URL], builder.identify)
    splits, source = prepared.load(builder.Omniglot28x28, lambda _: published, _SIZES, data_dir, manual_dir)
    return images.Images(
        **binarization.binarize_held_out(splits), image_shape=(28, 28), name="omniglot", source=source
    )

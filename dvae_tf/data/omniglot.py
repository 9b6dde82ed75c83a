"""OMNIGLOT, 28x28 gray levels, prepared by TensorFlow Datasets."""

import os

from . import images, prepared

_SIZES = {"train": 23_000, "validation": 1_345, "test": 8_070}


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads OMNIGLOT, 23,000 / 1,345 / 8,070 images, after preparing it if necessary.

    The last 1,345 of the published training images are the validation images.

    Args:
      data_dir: see `prepared.load`.
      manual_dir: see `prepared.load`; the file is `chardata.mat`.

    Returns:
      The gray levels, image_shape (28, 28); `source` says which of the two known files was read.

    Raises:
      DataError: see `prepared.load`.
    """
    from .builders import omniglot28x28 as builder  # Slow to import.

    published = prepared.Published([builder.URL], builder.identify)
    splits, source = prepared.load(builder.Omniglot28x28, lambda _: published, _SIZES, data_dir, manual_dir)
    return images.Images(**splits, image_shape=(28, 28), name="omniglot", source=source)

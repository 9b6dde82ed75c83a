"""CIFAR-10, 32x32 pixels in color, prepared by TensorFlow Datasets."""

import os

from . import images, prepared

_SIZES = {"train": 45_000, "validation": 5_000, "test": 10_000}


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads CIFAR-10, 45,000 / 5,000 / 10,000 images, after preparing it if necessary.

    The last 5,000 of the published training images are the validation images.

    Args:
      data_dir: see `prepared.load`.
      manual_dir: see `prepared.load`; the file is `cifar-10-python.tar.gz`.

    Returns:
      The levels n / 255 of the three colors, image_shape (32, 32, 3).

    Raises:
      DataError: see `prepared.load`.
    """
    from .builders import cifar10_python as builder  # Slow to import.

    published = prepared.Published([builder.URL], builder.identify)
    splits, source = prepared.load(builder.Cifar10Python, lambda _: published, _SIZES, data_dir, manual_dir)
    return images.Images(
        **{split: prepared.to_levels(pixels) for split, pixels in splits.items()},
        image_shape=(32, 32, 3),
        name="cifar10",
        source=source,
    )

"""Caltech-101 Silhouettes, 28x28 binary pixels, prepared by TensorFlow Datasets."""

import os

from . import images, prepared

_SIZES = {"train": 4_100, "validation": 2_264, "test": 2_307}


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads Caltech-101 Silhouettes, 4,100 / 2,264 / 2,307 images, after preparing it if necessary.

    Args:
      data_dir: see `prepared.load`.
      manual_dir: see `prepared.load`; the file is `caltech101_silhouettes_28_split1.mat`.

    Returns:
      The images, all three splits binary (the background is 1), image_shape (28, 28).

    Raises:
      DataError: see `prepared.load`.
    """
    from .builders import caltech101_silhouettes as builder  # Slow to import.

    published = prepared.Published([builder.URL], builder.identify)
    splits, source = prepared.load(
        builder.Caltech101Silhouettes, lambda _: published, _SIZES, data_dir, manual_dir
    )
    return images.Images(**splits, image_shape=(28, 28), name="caltech101_silhouettes", source=source)

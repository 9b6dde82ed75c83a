"""MNIST, 28x28 gray levels, prepared by TensorFlow Datasets."""

import functools
import os

from . import images, prepared

# Parts of the two published splits, in the order of TensorFlow Datasets.
_PARTS = {"train": "train[:50000]", "validation": "train[50000:]", "test": "test"}
_SIZES = {"train[:50000]": 50_000, "train[50000:]": 10_000, "test": 10_000}
_ALTERNATIVE = "; binarized_mnist, whose bits are drawn once for all, needs no file"


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads the gray levels of MNIST, 50,000 / 10,000 / 10,000 images, after preparing it if necessary.

    The last 10,000 of the published training images, in the order of TensorFlow Datasets, are the validation
    images.

    Args:
      data_dir: see `prepared.load`.
      manual_dir: see `prepared.load`; the files are the four published ones, `train-images-idx3-ubyte.gz` and
        so on.

    Returns:
      The levels n / 255, image_shape (28, 28).

    Raises:
      DataError: see `prepared.load`.
    """
    import tensorflow_datasets as tfds  # Slow to import.

    make_builder = functools.partial(tfds.builder, "mnist")
    published = functools.partial(prepared.known_by_tfds, alternative=_ALTERNATIVE)
    splits, source = prepared.load(make_builder, published, _SIZES, data_dir, manual_dir)
    return images.Images(
        **{split: prepared.to_levels(splits[part]) for split, part in _PARTS.items()},
        image_shape=(28, 28),
        name="mnist",
        source=source,
    )

"""Static binarized MNIST: the embedded copy, or the published files, prepared by TensorFlow Datasets."""

import functools
import os

from . import images, prepared
from .embedded import mnist

_NAME = "binarized_mnist"
_ALTERNATIVE = "; without data_dir and manual_dir the copy embedded in dvae_tf is loaded"


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads static binarized MNIST, 50,000 / 10,000 / 10,000 images.

    Without arguments the embedded copy is loaded; with either, TensorFlow Datasets prepares the published
    files. Both give the same arrays. Their rows are in the order in which TensorFlow Datasets stores them,
    which is fixed but not that of the published files.

    Args:
      data_dir: see `prepared.load`.
      manual_dir: see `prepared.load`.

    Returns:
      The images, all three splits binary, image_shape (28, 28); `source` says which copy was loaded.

    Raises:
      DataError: see `prepared.load`; also if the embedded file is missing or damaged.
    """
    if data_dir is None and manual_dir is None:
        splits, source = mnist.read(), "embedded in dvae_tf"
    else:
        import tensorflow_datasets as tfds  # Slow to import.

        make_builder = functools.partial(tfds.builder, _NAME)
        published = functools.partial(prepared.known_by_tfds, alternative=_ALTERNATIVE)
        splits, source = prepared.load(make_builder, published, mnist.SIZES, data_dir, manual_dir)
    return images.Images(**splits, image_shape=(28, 28), name=_NAME, source=source)

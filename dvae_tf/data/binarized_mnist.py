"""Static binarised MNIST, prepared by TensorFlow Datasets from three verified text files."""

import functools
import os
from typing import Any

from . import files, images, prepared

_NAME = "binarized_mnist"
_SIZES = {"train": 50_000, "validation": 10_000, "test": 10_000}


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads static binarised MNIST, 50,000 / 10,000 / 10,000 images, preparing it if need be.

    The rows come in the order in which TensorFlow Datasets stores them: fixed, but not that of
    the published files.

    Args:
      data_dir: as of `prepared.load`.
      manual_dir: as of `prepared.load`.

    Returns:
      The images, all three splits binary, image_shape (28, 28).

    Raises:
      DataError: as `prepared.load`.
    """
    # Slow to import.
    import tensorflow_datasets as tfds

    make_builder = functools.partial(tfds.builder, _NAME)
    splits, source = prepared.load(make_builder, _published, _SIZES, data_dir, manual_dir)
    return images.Images(**splits, image_shape=(28, 28), name=_NAME, source=source)


def _published(builder: Any) -> prepared.Published:
    names = {info.filename: info.checksum for info in builder.url_infos.values()}
    return prepared.Published(
        list(builder.url_infos), lambda path: files.identify(path, {names[path.name]: path.name})
    )

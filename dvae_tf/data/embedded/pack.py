"""Makes the embedded file of binarized MNIST from the published files.

    python -m dvae_tf.data.embedded.pack FOLDER

FOLDER holds `binarized_mnist_{train,valid,test}.amat`. Their SHA-256 digests are verified before they are
parsed, and the images are packed in the order in which TensorFlow Datasets stores them.
"""

import argparse
import bz2
import hashlib
import pathlib
import tempfile

from .. import binarized_mnist, images
from . import mnist


def pack_published(folder: pathlib.Path) -> bytes:
    """Packs the images of the published files.

    Raises:
      DataError: If a file is missing or is not the published one, or if the packed bits are not those with
        the known digest.
    """
    with tempfile.TemporaryDirectory() as prepared:
        loaded = binarized_mnist.load(data_dir=prepared, manual_dir=folder)
    packed = mnist.pack({split: getattr(loaded, split) for split in mnist.SIZES})
    digest = hashlib.sha256(packed).hexdigest()
    if digest != mnist.SHA256:
        raise images.DataError(f"packed bits: expected SHA-256 {mnist.SHA256}, got {digest}")
    return packed


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Makes the embedded file of binarized MNIST.")
    parser.add_argument("folder", type=pathlib.Path, help="the folder with the three published files")
    mnist.FILE.write_bytes(bz2.compress(pack_published(parser.parse_args().folder)))


if __name__ == "__main__":
    main()

"""Static binarized MNIST as packed bits."""

import bz2
import hashlib
import pathlib
from collections.abc import Mapping

import numpy as np

from .. import images

FILE = pathlib.Path(__file__).with_name("binarized_mnist.bz2")
SIZES = {"train": 50_000, "validation": 10_000, "test": 10_000}
# Digest of the packed bits before compression.
SHA256 = "edd28de0800cb353f1de5ef37a8b43b371df7960a83e03919f8932c625254e01"
_HEIGHT = _WIDTH = 28
# Eight pixels of a column make a byte: this compresses better than eight pixels of a row.
_PACKED_HEIGHT = -(-_HEIGHT // 8)
_REMEDY = "Reinstall dvae_tf, or pass the folder with the published files as manual_dir"


def pack(splits: Mapping[str, np.ndarray]) -> bytes:
    """Packs the splits, `[N, 784]` of 0 and 1 each, one after another."""
    pixels = np.concatenate([splits[split] for split in SIZES]).astype(bool)
    return np.packbits(pixels.reshape(-1, _HEIGHT, _WIDTH), axis=1).tobytes()


def read() -> dict[str, np.ndarray]:
    """Reads the splits, float32 `[N, 784]` of 0 and 1 each.

    Raises:
      DataError: If the file is missing, or does not hold the bits with the known digest.
    """
    size = sum(SIZES.values()) * _PACKED_HEIGHT * _WIDTH
    try:
        with bz2.open(FILE) as file:
            packed = file.read(size + 1)
    except (OSError, EOFError) as error:
        raise images.DataError(f"{FILE}: expected packed images, got {error!r}. {_REMEDY}") from error
    digest = hashlib.sha256(packed).hexdigest()
    if digest != SHA256:
        raise images.DataError(f"{FILE}: expected content with SHA-256 {SHA256}, got {digest}. {_REMEDY}")
    bits = np.frombuffer(packed, np.uint8).reshape(-1, _PACKED_HEIGHT, _WIDTH)
    splits, start = {}, 0
    for split, count in SIZES.items():
        pixels = np.unpackbits(bits[start : start + count], axis=1, count=_HEIGHT)
        splits[split] = pixels.reshape(count, -1).astype(np.float32)
        start += count
    return splits

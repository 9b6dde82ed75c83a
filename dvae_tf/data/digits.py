"""The 8x8 digits that come with scikit-learn."""

import os
from typing import NamedTuple

import numpy as np

from . import images

_ENDS = {"train": 1297, "validation": 1297 + 250, "test": 1297 + 250 + 250}
_MAX_LEVEL = 16


class Split(NamedTuple):
    """Pixel probabilities, float32 `[N, 64]`, and the digits as labels, int64 `[N]`."""

    probs: np.ndarray
    labels: np.ndarray


def splits() -> dict[str, Split]:
    """Loads the digits, permuted by seed 0: 1,297 for training, 250 for validation, 250 for testing."""
    from sklearn import datasets  # Slow to import.

    digits = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(digits.data))
    probs, labels = (digits.data / _MAX_LEVEL).astype(np.float32)[order], digits.target[order]
    starts = dict(zip(_ENDS, (0, *_ENDS.values()), strict=False))
    return {name: Split(probs[starts[name] : end], labels[starts[name] : end]) for name, end in _ENDS.items()}


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads the digits, permuted by seed 0, 1,297 / 250 / 250 images.

    Args:
      data_dir: Not used.
      manual_dir: Not used.

    Returns:
      The gray levels divided by 16, image_shape (8, 8).
    """
    del data_dir, manual_dir
    return images.Images(
        **{name: split.probs for name, split in splits().items()},
        image_shape=(8, 8),
        name="digits",
        source="load_digits of scikit-learn, gray levels / 16 as pixel probabilities",
    )

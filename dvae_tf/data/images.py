"""A dataset is three splits of flattened images, with checks."""

import math
from typing import NamedTuple

import numpy as np

from ..config import ImageShape, as_image_shape

# Of 255 times a level in float32, at most.
_ROUNDING = 1e-3


class DataError(Exception):
    """Data is missing, unreadable, or not what was expected."""


class Images(NamedTuple):
    """The three splits of a dataset, one flattened image per row.

    The 256 levels of 8-bit images are n / 255. Colors are three values for each pixel, side by side.

    Attributes:
      train: float32 `[N_train, X]` in [0, 1]: binary images or, if the dataset is binarized afresh for every
        batch, pixel probabilities.
      validation: float32 `[N_validation, X]`, binary; gray levels for a likelihood of levels.
      test: float32 `[N_test, X]`, like `validation`.
      image_shape: (height, width), or (height, width, 3) in color, whose product is X.
      name: The name of the dataset.
      source: The origin of the images, in one line.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    image_shape: ImageShape
    name: str
    source: str

    @property
    def is_binary(self) -> bool:
        """Whether the training images are bits, rather than pixel probabilities."""
        return bool(np.isin(self.train, (0, 1)).all())


def check(images: Images, pixels: str | None = "bits") -> None:
    """Checks that the splits are as `Images` documents.

    Args:
      images: The dataset.
      pixels: What `validation` and `test` consist of: "bits", "levels" in [0, 1], "8-bit levels" (`train` as
        well), or None for whatever the likelihood of your own takes, which is not checked.

    Raises:
      TypeError: If a split is not a float32 NumPy array.
      ValueError: If a split is not of rank 2, or its width disagrees with `image_shape`.
      DataError: If a split is empty or holds a value that is not finite, outside of [0, 1], or none that is
        expected.
    """
    if pixels is None:
        return
    shape = as_image_shape(images.image_shape)
    for split in ("train", "validation", "test"):
        _check_split(getattr(images, split), split, math.prod(shape), shape)
        if pixels == "8-bit levels" and not _are_bytes(getattr(images, split)):
            raise DataError(
                f"{split}: expected the 256 levels n / 255 of 8-bit images, got others. Round them, for "
                "example by np.round(255 * x) / 255"
            )
    for split in ("validation", "test") if pixels == "bits" else ():
        held_out = getattr(images, split)
        if not np.all((held_out == 0) | (held_out == 1)):
            raise DataError(
                f"{split}: expected binary pixels, 0 or 1, got gray levels. Binarize them once, for example "
                "with data.binarize_once"
            )


def _are_bytes(pixels: np.ndarray) -> bool:
    """Whether all pixels are levels n / 255; row by row, to spare memory."""
    return all(np.abs(row - np.rint(row)).max() < _ROUNDING for row in (255 * row for row in pixels))


def _check_split(pixels: np.ndarray, split: str, width: int, image_shape: tuple[int, ...]) -> None:
    """Checks type, shape and range of one split."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.float32:
        got = getattr(pixels, "dtype", type(pixels).__name__)
        raise TypeError(f"{split}: expected a float32 NumPy array, got {got}")
    if pixels.ndim != 2 or pixels.shape[1] != width:
        raise ValueError(
            f"{split}: expected shape [N, {width}] for image_shape {image_shape}, got {list(pixels.shape)}"
        )
    if not pixels.size:
        raise DataError(f"{split}: expected at least one image, got none")
    # A NaN anywhere makes both extremes NaN, and the comparison false.
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 1):
        raise DataError(f"{split}: expected finite values in [0, 1], got values from {low} to {high}")

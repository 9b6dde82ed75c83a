"""Places of images and of coarser grids: how rows are folded, and what a place sees."""

import math
from collections.abc import Sequence

import tensorflow as tf

from ..support import as_count


def sides(image_shape: Sequence[int]) -> tuple[int, int, int]:
    """(height, width, channels) of (height, width) or (height, width, channels).

    Raises:
      ValueError: if it is neither.
    """
    shape = tuple(as_count("image_shape", side) for side in image_shape)
    if len(shape) not in (2, 3):
        raise ValueError(f"image_shape: expected (height, width) or (height, width, channels), got {shape}")
    return shape[0], shape[1], shape[2] if len(shape) == 3 else 1


def grid_of(image_shape: Sequence[int], num_halvings: int) -> tuple[int, int]:
    """(height, width) of an image after so many halvings, rounded up."""
    height, width, _ = sides(image_shape)
    factor = 2**num_halvings
    return math.ceil(height / factor), math.ceil(width / factor)


def neighborhoods(hidden: tf.Tensor) -> tf.Tensor:
    """Each place together with its eight neighbors, zero beyond the border: `[N, H, W, 9 C]`.

    A linear map of it is a 3 x 3 convolution: a matrix product, whose gradient XLA programs on a CPU compute
    several times faster than that of their own convolutions.
    """
    height, width = hidden.shape[1:3]
    padded = tf.pad(hidden, [[0, 0], [1, 1], [1, 1], [0, 0]])
    rows = [padded[:, top : top + height] for top in range(3)]
    return tf.concat([row[:, :, left : left + width] for row in rows for left in range(3)], -1)

"""Places of images and of coarser grids: how rows are folded, and convolutions of them."""

import math
from collections.abc import Sequence

import keras
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


def convolved(hidden: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The 3 x 3 convolution of places, zero beyond the border: `[N, H, W, C]` gives `[N, H, W, F]`.

    Each place beside its left and right neighbors is multiplied by the three rows of the kernel at once; what
    they give is added to the places above and below. XLA programs on a CPU compute this and its gradient
    faster than their own convolutions, most of all where F is small.

    Args:
      hidden: `[N, H, W, C]`.
      kernel: `[3, 3, C, F]`.
    """
    height, width, channels = hidden.shape[1:]
    padded = tf.pad(hidden, [[0, 0], [0, 0], [1, 1], [0, 0]])
    beside = tf.concat([padded[:, :, left : left + width] for left in range(3)], -1)
    by_row = tf.reshape(tf.transpose(kernel, [1, 2, 0, 3]), [3 * channels, 3 * kernel.shape[-1]])
    padded = tf.pad(keras.ops.dot(beside, by_row), [[0, 0], [1, 1], [0, 0], [0, 0]])
    return tf.add_n([row[:, top : top + height] for top, row in enumerate(tf.split(padded, 3, -1))])

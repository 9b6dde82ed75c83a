"""Checks of what enters a model: images, their mean and shape, and codes.

Values are checked where they are known. In a graph they are known only when it runs: there the checks are
assertions, on request, because XLA programs cannot raise.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import ImageShape, as_image_shape

# Of 255 times a level in float32, at most.
_ROUNDING = 1e-3


def checked_images(
    x: Any, num_pixels: int, pixels: str | None, name: str = "x", assert_in_graph: bool = False
) -> tf.Tensor:
    """Images as a float32 tensor `[B, num_pixels]`.

    Args:
      x: images: an array or tensor of any number type, or of booleans.
      num_pixels: X.
      pixels: "bits", "levels" in [0, 1], "8-bit levels" n / 255, or None for any finite numbers.
      name: the argument that they came as, for errors.
      assert_in_graph: whether values are checked in a graph too, when it runs.

    Raises:
      ValueError: if they have another shape or other values.
      tf.errors.InvalidArgumentError: the same, of an assertion in a graph.
    """
    x = _floats(x, name)
    if x.shape.rank is None and assert_in_graph:
        x = tf.ensure_shape(x, [None, num_pixels])
    if x.shape.rank != 2 or x.shape[-1] not in (num_pixels, None):
        raise ValueError(f"{name}: expected images of shape [B, {num_pixels}], got {x.shape}")
    if not (tf.executing_eagerly() or assert_in_graph):
        return x
    good, expected = _pixel_check(x, pixels)
    return _checked(x, good, f"{name}: expected {expected}", [tf.reduce_min(x), tf.reduce_max(x)])


def _pixel_check(x: tf.Tensor, pixels: str | None) -> tuple[tf.Tensor, str]:
    """Whether all pixels are what is expected, and what that is."""
    if pixels == "bits":
        return tf.reduce_all((x == 0) | (x == 1)), (
            "bits, 0 or 1 (gray levels are binarized first, for example by dvae_tf.data.binarize_once, or "
            "have a likelihood of their own)"
        )
    if pixels == "levels":
        # Comparisons with NaN are false.
        return tf.reduce_all((x >= 0) & (x <= 1)), "pixels in [0, 1]"
    if pixels == "8-bit levels":
        is_level = tf.abs(255 * x - tf.round(255 * x)) < _ROUNDING
        return tf.reduce_all((x >= 0) & (x <= 1) & is_level), "the 256 levels n / 255 of 8-bit images"
    return tf.reduce_all(tf.math.is_finite(x)), "finite pixels"


def checked_codes(z: Any, num_units: int, name: str = "z", assert_in_graph: bool = False) -> tf.Tensor:
    """Codes as a float32 tensor `[..., num_units]`: bits, or relaxed bits.

    Raises:
      ValueError: if they have another shape, or a value is not finite (see `checked_images`).
    """
    z = _floats(z, name)
    if not z.shape.rank or z.shape[-1] not in (num_units, None):
        raise ValueError(f"{name}: expected codes of shape [..., {num_units}], got {z.shape}")
    if not (tf.executing_eagerly() or assert_in_graph):
        return z
    good = tf.reduce_all(tf.math.is_finite(z))
    return _checked(z, good, f"{name}: expected finite numbers", [tf.reduce_min(z), tf.reduce_max(z)])


def checked_batch(x: tf.Tensor, num_replicas: int) -> tf.Tensor:
    """The batch, if each of the replicas has an equal part of it.

    Raises:
      ValueError: if it has not (in a graph, see `checked_images`).
    """
    if num_replicas == 1:
        return x
    size = tf.shape(x)[0]
    message = f"x: expected batches whose size is a multiple of num_replicas, {num_replicas}"
    return _checked(x, size % num_replicas == 0, message, [size])


def _floats(x: Any, name: str) -> tf.Tensor:
    try:
        x = tf.convert_to_tensor(x)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected an array of numbers: {error}") from error
    if not (x.dtype.is_floating or x.dtype.is_integer or x.dtype.is_bool):
        raise ValueError(f"{name}: expected numbers, got {x.dtype.name}")
    return tf.cast(x, tf.float32)


def _checked(x: tf.Tensor, good: tf.Tensor, message: str, got: list[tf.Tensor]) -> tf.Tensor:
    """x, if a condition holds; `got` are values, or the ends of their range, for the message."""
    if not tf.executing_eagerly():
        with tf.control_dependencies([tf.debugging.Assert(good, [message + ", got", *got])]):
            return tf.identity(x)
    if not bool(good):
        raise ValueError(f"{message}, got {' to '.join(f'{float(each):g}' for each in got)}")
    return x


def checked_shape(image_shape: Any, num_pixels: int) -> ImageShape | None:
    """The shape of images of so many pixels.

    Raises:
      ValueError: if it has another number of pixels, or is no shape of images.
    """
    if image_shape is None:
        return None
    shape = as_image_shape(image_shape)
    if math.prod(shape) != num_pixels:
        raise ValueError(f"image_shape: expected {num_pixels} pixels, got {shape}")
    return shape


def checked_mean(mean_x: Any, pixels: str | None) -> np.ndarray:
    """The mean image as float32 `[X]`.

    Raises:
      ValueError: if it is none of images of such pixels.
    """
    mean_x = np.asarray(mean_x, np.float32)
    if mean_x.ndim != 1 or not len(mean_x):
        raise ValueError(f"mean_x: expected shape [pixels], got {mean_x.shape}")
    low, high = mean_x.min(), mean_x.max()
    # Comparisons with NaN are false.
    if not (np.isfinite([low, high]).all() and (pixels is None or (low >= 0 and high <= 1))):
        raise ValueError(f"mean_x: expected the mean image, in [0, 1], got values from {low} to {high}")
    return mean_x

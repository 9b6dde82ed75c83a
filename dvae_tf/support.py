"""Checks of numbers, and the supports, dtypes and checks of values that distributions share."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

UNIT_INTERVAL = (0.0, 1.0)
REAL_LINE = (-math.inf, math.inf)


def as_count(name: str, value: Any, least: int = 1) -> int:
    """A number of things as a Python integer, from an integer of Python or NumPy, or a scalar of integers.

    Raises:
      ValueError: if `value` is no integer (a bool or a float such as 10.0 is none), or below `least`.
    """
    count = np.asarray(value)
    if count.shape or count.dtype.kind not in "iu" or count < least:
        raise ValueError(f"{name}: expected an integer of at least {least}, got {value!r}")
    return int(count)


def as_number(name: str, value: Any, above: float = -math.inf) -> float:
    """A finite number as a Python float, from a number of Python or NumPy, or a scalar.

    Raises:
      ValueError: if `value` is no finite number (a bool or a string is none), or not above the bound.
    """
    number = np.asarray(value)
    if number.shape or number.dtype.kind not in "iuf" or not above < number < math.inf:
        bound = f" above {above:g}" if math.isfinite(above) else ""
        raise ValueError(f"{name}: expected a finite number{bound}, got {value!r}")
    return float(number)


def line_onto(support: tuple[float, float]) -> tfb.Bijector:
    """Maps the real line onto a support."""
    return tfb.Sigmoid() if support == UNIT_INTERVAL else tfb.Identity()


def outside(zeta: tf.Tensor, support: tuple[float, float]) -> tf.Tensor:
    """Whether zeta lies outside the support, or is infinite; False for NaN."""
    low, high = support
    return (zeta < low) | (zeta > high) | tf.math.is_inf(zeta)


def inside_unit_interval(zeta: tf.Tensor) -> tf.Tensor:
    """The nearest number whose distances to 0 and to 1 have a finite logarithm and a finite reciprocal."""
    limits = np.finfo(zeta.dtype.as_numpy_dtype)
    return tf.clip_by_value(zeta, 4 * limits.tiny, 1 - limits.epsneg)


def support_assertions(zeta: tf.Tensor, support: tuple[float, float]) -> list[Any]:
    """Operations that fail if zeta is outside the support or NaN."""
    wrong = tf.reduce_any(outside(zeta, support) | tf.math.is_nan(zeta))
    return [tf.debugging.assert_equal(wrong, False, f"zeta: expected numbers in {support}")]


def bit_assertions(z: tf.Tensor) -> list[Any]:
    """Operations that fail if z is anything but 0 or 1."""
    return [tf.debugging.assert_equal(z * z, z, "z: expected zeros and ones")]


def number_assertions(name: str, values: tf.Tensor) -> list[Any]:
    """Operations that fail if one of the values is NaN."""
    nan = tf.reduce_any(tf.math.is_nan(values))
    return [tf.debugging.assert_equal(nan, False, f"{name}: expected numbers, got NaN")]


def in_dtype(number: Any, dtype: tf.DType) -> tf.Tensor:
    """A number or a tensor as a tensor of the dtype; `tf.cast` would round a number to float32 first."""
    return tf.cast(number, dtype) if tf.is_tensor(number) else tf.constant(number, dtype)


def at_least_float32(logits: Any) -> tf.Tensor:
    """Log-odds as a tensor; half precision and integers are converted to float32."""
    logits = tf.convert_to_tensor(logits)
    if logits.dtype.size < 4 or not logits.dtype.is_floating:
        logits = tf.cast(logits, tf.float32)
    return logits

"""Checks of numbers, and the supports, dtypes and checks of values that distributions share."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability.python.internal import tensor_util

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
    """A number, tensor or variable as a tensor of the dtype; `tf.cast` would round a number to float32."""
    if tf.is_tensor(number):
        return tf.cast(tf.convert_to_tensor(number), dtype)
    return tf.convert_to_tensor(number, dtype)


def floating_dtype(parameter: Any) -> tf.DType:
    """The dtype to compute in with a parameter: its own, or float32 for half precision and integers."""
    dtype = tf.as_dtype(parameter.dtype)
    return dtype if dtype.is_floating and dtype.size >= 4 else tf.float32


def at_least_float32(logits: Any) -> tf.Tensor:
    """Log-odds as a tensor; half precision and integers are converted to float32."""
    logits = tf.convert_to_tensor(logits)
    return tf.cast(logits, floating_dtype(logits))


def as_parameter(value: Any, dtype: tf.DType | None = None) -> Any:
    """A parameter as a distribution holds it: variables stay variables, anything else becomes a tensor.

    As in tfp, the distribution reads a variable, or a deferred tensor, whenever it uses it, by `in_dtype`.

    Args:
      value: a number, an array or a tensor; a variable of TensorFlow or of Keras, or a deferred tensor.
      dtype: of the tensor; None for that of the value, at least float32.
    """
    if isinstance(value, keras.Variable):
        value = value.value
    if tensor_util.is_ref(value):
        return value
    return at_least_float32(value) if dtype is None else in_dtype(value, dtype)


def as_scalar(name: str, value: Any, dtype: tf.DType) -> Any:
    """A parameter that is a single number, as `as_parameter` gives it; None stays None.

    Raises:
      ValueError: if it has a shape.
    """
    if value is None:
        return None
    parameter = as_parameter(value, dtype)
    if parameter.shape.rank:
        raise ValueError(f"{name}: expected a scalar, got shape {parameter.shape}")
    return parameter

"""Inverses of CDFs: a bracketed root search, and the root of a quadratic equation for closed forms."""

import math
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb


def search_quantile(
    cdf: Callable[[tf.Tensor], tf.Tensor],
    rho: tf.Tensor,
    low: tf.Tensor,
    high: tf.Tensor,
    from_line: tfb.Bijector,
) -> tf.Tensor:
    """The zeta in [low, high] with cdf(zeta) = rho, to the last digit; no gradient flows.

    Args:
      cdf: increasing.
      rho: levels in [0, 1].
      low: a point where the CDF is at most rho.
      high: a point where it is at least rho.
      from_line: maps the real line, on which the root is searched, onto the support.
    """
    shape = tf.shape(cdf(low) + rho)
    low, high, rho = (tf.broadcast_to(each, shape) for each in (low, high, rho))
    # The image of an edge of the support on the line is infinite.
    limit = {tf.float32: 87.0, tf.float64: 708.0}[rho.dtype]
    if isinstance(from_line, tfb.Identity):
        limit = rho.dtype.max / 4
    lower, upper = (
        tf.clip_by_value(from_line.inverse(end), tf.cast(-limit, rho.dtype), tf.cast(limit, rho.dtype))
        for end in (low, high)
    )
    root = tfp.math.find_root_chandrupatla(
        lambda unbounded: cdf(from_line.forward(unbounded)) - rho,
        low=lower,
        high=upper,
        position_tolerance=0.0,
        value_tolerance=0.0,
        max_iterations=200,
    ).estimated_root
    # For a quantile closer to an edge than the search can reach, the end itself is the nearest number.
    zeta = tf.where(cdf(from_line.forward(lower)) >= rho, low, from_line.forward(root))
    return tf.stop_gradient(tf.where(cdf(from_line.forward(upper)) <= rho, high, zeta))


def log_larger_root(b: tf.Tensor, log_c: tf.Tensor) -> tf.Tensor:
    r"""$\log((|b| + \sqrt{b^2 + 4 c}) / 2)$, of the root of $v^2 + b v - c = 0$ that is larger in size.

    The size of the other root is c divided by it. c > 0 is given by its logarithm because it may underflow.
    """
    log_b = tf.math.log(tf.maximum(tf.abs(b), tf.constant(b.dtype.as_numpy_dtype(2.0**-126), b.dtype)))
    log_square = tfp.math.log_add_exp(2.0 * log_b, math.log(4.0) + log_c)
    return tfp.math.log_add_exp(log_b, 0.5 * log_square) - math.log(2.0)

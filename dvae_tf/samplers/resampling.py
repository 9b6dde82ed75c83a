"""Systematic resampling (Carpenter, Clifford and Fearnhead, 1999): one uniform for a whole population."""

import tensorflow as tf

from ..numerics import uniform

# Weights become integers over 2^32 of the largest one: their running sum is exact and never falls, so a
# state of weight 0 is never taken and no position lies beyond the last one, as float32 sums allow.
_UNIT = 2.0**32


def systematic_resampling(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Indices of the states that replace the weighted ones, on average as often as their weights say.

    State i appears floor(C w_i) or ceil(C w_i) times, C w_i on average, for normalised weights w, as far as
    they are above 2^-33 of the largest.

    Args:
      log_weights: [..., C], not necessarily normalised; -inf is a weight of 0. C is known when traced, and
        at most 2^20.
      seed: an `int32[2]` seed.

    Returns:
      int32 [..., C], rising.
    """
    num_states = log_weights.shape[-1]
    weights = tf.exp(tf.cast(log_weights - tf.reduce_max(log_weights, -1, keepdims=True), tf.float64))
    sums = tf.cumsum(tf.cast(tf.round(weights * _UNIT), tf.int64), -1)
    total = sums[..., -1:]
    offset = uniform(tf.shape(total), seed, tf.float64)
    ticks = tf.range(num_states, dtype=tf.float64) + offset
    positions = tf.cast(ticks / num_states * tf.cast(total, tf.float64), tf.int64)
    return _count_at_most(sums, tf.minimum(positions, total - 1))


def _count_at_most(rising: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """How many of the rising numbers [..., C] are at most each of the values [..., C], by bisection.

    `tf.searchsorted` compares all with all inside an XLA program.
    """
    size = rising.shape[-1]
    count = tf.zeros_like(values, tf.int32)
    for bit in reversed(range(size.bit_length())):
        more = count + 2**bit
        last = tf.gather(rising, tf.minimum(more, size) - 1, batch_dims=rising.shape.rank - 1)
        count = tf.where((more <= size) & (last <= values), more, count)
    return count


def count_families(families: tf.Tensor) -> tf.Tensor:
    """The number of distinct ancestors of the replicas of a population, [C]; int32."""
    ordered = tf.sort(families)
    return 1 + tf.reduce_sum(tf.cast(ordered[1:] != ordered[:-1], tf.int32))

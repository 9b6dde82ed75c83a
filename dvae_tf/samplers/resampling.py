"""Systematic resampling (Carpenter, Clifford and Fearnhead, 1999): one uniform number per population."""

import tensorflow as tf

from ..numerics import uniform

# Weights are rounded to integers in units of 2^-32 of the largest: their running sum is exact and never
# decreases, so that, unlike with float32 sums, no state of weight 0 is chosen and no position exceeds the
# sum.
_UNIT = 2.0**32


def systematic_resampling(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    r"""Indices of the states that replace the weighted ones.

    For normalized weights $w$ that exceed 2^-33 of the largest, state $i$ appears $\lfloor C w_i \rfloor$ or
    $\lceil C w_i \rceil$ times, $C w_i$ on average.

    Args:
      log_weights: [..., C], not necessarily normalized; -inf is a weight of 0. C is static, at most 2^20.
      seed: an `int32[2]` seed.

    Returns:
      int32 [..., C], in increasing order.
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
    """How many of the sorted numbers [..., C] are at most each of the values [..., C], by bisection.

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

"""log Z with an interval that knows when it is wrong: annealing from both sides of the truth.

Forward annealing errs downwards, reverse annealing from draws of the machine upwards. Where both agree
within their errors log Z lies between them, and Bennett's ratio of both sets of weights is the best
estimate; where they do not, something has not converged, and the verdict says so.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import Seed, log_mean_exp, split
from ..rbm import RBM, as_rbm, exact, right_logits
from .ais import AISEstimate, annealed_importance_sampling, reverse_annealed_importance_sampling
from .bridge import BridgeEstimate, bennett, bridge_sampling

# The two sides may differ by so many of their errors; as normal numbers do once in 400 times.
_MAX_DISAGREEMENT = 3.0
# Errors on either side of the interval.
_WIDTH = 2.0
# Parallel tempering takes so many ladders, and at least so many samples of each: fewer leave R-hat of a
# machine of 200 + 200 units above what is asked of it.
_NUM_LADDERS = 100
_MIN_SAMPLES = 100


class Estimate(NamedTuple):
    """log Z between two sides; nats.

    Attributes:
      log_partition: Bennett's estimate from both sides; the enumerated value where there is one.
      standard_error: of it.
      lower: forward annealing less two errors.
      upper: reverse annealing plus two errors.
      gap: reverse minus forward; near 0 if both have converged.
      effective_sample_size: the smaller one of the two sides; infinite if enumerated.
      converged: False if the sides differ by more than three errors, if the weights of either are worth
        less than a tenth of its chains, or if parallel tempering had not converged.
      forward: annealing from the product distribution; None if enumerated.
      reverse: annealing from draws of the machine; None if enumerated.
      tempering: of the draws; None if enumerated, or if they were given.
    """

    log_partition: tf.Tensor
    standard_error: tf.Tensor
    lower: tf.Tensor
    upper: tf.Tensor
    gap: tf.Tensor
    effective_sample_size: tf.Tensor
    converged: tf.Tensor
    forward: AISEstimate | None
    reverse: AISEstimate | None
    tempering: BridgeEstimate | None


def estimate(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    num_temperatures: int = 1000,
    num_chains: int = 1000,
    seed: Seed = (0, 0),
    left: Any = None,
    temperature: float = 1.0,
    max_exact_units: int = 16,
) -> Estimate:
    """Measures log Z: by enumeration where that is fast, otherwise by annealing from both sides.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      num_temperatures: of annealing, each way.
      num_chains: of annealing, each way.
      seed: an `int32[2]` seed.
      left: [C, L], draws of the machine's left side to start the reverse chains from, C at least 2; None
        draws them by parallel tempering. Forward chains know nothing of given ones (they start from fair
        bits), so that draws of one mode only cannot mislead both sides.
      temperature: T of p(z) = exp(-E(z) / T) / Z.
      max_exact_units: a smaller side of at most so many units is enumerated.

    Raises:
      ValueError: if a count is below 1 (2 for chains), or shapes disagree.
    """
    rbm = as_rbm(left_bias, right_bias, weights, temperature)
    if min(rbm.num_left, rbm.num_right) <= max_exact_units:
        return _enumerated(exact.log_partition(rbm))
    for_draws, for_forward, for_reverse = split(seed, 3)
    tempering, base_probs = None, None
    if left is None:
        samples = -(-num_chains // _NUM_LADDERS)
        tempering = bridge_sampling(
            *rbm, num_chains=_NUM_LADDERS, num_samples=max(samples, _MIN_SAMPLES), seed=for_draws
        )
        # The latest ones, num_chains of them.
        left = tf.reshape(tempering.left[-samples:], [-1, rbm.num_left])[:num_chains]
        base_probs = _means(rbm, tempering.left)
    forward = annealed_importance_sampling(
        *rbm, num_temperatures, num_chains, seed=for_forward, base_probs=base_probs
    )
    reverse = reverse_annealed_importance_sampling(
        *rbm, left, num_temperatures, seed=for_reverse, base_probs=base_probs
    )
    return _between(forward, reverse, tempering)


def _enumerated(log_partition: tf.Tensor) -> Estimate:
    zero = tf.zeros_like(log_partition)
    return Estimate(
        log_partition,
        zero,
        log_partition,
        log_partition,
        zero,
        zero + float("inf"),
        tf.math.is_finite(log_partition),
        None,
        None,
        None,
    )


def _means(rbm: RBM, left: tf.Tensor) -> tf.Tensor:
    """Means of all units, [L + R], from draws [..., L] of the left ones."""
    left = tf.reshape(left, [-1, rbm.num_left])
    right = tf.math.sigmoid(right_logits(rbm, left))
    return tf.concat([tf.reduce_mean(left, 0), tf.reduce_mean(right, 0)], 0)


def _between(forward: AISEstimate, reverse: AISEstimate, tempering: BridgeEstimate | None) -> Estimate:
    log_base = forward.log_partition - log_mean_exp(forward.log_weights)
    ratio = bennett(forward.log_weights, reverse.log_weights)
    gap = reverse.log_partition - forward.log_partition
    error = tf.sqrt(forward.standard_error**2 + reverse.standard_error**2)
    converged = forward.converged & reverse.converged & (tf.abs(gap) <= _MAX_DISAGREEMENT * error)
    if tempering is not None:
        converged &= tempering.converged
    return Estimate(
        log_base + ratio.log_ratio,
        tf.sqrt(ratio.variance),
        forward.log_partition - _WIDTH * forward.standard_error,
        reverse.log_partition + _WIDTH * reverse.standard_error,
        gap,
        tf.minimum(forward.effective_sample_size, reverse.effective_sample_size),
        converged,
        forward,
        reverse,
        tempering,
    )

r"""$\log Z$ by the method that suits the machine, with a verdict that detects failures of sampling.

Forward annealing errs downwards, reverse annealing from draws of the machine errs upwards. Where the two
agree within their errors $\log Z$ lies between them, and Bennett's ratio of both sets of weights is the best
estimate; where they disagree, at least one of them has not converged.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import Seed, log_mean_exp, split
from ..rbm import RBM, as_rbm, exact, right_logits
from .ais import AnnealedChains, annealed_importance_sampling, reverse_annealed_importance_sampling
from .bridge import TemperedLadders, bennett, bridge_sampling
from .log_partition import LogPartition

# Largest difference of the two sides in units of its error; a normal number exceeds it once in 400 times.
_MAX_DISAGREEMENT = 3.0
# Ladders of parallel tempering, and the least number of samples from each: with fewer, R-hat of a machine of
# 200 + 200 units stays above the limit of `bridge_sampling`.
_NUM_LADDERS = 100
_MIN_SAMPLES = 100


class BothSides(NamedTuple):
    """The parts of an estimate from both sides.

    Attributes:
      forward: annealing from the product distribution.
      reverse: annealing from draws of the machine.
      tempering: bridge sampling, which drew them; None if the draws were given.
    """

    forward: LogPartition[AnnealedChains]
    reverse: LogPartition[AnnealedChains]
    tempering: LogPartition[TemperedLadders] | None


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
    both_sides: bool = True,
    base_probs: Any = None,
) -> LogPartition[Any]:
    r"""Measures $\log Z$: exactly where that is fast, otherwise by annealing from one side or from both.

    Exact (`"exact"`) where all couplings are 0, as $\log Z = \sum_i \log(1 + e^{a_i})$, and by enumeration
    where the smaller side is small. From one side (`"ais"`) it is `annealed_importance_sampling`. From both
    sides (`"two-sided"`) the estimate is Bennett's, `lower` and `upper` are those of the two annealings, and
    it counts as converged unless they differ by more than three errors, the weights of either have an
    effective sample size below a tenth of the chains, or parallel tempering has not converged.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      num_temperatures: of annealing, each way.
      num_chains: of annealing, each way.
      seed: an `int32[2]` seed.
      left: [C, L], draws of the machine's left side to start the reverse chains from, C at least 2; None
        draws them by parallel tempering.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.
      max_exact_units: the largest smaller side that is enumerated.
      both_sides: whether to anneal in reverse too.
      base_probs: [L + R], the means of the product distribution at t = 0. None fits them to the draws by
        parallel tempering, and takes fair bits where there are none; so given draws of a single mode cannot
        mislead both sides.

    Raises:
      ValueError: if a count is below 1 (2 for chains), or shapes disagree.
    """
    rbm = as_rbm(left_bias, right_bias, weights, temperature)
    if _has_no_couplings(rbm):
        biases = tf.concat([rbm.left_bias, rbm.right_bias], 0)
        return LogPartition.known(tf.reduce_sum(tf.math.softplus(biases)))
    if min(rbm.num_left, rbm.num_right) <= max_exact_units:
        return LogPartition.known(exact.log_partition(rbm))
    if not both_sides:
        return annealed_importance_sampling(
            *rbm, num_temperatures, num_chains, seed=seed, base_probs=base_probs
        )
    for_draws, for_forward, for_reverse = split(seed, 3)
    tempering = None
    if left is None:
        num_samples = -(-num_chains // _NUM_LADDERS)
        tempering = bridge_sampling(
            *rbm, num_chains=_NUM_LADDERS, num_samples=max(num_samples, _MIN_SAMPLES), seed=for_draws
        )
        draws = tempering.details.left
        left = tf.reshape(draws[-num_samples:], [-1, rbm.num_left])[:num_chains]
        base_probs = _means(rbm, draws) if base_probs is None else base_probs
    forward = annealed_importance_sampling(
        *rbm, num_temperatures, num_chains, seed=for_forward, base_probs=base_probs
    )
    reverse = reverse_annealed_importance_sampling(
        *rbm, left, num_temperatures, seed=for_reverse, base_probs=base_probs
    )
    return _between(BothSides(forward, reverse, tempering))


def _has_no_couplings(rbm: RBM) -> bool:
    """Whether all weights are known to be 0; inside a `tf.function` they may be unknown."""
    weights = tf.get_static_value(rbm.weights)
    return weights is not None and not weights.any()


def _means(rbm: RBM, left: tf.Tensor) -> tf.Tensor:
    """Means of all units, [L + R], from draws [..., L] of the left ones."""
    left = tf.reshape(left, [-1, rbm.num_left])
    right = tf.math.sigmoid(right_logits(rbm, left))
    return tf.concat([tf.reduce_mean(left, 0), tf.reduce_mean(right, 0)], 0)


def _between(sides: BothSides) -> LogPartition[BothSides]:
    forward, reverse, tempering = sides
    log_base = forward.log_partition - log_mean_exp(forward.details.log_weights)
    ratio = bennett(forward.details.log_weights, reverse.details.log_weights)
    gap = reverse.log_partition - forward.log_partition
    error = tf.sqrt(forward.standard_error**2 + reverse.standard_error**2)
    converged = forward.converged & reverse.converged & (tf.abs(gap) <= _MAX_DISAGREEMENT * error)
    if tempering is not None:
        converged &= tempering.converged
    return LogPartition(
        log_base + ratio.log_ratio,
        tf.sqrt(ratio.variance),
        lower=forward.lower,
        upper=reverse.upper,
        gap=gap,
        effective_sample_size=tf.minimum(forward.effective_sample_size, reverse.effective_sample_size),
        converged=converged,
        method="two-sided",
        details=sides,
    )

"""log Z by population annealing from a product distribution: the increments of `samplers.anneal`.

Populations are independent of each other, so the spread of their Z is an honest error.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import Seed, effective_sample_size, log_mean_exp
from ..rbm import as_rbm, tempered_path
from ..samplers import anneal, count_families

# What a population must have kept: so many families, and its part of the average Z.
_MIN_FAMILIES = 10
_MIN_EFFECTIVE_PART = 0.1


class PopulationEstimate(NamedTuple):
    """What population annealing found.

    Attributes:
      log_partition: log of the mean Z of the populations, nats; a stochastic lower bound of log Z. With a
        fixed ladder its exponential is unbiased.
      standard_error: nats, from the spread of Z over the populations.
      effective_sample_size: replicas, counted by family and by what their population is worth.
      converged: whether it can be believed: populations keep 10 families or more on average, and their Z
        are worth at least a tenth of their number.
      log_partitions: log Z of each population, [P].
      families: how many ancestors the replicas of each population have, [P].
      num_rungs: of the ladder.
      left: [P, C, L]; replicas of a population share its weight.
      right: [P, C, R].
    """

    log_partition: tf.Tensor
    standard_error: tf.Tensor
    effective_sample_size: tf.Tensor
    converged: tf.Tensor
    log_partitions: tf.Tensor
    families: tf.Tensor
    num_rungs: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor


def population_annealing(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    num_populations: int = 20,
    num_chains: int = 100,
    num_sweeps: int = 10,
    num_temperatures: int | None = None,
    target_ess: float = 0.9,
    seed: Seed = (0, 0),
    base_probs: Any = None,
    temperature: float = 1.0,
) -> PopulationEstimate:
    """Estimates log Z; one XLA program, memory bounded by the number of replicas.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      num_populations: P, independent; their spread is the error.
      num_chains: replicas of each.
      num_sweeps: at each rung.
      num_temperatures: rungs at equal distances, for an unbiased Z; None for an adaptive ladder.
      target_ess: of each step of an adaptive ladder, as a part of the replicas.
      seed: an `int32[2]` seed.
      base_probs: [L + R], the means of the product distribution at t = 0; uniform where not given.
      temperature: T of p(z) = exp(-E(z) / T) / Z.

    Raises:
      ValueError: if a count is below 1 (2 for populations and chains), or shapes disagree.
    """
    for name, count, least in (
        ("num_populations", num_populations, 2),
        ("num_chains", num_chains, 2),
        ("num_sweeps", num_sweeps, 1),
    ):
        if count < least:
            raise ValueError(f"{name}: expected at least {least}, got {count}")
    path = tempered_path(as_rbm(left_bias, right_bias, weights, temperature), base_probs)
    found = anneal(path, num_populations, num_chains, num_sweeps, seed, num_temperatures, target_ess)
    # sum of squares of the families' sizes: pairs of replicas that share an ancestor.
    related = found.families[:, :, tf.newaxis] == found.families[:, tf.newaxis, :]
    pairs = tf.reduce_sum(tf.cast(related, path.rbm.dtype), (1, 2))
    independent = num_chains**2 / pairs
    log_z = found.log_partition
    worth = effective_sample_size(log_z)
    families = tf.map_fn(count_families, found.families)
    shares = tf.exp(log_z - tf.reduce_max(log_z))
    relative = tf.math.reduce_std(shares) / tf.reduce_mean(shares)
    enough = tf.reduce_mean(tf.cast(families, path.rbm.dtype)) >= min(_MIN_FAMILIES, num_chains)
    return PopulationEstimate(
        log_mean_exp(log_z),
        relative / tf.sqrt(tf.cast(num_populations - 1, path.rbm.dtype)),
        worth * tf.reduce_mean(independent),
        enough & (worth >= _MIN_EFFECTIVE_PART * num_populations),
        log_z,
        families,
        found.num_rungs,
        found.left,
        found.right,
    )

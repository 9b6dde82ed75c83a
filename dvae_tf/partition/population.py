r"""$\log Z$ by population annealing from a product distribution, with `samplers.anneal`.

The populations are independent of each other, so the spread of their estimates of $Z$ is a reliable error.
"""

from typing import Any

import tensorflow as tf

from ..numerics import Seed, effective_sample_size, log_mean_exp
from ..rbm import as_machine, tempered_path
from ..samplers import AnnealedPopulations, anneal, count_families
from ..support import as_count, as_number
from .log_partition import BOUND_WIDTH, LogPartition, all_met, at_least

# Criteria of convergence: the mean number of families of a population, and the effective number of
# populations as a fraction of their number.
_MIN_FAMILIES = 10
_MIN_EFFECTIVE_FRACTION = 0.1


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
) -> LogPartition[AnnealedPopulations]:
    r"""Estimates $\log Z$ from below; one XLA program, memory bounded by the number of replicas.

    The estimate is the log of the mean $Z$ of the populations, a stochastic lower bound; with a fixed ladder
    its exponential is unbiased. The effective sample size counts replicas by family and populations by their
    weight. The estimate counts as converged if populations keep 10 families or more on average, and if the
    effective number of populations is at least a tenth of their number.

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      num_populations: P, independent; the spread of their Z gives the standard error.
      num_chains: replicas of each population.
      num_sweeps: at each rung.
      num_temperatures: rungs at equal distances, for an unbiased Z; None for an adaptive ladder.
      target_ess: effective sample size of each step of an adaptive ladder, as a fraction of the replicas.
      seed: an `int32[2]` seed.
      base_probs: [D], the means of the product distribution at t = 0; uniform where not given.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.

    Raises:
      ValueError: if a count is below 1 (2 for populations and chains), or shapes disagree.
    """
    num_populations = as_count("num_populations", num_populations, 2)
    num_chains = as_count("num_chains", num_chains, 2)
    num_sweeps = as_count("num_sweeps", num_sweeps)
    if num_temperatures is not None:
        num_temperatures = as_count("num_temperatures", num_temperatures)
    target_ess = as_number("target_ess", target_ess)
    path = tempered_path(as_machine(left_bias, right_bias, weights, temperature), base_probs)
    found = anneal(path, num_populations, num_chains, num_sweeps, seed, num_temperatures, target_ess)
    # The sum over families of their squared sizes: the number of pairs that share an ancestor.
    related = found.families[:, :, tf.newaxis] == found.families[:, tf.newaxis, :]
    pairs = tf.reduce_sum(tf.cast(related, path.machine.dtype), (1, 2))
    independent = num_chains**2 / pairs
    num_effective = effective_sample_size(found.log_partition)
    families = tf.map_fn(count_families, found.families)
    criteria = (
        at_least(
            "families of a population",
            tf.reduce_mean(tf.cast(families, path.machine.dtype)),
            min(_MIN_FAMILIES, num_chains),
            "raise num_chains or num_sweeps",
        ),
        at_least(
            "effective number of populations",
            num_effective,
            _MIN_EFFECTIVE_FRACTION * num_populations,
            "raise num_chains or num_sweeps",
        ),
    )
    relative_z = tf.exp(found.log_partition - tf.reduce_max(found.log_partition))
    spread = tf.math.reduce_std(relative_z) / tf.reduce_mean(relative_z)
    log_z = log_mean_exp(found.log_partition)
    error = spread / tf.sqrt(tf.cast(num_populations - 1, path.machine.dtype))
    return LogPartition(
        log_z,
        error,
        lower=log_z - BOUND_WIDTH * error,
        upper=None,
        gap=None,
        effective_sample_size=num_effective * tf.reduce_mean(independent),
        converged=all_met(criteria),
        method="population",
        details=found,
        criteria=criteria,
    )

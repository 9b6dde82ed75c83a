"""Population annealing from infinite temperature, or from another product distribution, to a machine.

Independent populations of replicas follow the path of `rbm.tempering` from t = 0 to t = 1. At each rung they
are reweighted, the log mean weight is added to log Z, and they are resampled and swept.
"""

from typing import NamedTuple

import tensorflow as tf

from ..numerics import Seed, as_seed, effective_sample_size, log_mean_exp, split
from ..rbm import TemperedPath, block_gibbs, energy
from ..support import as_count, as_number
from .resampling import systematic_resampling

_BISECTIONS = 20


class AnnealedPopulations(NamedTuple):
    """Populations that were annealed from t = 0; the replicas of a population have equal weights.

    Attributes:
      left: [P, C, L], zeros and ones; the sides of the machine, also on a graph.
      right: [P, C, R].
      log_partition: log Z as estimated by each population, [P], nats; its exponential is unbiased if the
        ladder was fixed.
      families: int32 [P, C], the ancestor of each replica at t = 0.
      num_rungs: of the ladder, t = 0 not counted.
      worst_ess: the smallest effective sample size of a rung, as a fraction of the replicas.
    """

    left: tf.Tensor
    right: tf.Tensor
    log_partition: tf.Tensor
    families: tf.Tensor
    num_rungs: tf.Tensor
    worst_ess: tf.Tensor


def anneal(
    path: TemperedPath,
    num_populations: int,
    num_chains: int,
    num_sweeps: int,
    seed: Seed,
    num_temperatures: int | None = None,
    target_ess: float = 0.9,
) -> AnnealedPopulations:
    """Anneals independent populations from t = 0 to t = 1, with resampling at every rung.

    Args:
      path: from the product distribution to the machine.
      num_populations: P.
      num_chains: C, replicas of each population.
      num_sweeps: at each rung.
      seed: an `int32[2]` seed.
      num_temperatures: rungs at equal distances, for an unbiased Z; None for an adaptive ladder.
      target_ess: effective sample size, as a fraction of the replicas, that each step of an adaptive ladder
        may reduce the weights exp(-(E_t' - E_t)) of the pairs (left, right) to.

    Raises:
      ValueError: if a count is below 1, or `target_ess` not between 0 and 1.
    """
    num_populations = as_count("num_populations", num_populations)
    num_chains, num_sweeps = as_count("num_chains", num_chains), as_count("num_sweeps", num_sweeps)
    if num_temperatures is not None:
        num_temperatures = as_count("num_temperatures", num_temperatures)
    target_ess = as_number("target_ess", target_ess)
    if not 0 < target_ess < 1:
        raise ValueError(f"target_ess: expected a number between 0 and 1, got {target_ess}")
    path = path.map(tf.stop_gradient)
    if num_temperatures is None:
        fixed, target = 0, target_ess
    else:
        fixed, target = num_temperatures, 0.0
    return _anneal(
        path,
        num_populations,
        num_chains,
        tf.constant(num_sweeps),
        tf.constant(fixed),
        tf.constant(target, path.machine.dtype),
        as_seed(seed),
    )


@tf.function(jit_compile=True)
def _anneal(
    path: TemperedPath,
    num_populations: int,
    num_chains: int,
    num_sweeps: tf.Tensor,
    num_temperatures: tf.Tensor,
    target_ess: tf.Tensor,
    seed: tf.Tensor,
) -> AnnealedPopulations:
    machine, dtype = path.machine, path.machine.dtype
    shape, total = (num_populations, num_chains), num_populations * num_chains

    def next_time(index: tf.Tensor, t: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        even = tf.cast(index + 1, dtype) / tf.cast(tf.maximum(num_temperatures, 1), dtype)
        # d/dt of -E_t(z). Weights of pairs vary more than those of left states, so this errs on the safe
        # side.
        slope = energy(path.at(tf.zeros([], dtype)), left, right) - energy(machine, left, right)
        return tf.where(num_temperatures > 0, even, _adaptive_time(t, slope, target_ess))

    def resampled(log_weights: tf.Tensor, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Rows of `values` [P C, ...], resampled by the weights [P, C]."""
        chosen = systematic_resampling(log_weights, seed)
        chosen += num_chains * tf.range(num_populations)[:, tf.newaxis]
        return tf.gather(values, tf.reshape(chosen, [total]))

    def rung(index: tf.Tensor, t: tf.Tensor, kept: AnnealedPopulations, seed: tf.Tensor) -> tuple:
        for_resampling, for_sweeps, seed = split(seed, 3)
        new = next_time(index, t, kept.left, kept.right)
        log_weights = tf.reshape(path.log_marginal_change(kept.left, new, t), shape)
        ess = tf.reduce_min(effective_sample_size(tf.transpose(log_weights))) / num_chains
        left = resampled(log_weights, kept.left, for_resampling)
        families = resampled(log_weights, kept.families, for_resampling)
        left, right = block_gibbs(path.at(new), left, num_sweeps, for_sweeps)
        kept = AnnealedPopulations(
            left,
            right,
            kept.log_partition + log_mean_exp(log_weights, 1),
            families,
            index + 1,
            tf.minimum(kept.worst_ess, ess),
        )
        return index + 1, new, kept, seed

    start, seed = split(seed)
    left, right = path.draw_base(total, start)
    first = AnnealedPopulations(
        left,
        right,
        tf.fill([num_populations], path.log_base),
        tf.tile(tf.range(num_chains), [num_populations]),
        tf.constant(0),
        tf.ones([], dtype),
    )
    _, _, last, _ = tf.while_loop(
        lambda index, t, *_: t < 1, rung, (tf.constant(0), tf.zeros([], dtype), first, seed)
    )
    return last._replace(
        left=tf.reshape(last.left, [*shape, machine.num_left]),
        right=tf.reshape(last.right, [*shape, machine.num_right]),
        families=tf.reshape(last.families, shape),
    )


def _adaptive_time(t: tf.Tensor, slope: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """The largest t' at which weights exp((t' - t) slope) keep the target effective sample size."""
    count = tf.cast(tf.size(slope), slope.dtype)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = (low + high) / 2
        good = effective_sample_size((middle - t) * slope) >= target * count
        return tf.where(good, middle, low), tf.where(good, high, middle)

    low, high = t, tf.ones_like(t)
    reaches = effective_sample_size((high - t) * slope) >= target * count
    for _ in range(_BISECTIONS):
        low, high = halve(low, high)
    # The upper end is at least one bisection's width away, so that the ladder always advances.
    return tf.where(reaches, tf.ones_like(t), high)

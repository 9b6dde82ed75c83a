"""Population annealing (Hukushima and Iba, 2003): weighted replicas, resampled where the weights part.

    w_i <- w_i exp(f_new(z_l) - f_old(z_l)),    log Z_new = log Z_old + log sum over i of w_i

for normalised weights w before the move, with f(z_l) = log sum over z_r of exp(-E(z)): the right side is
redrawn by the next sweep, so summing it out costs nothing and takes its noise off the weights. Then the
replicas are resampled if their effective sample size has fallen too low, and move by Gibbs sweeps.

From infinite temperature (`anneal`), old and new are the rungs of a ladder, and log Z is measured from D
log 2. Along the path of a training (`PopulationAnnealing.step`) they are the parameters before and after an
update, and log Z runs along.

There the path depends on the replicas: an update moves the parameters against the very states that its
gradient was taken over, so weights of those states are too low (by 1.6 nats in 250 updates of a 16 + 16
machine with 100 replicas). So a step sweeps at the old parameters first. Where few sweeps do not part the
states from what the gradient saw, log Z falls all the same, by hundreds of nats in thousands of updates of a
200 + 200 machine; and even replicas that no gradient sees walk along every turn of a noisy path. So log Z of
a training is the business of a second population that takes the straight way (`follow`) now and then. What
is left adds up like a random walk: it is anchored at times.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..numerics import Seed, as_seed, effective_sample_size, fold_in, log_mean_exp, split
from ..rbm import (
    RBM,
    TemperedPath,
    as_rbm,
    block_gibbs,
    energy,
    left_free_energy,
    sample_right,
    tempered_path,
    uniform_states,
)
from .base import Sampler, equal_log_weights, machine
from .resampling import systematic_resampling

_BISECTIONS = 20


class PopulationAnnealingState(NamedTuple):
    """A weighted population, and the machine that it is drawn from.

    Attributes:
      left: [C, L], zeros and ones.
      right: [C, R].
      log_weights: [C]; their exponentials add up to 1.
      families: int32 [C], the ancestor of each replica at the last anchor.
      log_partition: the running log Z of that machine, nats.
      left_bias: [L], of that machine: the parameters of the last step.
      right_bias: [R].
      weights: [L, R].
    """

    left: tf.Tensor
    right: tf.Tensor
    log_weights: tf.Tensor
    families: tf.Tensor
    log_partition: tf.Tensor
    left_bias: tf.Tensor
    right_bias: tf.Tensor
    weights: tf.Tensor

    @property
    def rbm(self) -> RBM:
        """The machine."""
        return RBM(self.left_bias, self.right_bias, self.weights)


class PopulationAnnealingInfo(NamedTuple):
    """What a step did.

    Attributes:
      energy: [C], nats.
      effective_sample_size: of the weights, before the replicas were resampled.
      resampled: whether they were.
      log_partition_change: log Z after the step minus log Z before, nats.
    """

    energy: tf.Tensor
    effective_sample_size: tf.Tensor
    resampled: tf.Tensor
    log_partition_change: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
@dataclasses.dataclass(frozen=True)
class PopulationAnnealing(Sampler):
    """Population annealing along the path of the parameters.

    Attributes:
      num_chains: replicas.
      num_sweeps: of a step.
      threshold: replicas are resampled when their effective sample size falls below this part of them.

    Raises:
      ValueError: if a count is below 1 or the threshold not in [0, 1].
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold: expected a number in [0, 1], got {self.threshold!r}")

    def init(
        self, num_left: int, num_right: int, seed: Seed, dtype: tf.DType = tf.float32
    ) -> PopulationAnnealingState:
        """Returns fair bits, with log Z = D log 2 of the machine whose parameters are all 0."""
        left, right = uniform_states(self.num_chains, num_left, num_right, seed, dtype)
        return PopulationAnnealingState(
            left,
            right,
            equal_log_weights(left),
            tf.range(self.num_chains),
            tf.constant((num_left + num_right) * math.log(2), dtype),
            tf.zeros([num_left], dtype),
            tf.zeros([num_right], dtype),
            tf.zeros([num_left, num_right], dtype),
        )

    def step(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: PopulationAnnealingState,
        seed: Seed,
        temperature: float = 1.0,
    ) -> tuple[PopulationAnnealingState, PopulationAnnealingInfo]:
        """Sweeps at the parameters of the last step, reweights to the given ones, resamples if needed."""
        rbm = machine(left_bias, right_bias, weights, temperature, state)
        for_move, for_right = split(seed)
        moved, ess, resampled = self.move(rbm, state, for_move)
        right = sample_right(rbm, moved.left, for_right)
        change = moved.log_partition - state.log_partition
        told = PopulationAnnealingInfo(energy(rbm, moved.left, right), ess, resampled, change)
        return moved._replace(right=right), told

    def follow(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: PopulationAnnealingState,
        num_rungs: Any,
        seed: Seed,
    ) -> PopulationAnnealingState:
        """Takes the population to the given parameters by the straight way, in steps of equal length.

        The exponential of the new log Z is unbiased if that of the old one was. The way between two points
        of a training is shorter than the training's own, whose turns cost as much as its progress.

        Args:
          left_bias: [L].
          right_bias: [R].
          weights: [L, R].
          state: at other parameters.
          num_rungs: steps, at least 1, as a number or a scalar tensor; `num_sweeps` for each.
          seed: an `int32[2]` seed.
        """
        end = machine(left_bias, right_bias, weights, 1.0, state)
        return _follow(self, end, state, tf.convert_to_tensor(num_rungs, tf.int32), as_seed(seed))

    def move(
        self, rbm: RBM, state: PopulationAnnealingState, seed: tf.Tensor
    ) -> tuple[PopulationAnnealingState, tf.Tensor, tf.Tensor]:
        """All of a step to `rbm` but the right side, which stays that of `state`.

        Returns:
          The new state; the effective sample size of its weights before resampling; whether it resampled.
        """
        for_sweeps, for_resampling = split(seed)
        left, _ = block_gibbs(state.rbm, state.left, self.num_sweeps, for_sweeps)
        moved = _reweighted(rbm, state._replace(left=left))
        ess = effective_sample_size(moved.log_weights)
        resample = ess < self.threshold * self.num_chains
        indices = tf.where(
            resample, systematic_resampling(moved.log_weights, for_resampling), tf.range(self.num_chains)
        )
        left = tf.gather(left, indices)
        moved = moved._replace(
            left=left,
            log_weights=tf.where(resample, equal_log_weights(left), moved.log_weights),
            families=tf.gather(state.families, indices),
        )
        return moved, ess, resample

    def anneal(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        seed: Seed,
        temperature: float = 1.0,
        **ladder: Any,
    ) -> PopulationAnnealingState:
        """A population at the given parameters, from infinite temperature; `step` goes on from it.

        Args:
          left_bias: [L].
          right_bias: [R].
          weights: [L, R].
          seed: an `int32[2]` seed.
          temperature: T of p(z) = exp(-E(z) / T) / Z.
          **ladder: `num_temperatures` or `target_ess` of `anneal`.
        """
        rbm = as_rbm(left_bias, right_bias, weights, temperature)
        found = anneal(tempered_path(rbm), 1, self.num_chains, self.num_sweeps, seed, **ladder)
        left = found.left[0]
        return PopulationAnnealingState(
            left,
            found.right[0],
            equal_log_weights(left),
            found.families[0],
            found.log_partition[0],
            *rbm,
        )

    def summary(self, state: PopulationAnnealingState) -> dict[str, tf.Tensor]:
        """Effective sample size of the weights, and number of families since the last anchor."""
        return {
            "population_effective_sample_size": effective_sample_size(state.log_weights),
            "population_families": count_families(state.families),
        }

    def anchor(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: PopulationAnnealingState,
        log_partition: tf.Tensor,
    ) -> PopulationAnnealingState:
        """Log Z runs on from the given value, and every replica founds a family."""
        state = _reweighted(machine(left_bias, right_bias, weights, 1.0, state), state)
        return state._replace(
            log_partition=tf.cast(log_partition, state.log_partition.dtype),
            families=tf.range(self.num_chains),
        )


def _reweighted(rbm: RBM, state: PopulationAnnealingState) -> PopulationAnnealingState:
    """The weights and log Z of the same left states for another machine; the right ones are the old one's."""
    log_weights = (
        state.log_weights + left_free_energy(state.rbm, state.left) - left_free_energy(rbm, state.left)
    )
    change = tf.reduce_logsumexp(log_weights)
    new = state._replace(
        log_weights=log_weights - change, log_partition=state.log_partition + change, **rbm._asdict()
    )
    return type(state)(*(tf.stop_gradient(value) for value in new))


@tf.function(jit_compile=True)
def _follow(
    sampler: PopulationAnnealing,
    end: RBM,
    state: PopulationAnnealingState,
    num_rungs: tf.Tensor,
    seed: tf.Tensor,
) -> PopulationAnnealingState:
    start = state.rbm
    for_moves, for_right = split(seed)

    def rung(index: tf.Tensor, state: PopulationAnnealingState) -> tuple:
        t = tf.cast(index + 1, end.dtype) / tf.cast(num_rungs, end.dtype)
        between = RBM(*((1 - t) * one + t * other for one, other in zip(start, end, strict=True)))
        return index + 1, sampler.move(between, state, fold_in(for_moves, index))[0]

    _, state = tf.while_loop(lambda index, _: index < num_rungs, rung, (tf.constant(0), state))
    return state._replace(right=sample_right(end, state.left, for_right))


class AnnealedPopulations(NamedTuple):
    """Populations that came down from t = 0, equally weighted.

    Attributes:
      left: [P, C, L], zeros and ones.
      right: [P, C, R].
      log_partition: log Z as each population measured it, [P], nats; its exponential is unbiased if the
        ladder was fixed.
      families: int32 [P, C], the ancestor of each replica at t = 0.
      num_rungs: of the ladder, t = 0 not counted.
      worst_ess: the lowest effective sample size of a rung, as a part of the replicas.
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
    """Anneals independent populations from t = 0 to t = 1; resampled at every rung.

    Args:
      path: from the product distribution to the machine.
      num_populations: P.
      num_chains: C, replicas of each population.
      num_sweeps: at each rung.
      seed: an `int32[2]` seed.
      num_temperatures: rungs at equal distances, for an unbiased Z; None for an adaptive ladder.
      target_ess: of each step of an adaptive ladder, as a part of the replicas: each goes as far as the
        weights exp(-(E_t' - E_t)) of the pairs (left, right) keep it.

    Raises:
      ValueError: if `num_temperatures` is below 1, or `target_ess` not between 0 and 1.
    """
    if num_temperatures is not None and num_temperatures < 1:
        raise ValueError(f"num_temperatures: expected at least 1, got {num_temperatures}")
    if not 0 < target_ess < 1:
        raise ValueError(f"target_ess: expected a number between 0 and 1, got {target_ess}")
    path = tf.nest.map_structure(tf.stop_gradient, path)
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
        tf.constant(target, path.rbm.dtype),
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
    rbm, dtype = path.rbm, path.rbm.dtype
    shape, total = (num_populations, num_chains), num_populations * num_chains

    def next_time(index: tf.Tensor, t: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        even = tf.cast(index + 1, dtype) / tf.cast(tf.maximum(num_temperatures, 1), dtype)
        # d/dt of -E_t(z); the weights of pairs are wider than those of left states, so this is careful.
        slope = energy(path.at(tf.zeros([], dtype)), left, right) - energy(rbm, left, right)
        return tf.where(num_temperatures > 0, even, _adaptive_time(t, slope, target_ess))

    def resampled(log_weights: tf.Tensor, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Rows of `values` [P C, ...] as the weights [P, C] choose."""
        chosen = systematic_resampling(log_weights, seed)
        chosen += num_chains * tf.range(num_populations)[:, tf.newaxis]
        return tf.gather(values, tf.reshape(chosen, [total]))

    def rung(index: tf.Tensor, t: tf.Tensor, kept: AnnealedPopulations, seed: tf.Tensor) -> tuple:
        for_resampling, for_sweeps, seed = split(seed, 3)
        new = next_time(index, t, kept.left, kept.right)
        products = tf.matmul(kept.left, rbm.weights)
        log_weights = tf.reshape(path.log_marginal_change(kept.left, products, new, t), shape)
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
        left=tf.reshape(last.left, [*shape, rbm.num_left]),
        right=tf.reshape(last.right, [*shape, rbm.num_right]),
        families=tf.reshape(last.families, shape),
    )


def _adaptive_time(t: tf.Tensor, slope: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """The furthest t' at which weights exp((t' - t) slope) keep the target effective sample size."""
    count = tf.cast(tf.size(slope), slope.dtype)

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = (low + high) / 2
        good = effective_sample_size((middle - t) * slope) >= target * count
        return tf.where(good, middle, low), tf.where(good, high, middle)

    low, high = t, tf.ones_like(t)
    reaches = effective_sample_size((high - t) * slope) >= target * count
    for _ in range(_BISECTIONS):
        low, high = halve(low, high)
    # The upper end: at least one bisection's width, so that the ladder always moves on.
    return tf.where(reaches, tf.ones_like(t), high)


def count_families(families: tf.Tensor) -> tf.Tensor:
    """How many different ancestors the replicas of a population [C] have; int32."""
    ordered = tf.sort(families)
    return 1 + tf.reduce_sum(tf.cast(ordered[1:] != ordered[:-1], tf.int32))

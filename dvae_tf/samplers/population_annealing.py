r"""Population annealing (Hukushima and Iba, 2003) along the path of the parameters.

A weighted population of replicas is carried from one machine to the next:

$$
w_i \leftarrow w_i \exp(f_\text{new}(z_l^i) - f_\text{old}(z_l^i)), \qquad
\log Z_\text{new} = \log Z_\text{old} + \log \sum_i w_i,
$$

for weights $w$ that are normalized before the step, with $f(z_l) = \log \sum_{z_r} \exp(-E(z))$. The right
side is redrawn by the next sweep, so summing it out costs nothing and removes its noise from the weights. The
replicas are resampled if their effective sample size has become too small, and move by Gibbs sweeps.

Along a training the path depends on the replicas: an update moves the parameters against the very states that
its gradient was averaged over, so the weights of those states are too small (by 1.6 nats in 250 updates of a
16 + 16 machine with 100 replicas). A step therefore sweeps at the old parameters first. If few sweeps leave
the states correlated with those that the gradient saw, log Z still drifts downwards, by hundreds of nats in
thousands of updates of a 200 + 200 machine, and even replicas that no gradient sees follow every turn of a
noisy path. So log Z of a training is tracked by a second population, which takes the straight path
(`straight_path`) from time to time. Its remaining error accumulates like a random walk until log Z is
measured again.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import tensorflow as tf

from ..numerics import Seed, effective_sample_size, split
from ..rbm import (
    RBM,
    Machine,
    as_machine,
    block_gibbs,
    energy,
    left_free_energy,
    sample_right,
    tempered_path,
    uniform_bits,
)
from ..support import as_number
from .annealed_population import anneal
from .base import Sampler, equal_log_weights, machine
from .resampling import count_families, systematic_resampling


class PopulationAnnealingState(NamedTuple):
    """A weighted population, and the machine that it represents.

    Attributes:
      left: [C, L], zeros and ones.
      right: [C, R].
      log_weights: [C]; their exponentials sum to 1.
      families: int32 [C], the ancestor of each replica when log Z was last set.
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


class GraphPopulationState(NamedTuple):
    """The same of a machine on a graph.

    Attributes:
      left: [C, L], zeros and ones; the sides are those of `graphs.GraphMachine`.
      right: [C, R].
      log_weights: [C]; their exponentials sum to 1.
      families: int32 [C], the ancestor of each replica when log Z was last set.
      log_partition: the running log Z of that machine, nats.
      biases: [D], of that machine: the parameters of the last step.
      couplings: [M].
    """

    left: tf.Tensor
    right: tf.Tensor
    log_weights: tf.Tensor
    families: tf.Tensor
    log_partition: tf.Tensor
    biases: tf.Tensor
    couplings: tf.Tensor


PopulationState: TypeAlias = PopulationAnnealingState | GraphPopulationState


def machine_of(state: PopulationState, like: Machine) -> Machine:
    """The machine that a population represents, of the kind of another one."""
    return like._replace(**{name: getattr(state, name) for name in _parameters(like)})


def _parameters(machine: Machine) -> dict[str, tf.Tensor]:
    """The parameters of a machine by the names that states have."""
    return {name: value for name, value in machine._asdict().items() if name != "graph"}


def _population(
    machine: Machine, sides: Sequence[tf.Tensor], families: tf.Tensor, log_partition: tf.Tensor
) -> PopulationState:
    """Replicas of equal weights that represent a machine."""
    kind: Any = PopulationAnnealingState if isinstance(machine, RBM) else GraphPopulationState
    weights = equal_log_weights(sides[0])
    return kind(*sides, weights, families, log_partition, **_parameters(machine))


class PopulationAnnealingInfo(NamedTuple):
    """Diagnostics of a step.

    Attributes:
      energy: [C], nats.
      effective_sample_size: of the weights, before resampling.
      resampled: whether the replicas were resampled.
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
      num_sweeps: per step.
      threshold: replicas are resampled if their effective sample size is below this fraction of them.

    Raises:
      ValueError: if a count is below 1 or the threshold not in [0, 1].
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        threshold = as_number("threshold", self.threshold)
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold: expected a number in [0, 1], got {threshold!r}")
        object.__setattr__(self, "threshold", threshold)

    def start(self, machine: Machine, seed: Seed) -> PopulationState:
        """Returns fair bits, with log Z = D log 2 of the machine whose parameters are all 0."""
        z = uniform_bits(self.num_chains, machine.num_units, seed, machine.dtype)
        log_z = tf.constant(machine.num_units * math.log(2), machine.dtype)
        return _population(machine, machine.sides(z), tf.range(self.num_chains), log_z)

    def step(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: PopulationState,
        seed: Seed,
        temperature: float = 1.0,
    ) -> tuple[PopulationState, PopulationAnnealingInfo]:
        """Sweeps at the parameters of the last step, reweights to the given ones, resamples if needed."""
        target = machine(left_bias, right_bias, weights, temperature, state)
        for_left, for_right = split(seed)
        new, ess, resampled = self.step_left(target, state, for_left)
        right = sample_right(target, new.left, for_right)
        change = new.log_partition - state.log_partition
        info = PopulationAnnealingInfo(energy(target, new.left, right), ess, resampled, change)
        return new._replace(right=right), info

    def step_left(
        self, target: Machine, state: PopulationState, seed: tf.Tensor
    ) -> tuple[PopulationState, tf.Tensor, tf.Tensor]:
        """A step to a machine without the right side, which stays that of `state`.

        Returns:
          The new state; the effective sample size of its weights before resampling; whether it resampled.
        """
        for_sweeps, for_resampling = split(seed)
        left, _ = block_gibbs(machine_of(state, target), state.left, self.num_sweeps, for_sweeps)
        new = _reweighted(target, state._replace(left=left))
        ess = effective_sample_size(new.log_weights)
        resample = ess < self.threshold * self.num_chains
        indices = tf.where(
            resample, systematic_resampling(new.log_weights, for_resampling), tf.range(self.num_chains)
        )
        left = tf.gather(left, indices)
        new = new._replace(
            left=left,
            log_weights=tf.where(resample, equal_log_weights(left), new.log_weights),
            families=tf.gather(state.families, indices),
        )
        return new, ess, resample

    def anneal(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        seed: Seed,
        temperature: float = 1.0,
        **ladder: Any,
    ) -> PopulationState:
        """A population at the given parameters, annealed from infinite temperature; a state for `step`.

        Args:
          left_bias: [L]; of a machine on a graph, the graph.
          right_bias: [R]; on a graph, the biases [D].
          weights: [L, R]; on a graph, the couplings [M].
          seed: an `int32[2]` seed.
          temperature: T of p(z) = exp(-E(z) / T) / Z.
          **ladder: `num_temperatures` or `target_ess` of `samplers.anneal`.
        """
        target = as_machine(left_bias, right_bias, weights, temperature)
        found = anneal(tempered_path(target), 1, self.num_chains, self.num_sweeps, seed, **ladder)
        sides = found.left[0], found.right[0]
        return _population(target, sides, found.families[0], found.log_partition[0])

    def summary(self, state: PopulationState) -> dict[str, tf.Tensor]:
        """The effective sample size of the weights, and the families left since log Z was set."""
        return {
            "population_effective_sample_size": effective_sample_size(state.log_weights),
            "population_families": count_families(state.families),
        }

    def with_log_partition(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: PopulationState,
        log_partition: tf.Tensor,
    ) -> PopulationState:
        """The state at the given parameters with log Z set to a known value; each replica founds a family."""
        state = _reweighted(machine(left_bias, right_bias, weights, 1.0, state), state)
        return state._replace(
            log_partition=tf.cast(log_partition, state.log_partition.dtype),
            families=tf.range(self.num_chains),
        )


def _reweighted(target: Machine, state: PopulationState) -> PopulationState:
    """The state with the weights and log Z of another machine; its right side is not redrawn."""
    log_weights = (
        state.log_weights
        + left_free_energy(machine_of(state, target), state.left)
        - left_free_energy(target, state.left)
    )
    change = tf.reduce_logsumexp(log_weights)
    new = state._replace(
        log_weights=log_weights - change, log_partition=state.log_partition + change, **_parameters(target)
    )
    return type(state)(*(tf.stop_gradient(value) for value in new))

r"""Parallel tempering (replica exchange; Hukushima and Nemoto, 1996) over inverse temperatures 0 to 1.

Each chain is a ladder of M replicas at the rungs $0 = t_1 < \dots < t_M = 1$. A step sweeps the replica of
every rung under $p_t(z) \propto \exp(-t E(z))$, and exchanges neighbors, even and odd pairs in turn, with
probability

$$
\min\left(1, \exp\left((t_{m+1} - t_m) (E(z_{m+1}) - E(z_m))\right)\right),
$$

so that states which move freely at small $t$ reach $t = 1$. The energy is that of the pair (left, right),
which is what the sweeps temper; the free energy of one side would be wrong here. The hottest rung holds fair
bits, drawn anew in every sweep. The ladder moves toward equal exchange rates: it divides the expected
rejections, accumulated along $t$, into equal parts (Syed et al., 2022).
"""

import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..graphs.gibbs import noise
from ..graphs.machine import energy_of_others
from ..numerics import Seed, as_seed, draw_bits, split, uniform
from ..rbm import ColoredPath, Machine, TemperedPath, energy, tempered_path, uniform_bits
from ..support import as_count
from .base import Sampler, equal_log_weights, machine

# Weight of a step in the running rejection rates, and the fraction of the way that the ladder moves per step.
_MEMORY = 0.1
_DAMPING = 0.2


class ParallelTemperingState(NamedTuple):
    """C ladders of M replicas.

    Attributes:
      replica_left: [M, C, L], zeros and ones.
      replica_right: [M, C, R].
      replica_at: int32 [M, C], the replica of each ladder at each rung, hottest first.
      inverse_temperatures: [M], from 0 to 1.
      rejection: [M - 1], running averages of the rejection rates.
      was_hot: booleans [M, C], whether a replica has visited the hottest rung since it was at the coldest.
      round_trips: int32 [C], arrivals at the coldest rung of replicas from the hottest.
    """

    replica_left: tf.Tensor
    replica_right: tf.Tensor
    replica_at: tf.Tensor
    inverse_temperatures: tf.Tensor
    rejection: tf.Tensor
    was_hot: tf.Tensor
    round_trips: tf.Tensor

    @property
    def left(self) -> tf.Tensor:
        """Left states at t = 1, [C, L]."""
        return _at_rung(self.replica_left, self.replica_at, -1)

    @property
    def right(self) -> tf.Tensor:
        """Right states at t = 1, [C, R]."""
        return _at_rung(self.replica_right, self.replica_at, -1)

    @property
    def log_weights(self) -> tf.Tensor:
        """-log C for each state, [C]."""
        return equal_log_weights(self.replica_left[0])

    @property
    def ladder_left(self) -> tf.Tensor:
        """Left states by rung, hottest first, [M, C, L]."""
        return _ordered(self.replica_left, self.replica_at)

    @property
    def ladder_right(self) -> tf.Tensor:
        """Right states by rung, hottest first, [M, C, R]."""
        return _ordered(self.replica_right, self.replica_at)


class ParallelTemperingInfo(NamedTuple):
    """Diagnostics of a step.

    Attributes:
      energy: of the states at t = 1, [C], nats.
      acceptance: mean exchange probability of neighbors, [M - 1].
    """

    energy: tf.Tensor
    acceptance: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
@dataclasses.dataclass(frozen=True)
class ParallelTempering(Sampler):
    """Replica exchange; costs M times as much as the same number of persistent chains.

    Attributes:
      num_chains: number of ladders, and of states at t = 1.
      num_sweeps: per step; exchanges follow each sweep.
      num_temperatures: M, at least 2.
      adapt: whether the ladder moves; keep it fixed for measurements.

    Raises:
      ValueError: if a number is below its minimum.
    """

    num_temperatures: int = 20
    adapt: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        as_count("num_temperatures", self.num_temperatures, 2)

    def start(self, machine: Machine, seed: Seed) -> ParallelTemperingState:
        """Returns fair bits at every rung of an equally spaced ladder."""
        rungs, chains, dtype = self.num_temperatures, self.num_chains, machine.dtype
        left, right = machine.sides(uniform_bits(rungs * chains, machine.num_units, seed, dtype))
        return ParallelTemperingState(
            tf.reshape(left, [rungs, chains, machine.num_left]),
            tf.reshape(right, [rungs, chains, machine.num_right]),
            tf.tile(tf.range(rungs)[:, tf.newaxis], [1, chains]),
            tf.linspace(tf.zeros([], dtype), tf.ones([], dtype), rungs),
            tf.fill([rungs - 1], tf.constant(0.5, dtype)),
            tf.zeros([rungs, chains], tf.bool),
            tf.zeros([chains], tf.int32),
        )

    def step(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: ParallelTemperingState,
        seed: Seed,
        temperature: float = 1.0,
    ) -> tuple[ParallelTemperingState, ParallelTemperingInfo]:
        """Runs the sweeps, with exchanges after each, and adapts the ladder."""
        target = machine(left_bias, right_bias, weights, temperature, state)
        return self.step_along(tempered_path(target), state, seed)

    def step_along(
        self, path: TemperedPath, state: ParallelTemperingState, seed: Seed
    ) -> tuple[ParallelTemperingState, ParallelTemperingInfo]:
        """`step` along a path that need not start from fair bits; t = 1 is the machine all the same."""
        state, acceptance = _exchange_sweeps(path, state, self.num_sweeps, as_seed(seed))
        rejection = state.rejection + _MEMORY * (1 - acceptance - state.rejection)
        ladder = state.inverse_temperatures
        if self.adapt:
            ladder += _DAMPING * (equal_rejection_ladder(ladder, rejection) - ladder)
        state = state._replace(rejection=rejection, inverse_temperatures=ladder)
        return state, ParallelTemperingInfo(energy(path.machine, state.left, state.right), acceptance)

    def summary(self, state: ParallelTemperingState) -> dict[str, tf.Tensor]:
        """The smallest running exchange rate, and the mean number of round trips of a ladder so far."""
        return {
            "exchange_rate": 1 - tf.reduce_max(state.rejection),
            "round_trips": tf.reduce_mean(tf.cast(state.round_trips, state.rejection.dtype)),
        }


def equal_rejection_ladder(
    inverse_temperatures: tf.Tensor, rejection: tf.Tensor, num_temperatures: int | None = None
) -> tf.Tensor:
    """The ladder with equal rejection rates, by linear interpolation.

    The rejection rate of two close rungs is the integral of a density over t between them, so dividing its
    total into equal parts makes all rates the same.

    Args:
      inverse_temperatures: [M], from 0 to 1.
      rejection: [M - 1].
      num_temperatures: of the new ladder; None keeps M.
    """
    # A pair that never rejects must keep a positive length.
    barrier = tf.concat([[0], tf.cumsum(tf.maximum(rejection, 1e-3))], 0)
    wanted = barrier[-1] * tf.linspace(
        tf.zeros([], barrier.dtype), tf.ones([], barrier.dtype), num_temperatures or tf.size(barrier)
    )
    above = tf.clip_by_value(tf.searchsorted(barrier, wanted), 1, tf.size(barrier) - 1)
    low, high = tf.gather(barrier, above - 1), tf.gather(barrier, above)
    t_low, t_high = tf.gather(inverse_temperatures, above - 1), tf.gather(inverse_temperatures, above)
    return t_low + (t_high - t_low) * (wanted - low) / (high - low)


def merge_ladders(state: ParallelTemperingState, factor: int, num_chains: int) -> ParallelTemperingState:
    """Merges ladders into fewer ones with `factor` times the rungs, at equal rejection rates.

    A rung becomes `factor` neighboring ones, whose replicas are those of as many ladders; ladders are used
    again where there are not enough. The new replicas are close to their rungs, not draws of them.

    Args:
      state: C ladders of M rungs.
      factor: new rungs per rung.
      num_chains: of the new ladders.
    """
    rungs, chains = state.replica_at.shape
    merged = (factor * tf.range(num_chains)[:, tf.newaxis] + tf.range(factor)) % chains

    def spread(states: tf.Tensor) -> tf.Tensor:
        chosen = tf.transpose(tf.gather(states, merged, axis=1), [0, 2, 1, 3])
        return tf.reshape(chosen, [rungs * factor, num_chains, states.shape[-1]])

    new_rungs = factor * rungs
    mean_rejection = tf.reduce_sum(state.rejection) / (new_rungs - 1)
    return ParallelTemperingState(
        spread(state.ladder_left),
        spread(state.ladder_right),
        tf.tile(tf.range(new_rungs)[:, tf.newaxis], [1, num_chains]),
        equal_rejection_ladder(state.inverse_temperatures, state.rejection, new_rungs),
        tf.fill([new_rungs - 1], mean_rejection),
        tf.zeros([new_rungs, num_chains], tf.bool),
        tf.zeros([num_chains], tf.int32),
    )


@tf.function(jit_compile=True)
def _exchange_sweeps(
    path: TemperedPath, state: ParallelTemperingState, num_sweeps: int, seed: tf.Tensor
) -> tuple[ParallelTemperingState, tf.Tensor]:
    """The sweeps of a step; also returns the mean acceptance of each pair, [M - 1]."""
    machine, colored = path.machine, path.map(tf.stop_gradient).for_sweeps
    form = colored.machine
    z = machine.bits(state.replica_left, state.replica_right)

    def sweep(
        index: tf.Tensor,
        state: ParallelTemperingState,
        replicas: list[tf.Tensor],
        fields: tf.Tensor,
        total: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple:
        for_states, for_exchanges, seed = split(seed, 3)
        t = tf.gather(state.inverse_temperatures, _inverse(state.replica_at))
        replicas = _sweep(colored, replicas, fields, t, for_states)
        # For the energies, and for the next sweep.
        fields = form.fields(0, replicas)
        energies = tf.reshape(_relative_energies(colored, replicas, fields), t.shape)
        state, acceptance = _exchange(state, energies, for_exchanges)
        return index + 1, state, replicas, fields, total + acceptance, seed

    replicas = form.split(z)
    start = (0, state, replicas, form.fields(0, replicas), tf.zeros_like(state.rejection), seed)
    _, state, replicas, _, total, _ = tf.while_loop(lambda index, *_: index < num_sweeps, sweep, start)
    left, right = machine.sides(tf.reshape(form.join(replicas), z.shape))
    return state._replace(replica_left=left, replica_right=right), total / num_sweeps


def _sweep(
    path: ColoredPath, replicas: list[tf.Tensor], fields: tf.Tensor, t: tf.Tensor, seed: tf.Tensor
) -> list[tf.Tensor]:
    """One block Gibbs sweep of every replica at its t, [M, C], from the fields of the first color."""
    replicas, form = list(replicas), path.machine
    # By neighbors, all replicas of all ladders are one dimension, behind the units.
    t = tf.reshape(t, [1, -1]) if form.units_axis == 0 else t[..., tf.newaxis]
    for number, rho in enumerate(noise(form, replicas, seed)):
        fields = form.fields(number, replicas) if number else fields
        replicas[number] = draw_bits(tf.math.sigmoid(t * fields + (1 - t) * path.base[number]), rho)
    return replicas


def _relative_energies(path: ColoredPath, replicas: list[tf.Tensor], fields: tf.Tensor) -> tf.Tensor:
    """E(z) + c . z, relative to the energies of the product distribution, from the first color's fields."""
    form = path.machine
    of_first = tf.reduce_sum(replicas[0] * fields, form.units_axis)
    return energy_of_others(form, 0, replicas) - of_first + path.base_exponent(replicas)


def _exchange(
    state: ParallelTemperingState, energies: tf.Tensor, seed: tf.Tensor
) -> tuple[ParallelTemperingState, tf.Tensor]:
    """Exchanges even pairs, then odd ones, by the relative energies [M, C] of the replicas.

    Also returns their mean acceptance, [M - 1].
    """
    t, at = state.inverse_temperatures, state.replica_at
    rungs, chains = energies.shape
    rho = uniform([rungs - 1, chains], seed, t.dtype)
    acceptance = tf.zeros([rungs - 1, chains], t.dtype)
    for parity in (0, 1):
        by_rung = _by_rung(energies, at)
        log_ratio = (t[1:] - t[:-1])[:, tf.newaxis] * (by_rung[1:] - by_rung[:-1])
        probability = tf.exp(tf.minimum(log_ratio, 0))
        turn = (tf.range(rungs - 1) % 2 == parity)[:, tf.newaxis]
        acceptance = tf.where(turn, probability, acceptance)
        swap = turn & (rho < probability)
        none = tf.zeros([1, chains], tf.bool)
        with_next, with_last = tf.concat([swap, none], 0), tf.concat([none, swap], 0)
        at = tf.where(with_next, tf.roll(at, -1, 0), tf.where(with_last, tf.roll(at, 1, 0), at))
    rung = _inverse(at)
    returned = state.was_hot & (rung == rungs - 1)
    state = state._replace(
        replica_at=at,
        was_hot=(state.was_hot & ~returned) | (rung == 0),
        round_trips=state.round_trips + tf.reduce_sum(tf.cast(returned, tf.int32), 0),
    )
    return state, tf.reduce_mean(acceptance, 1)


def _inverse(replica_at: tf.Tensor) -> tf.Tensor:
    """The rung of each replica, [M, C]."""
    rungs = tf.range(tf.shape(replica_at)[0])
    stands = replica_at[:, tf.newaxis] == rungs[:, tf.newaxis]
    return tf.reduce_sum(tf.where(stands, rungs[:, tf.newaxis, tf.newaxis], 0), 0)


def _by_rung(values: tf.Tensor, replica_at: tf.Tensor) -> tf.Tensor:
    """Values of replicas [M, C], ordered by rung."""
    return tf.transpose(tf.gather(tf.transpose(values), tf.transpose(replica_at), batch_dims=1))


def _ordered(states: tf.Tensor, replica_at: tf.Tensor) -> tf.Tensor:
    """States of replicas [M, C, ...], ordered by rung."""
    chains = tf.broadcast_to(tf.range(tf.shape(replica_at)[1]), tf.shape(replica_at))
    return tf.gather_nd(states, tf.stack([replica_at, chains], -1))


def _at_rung(values: tf.Tensor, replica_at: tf.Tensor, rung: int) -> tf.Tensor:
    """Rows [C, ...] of the replicas [M, C, ...] that are at a rung."""
    chains = tf.range(tf.shape(replica_at)[1])
    return tf.gather_nd(values, tf.stack([replica_at[rung], chains], -1))

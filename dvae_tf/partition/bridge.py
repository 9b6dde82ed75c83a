r"""Bridge sampling with Bennett's acceptance ratio (1976), along the ladder of parallel tempering.

Given $n_F$ draws of $p_a$ with log weights $w_F = \log \tilde p_b - \log \tilde p_a$ and $n_R$ draws of $p_b$
with $w_R = \log \tilde p_a - \log \tilde p_b$, the estimate of $r = \log Z_b / Z_a$ of least variance solves

$$
\sum_F \sigma(w_F - r - M) = \sum_R \sigma(w_R + r + M), \qquad M = \log(n_F / n_R).
$$

The same holds for the weights of forward and reverse annealing between them (Crooks, 2000).
"""

import functools
from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import Seed, check_count, fold_in, softplus_difference, split
from ..rbm import RBM, as_rbm, right_logits
from ..samplers import ParallelTempering, ParallelTemperingState, mixing
from .log_partition import LogPartition

# One object for each set of arguments: TensorFlow would trace again for a new one.
_tempering = functools.cache(ParallelTempering)

_BISECTIONS = 60
_JACKKNIFE_GROUPS = 20
# Criteria of convergence: the smallest exchange rate of neighbours, and the agreement of the ladders.
_MIN_EXCHANGE_RATE = 0.1
_MAX_R_HAT = 1.05


class LogRatio(NamedTuple):
    r"""$r = \log Z_b / Z_a$ and its variance for independent draws; nats."""

    log_ratio: tf.Tensor
    variance: tf.Tensor


def bennett(forward: tf.Tensor, reverse: tf.Tensor) -> LogRatio:
    """Bennett's estimate of the log ratio of two partition functions.

    Its bias is smaller than its standard error as soon as the weights overlap. Not differentiable.

    Args:
      forward: [n_F, ...], log weights of b relative to a, at draws of a.
      reverse: [n_R, ...], log weights of a relative to b, at draws of b.
    """
    counts = (tf.cast(tf.shape(weights)[0], forward.dtype) for weights in (forward, reverse))
    num_forward, num_reverse = counts
    offset = tf.math.log(num_forward / num_reverse)

    def accepted(r: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.math.sigmoid(forward - r - offset), tf.math.sigmoid(reverse + r + offset)

    def halve(index: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple:
        middle = (low + high) / 2
        f, r = accepted(middle)
        rises = tf.reduce_sum(f, 0) > tf.reduce_sum(r, 0)
        return index + 1, tf.where(rises, middle, low), tf.where(rises, high, middle)

    # Outside this interval one side of the equation is certainly the larger one.
    room = tf.math.log(num_forward + num_reverse) + tf.abs(offset) + 1
    low = tf.minimum(tf.reduce_min(forward, 0), tf.reduce_min(-reverse, 0)) - room
    high = tf.maximum(tf.reduce_max(forward, 0), tf.reduce_max(-reverse, 0)) + room
    _, low, high = tf.while_loop(lambda index, *_: index < _BISECTIONS, halve, (0, low, high))
    r = (low + high) / 2

    def relative_variance(acceptance: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(acceptance, 0)
        return (tf.reduce_mean(acceptance**2, 0) / mean**2 - 1) / count

    f, b = accepted(r)
    return LogRatio(r, relative_variance(f, num_forward) + relative_variance(b, num_reverse))


class TemperedLadders(NamedTuple):
    """The ladders of bridge sampling, and how well they mixed.

    Attributes:
      inverse_temperatures: the ladder, [M].
      exchange_rate: between neighbours, [M - 1].
      round_trips: of all ladders during the measurement.
      r_hat: of the energy at t = 1.
      autocorrelation_time: of the energy at t = 1, in samples.
      left: [S, C, L], the samples at t = 1.
    """

    inverse_temperatures: tf.Tensor
    exchange_rate: tf.Tensor
    round_trips: tf.Tensor
    r_hat: tf.Tensor
    autocorrelation_time: tf.Tensor
    left: tf.Tensor


def bridge_sampling(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    num_temperatures: int = 20,
    num_chains: int = 100,
    num_samples: int = 50,
    num_sweeps: int = 10,
    num_burn_in: int = 50,
    seed: Seed = (0, 0),
    temperature: float = 1.0,
) -> LogPartition[TemperedLadders]:
    r"""Estimates $\log Z$ by parallel tempering and Bennett's ratio between neighbouring rungs.

    The standard error is a jackknife over the independent ladders, so it includes correlations in time and
    between rungs. The effective sample size is that of the energies at t = 1, over all ladders. The estimate
    counts as converged if all neighbours exchange at a rate of at least 0.1, R-hat of the energy at t = 1 is
    at most 1.05, and the ladders made one round trip each on average. It bounds log Z from neither side.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      num_temperatures: rungs of a ladder.
      num_chains: independent ladders.
      num_samples: samples taken from each ladder.
      num_sweeps: between two samples, with exchanges after each.
      num_burn_in: samples discarded at first, while the ladder adapts to equal exchange rates.
      seed: an `int32[2]` seed.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.

    Raises:
      ValueError: if a count is below 1 (2 for temperatures, chains and samples), or shapes disagree.
    """
    rbm = as_rbm(left_bias, right_bias, weights, temperature)
    # Otherwise a gradient tape makes the compiled programs keep all intermediate values.
    rbm = tf.nest.map_structure(tf.stop_gradient, rbm)
    check_count("num_chains", num_chains, 2)
    check_count("num_samples", num_samples, 2)
    check_count("num_burn_in", num_burn_in, 0)
    adapting = _tempering(num_chains, num_sweeps, num_temperatures, True)
    measuring = _tempering(num_chains, num_sweeps, num_temperatures, False)
    for_start, for_burn_in, for_samples = split(seed, 3)
    state = adapting.init(rbm.num_left, rbm.num_right, for_start, rbm.dtype)
    state = _burn_in(adapting, rbm, state, tf.constant(num_burn_in), for_burn_in)
    trips = tf.reduce_sum(state.round_trips)
    state, records = _measure(measuring, rbm, state, num_samples, for_samples)
    log_partition, error = _along_ladder(records.up, records.down)
    num_units = rbm.num_left + rbm.num_right
    mixed = mixing(records.energy)
    ladders = TemperedLadders(
        inverse_temperatures=state.inverse_temperatures,
        exchange_rate=tf.reduce_mean(records.acceptance, 0),
        round_trips=tf.reduce_sum(state.round_trips) - trips,
        r_hat=mixed.r_hat,
        autocorrelation_time=mixed.autocorrelation_time,
        left=records.left,
    )
    return LogPartition(
        log_partition + num_units * tf.math.log(tf.constant(2.0, rbm.dtype)),
        error,
        lower=None,
        upper=None,
        gap=None,
        effective_sample_size=tf.cast(tf.size(records.energy), rbm.dtype) / mixed.autocorrelation_time,
        converged=(tf.reduce_min(ladders.exchange_rate) >= _MIN_EXCHANGE_RATE)
        & (mixed.r_hat <= _MAX_R_HAT)
        & (ladders.round_trips >= num_chains),
        method="bridge",
        details=ladders,
    )


class _Records(NamedTuple):
    """From S samples: log weights to neighbouring rungs [S, M - 1, C], energies and left states at t = 1."""

    up: tf.Tensor
    down: tf.Tensor
    energy: tf.Tensor
    acceptance: tf.Tensor
    left: tf.Tensor


@tf.function(jit_compile=True)
def _burn_in(
    sampler: ParallelTempering,
    rbm: RBM,
    state: ParallelTemperingState,
    num_steps: tf.Tensor,
    seed: tf.Tensor,
) -> ParallelTemperingState:
    def one(index: tf.Tensor, state: ParallelTemperingState) -> tuple:
        return index + 1, sampler.step(*rbm, state, fold_in(seed, index))[0]

    return tf.while_loop(lambda index, _: index < num_steps, one, (0, state))[1]


@tf.function(jit_compile=True)
def _measure(
    sampler: ParallelTempering, rbm: RBM, state: ParallelTemperingState, num_samples: int, seed: tf.Tensor
) -> tuple[ParallelTemperingState, _Records]:
    rungs, chains, _ = state.replica_left.shape
    t = state.inverse_temperatures

    def record(state: ParallelTemperingState, info: Any) -> _Records:
        left = state.ladder_left
        bias, logits = tf.linalg.matvec(left, rbm.left_bias), right_logits(rbm, left)

        def change(rungs: slice, neighbours: slice) -> tf.Tensor:
            # f at the inverse temperature of the neighbour minus f at that of the rung itself.
            own, other = t[rungs, tf.newaxis, tf.newaxis], t[neighbours, tf.newaxis, tf.newaxis]
            softplus = softplus_difference(other * logits[rungs], own * logits[rungs])
            return (other - own)[..., 0] * bias[rungs] + tf.reduce_sum(softplus, -1)

        lower, upper = slice(None, -1), slice(1, None)
        up, down = change(lower, upper), change(upper, lower)
        return _Records(up, down, info.energy, info.acceptance, left[-1])

    def one(index: tf.Tensor, state: ParallelTemperingState, records: _Records) -> tuple:
        state, info = sampler.step(*rbm, state, fold_in(seed, index))
        new = record(state, info)
        written = (
            tf.tensor_scatter_nd_update(old, [[index]], [value])
            for old, value in zip(records, new, strict=True)
        )
        return index + 1, state, _Records(*written)

    pairs = [num_samples, rungs - 1, chains]
    shapes = pairs, pairs, [num_samples, chains], pairs[:2], [num_samples, chains, rbm.num_left]
    nothing = _Records(*(tf.zeros(shape, rbm.dtype) for shape in shapes))
    return tf.while_loop(lambda index, *_: index < num_samples, one, (0, state, nothing))[1:]


@tf.function
def _along_ladder(up: tf.Tensor, down: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """log(Z_1 / Z_0) and its jackknife error, from log weights [S, M - 1, C]."""
    chains = up.shape[2]
    groups = min(_JACKKNIFE_GROUPS, chains)

    def total(keep: list[int]) -> tf.Tensor:
        # [samples x chains, M - 1]
        forward, reverse = (
            tf.reshape(tf.transpose(tf.gather(values, keep, axis=2), [0, 2, 1]), [-1, up.shape[1]])
            for values in (up, down)
        )
        return tf.reduce_sum(bennett(forward, reverse).log_ratio)

    everything = list(range(chains))
    without = tf.stack([total([c for c in everything if c % groups != g]) for g in range(groups)])
    variance = (groups - 1) * tf.math.reduce_variance(without)
    return total(everything), tf.sqrt(variance)

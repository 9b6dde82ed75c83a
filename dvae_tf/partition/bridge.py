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

from ..graphs.machine import interaction, to_colors
from ..numerics import Seed, fold_in, softplus_difference, split
from ..products import matvec
from ..rbm import Machine, TemperedPath, as_machine, conditional_logits, right_logits, tempered_path
from ..samplers import ParallelTempering, ParallelTemperingState, merge_ladders, mixing
from ..support import as_count, as_number
from .log_partition import LogPartition, all_met, at_least, at_most
from .progress import stretches

# One object for each set of arguments: TensorFlow would trace again for a new one.
_tempering = functools.cache(ParallelTempering)

_BISECTIONS = 60
_JACKKNIFE_GROUPS = 20
# Round trips of a ladder during a burn-in below which its path counts as blocked.
_MIN_TRIPS_OF_BURN_IN = 0.1
# Criteria of convergence: the smallest exchange rate of neighbors, and the agreement of the ladders.
_MIN_EXCHANGE_RATE = 0.1
_MAX_R_HAT = 1.05


class LogRatio(NamedTuple):
    r"""$r = \log Z_b / Z_a$ and its variance; nats."""

    log_ratio: tf.Tensor
    variance: tf.Tensor


def bennett(forward: tf.Tensor, reverse: tf.Tensor, num_reverse_chains: Any = None) -> LogRatio:
    r"""Bennett's estimate of the log ratio of two partition functions.

    Its bias is smaller than its standard error as soon as the weights overlap. Not differentiable. The
    variance is that of the delta method,

    $$
    \frac{\operatorname{Var} \sum_F \sigma_F}{(\sum_F \sigma_F)^2} +
    \frac{\operatorname{Var} \sum_R \sigma_R}{(\sum_R \sigma_R)^2},
    $$

    each variance that of a sum over independent draws or, in reverse, over independent chains.

    Args:
      forward: [n_F, ...], log weights of b relative to a, at draws of a.
      reverse: [n_R, ...], log weights of a relative to b, at draws of b.
      num_reverse_chains: number C of independent chains that the reverse draws come from in turn, the i-th
        from chain i modulo C; None if all draws are independent.
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
    if num_reverse_chains is not None:
        b = tf.reduce_mean(tf.reshape(b, [-1, num_reverse_chains, *b.shape[1:]]), 0)
        num_reverse = tf.cast(num_reverse_chains, b.dtype)
    return LogRatio(r, relative_variance(f, num_forward) + relative_variance(b, num_reverse))


class TemperedLadders(NamedTuple):
    """The ladders of bridge sampling, and how well they mixed.

    Attributes:
      base_probs: the means of the product distribution at t = 0, [D]; 0.5 unless they were fitted.
      inverse_temperatures: the ladder, [M].
      exchange_rate: between neighbors, [M - 1].
      round_trips: of all ladders during the measurement.
      r_hat: of the energy at t = 1.
      autocorrelation_time: of the energy at t = 1, in samples.
      left: [S, C, L], the samples at t = 1.
    """

    base_probs: tf.Tensor
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
    exchange_rate: float = 0.2,
    max_rungs: int = 160,
    verbose: bool = False,
) -> LogPartition[TemperedLadders]:
    r"""Estimates $\log Z$ by parallel tempering and Bennett's ratio between neighboring rungs.

    The ladder adapts to the machine. It starts from fair bits at t = 0, with `num_temperatures` rungs. Where
    neighbors exchange less often than `exchange_rate` after the burn-in, its rungs are multiplied by powers
    of two, with a burn-in each time, until they exchange as often or would be more than `max_rungs`. More
    rungs make fewer ladders, at least 20, so that the work remains about the same. If replicas still do not
    get from one end to the other, all this is done again along the path from the product distribution that
    has the means of the machine, which favors the mode of most draws. Inside a `tf.function`, which must
    know all shapes, the ladder keeps its rungs and starts from fair bits.

    The standard error is a jackknife over the independent ladders, so it includes correlations in time and
    between rungs. The effective sample size is that of the energies at t = 1, over all ladders. The estimate
    counts as converged if all neighbors exchange at a rate of at least 0.1, R-hat of the energy at t = 1 is
    at most 1.05, and the ladders made one round trip each on average. It bounds log Z from neither side.

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      num_temperatures: rungs of a ladder at first.
      num_chains: independent ladders at first.
      num_samples: samples taken from each ladder.
      num_sweeps: between two samples, with exchanges after each.
      num_burn_in: samples discarded at first, while the ladder moves its rungs to equal exchange rates.
      seed: an `int32[2]` seed.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.
      exchange_rate: the smallest rate of neighbors with which a ladder is left as it is; 0 never changes it.
        Rates of 0.2 to 0.5 are close to the optimum (Atchade et al., 2011; Syed et al., 2022).
      max_rungs: the largest number of rungs, unless there are more at first.
      verbose: whether to show progress.

    Raises:
      ValueError: if a count is below 1 (2 for temperatures, chains and samples, 0 for the burn-in), the
        exchange rate is not in [0, 1), or shapes disagree.
    """
    machine = as_machine(left_bias, right_bias, weights, temperature)
    # Otherwise a gradient tape makes the compiled programs keep all intermediate values.
    machine = machine.map(tf.stop_gradient)
    num_temperatures = as_count("num_temperatures", num_temperatures, 2)
    num_chains = as_count("num_chains", num_chains, 2)
    num_samples = as_count("num_samples", num_samples, 2)
    num_sweeps = as_count("num_sweeps", num_sweeps)
    num_burn_in = as_count("num_burn_in", num_burn_in, 0)
    max_rungs = as_count("max_rungs", max_rungs, 2)
    exchange_rate = as_number("exchange_rate", exchange_rate)
    if not 0 <= exchange_rate < 1:
        raise ValueError(f"exchange_rate: expected a number in [0, 1), got {exchange_rate}")
    for_start, for_burn_in, for_samples = split(seed, 3)
    sampler = _tempering(num_chains, num_sweeps, num_temperatures, True)
    state = sampler.start(machine, for_start)
    burn_in = _BurnIn(num_burn_in, for_burn_in, verbose)
    path = tempered_path(machine)
    state = burn_in(sampler, path, state)
    if _exchanges_rarely(state, exchange_rate):
        few_rungs = sampler
        sampler, state = _with_rungs(sampler, path, state, burn_in, exchange_rate, max_rungs)
        if _is_blocked(state):
            path = tempered_path(machine, _means(machine, state))
            state = burn_in(few_rungs, path, _restarted(few_rungs, path, for_start))
            sampler, state = _with_rungs(few_rungs, path, state, burn_in, exchange_rate, max_rungs)
    sampler = _tempering(sampler.num_chains, num_sweeps, sampler.num_temperatures, False)
    trips = tf.reduce_sum(state.round_trips)
    records = _no_records(state, num_samples)
    label = f"parallel tempering, {sampler.num_temperatures} rungs, samples"
    for begin, end in stretches(label, num_samples, verbose):
        steps = tf.constant(begin), tf.constant(end)
        state, records = _measure(sampler, path, state, records, *steps, for_samples)
    log_partition, error = _along_ladder(records.up, records.down)
    mixed = mixing(records.energy)
    ladders = TemperedLadders(
        base_probs=tf.math.sigmoid(path.base_logits),
        inverse_temperatures=state.inverse_temperatures,
        exchange_rate=tf.reduce_mean(records.acceptance, 0),
        round_trips=tf.reduce_sum(state.round_trips) - trips,
        r_hat=mixed.r_hat,
        autocorrelation_time=mixed.autocorrelation_time,
        left=records.left,
    )
    trips_each = tf.cast(ladders.round_trips, machine.dtype) / sampler.num_chains
    criteria = (
        at_least(
            "exchange rate of neighboring rungs",
            tf.reduce_min(ladders.exchange_rate),
            _MIN_EXCHANGE_RATE,
            f"raise max_rungs, the ladder has {sampler.num_temperatures} rungs",
        ),
        at_most("R-hat of the energy", mixed.r_hat, _MAX_R_HAT, "raise num_samples"),
        at_least("round trips of a ladder", trips_each, 1, "raise num_samples"),
    )
    return LogPartition(
        path.log_base + log_partition,
        error,
        lower=None,
        upper=None,
        gap=None,
        effective_sample_size=tf.cast(tf.size(records.energy), machine.dtype) / mixed.autocorrelation_time,
        converged=all_met(criteria),
        method="bridge",
        details=ladders,
        criteria=criteria,
    )


class _BurnIn:
    """Runs samplers for a number of steps, each time with new random numbers."""

    def __init__(self, num_steps: int, seed: tf.Tensor, verbose: bool) -> None:
        self.num_steps, self.seed, self.verbose = num_steps, seed, verbose
        self.done = 0

    def __call__(
        self, sampler: ParallelTempering, path: TemperedPath, state: ParallelTemperingState
    ) -> ParallelTemperingState:
        label = f"parallel tempering, {sampler.num_temperatures} rungs, burn-in"
        for first, end in stretches(label, self.num_steps, self.verbose):
            steps = tf.constant(self.done + first), tf.constant(self.done + end)
            state = _burn_in(sampler, path, state, *steps, self.seed)
        self.done += self.num_steps
        return state


def _with_rungs(
    sampler: ParallelTempering,
    path: TemperedPath,
    state: ParallelTemperingState,
    burn_in: _BurnIn,
    exchange_rate: float,
    max_rungs: int,
) -> tuple[ParallelTempering, ParallelTemperingState]:
    """Multiplies the rungs until neighbors exchange as often as asked, or no more rungs are allowed."""
    while _exchanges_rarely(state, exchange_rate):
        factor = _more_rungs(state, exchange_rate, max_rungs)
        if factor == 1:
            break
        num_chains = max(sampler.num_chains // factor, min(sampler.num_chains, _JACKKNIFE_GROUPS))
        sampler = _tempering(num_chains, sampler.num_sweeps, factor * sampler.num_temperatures, True)
        state = burn_in(sampler, path, merge_ladders(state, factor, num_chains))
    return sampler, state


def _exchanges_rarely(state: ParallelTemperingState, exchange_rate: float) -> bool:
    """Whether neighbors exchange less often; False inside a `tf.function`, which must know all shapes."""
    return tf.executing_eagerly() and bool(1 - tf.reduce_max(state.rejection) < exchange_rate)


def _is_blocked(state: ParallelTemperingState) -> bool:
    """Whether replicas hardly ever go from the hottest rung to the coldest, however often they exchange.

    A first-order transition on the path has this effect.
    """
    trips = tf.cast(state.round_trips, state.rejection.dtype)
    return bool(tf.reduce_mean(trips) < _MIN_TRIPS_OF_BURN_IN)


def _means(machine: Machine, state: ParallelTemperingState) -> tf.Tensor:
    """Means of all units at t = 1, [D], from the conditionals of the current states."""
    return tf.reduce_mean(tf.math.sigmoid(conditional_logits(machine, state.left, state.right)), 0)


def _restarted(sampler: ParallelTempering, path: TemperedPath, seed: tf.Tensor) -> ParallelTemperingState:
    """Draws of the product distribution at every rung: states of another path may be trapped on this one."""
    state = sampler.start(path.machine, seed)
    left, right = path.draw_base(sampler.num_temperatures * sampler.num_chains, fold_in(seed, 1))
    return state._replace(
        replica_left=tf.reshape(left, state.replica_left.shape),
        replica_right=tf.reshape(right, state.replica_right.shape),
    )


def _more_rungs(state: ParallelTemperingState, exchange_rate: float, max_rungs: int) -> int:
    """By which power of two the rungs must be multiplied for the exchange rate, as far as is allowed.

    The total rejection hardly depends on the number of rungs unless it is close to that number, so the rungs
    that are needed follow from it. Powers of two keep the number of compiled programs small.
    """
    rungs = state.replica_at.shape[0]
    wanted = 1 + float(tf.reduce_sum(state.rejection)) / (1 - exchange_rate)
    factor = 2
    while factor * rungs < wanted:
        factor *= 2
    while factor * rungs > max_rungs and factor > 1:
        factor //= 2
    return factor


class _Records(NamedTuple):
    """From S samples: log weights to neighboring rungs [S, M - 1, C], energies and left states at t = 1."""

    up: tf.Tensor
    down: tf.Tensor
    energy: tf.Tensor
    acceptance: tf.Tensor
    left: tf.Tensor


@tf.function(jit_compile=True)
def _burn_in(
    sampler: ParallelTempering,
    path: TemperedPath,
    state: ParallelTemperingState,
    first: tf.Tensor,
    end: tf.Tensor,
    seed: tf.Tensor,
) -> ParallelTemperingState:
    def one(index: tf.Tensor, state: ParallelTemperingState) -> tuple:
        return index + 1, sampler.step_along(path, state, fold_in(seed, index))[0]

    return tf.while_loop(lambda index, _: index < end, one, (first, state))[1]


def _no_records(state: ParallelTemperingState, num_samples: int) -> _Records:
    """Room for the records of S samples."""
    rungs, chains, num_left = state.replica_left.shape
    pairs = [num_samples, rungs - 1, chains]
    shapes = pairs, pairs, [num_samples, chains], pairs[:2], [num_samples, chains, num_left]
    return _Records(*(tf.zeros(shape, state.rejection.dtype) for shape in shapes))


@tf.function(jit_compile=True)
def _measure(
    sampler: ParallelTempering,
    path: TemperedPath,
    state: ParallelTemperingState,
    records: _Records,
    first: tf.Tensor,
    end: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[ParallelTemperingState, _Records]:
    """Takes the samples from `first` until before `end`."""
    t = state.inverse_temperatures

    machine = path.machine
    by_colors = machine.form
    left_bias, _ = machine.sides(machine.unit_biases)
    base_left, base_right = machine.sides(path.base_logits)

    def record(state: ParallelTemperingState, info: Any) -> _Records:
        left = state.ladder_left
        # The part of the energy that the right side has no part in, relative to the product distribution.
        bias = matvec(left, left_bias - base_left)
        bias += interaction(by_colors, to_colors(left, None, by_colors.sizes))
        logits = right_logits(machine, left)

        def change(rungs: slice, neighbors: slice) -> tf.Tensor:
            # f at the inverse temperature of the neighbor minus f at that of the rung itself.
            own, other = t[rungs, tf.newaxis, tf.newaxis], t[neighbors, tf.newaxis, tf.newaxis]
            now, then = (time * logits[rungs] + (1 - time) * base_right for time in (other, own))
            softplus = softplus_difference(now, then)
            return (other - own)[..., 0] * bias[rungs] + tf.reduce_sum(softplus, -1)

        lower, upper = slice(None, -1), slice(1, None)
        up, down = change(lower, upper), change(upper, lower)
        return _Records(up, down, info.energy, info.acceptance, left[-1])

    def one(index: tf.Tensor, state: ParallelTemperingState, records: _Records) -> tuple:
        state, info = sampler.step_along(path, state, fold_in(seed, index))
        new = record(state, info)
        written = (
            tf.tensor_scatter_nd_update(old, [[index]], [value])
            for old, value in zip(records, new, strict=True)
        )
        return index + 1, state, _Records(*written)

    return tf.while_loop(lambda index, *_: index < end, one, (first, state, records))[1:]


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

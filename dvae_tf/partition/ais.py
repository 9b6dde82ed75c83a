r"""Annealed importance sampling of $\log Z$ (Neal, 2001; Salakhutdinov and Murray, 2008), in both directions.

A chain follows the path of `rbm.tempering` through $0 = t_0 < t_1 < \dots < t_N = 1$, with one Gibbs sweep
per step. It is weighted twice per sweep: $t$ moves to the midpoint $h_k$ of the step before the right side
$z_r$ is drawn, and to its end before the left side $z_l$ is drawn (on a graph, by equal parts before each
color is drawn). With $f_t$ and $g_t$ the log marginals of the left and of the right side,

$$
\log w = \sum_k f_{h_k}(z_l^{k-1}) - f_{t_{k-1}}(z_l^{k-1}) + g_{t_k}(z_r^k) - g_{h_k}(z_r^k),
\qquad \mathbb{E}[w] = Z_{t_N} / Z_{t_0}.
$$

Forward, from exact draws at $t = 0$, the log mean weight is on average below $\log Z / Z_0$. In reverse, from
draws of the machine at $t = 1$, it is on average below $\log Z_0 / Z$, which bounds $\log Z$ from above.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..graphs.machine import to_colors, to_sides
from ..numerics import Seed, effective_sample_size, log_mean_exp, split
from ..rbm import Machine, TemperedPath, as_machine, sample_right, tempered_path
from ..support import as_count
from .log_partition import BOUND_WIDTH, Criterion, LogPartition, at_least
from .progress import stretches

_NUM_BOOTSTRAPS = 200
# Smallest effective sample size of a converged estimate, as a fraction of the chains.
_MIN_EFFECTIVE_FRACTION = 0.1


class AnnealedChains(NamedTuple):
    """Log weights and final states of annealed chains.

    Attributes:
      log_weights: [C], nats.
      left: [C, L]; weighted, draws of the end of the path.
      right: [C, R].
    """

    log_weights: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor


def annealed_importance_sampling(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    num_temperatures: int = 1000,
    num_chains: int = 1000,
    seed: Seed = (0, 0),
    base_probs: Any = None,
    temperature: float = 1.0,
    verbose: bool = False,
) -> LogPartition[AnnealedChains]:
    r"""Estimates $\log Z$ from below; one XLA program, memory bounded by the number of chains.

    The exponential of the estimate is unbiased, so the estimate itself is a stochastic lower bound, and an
    NLL computed with it errs on the optimistic side. Its standard error is a bootstrap over chains. It counts
    as converged if the effective sample size is at least a tenth of the chains; a mode that no chain has
    reached goes unnoticed (`estimate` compares both directions).

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      num_temperatures: the number of steps from t = 0 to t = 1, equally spaced.
      num_chains: how many independent chains.
      seed: an `int32[2]` seed.
      base_probs: [D], the means of the product distribution at t = 0, such as those of samples
        (clipped to [0.01, 0.99]); uniform where not given.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.
      verbose: whether to show progress.

    Raises:
      ValueError: if a count is below 1 (2 for `num_chains`), or shapes disagree.
    """
    path = _path(left_bias, right_bias, weights, temperature, base_probs)
    num_temperatures = as_count("num_temperatures", num_temperatures)
    num_chains = as_count("num_chains", num_chains, 2)
    for_start, for_chains, for_bootstrap = split(seed, 3)
    left = _draw_base(path, num_chains, for_start)
    chains = _annealed(path, left, num_temperatures, True, for_chains, verbose)
    log_z = path.log_base + log_mean_exp(chains.log_weights)
    error = _bootstrap_standard_error(chains.log_weights, for_bootstrap)
    lower = log_z - BOUND_WIDTH * error
    ess, criterion = _quality(chains, "forward")
    return LogPartition(
        log_z, error, lower, None, None, ess, criterion.is_met, "ais", chains, criteria=(criterion,)
    )


def reverse_annealed_importance_sampling(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    left: Any,
    num_temperatures: int = 1000,
    seed: Seed = (0, 0),
    base_probs: Any = None,
    temperature: float = 1.0,
    verbose: bool = False,
) -> LogPartition[AnnealedChains]:
    r"""Estimates $\log Z$ from above, by chains that are heated from draws of the machine.

    A stochastic upper bound, provided that the initial states are draws of the machine; standard error and
    verdict as in `annealed_importance_sampling`. Where the states come from chains, S of each, the bootstrap
    resamples these chains with all their states, since the states of one chain depend on each other.

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      left: [C, D], independent draws of the machine, or [C, L], of its left side, exact or nearly so; from
        other states the estimate is meaningless. Or [S, C, D] or [S, C, L], S successive draws of each of C
        independent chains, such as `TemperedLadders.left`.
      num_temperatures: the number of steps from t = 1 to t = 0, equally spaced.
      seed: an `int32[2]` seed.
      base_probs: as in `annealed_importance_sampling`.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.
      verbose: whether to show progress.

    Raises:
      ValueError: if `num_temperatures` is below 1, there are fewer than 2 states or chains, or shapes
        disagree.
    """
    path = _path(left_bias, right_bias, weights, temperature, base_probs)
    num_temperatures = as_count("num_temperatures", num_temperatures)
    draws = as_chains(left, path.machine)
    left = tf.reshape(draws, [-1, path.machine.num_left])
    for_right, for_chains, for_bootstrap = split(seed, 3)
    # The forward sweep draws the left side last, so its reverse draws it first: the sides change roles. On a
    # graph the colors are drawn in the opposite order.
    back, right = path.transposed, sample_right(path.machine, left, for_right)
    start, _ = to_sides(to_colors(left, right, path.machine.form.sizes)[::-1])
    ends = _annealed(back, start, num_temperatures, False, for_chains, verbose)
    sides = to_sides(to_colors(ends.left, ends.right, back.machine.form.sizes)[::-1])
    chains = AnnealedChains(ends.log_weights, *sides)
    log_z = path.log_base - log_mean_exp(chains.log_weights)
    by_chain = log_mean_exp(tf.reshape(chains.log_weights, [-1, count_chains(draws)]))
    error = _bootstrap_standard_error(by_chain, for_bootstrap)
    upper = log_z + BOUND_WIDTH * error
    ess, criterion = _quality(chains, "reverse")
    return LogPartition(
        log_z, error, None, upper, None, ess, criterion.is_met, "reverse", chains, criteria=(criterion,)
    )


def as_chains(left: Any, machine: Machine) -> tf.Tensor:
    """Left states as successive draws of independent chains, [S, C, L]; no gradient flows.

    States [C, L] are one draw of each chain; of states of all units the left side is taken.

    Raises:
      ValueError: if the shape is another one, or known to have fewer than 2 chains or no draw.
    """
    left = tf.stop_gradient(tf.cast(tf.convert_to_tensor(left), machine.dtype))
    if left.shape.rank in (2, 3) and left.shape[-1] == machine.num_units:
        left, _ = machine.sides(left)
    chains = left[tf.newaxis] if left.shape.rank == 2 else left
    if chains.shape.rank == 3 and chains.shape[2] == machine.num_left:
        num_samples, num_chains, _ = chains.shape
        if num_samples != 0 and (num_chains is None or num_chains >= 2):
            return chains
    raise ValueError(
        f"left: expected shape [states >= 2, {machine.num_left}] or [draws, chains >= 2, "
        f"{machine.num_left}], or {machine.num_units} for all units in place of {machine.num_left}, "
        f"got {left.shape}"
    )


def count_chains(draws: tf.Tensor) -> Any:
    """The number of independent chains of draws [S, C, L], static where it is known."""
    return tf.shape(draws)[1] if draws.shape[1] is None else draws.shape[1]


def _path(left_bias: Any, right_bias: Any, weights: Any, temperature: float, base_probs: Any) -> TemperedPath:
    """The path from the product distribution to the machine; no gradient flows."""
    path = tempered_path(as_machine(left_bias, right_bias, weights, temperature), base_probs)
    return path.map(tf.stop_gradient)


def _quality(chains: AnnealedChains, direction: str) -> tuple[tf.Tensor, Criterion]:
    """The effective sample size of the weights, and whether it suffices."""
    ess = effective_sample_size(chains.log_weights)
    num_chains = tf.cast(tf.shape(chains.log_weights)[0], ess.dtype)
    name = f"effective sample size of the {direction} chains"
    return ess, at_least(name, ess, _MIN_EFFECTIVE_FRACTION * num_chains, "raise num_temperatures")


@tf.function(jit_compile=True)
def _draw_base(path: TemperedPath, num_chains: int, seed: tf.Tensor) -> tf.Tensor:
    return path.draw_base(num_chains, seed)[0]


def _annealed(
    path: TemperedPath, left: tf.Tensor, num_temperatures: int, forward: bool, seed: tf.Tensor, verbose: bool
) -> AnnealedChains:
    """Anneals chains up to t = 1, or down to t = 0."""
    num_chains = tf.shape(left)[0]
    right = tf.zeros([num_chains, path.machine.num_right], path.machine.dtype)
    chains = AnnealedChains(tf.zeros([num_chains], path.machine.dtype), left, right)
    last = tf.constant(num_temperatures)
    label = "annealing" if forward else "annealing in reverse"
    for first, end in stretches(label, num_temperatures, verbose):
        chains, seed = _anneal(path, chains, tf.constant(first), tf.constant(end), last, forward, seed)
    return chains


@tf.function(jit_compile=True)
def _anneal(
    path: TemperedPath,
    chains: AnnealedChains,
    first: tf.Tensor,
    end: tf.Tensor,
    num_temperatures: tf.Tensor,
    forward: bool,
    seed: tf.Tensor,
) -> tuple[AnnealedChains, tf.Tensor]:
    """The steps from `first` until before `end`; also returns the seed of the next one."""
    machine, steps = path.machine, path.for_annealing
    dtype, form = machine.dtype, steps.machine
    last = tf.cast(num_temperatures, dtype)

    def time(index: tf.Tensor) -> tf.Tensor:
        index = tf.cast(index, dtype)
        return (index if forward else last - index) / last

    def rung(index: tf.Tensor, log_weights: tf.Tensor, states: list[tf.Tensor], seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        change, states = steps.advance(states, time(index), time(index + 1), now)
        return index + 1, log_weights + change, states, seed

    states = form.split(machine.bits(chains.left, chains.right))
    _, log_weights, states, seed = tf.while_loop(
        lambda index, *_: index < end, rung, (first, chains.log_weights, states, seed)
    )
    return AnnealedChains(log_weights, *machine.sides(form.join(states))), seed


def _bootstrap_standard_error(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The standard deviation of the log mean weight over resampled independent chains."""
    num_chains = tf.shape(log_weights)[0]
    chosen = tf.random.stateless_uniform([_NUM_BOOTSTRAPS, num_chains], seed, 0, num_chains, tf.int32)
    return tf.math.reduce_std(log_mean_exp(tf.gather(log_weights, chosen), axis=1))

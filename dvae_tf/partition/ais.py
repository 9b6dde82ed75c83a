"""Annealed importance sampling of log Z (Neal, 2001; Salakhutdinov and Murray, 2008), both ways.

A chain goes along the path of `rbm.tempering`, t_0, t_1, ..., t_N, one Gibbs sweep for each step, and is
weighted twice a sweep: t moves half way before the right side z_r is drawn and the other half before the
left side z_l is drawn. With f_t and g_t the log marginals of the two sides, and h_k half way,

    log w = sum over k of   f_{h_k}(z_l^{k-1}) - f_{t_{k-1}}(z_l^{k-1})
                          + g_{t_k}(z_r^k)     - g_{h_k}(z_r^k),            E[w] = Z_{t_N} / Z_{t_0}.

Forward, from t = 0 where a draw is exact, log mean w is on average below log Z / Z_0. In reverse, from
draws of the machine at t = 1, it is on average below log Z_0 / Z: the other side of log Z.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import Seed, effective_sample_size, log_mean_exp, split
from ..rbm import TemperedPath, as_rbm, sample_right, tempered_path

_NUM_BOOTSTRAPS = 200
# Part of the chains that the weights must be worth.
MIN_EFFECTIVE_PART = 0.1


class AISEstimate(NamedTuple):
    """What annealed importance sampling found.

    Attributes:
      log_partition: nats. Forward a stochastic lower bound of log Z (its exponential is unbiased), so that
        an NLL computed with it errs to the optimistic side; in reverse a stochastic upper bound, as far as
        the states it started from are draws of the machine.
      standard_error: of `log_partition`, nats, by a bootstrap over chains.
      effective_sample_size: of the weights, between 1 and the number of chains.
      converged: whether it can be believed: the weights are worth at least a tenth of the chains. (Modes
        that no chain has found go unnoticed; `estimate` compares both ways.)
      log_weights: [C], nats.
      left: [C, L], the final states of the chains: draws of the end of the path once weighted.
      right: [C, R].
    """

    log_partition: tf.Tensor
    standard_error: tf.Tensor
    effective_sample_size: tf.Tensor
    converged: tf.Tensor
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
) -> AISEstimate:
    """Estimates log Z from below; one XLA program, memory bounded by the number of chains.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      num_temperatures: the number of steps from t = 0 to t = 1, equally spaced.
      num_chains: how many independent chains.
      seed: an `int32[2]` seed.
      base_probs: [L + R], the means of the product distribution at t = 0, such as those of samples
        (clipped to [0.01, 0.99]); uniform where not given.
      temperature: T of p(z) = exp(-E(z) / T) / Z.

    Raises:
      ValueError: if a count is below 1 (2 for `num_chains`), or shapes disagree.
    """
    path = _path(left_bias, right_bias, weights, temperature, base_probs)
    _check_count("num_temperatures", num_temperatures, 1)
    _check_count("num_chains", num_chains, 2)
    for_start, for_chains, for_bootstrap = split(seed, 3)
    left = _draw_base(path, int(num_chains), for_start)
    chains = _anneal(path, left, tf.constant(num_temperatures), True, for_chains)
    return _estimate(path.log_base + log_mean_exp(chains.log_weights), chains, for_bootstrap)


def reverse_annealed_importance_sampling(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    left: Any,
    num_temperatures: int = 1000,
    seed: Seed = (0, 0),
    base_probs: Any = None,
    temperature: float = 1.0,
) -> AISEstimate:
    """Estimates log Z from above, by chains that heat up from draws of the machine.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      left: [C, L], independent draws of the machine's left side, exact or nearly so: from states that are
        not, the number says nothing.
      num_temperatures: the number of steps from t = 1 to t = 0, equally spaced.
      seed: an `int32[2]` seed.
      base_probs: as forward.
      temperature: T of p(z) = exp(-E(z) / T) / Z.

    Raises:
      ValueError: if `num_temperatures` is below 1, there are less than 2 states, or shapes disagree.
    """
    path = _path(left_bias, right_bias, weights, temperature, base_probs)
    _check_count("num_temperatures", num_temperatures, 1)
    left = tf.stop_gradient(tf.cast(tf.convert_to_tensor(left), path.rbm.dtype))
    few = left.shape.rank == 2 and left.shape[0] is not None and left.shape[0] < 2
    if left.shape.rank != 2 or left.shape[1] != path.rbm.num_left or few:
        raise ValueError(f"left: expected shape [states >= 2, {path.rbm.num_left}], got {left.shape}")
    for_right, for_chains, for_bootstrap = split(seed, 3)
    # Forward chains backwards: what they drew last, the left side, is left first.
    right = sample_right(path.rbm, left, for_right)
    ends = _anneal(path.transposed, right, tf.constant(num_temperatures), False, for_chains)
    chains = _Chains(ends.log_weights, ends.right, ends.left)
    return _estimate(path.log_base - log_mean_exp(chains.log_weights), chains, for_bootstrap)


def _path(left_bias: Any, right_bias: Any, weights: Any, temperature: float, base_probs: Any) -> TemperedPath:
    """The way between the product distribution and the machine; no gradient flows."""
    path = tempered_path(as_rbm(left_bias, right_bias, weights, temperature), base_probs)
    return tf.nest.map_structure(tf.stop_gradient, path)


def _check_count(name: str, count: int, least: int) -> None:
    if count < least:
        raise ValueError(f"{name}: expected at least {least}, got {count}")


class _Chains(NamedTuple):
    """Where annealed chains ended, and their log weights."""

    log_weights: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor


def _estimate(log_partition: tf.Tensor, chains: _Chains, seed: tf.Tensor) -> AISEstimate:
    log_weights = chains.log_weights
    ess = effective_sample_size(log_weights)
    return AISEstimate(
        log_partition,
        _bootstrap_standard_error(log_weights, seed),
        ess,
        ess >= MIN_EFFECTIVE_PART * tf.cast(tf.shape(log_weights)[0], ess.dtype),
        *chains,
    )


@tf.function(jit_compile=True)
def _draw_base(path: TemperedPath, num_chains: int, seed: tf.Tensor) -> tf.Tensor:
    return path.draw_base(num_chains, seed)[0]


@tf.function(jit_compile=True)
def _anneal(
    path: TemperedPath, left: tf.Tensor, num_temperatures: tf.Tensor, forward: bool, seed: tf.Tensor
) -> _Chains:
    """Chains that go up to t = 1, or down to t = 0."""
    dtype = path.rbm.dtype
    last = tf.cast(num_temperatures, dtype)

    def time(index: tf.Tensor) -> tf.Tensor:
        index = tf.cast(index, dtype)
        return (index if forward else last - index) / last

    def rung(index: tf.Tensor, chains: _Chains, seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        change, left, right = path.advance(chains.left, time(index), time(index + 1), now)
        return index + 1, _Chains(chains.log_weights + change, left, right), seed

    num_chains = tf.shape(left)[0]
    nothing = _Chains(tf.zeros([num_chains], dtype), left, tf.zeros([num_chains, path.rbm.num_right], dtype))
    return tf.while_loop(lambda index, *_: index < num_temperatures, rung, (0, nothing, seed))[1]


def _bootstrap_standard_error(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Standard deviation of log-mean-exp over resampled chains."""
    num_chains = tf.shape(log_weights)[0]
    chosen = tf.random.stateless_uniform([_NUM_BOOTSTRAPS, num_chains], seed, 0, num_chains, tf.int32)
    return tf.math.reduce_std(log_mean_exp(tf.gather(log_weights, chosen), axis=1))

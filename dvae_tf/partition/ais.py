"""Annealed importance sampling of log Z (Neal, 2001; Salakhutdinov and Murray, 2008).

The path goes from a product distribution with log-odds c (t = 0) to the machine (t = 1):

    -E_t(z) = ((1 - t) c + t bias) . z + t z_l^T W z_r.

With the right side summed out, f_t(z_l) = log sum over z_r of exp(-E_t(z)), a chain visits left states
z_l^0, z_l^1, ... (one Gibbs sweep at each t_k leaves p_t_k invariant) and its log weight is

    log w = sum over k of f_{t_k}(z_l^{k-1}) - f_{t_{k-1}}(z_l^{k-1}),   E[w] = Z / Z_0.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import Seed, as_seed, effective_sample_size, log_mean_exp, split
from ..rbm import RBM, as_rbm
from ..rbm.gibbs import sample_both

_NUM_BOOTSTRAPS = 200
# Base probabilities are kept this far from 0 and 1: a unit that never fires in the samples may fire.
_CLIP = 0.01


class AISEstimate(NamedTuple):
    """What annealed importance sampling found.

    Attributes:
      log_partition: log of the mean weight times Z_0, nats; a stochastic lower bound of log Z (its
        exponential is unbiased), so that an NLL computed with it errs to the optimistic side.
      standard_error: of `log_partition`, nats, by a bootstrap over chains.
      effective_sample_size: of the weights, between 1 and the number of chains.
      log_weights: [C], nats.
      left: [C, L], the final states of the chains: draws of p(z) once weighted by the weights.
      right: [C, R].
    """

    log_partition: tf.Tensor
    standard_error: tf.Tensor
    effective_sample_size: tf.Tensor
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
) -> AISEstimate:
    """Estimates log Z; one XLA program, memory bounded by the number of chains.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      num_temperatures: the number of steps from t = 0 to t = 1, equally spaced.
      num_chains: how many independent chains.
      seed: an `int32[2]` seed.
      base_probs: [L + R], the means of the product distribution at t = 0, such as those of samples
        (clipped to [0.01, 0.99]); uniform where not given.

    Raises:
      ValueError: if a count is below 1 (2 for `num_chains`), or shapes disagree.
    """
    rbm = as_rbm(left_bias, right_bias, weights)
    for name, count, least in (
        ("num_temperatures", num_temperatures, 1),
        ("num_chains", num_chains, 2),
    ):
        if count < least:
            raise ValueError(f"{name}: expected at least {least}, got {count}")
    num_units = rbm.num_left + rbm.num_right
    if base_probs is None:
        base_probs = tf.fill([num_units], tf.constant(0.5, rbm.dtype))
    base_probs = tf.cast(tf.convert_to_tensor(base_probs), rbm.dtype)
    if base_probs.shape != (num_units,):
        raise ValueError(f"base_probs: expected shape [{num_units}], got {base_probs.shape}")
    probs = tf.clip_by_value(base_probs, _CLIP, 1 - _CLIP)
    base_logits = tf.math.log(probs) - tf.math.log1p(-probs)
    for_chains, for_bootstrap = split(seed)
    log_weights, left, right = _anneal(
        rbm, base_logits, tf.constant(num_temperatures), int(num_chains), as_seed(for_chains)
    )
    log_base = tf.reduce_sum(tf.math.softplus(base_logits))
    return AISEstimate(
        log_base + log_mean_exp(log_weights),
        _bootstrap_standard_error(log_weights, for_bootstrap),
        effective_sample_size(log_weights),
        log_weights,
        left,
        right,
    )


@tf.function(jit_compile=True)
def _anneal(
    rbm: RBM, base_logits: tf.Tensor, num_temperatures: tf.Tensor, num_chains: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    num_left, dtype = rbm.num_left, rbm.dtype
    target_logits = tf.concat([rbm.left_bias, rbm.right_bias], 0)

    def at(t: tf.Tensor) -> RBM:
        biases = (1 - t) * base_logits + t * target_logits
        return RBM(biases[:num_left], biases[num_left:], t * rbm.weights)

    def log_increment(t: tf.Tensor, before: tf.Tensor, left: tf.Tensor) -> tf.Tensor:
        # f_t(z_l) - f_before(z_l): both need z_l W, once.
        product = tf.matmul(left, rbm.weights)
        machines = at(t), at(before)
        now, then = (
            tf.linalg.matvec(left, machine.left_bias)
            + tf.reduce_sum(tf.math.softplus(machine.right_bias + time * product), -1)
            for machine, time in zip(machines, (t, before), strict=True)
        )
        return now - then

    def rung(
        index: tf.Tensor,
        log_weights: tf.Tensor,
        left: tf.Tensor,
        right: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple:
        del right
        t, before = (
            tf.cast(number, dtype) / tf.cast(num_temperatures, dtype) for number in (index + 1, index)
        )
        now, seed = split(seed)
        log_weights += log_increment(t, before, left)
        left, right = sample_both(at(t), left, now)
        return index + 1, log_weights, left, right, seed

    now, seed = split(seed)
    nowhere = tf.zeros([num_chains, num_left], dtype)
    # At t = 0 the sides are independent: a sweep from anywhere is an exact draw.
    left, right = sample_both(at(tf.constant(0, dtype)), nowhere, now)
    _, log_weights, left, right, _ = tf.while_loop(
        lambda index, *_: index < num_temperatures,
        rung,
        (0, tf.zeros([num_chains], dtype), left, right, seed),
    )
    return log_weights, left, right


def _bootstrap_standard_error(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Standard deviation of log-mean-exp over resampled chains."""
    num_chains = tf.shape(log_weights)[0]
    chosen = tf.random.stateless_uniform([_NUM_BOOTSTRAPS, num_chains], seed, 0, num_chains, tf.int32)
    return tf.math.reduce_std(log_mean_exp(tf.gather(log_weights, chosen), axis=1))

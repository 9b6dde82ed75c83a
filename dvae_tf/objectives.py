"""Bounds of log p(x) from log densities at samples of the posterior; in nats, one number per image."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from .numerics import log_mean_exp, split


def elbo(log_likelihood: tf.Tensor, kl: tf.Tensor, kl_weight: tf.Tensor | float = 1.0) -> tf.Tensor:
    r"""The evidence lower bound, averaged over K samples (DVAE# paper, Sec. 2).

    $$
    \frac{1}{K} \sum_k \log p(x | \zeta_k) - \gamma \operatorname{KL}_k
    $$

    With `kl_weight` $\gamma = 1$ its expectation is a lower bound of $\log p(x)$; $K$ reduces only its
    variance.

    Args:
      log_likelihood: log p(x | zeta), [K, B].
      kl: log q - log p of each sample, [K, B] (`kl`).
      kl_weight: a scalar in [0, 1].

    Returns:
      [B].
    """
    return tf.reduce_mean(log_likelihood - kl_weight * kl, axis=0)


def importance_weighted_bound(
    log_likelihood: tf.Tensor, kl: tf.Tensor, kl_weight: tf.Tensor | float = 1.0
) -> tf.Tensor:
    r"""The K-sample importance-weighted bound (DVAE# paper, Eq. 3).

    $$
    \log \frac{1}{K} \sum_k \exp\left(\log p(x | \zeta_k) - \gamma (\log q(\zeta_k | x) - \log
    p(\zeta_k))\right)
    $$

    With `kl_weight` $\gamma = 1$ its expectation is a lower bound of $\log p(x)$, non-decreasing in $K$; with
    $\gamma < 1$ (warm-up) it is only a training objective.

    Args:
      log_likelihood: log p(x | zeta), [K, B].
      kl: log q(zeta | x) - log p(zeta), [K, B].
      kl_weight: a scalar in [0, 1].

    Returns:
      [B].
    """
    return log_mean_exp(log_likelihood - kl_weight * kl, axis=0)


class LikelihoodEstimate(NamedTuple):
    r"""A K-sample importance-weighted bound and its Monte Carlo variance, [B] each; nats.

    Attributes:
      log_likelihood: the log of the mean weight, a stochastic lower bound of log p(x).
      variance: of `log_likelihood` over the draws of the K samples, by the delta method:
        $(\mathbb{E}[w^2] / \mathbb{E}[w]^2 - 1) / K$.
    """

    log_likelihood: tf.Tensor
    variance: tf.Tensor


def streamed_bound(
    log_weights: Callable[[tf.Tensor], tf.Tensor],
    num_images: tf.Tensor | int,
    num_samples: tf.Tensor,
    block: int,
    seed: tf.Tensor,
    dtype: tf.DType = tf.float32,
) -> LikelihoodEstimate:
    """The importance-weighted bound in blocks of samples, so that memory does not grow with K.

    No gradient flows.

    Args:
      log_weights: maps a seed to the log weights of one more block, [block, B].
      num_images: B.
      num_samples: K; surplus samples of the last block are discarded.
      block: number of samples in a block.
      seed: an `int32[2]` seed.
      dtype: of the log weights.
    """
    zeros, nothing = tf.zeros([num_images], dtype), tf.fill([num_images], tf.constant(-float("inf"), dtype))
    none = _Sums(nothing, zeros, zeros)

    def add_block(done: tf.Tensor, sums: _Sums, seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        more = log_weights(now)
        surplus = (done + tf.range(tf.shape(more)[0]) >= num_samples)[:, tf.newaxis]
        more = tf.where(surplus, tf.constant(-float("inf"), more.dtype), more)
        return done + block, _added(sums, more), seed

    _, sums, _ = tf.while_loop(lambda done, *_: done < num_samples, add_block, (0, none, seed))
    count = tf.cast(num_samples, sums.weights.dtype)
    variance = sums.squares / sums.weights**2 - 1.0 / count
    log_mean = sums.largest + tf.math.log(sums.weights / count)
    # A gradient would need all blocks in memory.
    return LikelihoodEstimate(tf.stop_gradient(log_mean), tf.stop_gradient(tf.maximum(variance, 0.0)))


class _Sums(NamedTuple):
    """max log w, sum w and sum w^2 over samples, [B] each; the sums in units of the largest w."""

    largest: tf.Tensor
    weights: tf.Tensor
    squares: tf.Tensor


def _added(sums: _Sums, log_weights: tf.Tensor) -> _Sums:
    """The sums including further samples, [block, B]."""
    largest = tf.maximum(sums.largest, tf.reduce_max(log_weights, 0))
    unit = tf.where(tf.math.is_inf(largest), tf.zeros_like(largest), largest)
    before, more = tf.exp(sums.largest - unit), tf.exp(log_weights - unit)
    return _Sums(
        largest,
        before * sums.weights + tf.reduce_sum(more, 0),
        before**2 * sums.squares + tf.reduce_sum(more**2, 0),
    )

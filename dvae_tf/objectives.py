"""Bounds of log p(x), from the log densities at K samples of the posterior. Nats; one number an image."""

import tensorflow as tf

from .numerics import log_mean_exp


def importance_weighted_bound(
    log_likelihood: tf.Tensor,
    log_prior: tf.Tensor,
    log_posterior: tf.Tensor,
    kl_weight: tf.Tensor | float = 1.0,
) -> tf.Tensor:
    """The K-sample importance-weighted bound (DVAE# paper, Eq. 3).

        log (1/K) sum_k exp(log p(x | zeta_k) + kl_weight (log p(zeta_k) - log q(zeta_k | x)))

    With `kl_weight` 1 its expectation is a lower bound of log p(x), non-decreasing in K; below 1 (the
    warm-up) it is a training objective only.

    Args:
      log_likelihood: log p(x | zeta), [K, B].
      log_prior: log p(zeta), [K, B].
      log_posterior: log q(zeta | x), [K, B].
      kl_weight: a scalar in [0, 1].

    Returns:
      [B].
    """
    return log_mean_exp(log_likelihood + kl_weight * (log_prior - log_posterior), axis=0)

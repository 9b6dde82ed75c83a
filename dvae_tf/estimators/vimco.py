r"""VIMCO (Mnih and Rezende, 2016), for the importance-weighted bound of the bits.

With $L = \log \frac{1}{K} \sum_k e^{f_k}$, the normalized weights $\tilde w_k = e^{f_k} / \sum_j e^{f_j}$,
and $L_{-k}$, which is $L$ with $f_k$ replaced by the mean of the others,

$$
\sum_k \tilde w_k \nabla f_k + \sum_k (L - L_{-k}) \nabla \log q(z_k \mid x).
$$

$\nabla f_k$ includes $-\gamma \nabla \log q$, whose mean under the weights is not 0. The factors are held
fixed.
"""

import tensorflow as tf

from ..numerics import log_mean_exp
from ..objectives import importance_weighted_bound
from .base import BoundParts, RelaxedBound, gradient_of, mean_of_others, terms_of_bits


def vimco(parts: BoundParts) -> RelaxedBound:
    """The importance-weighted bound of the bits and an unbiased estimate of its gradient.

    For K >= 2 independent samples and any number of groups. The decoder is evaluated K times.
    """
    draw = parts.posterior.sample_binary(parts.x, parts.num_samples, parts.seed, parts.training)
    log_likelihood, kl = terms_of_bits(parts, draw.sample, draw.log_prob)
    bound = importance_weighted_bound(log_likelihood, kl, parts.kl_weight)
    without = _bounds_without(log_likelihood - parts.kl_weight * kl)
    score = tf.reduce_sum(tf.stop_gradient(bound - without) * draw.log_prob, 0)
    return RelaxedBound(bound + gradient_of(score), log_likelihood, kl)


def _bounds_without(f: tf.Tensor) -> tf.Tensor:
    r"""$L_{-k}$ of every sample, [K, B]."""
    is_own = tf.eye(tf.shape(f)[0], dtype=tf.bool)[..., tf.newaxis]
    return log_mean_exp(tf.where(is_own, mean_of_others(f)[:, tf.newaxis], f[tf.newaxis]), axis=1)

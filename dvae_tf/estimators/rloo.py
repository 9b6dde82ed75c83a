r"""REINFORCE with a leave-one-out baseline (Kool, van Hoof and Welling, 2019), for the ELBO of the bits.

$$
\frac{1}{K} \sum_k \left[ \nabla f_k + \left(f_k - \frac{1}{K - 1} \sum_{j \ne k} f_j\right)
\nabla \log q(z_k \mid x) \right],
$$

where $\nabla f_k$ holds $\log q$ fixed, for $\mathbb{E}[\nabla \log q] = 0$, and the factor is held fixed.
"""

import tensorflow as tf

from ..objectives import elbo
from .base import BoundParts, RelaxedBound, gradient_of, mean_of_others, terms_of_bits


def rloo(parts: BoundParts) -> RelaxedBound:
    """The ELBO of the bits and an unbiased estimate of its gradient, for K >= 2 and any number of groups.

    The decoder is evaluated K times.
    """
    draw = parts.posterior.sample_binary(parts.x, parts.num_samples, parts.seed, parts.training)
    log_likelihood, kl = terms_of_bits(parts, draw.sample, tf.stop_gradient(draw.log_prob))
    f = log_likelihood - parts.kl_weight * kl
    score = tf.stop_gradient(f - mean_of_others(f)) * draw.log_prob
    bound = elbo(log_likelihood, kl, parts.kl_weight) + gradient_of(tf.reduce_mean(score, 0))
    return RelaxedBound(bound, log_likelihood, kl)

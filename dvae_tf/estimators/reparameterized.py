r"""Reparameterized gradients of relaxed codes, and doubly reparameterized ones (Tucker et al., 2019).

With $\log w_k = \log p(x \mid \zeta_k) + \gamma (\log p(\zeta_k) - \log q(\zeta_k \mid x))$ and the
normalized weights $\tilde w_k$, the score $\nabla_\phi \log q$ of the importance-weighted bound is
reparameterized once more, which leaves for the parameters $\phi$ of the posterior

$$
\sum_k \left[\tilde w_k - \gamma (\tilde w_k - \tilde w_k^2)\right] \frac{\partial \log w_k}{\partial \zeta_k}
\frac{\partial \zeta_k}{\partial \phi},
$$

where $\partial \log w / \partial \zeta$ includes $\log q(\zeta_g \mid x, \zeta_{<g})$ through all its
arguments $\zeta$. The gradient in the decoder and the prior is $\sum_k \tilde w_k \nabla \log w_k$ as before.
"""

import tensorflow as tf

from ..objectives import importance_weighted_bound
from .base import BoundParts, RelaxedBound, gradient_of, held


def reparameterized(parts: BoundParts) -> RelaxedBound:
    """The bound of the relaxed code, whose gradient flows through the samples; the decoder runs K times.

    Raises:
      ValueError: if the posterior has no relaxation.
    """
    _check_relaxed(parts)
    draw = parts.posterior(parts.x, num_samples=parts.num_samples, seed=parts.seed, training=parts.training)
    log_likelihood = parts.log_likelihood(draw.sample)
    prior = parts.prior.in_mode(parts.prior.distribution(parts.chains), parts.training)
    kl = parts.kl(draw, prior)
    return RelaxedBound(parts.bound(log_likelihood, kl, parts.kl_weight), log_likelihood, kl)


def doubly_reparameterized(parts: BoundParts) -> RelaxedBound:
    r"""The importance-weighted bound of a relaxed code with doubly reparameterized gradients.

    The same expectation with less variance, at any K and $\gamma$, where $\log q(\zeta \mid x)$ is a density
    and the prior's `log_prob` has its own derivative in zeta; that of an overlapping relaxation does as far
    as the mean field has converged. The samples are independent. The decoder runs K times, the encoders
    twice. Local variables, whose noise is held, are reparameterized once: their part of $\log w$ is a
    function of zeta like the likelihood.

    Raises:
      ValueError: if the posterior has no relaxation.
    """
    _check_relaxed(parts)
    # Before the draw, so that both evaluations of the encoders start from one state.
    weights_held = held(parts.posterior)
    draw = parts.posterior(parts.x, num_samples=parts.num_samples, seed=parts.seed, training=parts.training)
    prior = parts.prior.in_mode(parts.prior.distribution(parts.chains), parts.training)
    zeta = tf.stop_gradient(draw.sample)
    with tf.GradientTape() as tape:
        tape.watch(zeta)
        log_likelihood = parts.log_likelihood(zeta)
        with weights_held:
            log_q = parts.posterior.log_prob(tf.stop_gradient(parts.x), zeta, parts.training)
        kl = log_q - prior.log_prob(zeta)
        log_w = log_likelihood - parts.kl_weight * kl
    factor = tf.stop_gradient(_path_weights(tf.nn.softmax(log_w, 0), parts.kl_weight))
    slope = tf.stop_gradient(tape.gradient(log_w, zeta, factor))
    bound = importance_weighted_bound(log_likelihood, kl, parts.kl_weight)
    bound += gradient_of(tf.reduce_sum(slope * draw.sample, (0, 2)))
    return RelaxedBound(bound, log_likelihood, kl)


def _path_weights(w: tf.Tensor, kl_weight: tf.Tensor | float) -> tf.Tensor:
    r"""$\tilde w - \gamma (\tilde w - \tilde w^2)$, the weights of the gradients through the samples."""
    return w - kl_weight * (w - w**2)


def _check_relaxed(parts: BoundParts) -> None:
    if not parts.posterior.relaxations:
        raise ValueError("estimator: expected one of bits for a posterior without relaxations")

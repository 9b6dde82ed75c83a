r"""REBAR (Tucker et al., 2017): REINFORCE with a relaxation as control variate, for the ELBO of the bits.

For one group. With uniform $u$ and $v$, log-odds $l$ and $q = \sigma(l)$,

$$
\zeta = l + \operatorname{logit} u, \quad b = 1[\zeta > 0], \qquad
\tilde \zeta = l + \operatorname{logit} \tilde u, \quad
\tilde u = \begin{cases} v (1 - q) & b = 0 \\ (1 - q) + v q & b = 1 \end{cases}
$$

($\tilde \zeta$ is a draw of $\zeta$ given $b$), and $\sigma_\tau(\cdot) = \sigma(\cdot / \tau)$,

$$
g = \left[f(b) - \eta f(\sigma_\tau(\tilde \zeta))\right] \nabla_l \log q(b)
+ \eta \nabla_l f(\sigma_\tau(\zeta)) - \eta \nabla_l f(\sigma_\tau(\tilde \zeta)).
$$

Between the bits $f$ has GumBolt's energy and $\log \check q$ (GumBolt paper, Eq. 9), whose explicit
dependence on $l$ is held fixed. $g$ is unbiased for all $\tau$ and $\eta$, which are trained to reduce its
variance.
"""

from typing import Any

import keras
import tensorflow as tf

from ..numerics import split, uniform
from ..objectives import elbo
from ..smoothing import Concrete
from .base import BoundParts, RelaxedBound, gradient_of, held


@keras.saving.register_keras_serializable("dvae_tf")
class ControlVariate(Concrete):
    r"""The relaxation of REBAR's control variate: Concrete, temperature $\tau$ and scale $\eta$ trained.

    Args:
      temperature: the initial $\tau$, a number above 0; $\eta$ is 1 initially.
      **kwargs: arguments of `Relaxation`.

    Raises:
      ValueError: if `temperature` is out of range.
    """

    def __init__(self, temperature: float, **kwargs: Any) -> None:
        super().__init__(temperature, trainable_temperature=True, **kwargs)
        self.log_scale = self.add_weight(
            name="log_scale", shape=(), dtype="float32", autocast=False, initializer="zeros"
        )

    @property
    def weights_of_variance(self) -> list[tf.Tensor]:
        r"""$\log \tau$ and $\log \eta$."""
        return [tf.convert_to_tensor(self.log_excess), tf.convert_to_tensor(self.log_scale)]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: the initial temperature, not the trained one."""
        config = super().get_config()
        del config["trainable_temperature"]
        return config


def rebar(parts: BoundParts) -> RelaxedBound:
    r"""The ELBO of the bits and an unbiased estimate of its gradient, for K >= 1 samples of one group.

    The gradient in $\log \tau$ and $\log \eta$ is that of the variance of $g$, with the opposite sign, since
    a bound is maximized; nothing else depends on the variance. The decoder is evaluated 3 K times, and the 2
    K relaxed codes do not enter the statistics of its batch norms. The three codes of a sample share the
    noise of local variables.

    Raises:
      ValueError: if the posterior has several groups, or another relaxation than `ControlVariate`.
    """
    posterior = parts.posterior
    if posterior.num_groups != 1:
        raise ValueError(f"num_groups: expected 1 for rebar, got {posterior.num_groups}")
    control = posterior.relaxations[0] if posterior.relaxations else None
    if not isinstance(control, ControlVariate):
        raise ValueError(f"relaxation: expected a ControlVariate for rebar, got {control!r}")
    # Before the decoder is called, so that its evaluations start from one state.
    decoder_held = held(*parts.conditional)
    live_logits = posterior.logits(0, parts.x, None, parts.num_samples, parts.training)
    logits = tf.stop_gradient(live_logits)
    u, v = (_inside(uniform(tf.shape(logits), seed, logits.dtype)) for seed in split(parts.seed))
    b = tf.cast(logits + _logit(u) > 0, logits.dtype)
    # Outside of the tapes, which differentiate twice.
    prior = parts.prior.in_mode(parts.prior.binary(parts.chains), parts.training)
    log_likelihood = parts.log_likelihood(b, parts.num_samples)
    kl = tf.reduce_sum(_log_q(b, logits), -1) - prior.log_prob(b)
    f_of_bits = tf.stop_gradient(log_likelihood - parts.kl_weight * kl)

    live_weights = control.weights_of_variance
    weights = [tf.stop_gradient(each) for each in live_weights]
    with tf.GradientTape() as variance_tape:
        variance_tape.watch(weights)
        temperature, scale = (tf.exp(each) for each in weights)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            noisy = tf.concat([logits + _logit(u), _noisy_given(b, logits, v)], 0)
            relaxed = tf.math.sigmoid(noisy / temperature)
            log_q = tf.reduce_sum(_log_q(relaxed, tf.tile(tf.stop_gradient(logits), [2, 1, 1])), -1)
            with decoder_held:
                f = parts.log_likelihood(relaxed, parts.num_samples) - parts.kl_weight * (
                    log_q - prior.log_prob(relaxed)
                )
            f_free, f_given = tf.split(f, 2, 0)
            difference = f_free - f_given
        score = b - tf.math.sigmoid(logits)
        g = (f_of_bits - scale * f_given)[..., tf.newaxis] * score
        g += scale * tape.gradient(difference, logits)
        # The mean of g does not depend on the weights, so its square has the slope of the variance.
        variance = tf.reduce_mean(tf.reduce_sum(g**2, -1))
    slopes = variance_tape.gradient(variance, weights)

    surrogate = tf.reduce_mean(tf.reduce_sum(tf.stop_gradient(g) * live_logits, -1), 0)
    for slope, weight in zip(slopes, live_weights, strict=True):
        surrogate -= tf.stop_gradient(slope) * weight
    bound = elbo(log_likelihood, kl, parts.kl_weight) + gradient_of(surrogate)
    return RelaxedBound(bound, log_likelihood, kl)


def _inside(u: tf.Tensor) -> tf.Tensor:
    """Uniform numbers on (0, 1): 0 stands for all numbers that round down to it."""
    return tf.maximum(u, tf.constant(2.0**-25, u.dtype))


def _logit(u: tf.Tensor) -> tf.Tensor:
    return tf.math.log(u) - tf.math.log1p(-u)


def _log_q(code: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    r"""$\zeta \log q + (1 - \zeta) \log(1 - q)$ of each unit (GumBolt paper, Eq. 9)."""
    return code * logits - tf.math.softplus(logits)


def _noisy_given(b: tf.Tensor, logits: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    r"""$\tilde \zeta = l + \operatorname{logit} \tilde u$, without the cancellation near $\tilde u = 1$.

    It is $\log(1 + v e^l) - \log(1 - v)$ where $b = 1$ and $\log v - \log(1 + (1 - v) e^{-l})$ where $b = 0$.
    """
    log_v, log_not_v = tf.math.log(v), tf.math.log1p(-v)
    if_1 = tf.math.softplus(logits + log_v) - log_not_v
    if_0 = log_v - tf.math.softplus(log_not_v - logits)
    return tf.where(b > 0, if_1, if_0)

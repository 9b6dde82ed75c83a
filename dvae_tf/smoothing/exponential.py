r"""The exponential smoothing (DVAE# paper, Eq. 1 right; DVAE++).

$$
r(\zeta | 0) = \frac{\beta e^{-\beta \zeta}}{1 - e^{-\beta}}, \qquad
R(\zeta | 0) = \frac{1 - e^{-\beta \zeta}}{1 - e^{-\beta}}, \qquad
b(\zeta) = \beta (2 \zeta - 1), \qquad \zeta \in [0, 1].
$$

The quantile of the mixture over the bit is the solution of a quadratic equation.
"""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from ..support import UNIT_INTERVAL
from .family import SymmetricFamily
from .quantile import log_larger_root
from .smoothing_layer import Smoothing


@keras.saving.register_keras_serializable("dvae_tf")
class Exponential(Smoothing, SymmetricFamily):
    """The exponential smoothing of DVAE++ (DVAE# paper, Eq. 1); `beta` above 0."""

    support = UNIT_INTERVAL

    @classmethod
    def log_density_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\log \beta - \beta \zeta - \log(1 - e^{-\beta})$."""
        return tf.math.log(beta) - beta * zeta - tfp.math.log1mexp(beta)

    @classmethod
    def log_density_ratio(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\beta (2 \zeta - 1)$."""
        return beta * (2.0 * zeta - 1.0)

    @classmethod
    def cdf_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$(1 - e^{-\beta \zeta}) / (1 - e^{-\beta})$."""
        return tf.math.expm1(-beta * zeta) / tf.math.expm1(-beta)

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$(e^{\beta \zeta} - 1) / (e^\beta - 1)$, precise near 0."""
        return tf.exp(beta * (zeta - 1.0)) * cls.cdf_given_0(zeta, beta)

    @classmethod
    def quantile_given_0(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$-\log(v) / \beta$ with $v = 1 - \rho (1 - e^{-\beta})$, precise near both ends."""
        log_v_near_0 = tf.math.log1p(rho * tf.math.expm1(-beta))
        log_v_near_1 = tf.math.log((1.0 - rho) + rho * tf.exp(-beta))
        return tf.clip_by_value(-tf.where(rho < 0.5, log_v_near_0, log_v_near_1) / beta, 0.0, 1.0)

    @classmethod
    def mixture_quantile(cls, rho: tf.Tensor, logits: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$-\log(v) / \beta$, where $v = e^{-\beta \zeta}$ solves $(1 - q) v^2 + B v - q \epsilon = 0$.

        Here $\epsilon = e^{-\beta}$ and $B = \rho - (1 - q) + \epsilon (q - \rho)$; the root is computed
        without cancellation.
        """
        q, not_q = tf.math.sigmoid(logits), tf.math.sigmoid(-logits)
        log_q, log_not_q = -tf.math.softplus(-logits), -tf.math.softplus(logits)
        b = rho - not_q + tf.exp(-beta) * (q - rho)
        log_root = log_larger_root(b, log_q + log_not_q - beta)
        log_v = tf.where(b > 0, log_q - beta - log_root, log_root - log_not_q)
        return tf.clip_by_value(-log_v / beta, *cls.quantile_bounds(rho, beta))

r"""The spike-and-exponential smoothing (DVAE# paper, Eq. 1 left; DVAE).

$$
r(\zeta | 0) = \delta(\zeta), \qquad r(\zeta | 1) = \frac{\beta e^{\beta (\zeta - 1)}}{1 - e^{-\beta}}, \qquad
\zeta \in [0, 1].
$$

Its density is with respect to a unit mass at 0 plus Lebesgue measure: $\log(1 - q)$ at the spike, $\log q +
\log r(\zeta | 1)$ elsewhere. $b(\zeta)$ is -inf at the spike and +inf elsewhere: zeta determines the bit. A
sample at the spike does not move with q, so its gradient is 0.
"""

import keras
import tensorflow as tf

from ..numerics import keep_nan
from ..support import UNIT_INTERVAL
from .exponential import Exponential
from .family import Family
from .smoothing_layer import Smoothing


@keras.saving.register_keras_serializable("dvae_tf")
class SpikeExponential(Smoothing, Family):
    """The spike-and-exponential smoothing of DVAE (DVAE# paper, Eq. 1); `beta` above 0."""

    support = UNIT_INTERVAL

    @classmethod
    def is_atom(cls, zeta: tf.Tensor) -> tf.Tensor:
        r"""$\zeta = 0$."""
        return tf.equal(zeta, 0.0)

    @classmethod
    def log_density_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """0 at the spike, -inf elsewhere."""
        return tf.where(cls.is_atom(zeta), 0.0 * beta, tf.constant(-float("inf"), zeta.dtype))

    @classmethod
    def log_density_given_1(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\log \beta + \beta (\zeta - 1) - \log(1 - e^{-\beta})$."""
        return Exponential.log_density_given_0(1.0 - zeta, beta)

    @classmethod
    def log_density_ratio(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """-inf at the spike, +inf elsewhere."""
        infinity = tf.constant(float("inf"), zeta.dtype)
        return keep_nan(tf.where(cls.is_atom(zeta), -infinity, infinity), zeta, beta)

    @classmethod
    def log_mixture_density(cls, zeta: tf.Tensor, logits: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\log(1 - q)$ at the spike, $\log q + \log r(\zeta | 1)$ elsewhere."""
        log_q, log_not_q = -tf.math.softplus(-logits), -tf.math.softplus(logits)
        return tf.where(cls.is_atom(zeta), log_not_q, log_q + cls.log_density_given_1(zeta, beta))

    @classmethod
    def cdf_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """1 everywhere."""
        return tf.ones_like(zeta) + 0.0 * beta

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$(e^{\beta \zeta} - 1) / (e^\beta - 1)$."""
        return Exponential.cdf_given_1(zeta, beta)

    @classmethod
    def quantile_given_0(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """The spike."""
        return tf.zeros_like(rho) + 0.0 * beta

    @classmethod
    def quantile_given_1(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$1 + \log(e^{-\beta} + \rho (1 - e^{-\beta})) / \beta$."""
        return Exponential.quantile_given_1(rho, beta)

    @classmethod
    def mixture_quantile(cls, rho: tf.Tensor, logits: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""0 up to the level $1 - q$, then the quantile of the exponential at $(\rho - (1 - q)) / q$."""
        above = rho - tf.math.sigmoid(-logits)
        level = tf.where(above > 0, above, 0.5) / tf.where(above > 0, tf.math.sigmoid(logits), 1.0)
        return tf.where(above > 0, cls.quantile_given_1(tf.minimum(level, 1.0), beta), 0.0)

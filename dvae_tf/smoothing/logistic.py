r"""The logistic smoothing (DVAE++): logistic densities of scale $1 / \beta$ around 0 and 1.

$$
r(\zeta | 0) = \frac{\beta e^{-\beta \zeta}}{(1 + e^{-\beta \zeta})^2}, \qquad R(\zeta | 0) = \sigma(\beta
\zeta), \qquad \zeta \in \mathbb{R},
$$

$$
b(\zeta) = \beta + 2 \log(1 + e^{-\beta \zeta}) - 2 \log(1 + e^{\beta (1 - \zeta)}), \qquad |b| < \beta.
$$

The quantile of the mixture over the bit is the solution of a quadratic equation.
"""

import keras
import tensorflow as tf

from ..support import REAL_LINE
from .family import SymmetricFamily
from .quantile import log_larger_root
from .smoothing_layer import Smoothing


@keras.saving.register_keras_serializable("dvae_tf")
class Logistic(Smoothing, SymmetricFamily):
    """The logistic smoothing of DVAE++; `beta` above 0."""

    support = REAL_LINE

    @classmethod
    def log_density_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\log \beta - \beta |\zeta| - 2 \log(1 + e^{-\beta |\zeta|})$; the density is even."""
        distance = beta * tf.abs(zeta)
        return tf.math.log(beta) - distance - 2.0 * tf.math.softplus(-distance)

    @classmethod
    def log_density_ratio(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$b(\zeta)$, without differences of large numbers."""
        # For y = beta zeta below 0, both terms of softplus(-y) - softplus(beta - y) grow like -y.
        y = beta * zeta
        below = tf.math.softplus(y) - tf.math.softplus(y - beta)
        above = tf.math.softplus(-y) - tf.math.softplus(beta - y)
        return tf.where(y < 0, 2.0 * below - beta, 2.0 * above + beta)

    @classmethod
    def cdf_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\sigma(\beta \zeta)$."""
        return tf.math.sigmoid(beta * zeta)

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\sigma(\beta (\zeta - 1))$."""
        return tf.math.sigmoid(beta * (zeta - 1.0))

    @classmethod
    def quantile_given_0(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\operatorname{logit}(\rho) / \beta$."""
        return (tf.math.log(rho) - tf.math.log1p(-rho)) / beta

    @classmethod
    def quantile_given_1(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$1 + \operatorname{logit}(\rho) / \beta$."""
        return 1.0 + cls.quantile_given_0(rho, beta)

    @classmethod
    def mixture_quantile(cls, rho: tf.Tensor, logits: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\log(u) / \beta$, where $u = e^{\beta \zeta}$ solves $\epsilon (1 - \rho) u^2 + B u - \rho = 0$.

        Here $\epsilon = e^{-\beta}$ and $B = (1 - q) - \rho + \epsilon (q - \rho)$; the root is computed
        without cancellation.
        """
        q, not_q = tf.math.sigmoid(logits), tf.math.sigmoid(-logits)
        log_rho, log_not_rho = tf.math.log(rho), tf.math.log1p(-rho)
        b = not_q - rho + tf.exp(-beta) * (q - rho)
        log_root = log_larger_root(b, log_rho + log_not_rho - beta)
        log_u = tf.where(b > 0, log_rho - log_root, log_root + beta - log_not_rho)
        return tf.clip_by_value(log_u / beta, *cls.quantile_bounds(rho, beta))

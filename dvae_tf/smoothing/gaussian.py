r"""The Gaussian smoothing (DVAE# paper, Sec. 3.3): normal densities of variance $1 / \beta$ around 0 and 1.

$$
r(\zeta | 0) = \mathcal{N}(\zeta; 0, 1 / \beta), \qquad b(\zeta) = \beta (\zeta - 1/2), \qquad \zeta \in
\mathbb{R}.
$$

Here $\beta$ is given; `shifted_gaussian` has a shift and a scale for each unit.
"""

import math

import keras
import tensorflow as tf

from ..support import REAL_LINE
from .family import SymmetricFamily
from .smoothing_layer import Smoothing


@keras.saving.register_keras_serializable("dvae_tf")
class Gaussian(Smoothing, SymmetricFamily):
    """The Gaussian smoothing of the DVAE# paper, Sec. 3.3; `beta` above 0 is the inverse variance."""

    support = REAL_LINE

    @classmethod
    def log_density_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\frac{1}{2} \log(\beta / 2 \pi) - \beta \zeta^2 / 2$."""
        return 0.5 * (tf.math.log(beta) - math.log(2.0 * math.pi) - beta * zeta**2)

    @classmethod
    def log_density_ratio(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\beta (\zeta - 1/2)$, finite at every finite $\zeta$, even where $\log r$ is -inf."""
        limit = zeta.dtype.max / 4
        return tf.clip_by_value(beta * (zeta - 0.5), -limit, limit)

    @classmethod
    def cdf_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\Phi(\sqrt{\beta} \zeta)$."""
        return 0.5 * tf.math.erfc(-tf.sqrt(beta / 2.0) * zeta)

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\Phi(\sqrt{\beta} (\zeta - 1))$."""
        return cls.cdf_given_0(zeta - 1.0, beta)

    @classmethod
    def quantile_given_0(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\Phi^{-1}(\rho) / \sqrt{\beta}$."""
        return tf.math.ndtri(rho) / tf.sqrt(beta)

    @classmethod
    def quantile_given_1(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$1 + \Phi^{-1}(\rho) / \sqrt{\beta}$."""
        return 1.0 + cls.quantile_given_0(rho, beta)

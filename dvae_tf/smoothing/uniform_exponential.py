r"""The uniform+exponential smoothing (DVAE# paper, Sec. 3.3): the exponential one with a floor.

$$
r(\zeta | 0) = (1 - \epsilon) \frac{\beta e^{-\beta \zeta}}{1 - e^{-\beta}} + \epsilon, \qquad R(\zeta | 0) =
(1 - \epsilon) \frac{1 - e^{-\beta \zeta}}{1 - e^{-\beta}} + \epsilon \zeta, \qquad \zeta \in [0, 1],
$$

with $\epsilon = 0.05$. The floor keeps the gradient of a sample finite as $\beta$ grows.
"""

import math

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from ..support import UNIT_INTERVAL
from .exponential import Exponential
from .family import SymmetricFamily
from .quantile import search_quantile
from .smoothing_layer import Smoothing

EPSILON = 0.05


@keras.saving.register_keras_serializable("dvae_tf")
class UniformExponential(Smoothing, SymmetricFamily):
    """The uniform+exponential smoothing of the DVAE# paper, Sec. 3.3; `beta` above 0."""

    support = UNIT_INTERVAL

    @classmethod
    def log_density_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\log((1 - \epsilon) r_\text{exp}(\zeta | 0) + \epsilon)$."""
        log_exponential = math.log1p(-EPSILON) + Exponential.log_density_given_0(zeta, beta)
        log_uniform = math.log(EPSILON)
        return log_uniform + tf.math.softplus(log_exponential - log_uniform)

    @classmethod
    def log_density_ratio(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$\log r(1 - \zeta | 0) - \log r(\zeta | 0)$."""
        return cls.log_density_given_0(1.0 - zeta, beta) - cls.log_density_given_0(zeta, beta)

    @classmethod
    def cdf_given_0(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$(1 - \epsilon) R_\text{exp}(\zeta | 0) + \epsilon \zeta$."""
        return (1.0 - EPSILON) * Exponential.cdf_given_0(zeta, beta) + EPSILON * zeta

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""$(1 - \epsilon) R_\text{exp}(\zeta | 1) + \epsilon \zeta$."""
        return (1.0 - EPSILON) * Exponential.cdf_given_1(zeta, beta) + EPSILON * zeta

    @classmethod
    def quantile_given_0(cls, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        """By a root search: R is concave, so the quantile lies between that of the exponential and rho."""
        low = Exponential.quantile_given_0(rho, beta)
        return search_quantile(lambda zeta: cls.cdf_given_0(zeta, beta), rho, low, rho, tfb.Sigmoid())

    @classmethod
    def draw_given(cls, z: tf.Tensor, rho: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        r"""Uniform if $\rho < \epsilon$, exponential otherwise, each from the remainder of $\rho$."""
        exponential = Exponential.draw_given(z, tf.maximum(rho - EPSILON, 0.0) / (1.0 - EPSILON), beta)
        return tf.where(rho < EPSILON, rho / EPSILON, exponential)

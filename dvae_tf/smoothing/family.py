"""What every smoothing r(zeta | z) is made of: log densities, CDFs and quantiles given the bit.

A family is a set of pure functions of `(zeta, *theta)`, theta being its parameters as tensors that
broadcast against zeta. Densities are with respect to Lebesgue measure; everything is in nats.
"""

import abc
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_probability as tfp

_UNIT_INTERVAL = (0.0, 1.0)


class Family(abc.ABC):
    """The pair r(zeta | 0), r(zeta | 1) of one smoothing."""

    support: ClassVar[tuple[float, float]]

    @classmethod
    def quantile_given(cls, z: tf.Tensor, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """The inverse of R(zeta | z) in zeta: at a uniform rho, a draw from r(zeta | z)."""
        return tf.where(z > 0, cls.quantile_given_1(rho, *theta), cls.quantile_given_0(rho, *theta))

    @classmethod
    def outside(cls, zeta: tf.Tensor) -> tf.Tensor:
        """Whether zeta lies outside the support; False for NaN."""
        low, high = cls.support
        return (zeta < low) | (zeta > high)

    @classmethod
    def support_assertions(cls, zeta: tf.Tensor) -> list[Any]:
        """Operations that fail where zeta is outside the support or NaN."""
        low, high = (tf.constant(bound, zeta.dtype) for bound in cls.support)
        message = f"zeta: expected numbers in {cls.support}"
        return [
            tf.debugging.assert_greater_equal(zeta, low, message),
            tf.debugging.assert_less_equal(zeta, high, message),
        ]

    @classmethod
    def event_space_bijector(cls) -> tfp.bijectors.Bijector:
        """Maps the real line onto the support."""
        unit = cls.support == _UNIT_INTERVAL
        return tfp.bijectors.Sigmoid() if unit else tfp.bijectors.Identity()

    @classmethod
    @abc.abstractmethod
    def log_density_given_0(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """Log r(zeta | z=0)."""

    @classmethod
    @abc.abstractmethod
    def log_density_ratio(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """b(zeta) = log r(zeta | z=1) - log r(zeta | z=0)."""

    @classmethod
    @abc.abstractmethod
    def cdf_given_0(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """R(zeta | z=0)."""

    @classmethod
    @abc.abstractmethod
    def cdf_given_1(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """R(zeta | z=1)."""

    @classmethod
    @abc.abstractmethod
    def quantile_given_0(cls, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """The inverse of R(zeta | z=0) in zeta."""

    @classmethod
    @abc.abstractmethod
    def quantile_given_1(cls, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """The inverse of R(zeta | z=1) in zeta."""


class SymmetricFamily(Family):
    """A family with r(zeta | 1) = r(1 - zeta | 0), hence R(zeta | 1) = 1 - R(1 - zeta | 0)."""

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """R(zeta | z=1)."""
        return 1.0 - cls.cdf_given_0(1.0 - zeta, *theta)

    @classmethod
    def quantile_given_1(cls, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """The inverse of R(zeta | z=1) in zeta."""
        return 1.0 - cls.quantile_given_0(1.0 - rho, *theta)

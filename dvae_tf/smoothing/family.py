r"""The functions of a smoothing $r(\zeta | z)$: log densities, CDFs and quantiles given the bit.

A family is a set of pure functions of `(zeta, *theta)`, where theta are its parameters, tensors that
broadcast against zeta. From $r(\zeta | 0)$ and $r(\zeta | 1)$ follows the mixture over the bit,

$$
q(\zeta) = (1 - q)\, r(\zeta | 0) + q\, r(\zeta | 1),
$$

whose functions take the log-odds as well: `(zeta, logits, *theta)`. Densities are with respect to Lebesgue
measure unless a family states otherwise; everything is in nats.
"""

import abc
from typing import ClassVar

import tensorflow as tf

from ..support import REAL_LINE, line_onto
from .quantile import search_quantile


class Family(abc.ABC):
    r"""The pair $r(\zeta | 0)$, $r(\zeta | 1)$ of one smoothing."""

    support: ClassVar[tuple[float, float]]

    # Given the bit: defined by each family.

    @classmethod
    @abc.abstractmethod
    def log_density_given_0(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""$\log r(\zeta | z = 0)$."""

    @classmethod
    @abc.abstractmethod
    def log_density_ratio(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""$b(\zeta) = \log r(\zeta | z = 1) - \log r(\zeta | z = 0)$."""

    @classmethod
    @abc.abstractmethod
    def cdf_given_0(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""$R(\zeta | z = 0)$."""

    @classmethod
    @abc.abstractmethod
    def cdf_given_1(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""$R(\zeta | z = 1)$."""

    @classmethod
    @abc.abstractmethod
    def quantile_given_0(cls, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""The inverse of $R(\zeta | z = 0)$ in $\zeta$."""

    @classmethod
    @abc.abstractmethod
    def quantile_given_1(cls, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""The inverse of $R(\zeta | z = 1)$ in $\zeta$."""

    # Derived from these; a family overrides them where it has a closed form.

    @classmethod
    def draw_given(cls, z: tf.Tensor, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""A draw from $r(\zeta | z)$ by a uniform $\rho$ on [0, 1)."""
        if cls.support == REAL_LINE:
            # The quantile of 0 is infinite, but rho = 0 represents all numbers that round down to it.
            rho = tf.maximum(rho, 2.0**-25)
        return tf.where(z > 0, cls.quantile_given_1(rho, *theta), cls.quantile_given_0(rho, *theta))

    @classmethod
    def is_atom(cls, zeta: tf.Tensor) -> tf.Tensor:
        """Whether zeta is a point of positive probability, which does not move with q."""
        return tf.zeros_like(zeta, tf.bool)

    @classmethod
    def log_mixture_density(cls, zeta: tf.Tensor, logits: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""$\log q(\zeta) = \log r(\zeta | 0) + \log((1 - q) + q e^{b(\zeta)})$, inside the support."""
        ratio = cls.log_density_ratio(zeta, *theta)
        # In this form large numbers cancel for neither sign of the log-odds.
        log_mixture = tf.where(
            logits > 0,
            ratio + tf.math.softplus(-logits - ratio) - tf.math.softplus(-logits),
            tf.math.softplus(logits + ratio) - tf.math.softplus(logits),
        )
        return cls.log_density_given_0(zeta, *theta) + log_mixture

    @classmethod
    def mixture_cdf(cls, zeta: tf.Tensor, logits: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""$(1 - q) R(\zeta | 0) + q R(\zeta | 1)$, inside the support."""
        given_0, given_1 = cls.cdf_given_0(zeta, *theta), cls.cdf_given_1(zeta, *theta)
        # With the probability of the rarer bit: 1 - sigmoid, which derivatives use, loses digits near 1.
        return tf.where(
            logits > 0,
            given_1 + tf.math.sigmoid(-logits) * (given_0 - given_1),
            given_0 + tf.math.sigmoid(logits) * (given_1 - given_0),
        )

    @classmethod
    def mixture_quantile(cls, rho: tf.Tensor, logits: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        """The zeta with mixture_cdf(zeta) = rho, by a root search between the quantiles of the components."""
        low, high = cls.quantile_bounds(rho, *theta)
        return search_quantile(
            lambda zeta: cls.mixture_cdf(zeta, logits, *theta), rho, low, high, line_onto(cls.support)
        )

    @classmethod
    def quantile_bounds(cls, rho: tf.Tensor, *theta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The quantiles of the components in order; they bracket that of every mixture. No gradient flows."""
        ends = cls.quantile_given_0(rho, *theta), cls.quantile_given_1(rho, *theta)
        return tf.stop_gradient(tf.minimum(*ends)), tf.stop_gradient(tf.maximum(*ends))


class SymmetricFamily(Family):
    r"""A family with $r(\zeta | 1) = r(1 - \zeta | 0)$, hence $R(\zeta | 1) = 1 - R(1 - \zeta | 0)$."""

    @classmethod
    def cdf_given_1(cls, zeta: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""$R(\zeta | z = 1)$."""
        return 1.0 - cls.cdf_given_0(1.0 - zeta, *theta)

    @classmethod
    def quantile_given_1(cls, rho: tf.Tensor, *theta: tf.Tensor) -> tf.Tensor:
        r"""The inverse of $R(\zeta | z = 1)$ in $\zeta$."""
        return 1.0 - cls.quantile_given_0(1.0 - rho, *theta)

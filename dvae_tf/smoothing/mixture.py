r"""The relaxed Bernoulli $q(\zeta) = (1 - q)\, r(\zeta | 0) + q\, r(\zeta | 1)$, for any family $r$.

It is reparameterized by implicit differentiation (DVAE# paper, Eq. 8 and 9). With $F$ the CDF of $q(\zeta)$
and $\rho = F(\zeta; q, \theta)$ held fixed,

$$
\frac{\partial \zeta}{\partial q} = \frac{R(\zeta | 0) - R(\zeta | 1)}{q(\zeta)}, \qquad
\frac{\partial \zeta}{\partial \theta}
= -\frac{(1 - q)\, \partial_\theta R(\zeta | 0) + q\, \partial_\theta R(\zeta | 1)}{q(\zeta)}.
$$
"""

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from ..numerics import draw_bits, keep_nan, uniform_pair
from ..support import number_assertions, outside
from .family import Family
from .relaxation import RelaxedBinary


class RelaxedBernoulli(RelaxedBinary):
    """The relaxed posterior of binary units, scalar event; its parameters broadcast to the batch shape.

    Samples are reparameterized once (a second derivative raises `LookupError`). `log_prob` is the exact
    log density in nats, -inf outside the support, differentiable in zeta, the logits and theta.

    Args:
      logits: log-odds of z = 1, any shape; half precision and integers are computed in float32.
      theta: the parameters of the family; each broadcasts against `logits`.
      family: the smoothing's `Family`.
      validate_args: whether to check that values lie in the support and nothing is NaN.
    """

    def __init__(
        self,
        logits: Any,
        theta: tuple[Any, ...],
        family: type[Family],
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "RelaxedBernoulli",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            super().__init__(
                logits,
                theta,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )
            self._family = family

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {
            "logits": tfp.util.ParameterProperties(),
            "theta": tfp.util.ParameterProperties(event_ndims=lambda self: (0,) * len(self.theta)),
        }

    @property
    def theta(self) -> tuple[Any, ...]:
        """The parameters of the family, as given."""
        return tuple(self._theta)

    @property
    def family(self) -> type[Family]:
        r"""The family $r(\zeta | z)$."""
        return self._family

    @property
    def support(self) -> tuple[float, float]:
        """The closed interval of zeta."""
        return self.family.support

    def log_density_ratio(self, zeta: Any) -> tf.Tensor:
        r"""$b(\zeta) = \log r(\zeta | 1) - \log r(\zeta | 0)$ in nats."""
        zeta = tf.convert_to_tensor(zeta, self.dtype)
        checks = self._parameter_control_dependencies(False) + self._sample_control_dependencies(zeta)
        with tf.control_dependencies(checks):
            return self.family.log_density_ratio(tf.identity(zeta), *self.values()[1:])

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        assertions = super()._parameter_control_dependencies(is_init)
        if assertions:
            for each in self.values()[1:]:
                assertions += number_assertions("theta", each)
        return assertions

    def _log_prob(self, zeta: tf.Tensor) -> tf.Tensor:
        log_density = self.family.log_mixture_density(zeta, *self.values())
        minus_infinity = tf.constant(-float("inf"), self.dtype)
        return tf.where(outside(zeta, self.support), minus_infinity, log_density)

    def _cdf(self, zeta: tf.Tensor) -> tf.Tensor:
        low, high = self.support
        cdf = self.family.mixture_cdf(tf.clip_by_value(zeta, low, high), *self.values())
        # An atom at the lower end belongs to the CDF there.
        return tf.where(zeta < low, tf.zeros_like(cdf), cdf)

    def _inverse_cdf(self, rho: tf.Tensor) -> tf.Tensor:
        values = self.values()
        return self._reparameterize(self.family.mixture_quantile(rho, *values), rho, *values)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], self._batch_shape_tensor()], 0)
        seed = tfp.random.sanitize_seed(seed, salt="relaxed_bernoulli")
        for_z, rho = uniform_pair(shape, seed, self.dtype, native=True)
        logits, *theta = self.values()
        z = draw_bits(tf.math.sigmoid(logits), for_z)
        zeta = self.family.draw_given(z, rho, *theta)
        return self._reparameterize(zeta, None, logits, *theta)

    def _reparameterize(
        self, zeta: tf.Tensor, rho: tf.Tensor | None, logits: tf.Tensor, *theta: tf.Tensor
    ) -> tf.Tensor:
        """Gives a value of zeta its implicit gradient in the logits, theta and (if given) rho.

        From F(zeta; logits, theta) - rho = 0 follows d zeta = -(d F - d rho) / q(zeta), Eq. 9.
        """
        family = self.family
        zeta = keep_nan(zeta, logits, *theta)
        # Between two sharp modes 1 / q(zeta) overflows, and its factor may be 0.
        log_cap = math.log(self.dtype.max) - 10.0

        @tf.custom_gradient
        def implicit(logits: tf.Tensor, theta: tuple, rho: tf.Tensor) -> tuple:
            value = tf.stop_gradient(zeta)

            def gradient(upstream: tf.Tensor) -> tuple:
                held = RelaxedBernoulli(logits, theta, family)
                with tf.GradientTape() as tape:
                    tape.watch((logits, theta, rho))
                    residual = held.cdf(value) - rho
                moves = -upstream * tf.exp(tf.minimum(-held.log_prob(value), log_cap))
                gradients = tape.gradient(
                    residual,
                    (logits, theta, rho),
                    tf.where(family.is_atom(value), tf.zeros_like(moves), moves),
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                return tf.nest.map_structure(_once_only, gradients)

            return value, gradient

        return implicit(logits, theta, tf.zeros_like(zeta) if rho is None else rho)


def _once_only(gradient: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.PreventGradient(
        input=gradient, message="samples of RelaxedBernoulli are differentiable once only"
    )

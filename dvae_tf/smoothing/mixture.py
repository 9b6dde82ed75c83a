"""The relaxed Bernoulli q(zeta) = (1 - q) r(zeta | 0) + q r(zeta | 1), for any family r.

Reparameterised by implicit differentiation (DVAE# paper, Eq. 8 and 9): with F the CDF of q(zeta) and
rho = F(zeta; q, theta) held fixed,

    d zeta / d q     = (R(zeta | 0) - R(zeta | 1)) / q(zeta),
    d zeta / d theta = -((1 - q) d_theta R(zeta | 0) + q d_theta R(zeta | 1)) / q(zeta).
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.internal import tensor_util

from ..numerics import uniform_pair
from .family import Family


class RelaxedBernoulli(tfd.AutoCompositeTensorDistribution):
    """The relaxed posterior of binary units, batch shape `logits.shape`, scalar event.

    Samples are reparameterised once (a second derivative raises `LookupError`). `log_prob` is the exact
    log density in nats, -inf outside the support, differentiable in zeta, the logits and theta.

    Args:
      logits: log-odds of z = 1, any shape, float32 or float64.
      theta: the parameters of the family, each broadcasting against `logits`.
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
            self._logits = tensor_util.convert_nonref_to_tensor(logits, dtype_hint=tf.float32)
            dtype = self._logits.dtype
            self._theta = tuple(tensor_util.convert_nonref_to_tensor(each, dtype=dtype) for each in theta)
            self._family = family
            super().__init__(
                dtype=dtype,
                reparameterization_type=tfd.FULLY_REPARAMETERIZED,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {"logits": tfp.util.ParameterProperties()}

    @property
    def logits(self) -> tf.Tensor:
        """log-odds of z = 1."""
        return self._logits

    @property
    def theta(self) -> tuple[tf.Tensor, ...]:
        """The parameters of the family."""
        return self._theta

    @property
    def family(self) -> type[Family]:
        """The family r(zeta | z)."""
        return self._family

    @property
    def binary(self) -> tfd.Bernoulli:
        """The Bernoulli of z: the limit of infinite sharpness."""
        return tfd.Bernoulli(logits=self.logits, dtype=self.dtype)

    def log_density_ratio(self, zeta: Any) -> tf.Tensor:
        """b(zeta) = log r(zeta | 1) - log r(zeta | 0) in nats."""
        return self.family.log_density_ratio(tf.convert_to_tensor(zeta, self.dtype), *self.theta)

    def binary_posterior(self, zeta: Any) -> tfd.Bernoulli:
        """The Bernoulli of z given zeta: log-odds l + b(zeta)."""
        return tfd.Bernoulli(logits=self.logits + self.log_density_ratio(zeta), dtype=self.dtype)

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _default_event_space_bijector(self) -> tfb.Bijector:
        return self.family.event_space_bijector()

    def _sample_control_dependencies(self, zeta: tf.Tensor) -> list[Any]:
        if not self.validate_args:
            return []
        return self.family.support_assertions(zeta)

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        if not self.validate_args or is_init:
            return []
        nan = tf.reduce_any(tf.math.is_nan(self.logits))
        return [tf.debugging.assert_equal(nan, False, "logits: expected numbers, got NaN")]

    def _log_prob(self, zeta: tf.Tensor) -> tf.Tensor:
        logits = self.logits
        ratio = self.family.log_density_ratio(zeta, *self.theta)
        # log((1 - q) + q e^b), written so that neither sign of l subtracts large numbers.
        log_mixture = tf.where(
            logits > 0,
            ratio + tf.math.softplus(-logits - ratio) - tf.math.softplus(-logits),
            tf.math.softplus(logits + ratio) - tf.math.softplus(logits),
        )
        log_density = self.family.log_density_given_0(zeta, *self.theta) + log_mixture
        minus_infinity = tf.constant(-float("inf"), self.dtype)
        return tf.where(self.family.outside(zeta), minus_infinity, log_density)

    def _cdf(self, zeta: tf.Tensor) -> tf.Tensor:
        low, high = self.family.support
        zeta = tf.clip_by_value(zeta, low, high)
        return tf.math.sigmoid(-self.logits) * self.family.cdf_given_0(zeta, *self.theta) + tf.math.sigmoid(
            self.logits
        ) * self.family.cdf_given_1(zeta, *self.theta)

    def _quantile(self, rho: tf.Tensor) -> tf.Tensor:
        """F(zeta) = rho, searched between the quantiles of the two components."""
        bijector = self._default_event_space_bijector()
        ends = [
            quantile(rho, *self.theta)
            for quantile in (self.family.quantile_given_0, self.family.quantile_given_1)
        ]
        shape = tf.broadcast_dynamic_shape(tf.shape(rho), tf.shape(self.logits))
        low, high = (
            tf.stop_gradient(tf.broadcast_to(end, shape)) for end in (tf.minimum(*ends), tf.maximum(*ends))
        )
        # Where an end is on the edge of the support, its image on the line is infinite.
        limit = tf.constant(87.0 if self.dtype == tf.float32 else 708.0, self.dtype)
        lower, upper = (tf.clip_by_value(bijector.inverse(end), -limit, limit) for end in (low, high))
        root = tfp.math.find_root_chandrupatla(
            lambda unbounded: self._cdf(bijector.forward(unbounded)) - rho,
            low=lower,
            high=upper,
            position_tolerance=0.0,
            value_tolerance=0.0,
            max_iterations=200,
        ).estimated_root
        # A quantile closer to an edge than the search can go: the end itself is the nearest number.
        zeta = tf.where(self._cdf(bijector.forward(lower)) >= rho, low, bijector.forward(root))
        zeta = tf.where(self._cdf(bijector.forward(upper)) <= rho, high, zeta)
        return self._reparameterize(zeta, rho)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], self._batch_shape_tensor()], 0)
        seed = tfp.random.sanitize_seed(seed, salt="relaxed_bernoulli")
        for_z, rho = uniform_pair(shape, seed, self.dtype)
        z = for_z < tf.math.sigmoid(self.logits)
        zeta = self.family.quantile_given(tf.cast(z, self.dtype), rho, *self.theta)
        return self._reparameterize(zeta, None)

    def _reparameterize(self, zeta: tf.Tensor, rho: tf.Tensor | None) -> tf.Tensor:
        """Gives a value of zeta its implicit gradient in the logits, theta and (if given) rho.

        From F(zeta; logits, theta) - rho = 0: d zeta = -(d F - d rho) / q(zeta), Eq. 9.
        """
        family = self.family

        @tf.custom_gradient
        def implicit(logits: tf.Tensor, theta: tuple, rho: tf.Tensor) -> tuple:
            value = tf.stop_gradient(zeta)

            def gradient(upstream: tf.Tensor) -> tuple:
                held = RelaxedBernoulli(logits, theta, family)
                with tf.GradientTape() as tape:
                    tape.watch((logits, theta, rho))
                    residual = held.cdf(value) - rho
                gradients = tape.gradient(
                    residual,
                    (logits, theta, rho),
                    -upstream * tf.exp(-held.log_prob(value)),
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                return tf.nest.map_structure(_once_only, gradients)

            return value, gradient

        return implicit(self.logits, self.theta, tf.zeros_like(zeta) if rho is None else rho)


def _once_only(gradient: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.PreventGradient(
        input=gradient, message="samples of RelaxedBernoulli are differentiable once only"
    )

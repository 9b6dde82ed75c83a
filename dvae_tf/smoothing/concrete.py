r"""The Concrete relaxation (GumBolt paper, Eq. 2; Maddison et al., 2017; Jang et al., 2017).

$$
\zeta = \sigma\left(\frac{l + \operatorname{logit} \rho}{\tau}\right), \qquad \rho \sim U(0, 1), \quad \zeta
\in [0, 1],
$$

with log-odds $l$ and temperature $\tau$. It smooths the bit and its probability together, so there is no
$r(\zeta | z)$ and no $b(\zeta)$. The limit of zero temperature is the bit; its most probable value given
$\zeta$ is $1[\zeta > 1/2]$.
"""

from typing import Any, NoReturn

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb

from ..numerics import uniform
from ..support import UNIT_INTERVAL, at_least_float32, in_dtype, inside_unit_interval, outside
from .relaxation import NumberAbove, Relaxation, RelaxedBinary


class ConcreteBernoulli(RelaxedBinary):
    """The Concrete distribution of a relaxed bit, scalar event; its parameters broadcast to the batch shape.

    Samples are reparameterized. `log_prob` is exact, in nats, -inf outside [0, 1]. Close to 0 and 1 it is
    evaluated at the nearest number with finite logarithms of both distances: float32 does not resolve
    1 - zeta below 6e-8. `log_density_ratio` and `binary_posterior` raise: there is no r(zeta | z).

    Args:
      logits: log-odds of z = 1, any shape; half precision and integers are computed in float32.
      temperature: broadcasts against `logits`.
      validate_args: whether to check that values lie in the support, the temperature is above 0 and nothing
        is NaN.
    """

    def __init__(
        self,
        logits: Any,
        temperature: Any,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "ConcreteBernoulli",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            super().__init__(
                logits,
                (temperature,),
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {
            "logits": tfp.util.ParameterProperties(),
            "temperature": tfp.util.ParameterProperties(default_constraining_bijector_fn=tfb.Softplus),
        }

    @property
    def temperature(self) -> Any:
        """The temperature as given; at 0 it would be the Bernoulli distribution of the bit."""
        return self._theta[0]

    @property
    def support(self) -> tuple[float, float]:
        """[0, 1]."""
        return UNIT_INTERVAL

    def log_density_ratio(self, zeta: Any) -> NoReturn:
        """Raises `NotImplementedError`: the Concrete relaxation has no r(zeta | z)."""
        raise NotImplementedError(
            "log_density_ratio: the Concrete relaxation has no r(zeta | z); a smoothing such as Power has"
        )

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        assertions = super()._parameter_control_dependencies(is_init)
        if assertions:
            message = "temperature: expected a number above 0"
            assertions.append(tf.debugging.assert_positive(self.values()[1], message))
        return assertions

    def _log_prob(self, zeta: tf.Tensor) -> tf.Tensor:
        logits, temperature = self.values()
        log_zeta, log_not_zeta = _log_distances(zeta)
        # temperature logit(zeta) - l has a logistic distribution.
        u = tf.abs(temperature * (log_zeta - log_not_zeta) - logits)
        log_logistic = -u - 2.0 * tf.math.softplus(-u)
        log_density = tf.math.log(temperature) + log_logistic - log_zeta - log_not_zeta
        minus_infinity = tf.constant(-float("inf"), self.dtype)
        return tf.where(outside(zeta, self.support), minus_infinity, log_density)

    def _cdf(self, zeta: tf.Tensor) -> tf.Tensor:
        logits, temperature = self.values()
        log_zeta, log_not_zeta = _log_distances(zeta)
        cdf = tf.math.sigmoid(temperature * (log_zeta - log_not_zeta) - logits)
        return tf.where(zeta <= 0, tf.zeros_like(cdf), tf.where(zeta >= 1, tf.ones_like(cdf), cdf))

    def _inverse_cdf(self, rho: tf.Tensor) -> tf.Tensor:
        logits, temperature = self.values()
        return tf.math.sigmoid((logits + tf.math.log(rho) - tf.math.log1p(-rho)) / temperature)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], self._batch_shape_tensor()], 0)
        seed = tfp.random.sanitize_seed(seed, salt="concrete_bernoulli")
        rho = uniform(shape, seed, self.dtype, native=True)
        # rho = 0 represents all numbers that round down to it.
        return self._inverse_cdf(tf.maximum(rho, tf.constant(2.0**-25, self.dtype)))


def _log_distances(zeta: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """log zeta and log(1 - zeta) at the nearest number where both are finite."""
    inside = inside_unit_interval(zeta)
    return tf.math.log(inside), tf.math.log1p(-inside)


@keras.saving.register_keras_serializable("dvae_tf")
class Concrete(Relaxation):
    """The Concrete relaxation as a layer: `Concrete(temperature=1 / 7)(logits)`.

    Args:
      temperature: a number above 0.
      trainable_temperature: whether it is a weight, as exp(log_excess).
      **kwargs: arguments of `Relaxation`.

    Raises:
      ValueError: if `temperature` is out of range.
    """

    def __init__(self, temperature: float, trainable_temperature: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._temperature = NumberAbove(self, "temperature", temperature, 0.0, trainable_temperature)

    @property
    def temperature(self) -> Any:
        """The current temperature."""
        return self._temperature.value()

    def call(self, logits: tf.Tensor) -> ConcreteBernoulli:
        """Returns q(zeta) for log-odds of any shape; half precision is converted to float32."""
        logits = at_least_float32(logits)
        return ConcreteBernoulli(logits, in_dtype(self.temperature, logits.dtype), self.validate_args)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: the initial temperature, not the trained one."""
        temperature = self._temperature
        return super().get_config() | {
            "temperature": temperature.initial,
            "trainable_temperature": temperature.trainable,
        }

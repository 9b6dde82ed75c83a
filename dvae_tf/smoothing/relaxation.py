"""The interface of relaxations of bits: Keras layers that map log-odds to a distribution of zeta."""

import abc
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from ..support import (
    as_number,
    as_parameter,
    floating_dtype,
    in_dtype,
    line_onto,
    number_assertions,
    support_assertions,
)


class RelaxedBinary(tfd.AutoCompositeTensorDistribution):
    r"""A distribution of relaxed binary variables $\zeta$, batch shape that of the logits, scalar event.

    Its parameters may be variables, which are read whenever a method needs them.

    Args:
      logits: log-odds of z = 1, any shape; their dtype, at least float32, is that of the distribution.
      theta: the other parameters; each broadcasts against `logits`.
      **kwargs: arguments of a tfp distribution.
    """

    def __init__(self, logits: Any, theta: Sequence[Any], **kwargs: Any) -> None:
        self._logits = as_parameter(logits)
        dtype = floating_dtype(self._logits)
        self._theta = tuple(as_parameter(each, dtype) for each in theta)
        super().__init__(dtype=dtype, reparameterization_type=tfd.FULLY_REPARAMETERIZED, **kwargs)

    @property
    def logits(self) -> Any:
        """Log-odds of z = 1, as given."""
        return self._logits

    def values(self) -> tuple[tf.Tensor, ...]:
        """The current values of the parameters as tensors: the logits, then theta."""
        return tuple(in_dtype(each, self.dtype) for each in (self._logits, *self._theta))

    @property
    @abc.abstractmethod
    def support(self) -> tuple[float, float]:
        """The closed interval of zeta."""

    @abc.abstractmethod
    def log_density_ratio(self, zeta: Any) -> tf.Tensor:
        r"""$b(\zeta) = \log r(\zeta | 1) - \log r(\zeta | 0)$ in nats."""

    @abc.abstractmethod
    def _inverse_cdf(self, rho: tf.Tensor) -> tf.Tensor:
        """`quantile` for levels in [0, 1]."""

    def _quantile(self, rho: tf.Tensor) -> tf.Tensor:
        is_level = (rho >= 0) & (rho <= 1)
        return tf.where(is_level, self._inverse_cdf(rho), tf.constant(float("nan"), self.dtype))

    @property
    def binary(self) -> tfd.Bernoulli:
        """The Bernoulli distribution of z: the limit of infinite sharpness."""
        return tfd.Bernoulli(logits=self.logits, dtype=self.dtype)

    def binary_posterior(self, zeta: Any) -> tfd.Bernoulli:
        r"""The Bernoulli distribution of z given zeta, with log-odds $l + b(\zeta)$."""
        return tfd.Bernoulli(logits=self.values()[0] + self.log_density_ratio(zeta), dtype=self.dtype)

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _default_event_space_bijector(self) -> tfb.Bijector:
        return line_onto(self.support)

    def _sample_control_dependencies(self, zeta: tf.Tensor) -> list[Any]:
        return support_assertions(zeta, self.support) if self.validate_args else []

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        return number_assertions("logits", self.values()[0]) if self.validate_args and not is_init else []


class Relaxation(keras.layers.Layer):
    """A layer that maps the log-odds of bits to the distribution of their relaxed variables.

    `outputs_per_unit` is how many numbers an encoder provides for each unit; the log-odds come first.
    `has_bits` is False for a code that is no relaxation of bits, which evaluation then draws like training.

    Args:
      validate_args: whether the distributions check their arguments.
      **kwargs: arguments of a Keras layer.
    """

    outputs_per_unit: ClassVar[int] = 1
    has_bits: ClassVar[bool] = True

    def __init__(self, validate_args: bool = False, **kwargs: Any) -> None:
        # A mixed-precision policy must not round the inputs: this is arithmetic in log space.
        super().__init__(autocast=False, **kwargs)
        self.validate_args = validate_args

    @abc.abstractmethod
    def call(self, logits: tf.Tensor) -> RelaxedBinary:
        """Returns q(zeta) for log-odds of any shape; half precision is converted to float32."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"validate_args": self.validate_args}


class NumberAbove:
    """A parameter of a relaxation, kept above a bound: a number, or a weight of the layer.

    Args:
      layer: owns the weight `log_excess`; the parameter is smallest + exp(log_excess).
      name: its name in errors.
      value: the initial value, finite, above `smallest`.
      smallest: the bound.
      trainable: whether it is a weight.

    Raises:
      ValueError: if `value` is out of range.
    """

    def __init__(
        self, layer: keras.layers.Layer, name: str, value: Any, smallest: float, trainable: bool
    ) -> None:
        number = as_number(f"{name} of {type(layer).__name__}", value, above=smallest)
        self.initial, self._smallest, self._weight = number, smallest, None
        if trainable:
            self._weight = layer.add_weight(
                name="log_excess",
                shape=(),
                dtype="float32",
                autocast=False,
                initializer=keras.initializers.Constant(math.log(number - smallest)),
            )
            # TensorFlow checkpoints find variables that are attributes of their layer.
            layer.log_excess = self._weight

    @property
    def trainable(self) -> bool:
        """Whether it is a weight."""
        return self._weight is not None

    def value(self) -> Any:
        """The current value: a number, or a tensor if it is a weight."""
        if self._weight is None:
            return self.initial
        return self._smallest + tf.exp(tf.convert_to_tensor(self._weight))

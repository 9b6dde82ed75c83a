"""The base of relaxations of a Boltzmann machine: shapes, the support of zeta, checks."""

import abc
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from ..support import in_dtype, line_onto, outside, support_assertions
from .boltzmann import MachineDistribution


class RelaxedMachine(tfd.AutoCompositeTensorDistribution):
    """A distribution (or a proxy of one) of the relaxed variables zeta of a machine, event shape [D].

    A subclass defines `_log_prob_inside`, the `log_prob` inside the support; outside it is -inf.

    Args:
      boltzmann: the machine p(z).
      **kwargs: arguments of a tfp distribution.
    """

    def __init__(self, boltzmann: MachineDistribution, **kwargs: Any) -> None:
        self._boltzmann = boltzmann
        super().__init__(dtype=boltzmann.dtype, reparameterization_type=tfd.NOT_REPARAMETERIZED, **kwargs)

    @property
    def boltzmann(self) -> MachineDistribution:
        """The machine p(z)."""
        return self._boltzmann

    @property
    def _log_z(self) -> tf.Tensor:
        """log Z of the machine as a tensor, nats."""
        return in_dtype(self.boltzmann.log_partition, self.dtype)

    @property
    @abc.abstractmethod
    def support(self) -> tuple[float, float]:
        """The closed interval of every zeta."""

    @abc.abstractmethod
    def _log_prob_inside(self, zeta: tf.Tensor) -> tf.Tensor:
        """`log_prob` for zeta in the support."""

    def _log_prob(self, zeta: tf.Tensor) -> tf.Tensor:
        beyond = tf.reduce_any(outside(zeta, self.support), -1)
        return tf.where(beyond, tf.constant(-float("inf"), self.dtype), self._log_prob_inside(zeta))

    def _event_shape(self) -> tf.TensorShape:
        return self.boltzmann.event_shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return self.boltzmann.event_shape_tensor()

    def _default_event_space_bijector(self) -> tfb.Bijector:
        return line_onto(self.support)

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        return self.boltzmann.parameter_assertions() if self.validate_args and not is_init else []

    def _sample_control_dependencies(self, zeta: tf.Tensor) -> list[Any]:
        return support_assertions(zeta, self.support) if self.validate_args else []

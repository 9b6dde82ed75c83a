"""The standard normal prior of a Gaussian code: the baseline of the Boltzmann machines."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from ..numerics import Seed, normal
from ..partition import LogPartition
from ..support import as_count
from .base import Prior


@keras.saving.register_keras_serializable("dvae_tf")
class GaussianPrior(Prior):
    """p(zeta) = N(0, I), without parameters; its log Z is 0, and it has no chains.

    There are no bits: what others do with bits, such as `binary` and `sample_binary`, it does with zeta.

    Args:
      units: D.
      **kwargs: arguments of `Prior`.

    Raises:
      ValueError: if `units` is below 1.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = as_count("units", units)
        self.built = True

    @property
    def log_partition(self) -> tf.Tensor:
        """0: the prior is normalized."""
        return tf.constant(0.0)

    def call(self, training: bool = False) -> tfd.Distribution:
        """Returns the prior of zeta."""
        del training
        return self.distribution()

    def distribution(self, state: Any = None) -> tfd.Distribution:
        """The prior of zeta; there are no chains."""
        del state
        zeros = tf.zeros([self.units], self.variable_dtype)
        return tfd.MultivariateNormalDiag(zeros, tf.ones_like(zeros), validate_args=self.validate_args)

    def binary(self, state: Any = None) -> tfd.Distribution:
        """The same, for there are no bits."""
        return self.distribution(state)

    def sample_binary(self, num_samples: int, num_sweeps: int, seed: Seed) -> tf.Tensor:
        """Draws zeta [num_samples, D]."""
        del num_sweeps
        return normal([num_samples, self.units], seed, tf.as_dtype(self.variable_dtype))

    def measure_log_partition(
        self, num_temperatures: int, num_chains: int, seed: Seed, both_sides: bool = False
    ) -> LogPartition:
        """log Z, which is 0."""
        del num_temperatures, num_chains, seed, both_sides
        return LogPartition.known(0.0, "normalized")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"units": self.units}

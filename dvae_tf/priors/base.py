"""The interface of priors: Keras layers that return distributions of the code."""

import abc
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from ..numerics import Seed
from ..partition import LogPartition


class Prior(keras.layers.Layer):
    """Owns the parameters of p(z); called, it returns the distribution that enters a bound.

    Args:
      validate_args: whether the distributions check their arguments.
      **kwargs: arguments of a Keras layer.
    """

    def __init__(self, validate_args: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(autocast=False, **kwargs)
        self.validate_args = validate_args

    @abc.abstractmethod
    def call(self, training: bool = False) -> tfp.distributions.Distribution:
        """The prior of the relaxed code (or of the bits); in training it first advances the chains."""

    @abc.abstractmethod
    def binary(self, state: Any = None) -> tfp.distributions.Distribution:
        """The prior p(z) of the bits, event shape [D], which evaluation and estimators on bits use.

        The gradient of its log Z is the mean over the chains of a sampler state; None takes all chains.
        """

    @abc.abstractmethod
    def distribution(self, state: Any = None) -> tfp.distributions.Distribution:
        """The prior that a call returns, with the chains of one sampler state; None takes all chains."""

    def in_mode(
        self, distribution: tfp.distributions.Distribution, training: bool
    ) -> tfp.distributions.Distribution:
        """A distribution of this prior (`distribution`, `binary`) as it enters a bound, in training or not.

        Only a prior whose own networks have such a mode (batch norms, dropout) overrides it.
        """
        del training
        return distribution

    @property
    def has_compiled_chains(self) -> bool:
        """Whether `advance_chains` and `step_chains` can be part of a compiled program."""
        return True

    def advance_chains(self) -> tf.Tensor:
        """Advances the chains of the negative phase by one step; returns their mean energy, nats."""
        return tf.constant(0.0)

    def step_chains(self, replica: Any = 0) -> tuple[Any, tf.Tensor]:
        """One step of the chains of one replica, which is not stored.

        Returns:
          The new state, a NamedTuple of tensors (empty without chains), and the mean energy, nats.
        """
        del replica
        return (), tf.constant(0.0)

    def assign_chains(self, states: Any) -> None:
        """Stores the new states of all replicas, with a leading axis of replicas."""
        # A statement, without which AutoGraph cannot read the method.
        del states

    @abc.abstractmethod
    def sample_binary(self, num_samples: int, num_sweeps: int, seed: Seed) -> tf.Tensor:
        """Draws bits [num_samples, D]."""

    @abc.abstractmethod
    def measure_log_partition(
        self, num_temperatures: int, num_chains: int, seed: Seed, both_sides: bool = False
    ) -> LogPartition:
        """Measures log Z of `binary()` at the current parameters, and stores it as `log_partition`.

        Forward annealing is enough to monitor a training; `both_sides` brackets log Z.
        """

    def track(self) -> tf.Tensor | None:
        """Updates `log_partition` to the current parameters without a new measurement; returns it, nats.

        None if the prior does not track log Z.
        """
        return None

    def diagnostics(self) -> dict[str, Any]:
        """Further scalars to monitor in a training."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"validate_args": self.validate_args}

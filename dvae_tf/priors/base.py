"""What a model asks of the prior of its code: a Keras layer that hands out distributions."""

import abc
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from ..numerics import Seed
from ..partition import LogPartition


class Prior(keras.layers.Layer):
    """Owns the parameters of p(z); called, it gives the distribution that a bound compares q with.

    Args:
      validate_args: whether the distributions that it gives check what they are given.
      **kwargs: those of a Keras layer.
    """

    def __init__(self, validate_args: bool = False, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(autocast=False, **kwargs)
        self.validate_args = validate_args

    @abc.abstractmethod
    def call(self, training: bool = False) -> tfp.distributions.Distribution:
        """The prior of the relaxed code (or of the bits); in training moves its chains first."""

    @abc.abstractmethod
    def binary(self) -> tfp.distributions.Distribution:
        """The prior p(z) of the bits, event shape [D]: what evaluation measures."""

    @abc.abstractmethod
    def distribution(self, state: Any = None) -> tfp.distributions.Distribution:
        """What a call hands out; its negative phase is that of a state's chains, None takes all there are."""

    def advance_chains(self) -> tf.Tensor:
        """Moves the chains of the negative phase by one step; returns their mean energy, nats."""
        return tf.constant(0.0)

    def step_chains(self, replica: Any = 0) -> tuple[Any, tf.Tensor]:
        """What `advance` does for one of several replicas, without storing it.

        Returns:
          The new state, a NamedTuple of tensors (empty where there are no chains), and the mean energy, nats.
        """
        del replica
        return (), tf.constant(0.0)

    def assign_chains(self, states: Any) -> None:
        """Stores what all replicas have moved to: states with a leading axis of replicas."""

    @abc.abstractmethod
    def sample_binary(self, num_samples: int, num_sweeps: int, seed: Seed) -> tf.Tensor:
        """Draws bits [num_samples, D]."""

    @abc.abstractmethod
    def measure_log_partition(
        self, num_temperatures: int, num_chains: int, seed: Seed, both_sides: bool = False
    ) -> LogPartition:
        """Measures log Z of `binary()` at the current parameters, and stores it as `log_partition`.

        Annealing forward is enough to follow a training; `both_sides` brackets it.
        """

    def track(self) -> tf.Tensor | None:
        """Brings `log_partition` to the current parameters without measuring it anew; returns it, nats.

        None if it stays as measured last.
        """
        return None

    def diagnostics(self) -> dict[str, Any]:
        """Further scalars worth watching in a training."""
        return {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"validate_args": self.validate_args}

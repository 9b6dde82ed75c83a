"""The interface of samplers of the negative phase."""

import abc
import dataclasses
from typing import Any, ClassVar, Protocol, Self

import tensorflow as tf

from ..graphs import Graph, check_graph
from ..numerics import Seed, check_precision
from ..rbm import RBM, Machine, as_machine
from ..support import as_count


class SamplerState(Protocol):
    """A NamedTuple of tensors: everything that a sampler keeps from one step to the next."""

    @property
    def left(self) -> tf.Tensor:
        """Current left states, [C, L] of zeros and ones."""

    @property
    def right(self) -> tf.Tensor:
        """Current right states, [C, R]."""

    @property
    def log_weights(self) -> tf.Tensor:
        """Log weights of the states, [C]; their exponentials sum to 1."""


@dataclasses.dataclass(frozen=True)
class Sampler(abc.ABC):
    """Draws from p(z) along the path of the parameters; holds settings only, the caller holds the state.

    Attributes:
      compiled: whether `step` can be part of a compiled program.
      num_chains: number of states, at least 1.
      num_sweeps: block Gibbs sweeps (each unit once) per step, at least 1.

    Raises:
      ValueError: if either is below 1.
    """

    compiled: ClassVar[bool] = True

    num_chains: int = 1000
    num_sweeps: int = 40

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.type is int:
                # The class is frozen for everyone else.
                object.__setattr__(self, field.name, as_count(field.name, getattr(self, field.name)))

    def init(self, num_left: int, num_right: int, seed: Seed, dtype: tf.DType = tf.float32) -> Any:
        """Returns the first state: independent fair bits, draws of the machine at infinite temperature."""
        num_left, num_right = as_count("num_left", num_left), as_count("num_right", num_right)
        check_precision(dtype)
        shapes = [num_left], [num_right], [num_left, num_right]
        return self.start(RBM(*(tf.zeros(shape, dtype) for shape in shapes)), seed)

    def init_graph(self, graph: Graph, seed: Seed, dtype: tf.DType = tf.float32) -> Any:
        """`init` for machines on a graph, to which `step` is then given as `graph, biases, couplings`.

        The states are those of the sides of `graphs.GraphMachine`, which its `bits` joins.
        """
        check_graph(graph)
        check_precision(dtype)
        shapes = [graph.num_units], [graph.num_edges]
        return self.start(as_machine(graph, *(tf.zeros(shape, dtype) for shape in shapes)), seed)

    def start(self, machine: Machine, seed: Seed) -> Any:
        """The first state for a machine, fair bits: of its parameters only shapes and dtype matter."""
        raise NotImplementedError(
            f"start: expected {type(self).__name__} to define it, for machines of {machine.num_units} units"
        )

    @abc.abstractmethod
    def step(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        state: Any,
        seed: Seed,
        temperature: float = 1.0,
    ) -> tuple[Any, Any]:
        r"""Adapts the state to the given parameters; no gradient flows.

        Args:
          left_bias: [L]; of a machine on a graph, the graph.
          right_bias: [R]; on a graph, the biases [D].
          weights: [L, R]; on a graph, the couplings [M].
          state: from the previous step, or from `init` or `init_graph`.
          seed: an `int32[2]` seed, a new one for each step.
          temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.

        Returns:
          The new state, and a NamedTuple of diagnostics: `energy` [C] (nats) and more.
        """

    def summary(self, state: Any) -> dict[str, tf.Tensor]:
        """Scalars of a state that are worth monitoring."""
        del state
        return {}

    def with_log_partition(
        self, left_bias: Any, right_bias: Any, weights: Any, state: Any, log_partition: tf.Tensor
    ) -> Any:
        """The state with log Z at the given parameters set to a known value, for samplers that track it."""
        del left_bias, right_bias, weights, log_partition
        return state

    def get_config(self) -> dict[str, Any]:
        """The attributes, for Keras."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The inverse of `get_config`, for Keras."""
        return cls(**config)


def machine(
    left_bias: Any, right_bias: Any, weights: Any, temperature: float, state: SamplerState
) -> Machine:
    """The machine of a step, in the dtype of the state; no gradient flows."""
    found = as_machine(left_bias, right_bias, weights, temperature, state.left.dtype)
    return found.map(tf.stop_gradient)


def equal_log_weights(left: tf.Tensor) -> tf.Tensor:
    """-log C for each of the C states."""
    count = tf.shape(left)[0]
    return tf.fill([count], -tf.math.log(tf.cast(count, left.dtype)))

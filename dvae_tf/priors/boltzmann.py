r"""Boltzmann machines over $\{0, 1\}^D$, restricted and on any graph, as tfp distributions.

$$
\log p(z) = -E(z) - \log Z,
$$

of a restricted machine with $z = [z_l, z_r]$, $D = L + R$.

$\log Z$ is an argument: a number for evaluation, or for training a surrogate whose value is the current
estimate and whose gradient is an estimate of that of $\log Z$ (GumBolt paper, Eq. 6). So the prior is
differentiable inside any model.
"""

import abc
from typing import Any, ClassVar

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from ..graphs import Graph
from ..numerics import bernoulli_entropy, keep_nan
from ..rbm import (
    RBM,
    Machine,
    as_machine,
    as_rbm,
    block_gibbs,
    energy,
    exact,
    uniform_bits,
)
from ..support import as_count, as_parameter, as_scalar, bit_assertions, check_kind, floating_dtype, in_dtype


class _UnknownLogPartitionError(ValueError, AttributeError):
    """log Z was not given, and the machine is too large to enumerate.

    Also an `AttributeError`, by which tfp takes a parameter for absent when it looks for variables.
    """


class MachineDistribution(tfd.AutoCompositeTensorDistribution):
    """The base of Boltzmann machines as distributions, event shape [D], values of zeros and ones.

    Args:
      log_partition: log Z, a scalar in nats; None enumerates it where that is fast.
      num_sweeps: block Gibbs sweeps of an approximate sample.
      **kwargs: arguments of a tfp distribution.
    """

    def __init__(self, log_partition: Any, num_sweeps: int, dtype: tf.DType, **kwargs: Any) -> None:
        self._log_partition = as_scalar("log_partition", log_partition, dtype)
        self._num_sweeps = as_count("num_sweeps", num_sweeps)
        super().__init__(dtype=dtype, reparameterization_type=tfd.NOT_REPARAMETERIZED, **kwargs)

    @property
    @abc.abstractmethod
    def machine(self) -> Machine:
        """The current parameters as tensors."""

    # The units that are enumerated for log Z, for messages.
    _enumerated: ClassVar[str]

    @abc.abstractmethod
    def _describe(self) -> str:
        """What the machine consists of, for messages."""

    @property
    def log_partition(self) -> Any:
        """log Z in nats: as given, or exact.

        Raises:
          ValueError: if it was not given and the machine is too large: more than 20 units on the smaller
            side or, on a graph, outside the largest color, and no elimination as narrow.
        """
        if self._log_partition is not None:
            return self._log_partition
        if exact.num_exact_units(self.machine) > exact.MAX_SAMPLING_UNITS:
            raise _UnknownLogPartitionError(
                f"log_partition: expected a number for {self._describe()}, got None; "
                f"at most {exact.MAX_SAMPLING_UNITS} units {self._enumerated} are enumerated here, use "
                "partition.estimate or partition.annealed_importance_sampling"
            )
        return exact.log_partition(self.machine)

    def energy(self, z: Any) -> tf.Tensor:
        """E(z) in nats: [..., D] gives [...]; multilinear, so relaxed values are allowed."""
        z = tf.convert_to_tensor(z, self.dtype)
        num_units = self.event_shape[0]
        if z.shape[-1] != num_units:
            raise ValueError(f"z: expected a last dimension of {num_units}, got shape {z.shape}")
        machine = self.machine
        return energy(machine, *machine.sides(z))

    def unnormalized_log_prob(self, z: Any) -> tf.Tensor:
        """-E(z) in nats: [..., D] gives [...]."""
        return -self.energy(z)

    def parameter_assertions(self) -> list[Any]:
        """Operations that fail if a parameter is not finite."""
        machine = self.machine._asdict()
        parameters = {name: value for name, value in machine.items() if tf.is_tensor(value)}
        if self._log_partition is not None:
            parameters["log_partition"] = self._log_partition
        return [
            tf.debugging.assert_all_finite(parameter, f"{name}: expected finite numbers")
            for name, parameter in parameters.items()
        ]

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self._event_shape().as_list())

    def _default_event_space_bijector(self) -> None:
        return None

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        return self.parameter_assertions() if self.validate_args and not is_init else []

    def _sample_control_dependencies(self, z: tf.Tensor) -> list[Any]:
        return bit_assertions(z) if self.validate_args else []

    def _log_prob(self, z: tf.Tensor) -> tf.Tensor:
        return self.unnormalized_log_prob(z) - in_dtype(self.log_partition, self.dtype)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        for_start, for_sweeps = tfp.random.split_seed(seed, salt="boltzmann_machine")
        machine = self.machine
        if exact.can_sample(machine):
            sides = exact.sample(machine, n, for_sweeps)
        else:
            left, _ = machine.sides(uniform_bits(n, machine.num_units, for_start, self.dtype))
            sides = block_gibbs(machine, left, self._num_sweeps, for_sweeps)
        sums = (tf.reduce_sum(each) for each in machine if tf.is_tensor(each))
        return tf.stop_gradient(keep_nan(machine.bits(*sides), *sums))


class BoltzmannMachine(MachineDistribution):
    """A restricted Boltzmann machine, event shape [L + R], values of zeros and ones.

    `log_prob` is in nats, differentiable in z, the biases, the weights and log Z, and as exact as log Z.
    `sample(n, seed)` is exact if the smaller side has at most 20 units; otherwise it runs `num_sweeps` block
    Gibbs sweeps from uniform states, which is approximate. No gradient flows through samples.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R]; the dtype is float64 if theirs is, otherwise float32.
      log_partition: log Z, a scalar in nats. None enumerates it if the smaller side has at most 20 units;
        otherwise `log_prob` raises `ValueError`.
      num_sweeps: block Gibbs sweeps of an approximate sample.
      validate_args: whether to check that values are 0 or 1 and the parameters finite.

    Raises:
      ValueError: if the shapes disagree, or log Z is no scalar.
    """

    def __init__(
        self,
        left_bias: Any,
        right_bias: Any,
        weights: Any,
        log_partition: Any = None,
        num_sweeps: int = 1000,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "BoltzmannMachine",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            self._weights = as_parameter(weights)
            dtype = floating_dtype(self._weights)
            self._left_bias = as_parameter(left_bias, dtype)
            self._right_bias = as_parameter(right_bias, dtype)
            as_rbm(self._left_bias, self._right_bias, self._weights)
            super().__init__(
                log_partition,
                num_sweeps,
                dtype,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {
            "left_bias": tfp.util.ParameterProperties(event_ndims=1),
            "right_bias": tfp.util.ParameterProperties(event_ndims=1),
            "weights": tfp.util.ParameterProperties(event_ndims=2),
            "log_partition": tfp.util.ParameterProperties(event_ndims=0),
        }

    @property
    def rbm(self) -> RBM:
        """The current parameters as tensors."""
        return as_rbm(self._left_bias, self._right_bias, self._weights)

    @property
    def machine(self) -> RBM:
        """The current parameters as tensors: `rbm`."""
        return self.rbm

    @property
    def num_left(self) -> int:
        """L."""
        return self._weights.shape[0]

    @property
    def num_right(self) -> int:
        """R."""
        return self._weights.shape[1]

    _enumerated = "on the smaller side"

    def _describe(self) -> str:
        return f"{self.num_left} + {self.num_right} units"

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.num_left + self.num_right])


class GraphBoltzmannMachine(MachineDistribution):
    r"""A Boltzmann machine on a graph, event shape [D], values of zeros and ones.

    $$
    \log p(z) = \sum_i a_i z_i + \sum_{(i, j) \in \text{edges}} w_{ij} z_i z_j - \log Z
    $$

    `log_prob` is in nats, differentiable in z, the biases, the couplings and log Z, and as exact as log Z.
    `sample(n, seed)` is exact if at most 20 units are outside the largest color of the graph; otherwise it
    runs `num_sweeps` sweeps from uniform states, which is approximate. No gradient flows through samples.

    A `tf.function` can make, return or close over such a machine, but cannot take one as an argument.

    Args:
      graph: a `graphs.Graph` with an edge.
      biases: [D]; the dtype is float64 if theirs is, otherwise float32.
      couplings: [M], in the order of `graph.edges`.
      log_partition: log Z, a scalar in nats. None computes it if at most 20 units are outside the largest
        color, or an elimination is as narrow; otherwise `log_prob` raises `ValueError`.
      num_sweeps: sweeps of an approximate sample.
      validate_args: whether to check that values are 0 or 1 and the parameters finite.

    Raises:
      ValueError: if the shapes disagree, the graph has no edge, or log Z is no scalar.
    """

    def __init__(
        self,
        graph: Graph,
        biases: Any,
        couplings: Any,
        log_partition: Any = None,
        num_sweeps: int = 1000,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "GraphBoltzmannMachine",
    ) -> None:
        parameters = dict(locals())
        check_kind("graph", graph, Graph, "a graph such as dvae_tf.graphs.from_edges(3, [(0, 1), (1, 2)])")
        with tf.name_scope(name):
            self._graph = graph
            self._biases = as_parameter(biases)
            dtype = floating_dtype(self._biases)
            self._couplings = as_parameter(couplings, dtype)
            as_machine(graph, self._biases, self._couplings)
            super().__init__(
                log_partition,
                num_sweeps,
                dtype,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {
            "biases": tfp.util.ParameterProperties(event_ndims=1),
            "couplings": tfp.util.ParameterProperties(event_ndims=1),
            "log_partition": tfp.util.ParameterProperties(event_ndims=0),
        }

    @property
    def graph(self) -> Graph:
        """The graph."""
        return self._graph

    @property
    def machine(self) -> Machine:
        """The current parameters as tensors; an `rbm.RBM` on the graph of a restricted machine."""
        return as_machine(self._graph, self._biases, self._couplings)

    _enumerated = "outside the largest color"

    def _describe(self) -> str:
        return str(self._graph)

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._graph.num_units])


@tfd.RegisterKL(tfd.Independent, MachineDistribution)
def kl_bernoulli_boltzmann(
    q: tfd.Independent, p: MachineDistribution, name: str = "kl_bernoulli_boltzmann"
) -> tf.Tensor:
    r"""KL divergence of independent Bernoulli bits from a Boltzmann machine, exact given $\log Z$; nats.

    $$
    \operatorname{KL}(q \| p) = -H(q) + \mathbb{E}_q[E(z)] + \log Z, \qquad \mathbb{E}_q[E(z)] =
    E(\mathbb{E}_q[z]),
    $$

    the latter because the energy is multilinear.

    Raises:
      NotImplementedError: if `q` is not independent Bernoulli units with an event shape of [D].
    """
    if not isinstance(q.distribution, tfd.Bernoulli) or q.event_shape.rank != 1:
        raise NotImplementedError(f"q: expected independent Bernoulli bits, got {q}")
    with tf.name_scope(name):
        logits = tf.cast(q.distribution.logits_parameter(), p.dtype)
        entropy = tf.reduce_sum(bernoulli_entropy(logits), -1)
        return p.energy(tf.math.sigmoid(logits)) - entropy + in_dtype(p.log_partition, p.dtype)

r"""The restricted Boltzmann machine over $\{0, 1\}^D$ as a tfp distribution.

$$
\log p(z) = -E(z) - \log Z, \qquad z = [z_l, z_r], \quad D = L + R.
$$

$\log Z$ is an argument: a number for evaluation, or for training a surrogate whose value is the current
estimate and whose gradient is an estimate of that of $\log Z$ (GumBolt paper, Eq. 6). So the prior is
differentiable inside any model.
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from ..numerics import bernoulli_entropy, keep_nan
from ..rbm import (
    RBM,
    as_rbm,
    block_gibbs,
    energy,
    exact,
    left_free_energy,
    right_free_energy,
    split_sides,
    uniform_states,
)
from ..support import as_count, as_parameter, as_scalar, bit_assertions, floating_dtype, in_dtype


class _UnknownLogPartitionError(ValueError, AttributeError):
    """log Z was not given, and the machine is too large to enumerate.

    Also an `AttributeError`, by which tfp takes a parameter for absent when it looks for variables.
    """


class BoltzmannMachine(tfd.AutoCompositeTensorDistribution):
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
            self._log_partition = as_scalar("log_partition", log_partition, dtype)
            self._num_sweeps = as_count("num_sweeps", num_sweeps)
            super().__init__(
                dtype=dtype,
                reparameterization_type=tfd.NOT_REPARAMETERIZED,
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
    def num_left(self) -> int:
        """L."""
        return self._weights.shape[0]

    @property
    def num_right(self) -> int:
        """R."""
        return self._weights.shape[1]

    @property
    def log_partition(self) -> Any:
        """log Z in nats: as given, or by enumeration.

        Raises:
          ValueError: if it was not given and the smaller side has more than 20 units.
        """
        if self._log_partition is not None:
            return self._log_partition
        if min(self.num_left, self.num_right) > exact.MAX_SAMPLING_UNITS:
            raise _UnknownLogPartitionError(
                f"log_partition: expected a number for {self.num_left} + {self.num_right} units, got None; "
                f"at most {exact.MAX_SAMPLING_UNITS} units on the smaller side are enumerated here, use "
                "partition.estimate or partition.annealed_importance_sampling"
            )
        return exact.log_partition(self.rbm)

    def energy(self, z: Any) -> tf.Tensor:
        """E(z) in nats: [..., D] gives [...]; multilinear, so relaxed values are allowed."""
        z = tf.convert_to_tensor(z, self.dtype)
        if z.shape[-1] != self.num_left + self.num_right:
            raise ValueError(
                f"z: expected a last dimension of {self.num_left + self.num_right}, got shape {z.shape}"
            )
        return energy(self.rbm, *split_sides(z, self.num_left))

    def unnormalized_log_prob(self, z: Any) -> tf.Tensor:
        """-E(z) in nats: [..., D] gives [...]."""
        return -self.energy(z)

    def parameter_assertions(self) -> list[Any]:
        """Operations that fail if a parameter is not finite."""
        parameters = self.rbm._asdict()
        if self._log_partition is not None:
            parameters["log_partition"] = self._log_partition
        return [
            tf.debugging.assert_all_finite(parameter, f"{name}: expected finite numbers")
            for name, parameter in parameters.items()
        ]

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.num_left + self.num_right])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self.num_left + self.num_right])

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
        if min(self.num_left, self.num_right) <= exact.MAX_SAMPLING_UNITS:
            states = exact.sample(self.rbm, n, for_sweeps)
        else:
            left, _ = uniform_states(n, self.num_left, self.num_right, for_start, self.dtype)
            states = block_gibbs(self.rbm, left, self._num_sweeps, for_sweeps)
        sums = (tf.reduce_sum(parameter) for parameter in self.rbm)
        return tf.stop_gradient(keep_nan(tf.concat(states, -1), *sums))


@tfd.RegisterKL(tfd.Independent, BoltzmannMachine)
def kl_bernoulli_boltzmann(
    q: tfd.Independent, p: BoltzmannMachine, name: str = "kl_bernoulli_boltzmann"
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


def log_partition_surrogate(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    left: tf.Tensor,
    right: tf.Tensor,
    log_partition: tf.Tensor | float = 0.0,
    log_weights: tf.Tensor | None = None,
    rao_blackwellized: bool = False,
) -> tf.Tensor:
    r"""A scalar whose value is `log_partition` and whose gradient estimates that of $\log Z$.

    $$
    \nabla \log Z = -\mathbb{E}_{z \sim p}[\nabla E(z)]
    $$

    (GumBolt paper, Eq. 6), with the weighted mean over the given states for the expectation.
    Rao-Blackwellised, each side is averaged given the other,

    $$
    \nabla \log Z = -\tfrac{1}{2} \mathbb{E}_{z \sim p}[\nabla F(z_l) + \nabla F(z_r)]
    $$

    with the free energies $F$ of both sides: the same expectation at states of a stationary chain, and a
    variance that is lower or equal.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R].
      left: [C, L], states of the left side.
      right: [C, R], states of the right side.
      log_partition: the value, nats.
      log_weights: [C], of the states; not necessarily normalised. None gives equal weights.
      rao_blackwellized: whether free energies take the place of energies.
    """
    rbm = as_rbm(left_bias, right_bias, weights)
    left, right = (tf.stop_gradient(in_dtype(side, rbm.dtype)) for side in (left, right))
    if rao_blackwellized:
        energies = 0.5 * (left_free_energy(rbm, left) + right_free_energy(rbm, right))
    else:
        energies = energy(rbm, left, right)
    if log_weights is None:
        log_weights = tf.zeros_like(energies)
    normalised = tf.stop_gradient(tf.nn.softmax(tf.cast(log_weights, energies.dtype)))
    negative_phase = -tf.reduce_sum(normalised * energies)
    return tf.stop_gradient(log_partition - negative_phase) + negative_phase

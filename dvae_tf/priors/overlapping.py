r"""The overlapping relaxation of a Boltzmann machine (DVAE# paper, Sec. 3.1).

$$
\log p(\zeta) = \log \sum_z p(z)\, r(\zeta | z) = \log \sum_z \exp(-\hat E(z)) - \log Z, \qquad
\hat E(z) = E(z) - b(\zeta) \cdot z - \sum_i \log r(\zeta_i | 0)
$$

(Eq. 4). The sum is approximated by a factorial distribution with means $m$, fitted by parallel updates of one
side at a time, or on a graph of one color:

$$
m_r \leftarrow \sigma(a_r + b_r + W^\top m_l), \qquad m_l \leftarrow \sigma(a_l + b_l + W m_r).
$$

The value is $H(m) - \hat E(m) - \log Z$, which never exceeds $\log p(\zeta)$ (Eq. 6); its derivative with $m$
held fixed is the paper's Eq. 5.
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from ..graphs.machine import to_colors, to_sides
from ..numerics import bernoulli_entropy, keep_nan, uniform
from ..rbm import Machine, energy
from ..smoothing import Smoothing
from ..support import as_count, check_kind, in_dtype, number_assertions
from .boltzmann import MachineDistribution
from .relaxed_machine import RelaxedMachine

A_SMOOTHING = "a smoothing such as dvae_tf.smoothing.Power(30.0)"


def mean_field(machine: Machine, left_shift: tf.Tensor, right_shift: tf.Tensor, num_iterations: int) -> Any:
    r"""Fits $m$ to the machine whose biases are shifted by $b(\zeta)$; no gradient flows.

    Args:
      machine: the machine.
      left_shift: [..., L].
      right_shift: [..., R].
      num_iterations: updates of both sides, the right one first, or of all colors; from m = 0.5.

    Returns:
      The log-odds of m: `(left, right)`, [..., L] and [..., R].
    """
    form = machine.map(tf.stop_gradient).form
    shifts = to_colors(tf.stop_gradient(left_shift), tf.stop_gradient(right_shift), form.sizes)
    logits = [tf.zeros_like(shift) for shift in shifts]
    means = [tf.math.sigmoid(each) for each in logits]
    for _ in range(num_iterations):
        for number, shift in enumerate(shifts):
            logits[number] = form.fields(number, means) + shift
            means[number] = tf.math.sigmoid(logits[number])
    return to_sides(logits)


class OverlappingRelaxation(RelaxedMachine):
    """A Boltzmann machine smoothed by overlapping transformations, event shape [D].

    Given the machine's log Z, `log_prob` is a lower bound of log p(zeta) in nats, tight where the smoothing
    is sharp. Its gradient in zeta, the biases and the weights is Eq. 5 of the paper (that of the bound at
    fixed m). `sample` draws z from the machine, then zeta from r(zeta | z); samples are not reparameterized.

    Args:
      boltzmann: the machine p(z), restricted or on a graph.
      smoothing: the smoothing layer r(zeta | z), of an overlapping family.
      num_mean_field_iterations: updates of both sides, or of all colors, starting from m = 0.5.
      validate_args: whether to check that values lie in the support of the smoothing, and that the
        parameters are finite.

    Raises:
      ValueError: if `smoothing` is no smoothing, or `num_mean_field_iterations` below 1.
    """

    def __init__(
        self,
        boltzmann: MachineDistribution,
        smoothing: Smoothing,
        num_mean_field_iterations: int = 5,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "OverlappingRelaxation",
    ) -> None:
        parameters = dict(locals())
        check_kind("smoothing", smoothing, Smoothing, A_SMOOTHING)
        with tf.name_scope(name):
            self._smoothing = smoothing
            self._num_mean_field_iterations = as_count("num_mean_field_iterations", num_mean_field_iterations)
            super().__init__(
                boltzmann,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {"boltzmann": tfp.util.BatchedComponentProperties()}

    @property
    def support(self) -> tuple[float, float]:
        """The support of the smoothing."""
        return self.smoothing.support

    @property
    def smoothing(self) -> Smoothing:
        r"""The smoothing layer, $r(\zeta | z)$."""
        return self._smoothing

    def mean_field(self, zeta: Any) -> tf.Tensor:
        """The mean-field means of z given zeta: [..., D] gives [..., D]."""
        zeta = tf.convert_to_tensor(zeta, self.dtype)
        logits = self._mean_field_logits(self._ratio(zeta))
        return tf.math.sigmoid(self.boltzmann.machine.bits(*logits))

    def _theta(self) -> tuple[tf.Tensor, ...]:
        return tuple(in_dtype(each, self.dtype) for each in self.smoothing.theta)

    def _ratio(self, zeta: tf.Tensor) -> tf.Tensor:
        return self.smoothing.log_density_ratio(zeta, *self._theta())

    def _mean_field_logits(self, ratio: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        machine = self.boltzmann.machine
        return mean_field(machine, *machine.sides(ratio), self._num_mean_field_iterations)

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        assertions = super()._parameter_control_dependencies(is_init)
        if assertions:
            for each in self._theta():
                assertions += number_assertions("theta", each)
        return assertions

    def _log_prob_inside(self, zeta: tf.Tensor) -> tf.Tensor:
        machine = self.boltzmann.machine
        ratio = self._ratio(zeta)
        logits = self._mean_field_logits(ratio)
        m_left, m_right = (tf.math.sigmoid(each) for each in logits)
        entropy = tf.reduce_sum(bernoulli_entropy(machine.bits(*logits)), -1)
        log_r = self.smoothing.log_density_given_0(zeta, *self._theta())
        log_r += machine.bits(m_left, m_right) * ratio
        log_r = tf.reduce_sum(log_r, -1)
        return entropy - energy(machine, m_left, m_right) + log_r - self._log_z

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        for_z, for_zeta = tfp.random.split_seed(seed, salt="overlapping_relaxation")
        z = self.boltzmann.sample(n, seed=for_z)
        rho = uniform(tf.shape(z), for_zeta, self.dtype, native=True)
        theta = self._theta()
        return tf.stop_gradient(keep_nan(self.smoothing.draw_given(z, rho, *theta), z, *theta))

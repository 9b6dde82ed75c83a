r"""The overlapping relaxation of a Boltzmann machine (DVAE# paper, Sec. 3.1).

$$
\log p(\zeta) = \log \sum_z p(z)\, r(\zeta | z) = \log \sum_z \exp(-\hat E(z)) - \log Z, \qquad
\hat E(z) = E(z) - b(\zeta) \cdot z - \sum_i \log r(\zeta_i | 0)
$$

(Eq. 4). The sum is approximated by a factorial distribution with means $m$, fitted by parallel updates of one
side at a time:

$$
m_r \leftarrow \sigma(a_r + b_r + W^\top m_l), \qquad m_l \leftarrow \sigma(a_l + b_l + W m_r).
$$

The value is $H(m) - \hat E(m) - \log Z$, which never exceeds $\log p(\zeta)$ (Eq. 6); its derivative with $m$
held fixed is the paper's Eq. 5.
"""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from ..numerics import bernoulli_entropy, keep_nan, uniform
from ..rbm import RBM, energy, left_logits, right_logits, split_sides
from ..smoothing import Smoothing
from ..support import as_count, check_kind, in_dtype, number_assertions
from .boltzmann import BoltzmannMachine
from .relaxed_machine import RelaxedMachine

A_SMOOTHING = "a smoothing such as dvae_tf.smoothing.Power(30.0)"


def mean_field(rbm: RBM, left_shift: tf.Tensor, right_shift: tf.Tensor, num_iterations: int) -> Any:
    r"""Fits $m$ to the machine whose biases are shifted by $b(\zeta)$; no gradient flows.

    Args:
      rbm: the machine.
      left_shift: [..., L].
      right_shift: [..., R].
      num_iterations: updates of both sides, starting from m_l = 0.5.

    Returns:
      The log-odds of m: `(left, right)`, [..., L] and [..., R].
    """
    rbm = RBM(*(tf.stop_gradient(parameter) for parameter in rbm))
    left_shift, right_shift = tf.stop_gradient(left_shift), tf.stop_gradient(right_shift)
    left = tf.zeros_like(left_shift)
    right = tf.zeros_like(right_shift)
    for _ in range(num_iterations):
        right = right_logits(rbm, tf.math.sigmoid(left)) + right_shift
        left = left_logits(rbm, tf.math.sigmoid(right)) + left_shift
    return left, right


class OverlappingRelaxation(RelaxedMachine):
    """A Boltzmann machine smoothed by overlapping transformations, event shape [D].

    Given the machine's log Z, `log_prob` is a lower bound of log p(zeta) in nats, tight where the smoothing
    is sharp. Its gradient in zeta, the biases and the weights is Eq. 5 of the paper (that of the bound at
    fixed m). `sample` draws z from the machine, then zeta from r(zeta | z); samples are not reparameterised.

    Args:
      boltzmann: the machine p(z).
      smoothing: the smoothing layer r(zeta | z), of an overlapping family.
      num_mean_field_iterations: updates of both sides, starting from m_l = 0.5.
      validate_args: whether to check that values lie in the support of the smoothing, and that the
        parameters are finite.

    Raises:
      ValueError: if `smoothing` is no smoothing, or `num_mean_field_iterations` below 1.
    """

    def __init__(
        self,
        boltzmann: BoltzmannMachine,
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
        return tf.math.sigmoid(tf.concat(self._mean_field_logits(self._ratio(zeta)), -1))

    def _theta(self) -> tuple[tf.Tensor, ...]:
        return tuple(in_dtype(each, self.dtype) for each in self.smoothing.theta)

    def _ratio(self, zeta: tf.Tensor) -> tf.Tensor:
        return self.smoothing.log_density_ratio(zeta, *self._theta())

    def _mean_field_logits(self, ratio: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        machine = self.boltzmann
        sides = split_sides(ratio, machine.num_left)
        return mean_field(machine.rbm, *sides, self._num_mean_field_iterations)

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        assertions = super()._parameter_control_dependencies(is_init)
        if assertions:
            for each in self._theta():
                assertions += number_assertions("theta", each)
        return assertions

    def _log_prob_inside(self, zeta: tf.Tensor) -> tf.Tensor:
        machine = self.boltzmann
        ratio = self._ratio(zeta)
        logits = self._mean_field_logits(ratio)
        m_left, m_right = (tf.math.sigmoid(each) for each in logits)
        entropy = tf.reduce_sum(bernoulli_entropy(tf.concat(logits, -1)), -1)
        log_r = self.smoothing.log_density_given_0(zeta, *self._theta())
        log_r += tf.concat([m_left, m_right], -1) * ratio
        log_r = tf.reduce_sum(log_r, -1)
        return entropy - energy(machine.rbm, m_left, m_right) + log_r - self._log_z

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        for_z, for_zeta = tfp.random.split_seed(seed, salt="overlapping_relaxation")
        z = self.boltzmann.sample(n, seed=for_z)
        rho = uniform(tf.shape(z), for_zeta, self.dtype, native=True)
        theta = self._theta()
        return tf.stop_gradient(keep_nan(self.smoothing.draw_given(z, rho, *theta), z, *theta))

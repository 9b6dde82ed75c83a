r"""The Gaussian integral relaxation of a Boltzmann machine (DVAE# paper, Sec. 3.2, Eq. 7).

With the symmetric [D, D] coupling matrix $\bar W$ and $A = \bar W + \beta I$, the smoothing $r(\zeta | z) =
\mathcal{N}(\zeta; z, A^{-1})$ cancels the couplings in the joint density, so that $z$ can be summed over:

$$
\log p(\zeta) = -\log Z + \frac{1}{2} \log \det \frac{A}{2 \pi} - \frac{1}{2} \zeta^\top A \zeta
+ \sum_i \log\left(1 + e^{a_i + (A \zeta)_i - \beta / 2}\right).
$$

$A$ must be positive definite. The smallest eigenvalue of $\bar W$ is at least $-\|\bar W\|_2$; of a
restricted machine it is minus the largest singular value $\|W\|_2$ of $W$, which is the same. So $\beta$ is
raised to that norm plus 5 if it is smaller (the margin is that of the published experiments).
"""

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from ..graphs import coupling_matrix
from ..products import matmul, matvec
from ..rbm import RBM, Machine
from ..support import REAL_LINE, as_number, as_scalar, in_dtype
from .boltzmann import MachineDistribution
from .boltzmann_prior import BoltzmannPrior
from .relaxed_machine import RelaxedMachine

MARGIN = 5.0
# Power iterations per step, which suffice to follow the largest singular value while W changes slowly.
_ITERATIONS_PER_STEP = 2


class GaussianIntegralRelaxation(RelaxedMachine):
    r"""A Boltzmann machine smoothed by correlated Gaussians, event shape [D], zeta real.

    `log_prob` is the log density in nats, as exact as the machine's log Z; differentiable in zeta, the
    biases, the weights, log Z and beta (where beta is raised, the sharpness in use is held fixed). `sample`
    draws z from the machine, then zeta.

    Args:
      boltzmann: the machine p(z), restricted or on a graph.
      beta: the requested sharpness; raised where A would not be positive definite.
      spectral_norm: $\|W\|_2$, or $\|\bar W\|_2$ on a graph, a scalar; None computes it.
      validate_args: whether to check that values and the parameters are finite.
    """

    def __init__(
        self,
        boltzmann: MachineDistribution,
        beta: Any,
        spectral_norm: Any = None,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "GaussianIntegralRelaxation",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name):
            self._beta = as_scalar("beta", beta, boltzmann.dtype)
            self._spectral_norm = as_scalar("spectral_norm", spectral_norm, boltzmann.dtype)
            super().__init__(
                boltzmann,
                validate_args=validate_args,
                allow_nan_stats=allow_nan_stats,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {
            "boltzmann": tfp.util.BatchedComponentProperties(),
            "beta": tfp.util.ParameterProperties(),
            "spectral_norm": tfp.util.ParameterProperties(),
        }

    @property
    def support(self) -> tuple[float, float]:
        """The real line."""
        return REAL_LINE

    @property
    def beta(self) -> Any:
        """The requested sharpness, as given."""
        return self._beta

    @property
    def sharpness(self) -> tf.Tensor:
        """The sharpness in use: beta, or the larger number that A requires, which is held fixed."""
        norm = self._spectral_norm
        if norm is None:
            norm = _spectral_norm(self.boltzmann.machine.map(tf.stop_gradient))
        smallest = tf.stop_gradient(in_dtype(norm, self.dtype)) + MARGIN
        return tf.maximum(in_dtype(self.beta, self.dtype), smallest)

    def _parameter_control_dependencies(self, is_init: bool) -> list[Any]:
        assertions = super()._parameter_control_dependencies(is_init)
        if assertions:
            beta = in_dtype(self.beta, self.dtype)
            assertions.append(tf.debugging.assert_all_finite(beta, "beta: expected a finite number"))
        return assertions

    def _log_prob_inside(self, zeta: tf.Tensor) -> tf.Tensor:
        machine, beta = self.boltzmann.machine, self.sharpness
        form = machine.form
        states = form.split(zeta)
        quadratics, terms = [], []
        for number, (state, bias) in enumerate(zip(states, form.biases, strict=True)):
            # A zeta, one color after the other.
            field = form.products(number, states) + beta * state
            quadratics.append(tf.reduce_sum(state * field, -1))
            terms.append(tf.reduce_sum(tf.math.softplus(bias + field - beta / 2), -1))
        quadratic, log_terms = tf.add_n(quadratics), tf.add_n(terms)
        log_normalizer = 0.5 * (_log_determinant(machine, beta) - machine.num_units * math.log(2.0 * math.pi))
        log_prob = log_normalizer - 0.5 * quadratic + log_terms - self._log_z
        # If zeta^T A zeta <= 2 beta |zeta|^2 overflows, the sum would be inf - inf.
        vanishes = tf.math.is_inf(2.0 * beta * tf.reduce_sum(zeta**2, -1))
        return tf.where(vanishes, tf.constant(-float("inf"), self.dtype), log_prob)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        for_z, for_zeta = tfp.random.split_seed(seed, salt="gaussian_integral")
        z = self.boltzmann.sample(n, seed=for_z)
        noise = tf.random.stateless_normal(tf.shape(z), for_zeta, dtype=self.dtype)
        root = tf.linalg.cholesky(_precision(self.boltzmann.machine, self.sharpness))
        # A = C C^T, so C^-T noise has covariance A^-1.
        correlated = tf.linalg.triangular_solve(root, tf.transpose(noise), adjoint=True)
        return tf.stop_gradient(z + tf.transpose(correlated))


def _couplings(machine: Machine) -> tf.Tensor:
    """The symmetric coupling matrix, [D, D]."""
    if not isinstance(machine, RBM):
        return coupling_matrix(machine.graph, machine.couplings)
    no_left, no_right = (tf.zeros([size, size], machine.dtype) for size in machine.weights.shape)
    rows = [no_left, machine.weights], [tf.transpose(machine.weights), no_right]
    return tf.concat([tf.concat(row, 1) for row in rows], 0)


def _precision(machine: Machine, beta: tf.Tensor) -> tf.Tensor:
    """A, [D, D]."""
    return _couplings(machine) + beta * tf.eye(machine.num_units, dtype=machine.dtype)


def _spectral_norm(machine: Machine) -> tf.Tensor:
    """The largest absolute eigenvalue of the coupling matrix: of W the largest singular value."""
    if isinstance(machine, RBM):
        return tf.linalg.svd(machine.weights, compute_uv=False)[0]
    return tf.reduce_max(tf.abs(tf.linalg.eigvalsh(_couplings(machine))))


def _log_determinant(machine: Machine, beta: tf.Tensor) -> tf.Tensor:
    """log det A; of a restricted machine by the Schur complement of the larger side's block.

    With S the size of the smaller side, det A = beta^(D - 2 S) det(beta^2 I - W W^T).
    """
    if not isinstance(machine, RBM):
        root = tf.linalg.cholesky(_precision(machine, beta))
        return 2.0 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(root)))
    rbm = machine
    weights = rbm.weights if rbm.num_left <= rbm.num_right else tf.transpose(rbm.weights)
    size = min(rbm.num_left, rbm.num_right)
    complement = beta**2 * tf.eye(size, dtype=rbm.dtype) - matmul(weights, weights, transpose_b=True)
    diagonal = tf.linalg.diag_part(tf.linalg.cholesky(complement))
    rest = abs(rbm.num_left - rbm.num_right)
    return rest * tf.math.log(beta) + 2.0 * tf.reduce_sum(tf.math.log(diagonal))


@keras.saving.register_keras_serializable("dvae_tf")
class GaussianIntegralPrior(BoltzmannPrior):
    r"""A `BoltzmannPrior` that returns the Gaussian integral relaxation.

    $\|W\|_2$, or $\|\bar W\|_2$ on a graph, is estimated by power iteration from a stored direction, two
    iterations per step of the chains.

    Args:
      num_left: L; None with a graph.
      num_right: R; None with a graph.
      beta: the requested sharpness.
      **kwargs: arguments of `BoltzmannPrior`.
    """

    def __init__(
        self, num_left: int | None = None, num_right: int | None = None, beta: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(num_left, num_right, **kwargs)
        self.beta = as_number("beta", beta, above=0.0)

    def _add_state(self) -> None:
        super()._add_state()
        self._direction = self._add_variable(
            name="spectral_direction",
            shape=(size := self._spectral_matrix().shape[1],),
            initializer=keras.initializers.Constant(size**-0.5),
            trainable=False,
        )

    def step_chains(self, replica: Any = 0) -> tuple[Any, tf.Tensor]:
        """One step of a replica's chains; also updates the stored direction of the largest singular value."""
        weights = self._spectral_matrix()
        direction = tf.convert_to_tensor(self._direction)
        for _ in range(_ITERATIONS_PER_STEP):
            direction = matvec(weights, matvec(weights, direction), transpose_a=True)
            # If W is 0 the direction stays.
            norm = tf.norm(direction)
            direction = tf.where(norm > 0, direction / norm, tf.convert_to_tensor(self._direction))
        self._direction.assign(direction)
        return super().step_chains(replica)

    def _spectral_matrix(self) -> tf.Tensor:
        """W, [L, R], or on a graph the symmetric coupling matrix, [D, D]."""
        machine = self.machine
        return machine.weights if isinstance(machine, RBM) else _couplings(machine)

    @property
    def spectral_norm(self) -> tf.Tensor:
        r"""$\|W\|_2$ along the stored direction, a lower bound that is close after a few steps."""
        return tf.norm(matvec(self._spectral_matrix(), tf.convert_to_tensor(self._direction)))

    def relax(self, machine: MachineDistribution) -> GaussianIntegralRelaxation:
        """The relaxation of the current machine."""
        return GaussianIntegralRelaxation(machine, self.beta, self.spectral_norm, self.validate_args)

    def diagnostics(self) -> dict[str, Any]:
        """The sharpness in use, and whether it was raised."""
        beta = float(self().sharpness)
        guard = {"prior_beta": beta, "prior_beta_raised": float(beta > self.beta)}
        return super().diagnostics() | guard

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"beta": self.beta}

r"""Boltzmann machines and smoothings of a few units, exactly: float64 NumPy, by enumeration and closed forms.

The oracle of the library's tests and of `gradient_study`, so it uses nothing of the library. Quantities are
in nats; the names are those of the library.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from scipy import special, stats

# Bits.


class Machine(NamedTuple):
    """Parameters of a restricted Boltzmann machine: [L], [R], [L, R], float64."""

    left_bias: np.ndarray
    right_bias: np.ndarray
    weights: np.ndarray

    def cast(self, dtype: Any) -> "Machine":
        """The parameters in another dtype."""
        return Machine(*(each.astype(dtype) for each in self))

    @property
    def num_left(self) -> int:
        """L."""
        return self.weights.shape[0]

    @property
    def num_units(self) -> int:
        """D = L + R."""
        return sum(self.weights.shape)


def binary_states(num_units: int) -> np.ndarray:
    """All binary vectors, [2^n, n]; the first unit changes slowest."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=num_units))).reshape(-1, num_units)


def symmetric_couplings(machine: Machine) -> np.ndarray:
    """W-bar, the symmetric [D, D] coupling matrix with zero diagonal blocks."""
    num_left = machine.num_left
    couplings = np.zeros((machine.num_units, machine.num_units))
    couplings[:num_left, num_left:] = machine.weights
    couplings[num_left:, :num_left] = machine.weights.T
    return couplings


def energy(machine: Machine, z: np.ndarray) -> np.ndarray:
    """E(z) of values [..., D], as the quadratic form of the symmetric coupling matrix."""
    z = np.asarray(z, np.float64)
    bias = np.concatenate([machine.left_bias, machine.right_bias])
    quadratic = np.einsum("...i,ij,...j->...", z, symmetric_couplings(machine), z)
    return -(z @ bias) - 0.5 * quadratic


def joint_log_probs(machine: Machine) -> tuple[np.ndarray, float]:
    """log p(z) of every state, [2^L, 2^R], and log Z: by enumeration of both sides."""
    left, right = binary_states(machine.num_left), binary_states(machine.weights.shape[1])
    negative_energies = (
        (left @ machine.left_bias)[:, np.newaxis]
        + right @ machine.right_bias
        + left @ machine.weights @ right.T
    )
    log_partition = special.logsumexp(negative_energies)
    return negative_energies - log_partition, log_partition


def log_partition(machine: Machine) -> float:
    """log Z by enumeration of both sides."""
    return joint_log_probs(machine)[1]


# Relaxed bits.


def relaxed_terms(machine: Machine, smoothing: Any, zeta: np.ndarray) -> np.ndarray:
    """log p(z) + log r(zeta | z), [N, D] gives [N, 2^D] in the order of `binary_states`."""
    zeta = np.atleast_2d(zeta)
    z = binary_states(machine.num_units)
    log_joint = joint_log_probs(machine)[0].ravel()
    given_0, given_1 = smoothing.log_density(zeta, 0), smoothing.log_density(zeta, 1)
    return log_joint + given_0 @ (1 - z).T + given_1 @ z.T


def relaxed_log_prob(machine: Machine, smoothing: Any, zeta: np.ndarray) -> np.ndarray:
    """log p(zeta) = log sum over z of p(z) r(zeta | z), by enumeration: [N, D] gives [N]."""
    return special.logsumexp(relaxed_terms(machine, smoothing, zeta), axis=1)


def mean_field(machine: Machine, smoothing: Any, zeta: np.ndarray, num_iterations: int = 5) -> np.ndarray:
    """m(z = 1) by alternating updates of the sides, from one half on the left: [N, D]."""
    ratio = smoothing.log_density_ratio(zeta)
    num_left = machine.num_left
    left = np.full(ratio[..., :num_left].shape, 0.5)
    for _ in range(num_iterations):
        right = special.expit(machine.right_bias + ratio[..., num_left:] + left @ machine.weights)
        left = special.expit(machine.left_bias + ratio[..., :num_left] + right @ machine.weights.T)
    return np.concatenate([left, right], -1)


def bound_at(machine: Machine, smoothing: Any, zeta: np.ndarray, m: np.ndarray) -> np.ndarray:
    """H(m) - E(m) + sum_i [(1 - m_i) log r(zeta_i | 0) + m_i log r(zeta_i | 1)] - log Z, [N]."""
    entropy = special.entr(m) + special.entr(1 - m)
    log_r = (1 - m) * smoothing.log_density(zeta, 0) + m * smoothing.log_density(zeta, 1)
    return (entropy + log_r).sum(-1) - energy(machine, m) - log_partition(machine)


# Smoothings.


class Mirrored:
    """The distribution of 1 - zeta, with the methods of scipy.stats."""

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution

    def logpdf(self, zeta: np.ndarray) -> np.ndarray:
        """The log density."""
        return self.distribution.logpdf(1 - zeta)

    def cdf(self, zeta: np.ndarray) -> np.ndarray:
        """The distribution function."""
        return self.distribution.sf(1 - zeta)

    def ppf(self, rho: np.ndarray) -> np.ndarray:
        """Its inverse."""
        return 1 - self.distribution.isf(rho)

    def mean(self) -> float:
        """The expectation."""
        return 1 - self.distribution.mean()


class Smoothing:
    """r(zeta | z), by default made of two distributions with the methods of scipy.stats."""

    support = (0.0, 1.0)

    def __init__(self, *distributions: Any) -> None:
        self.distributions = distributions

    def log_density(self, zeta: Any, z: int) -> np.ndarray:
        """log r(zeta | z)."""
        return self.distributions[z].logpdf(np.asarray(zeta, np.float64))

    def quantile(self, rho: Any, z: int) -> np.ndarray:
        """The inverse of R(zeta | z)."""
        return self.distributions[z].ppf(np.asarray(rho, np.float64))

    def log_density_ratio(self, zeta: Any) -> np.ndarray:
        """b(zeta) = log r(zeta | 1) - log r(zeta | 0), from the two densities."""
        return self.log_density(zeta, 1) - self.log_density(zeta, 0)


class PowerSmoothing(Smoothing):
    """r(zeta|0) = zeta^(1/beta - 1) / beta on [0, 1]; r(zeta|1) is its mirror image."""

    def __init__(self, beta: Any) -> None:
        super().__init__()
        self.beta = beta

    def log_density(self, zeta: Any, z: int) -> np.ndarray:
        """log r(zeta | z)."""
        zeta = np.asarray(zeta, np.float64)
        log_distance = np.log1p(-zeta) if z else np.log(zeta)
        return (1 / self.beta - 1) * log_distance - np.log(self.beta)

    def quantile(self, rho: Any, z: int) -> np.ndarray:
        """The inverse of R(zeta | z)."""
        rho = np.asarray(rho, np.float64)
        return 1 - (1 - rho) ** self.beta if z else rho**self.beta


class ExponentialSmoothing(Smoothing):
    """An exponential distribution truncated at 1, and its mirror image."""

    def __init__(self, beta: Any) -> None:
        decreasing = stats.truncexpon(beta, scale=1 / beta)
        super().__init__(decreasing, Mirrored(decreasing))

    def log_density(self, zeta: Any, z: int) -> np.ndarray:
        """log r(zeta | z); SciPy's distribution excludes its upper end."""
        zeta, inner = np.asarray(zeta, np.float64), np.finfo(np.float64).epsneg
        on_edge = (zeta >= 0) & (zeta <= 1)
        return super().log_density(np.where(on_edge, np.clip(zeta, inner, 1 - inner), zeta), z)

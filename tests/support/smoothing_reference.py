"""Float64 NumPy oracles of the smoothings: the distributions of scipy.stats, closed forms, bisection.

Nothing here uses TensorFlow or the library. An oracle of r(zeta | z) is built from its parameters,
which may be arrays; quantities are in nats; the names are those of the library.
"""

import functools
import itertools
import math

import numpy as np
from scipy import special, stats

from runners import exact_machine


def gauss_legendre(low, high, num_nodes):
    """Nodes and weights of an integral over [low, high]."""
    nodes, weights = _leggauss(num_nodes)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


_leggauss = functools.lru_cache(np.polynomial.legendre.leggauss)


def composite_quadrature(cuts, num_nodes=60):
    """Nodes and weights of an integral over the pieces between the cuts."""
    pieces = [gauss_legendre(*ends, num_nodes) for ends in itertools.pairwise(cuts)]
    return np.concatenate(pieces, 1)


def bisect(cdf, rho, low, high, num_steps):
    """The zeta in [low, high] with cdf(zeta) = rho."""
    for _ in range(num_steps):
        middle = 0.5 * (low + high)
        below = cdf(middle) < rho
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


# --------------------------------------------------------------------------- r(zeta | z)


class Smoothing(exact_machine.Smoothing):
    """r(zeta | z), by default made of two distributions with the methods of scipy.stats."""

    bisections = 70

    def cdf(self, zeta, z):
        """R(zeta | z)."""
        return self.distributions[z].cdf(np.asarray(zeta, np.float64))

    def mean(self, z):
        """E[zeta | z]."""
        return self.distributions[z].mean()

    def quadrature(self):
        """Nodes and weights of an integral over zeta, and the ends of its range."""
        return *composite_quadrature([0.0, 0.5, 1.0]), (0.0, 1.0)


class PowerSmoothing(exact_machine.PowerSmoothing, Smoothing):
    """r(zeta|0) = zeta^(1/beta - 1) / beta on [0, 1]; r(zeta|1) is its mirror image."""

    # Quantiles may be as small as 1e-51.
    bisections = 200

    def cdf(self, zeta, z):
        """R(zeta | z)."""
        zeta = np.asarray(zeta, np.float64)
        return 1 - (1 - zeta) ** (1 / self.beta) if z else zeta ** (1 / self.beta)

    def mean(self, z):
        """E[zeta | z]: those of Beta(1/beta, 1) and Beta(1, 1/beta)."""
        return self.beta / (1 + self.beta) if z else 1 / (1 + self.beta)

    def mean_derivative(self, z):
        """d E[zeta | z] / d beta."""
        return (1 if z else -1) / (1 + self.beta) ** 2

    def quadrature(self, gap=2.0**-30, num_nodes=60):
        """Nodes and weights of an integral over zeta in [0, 1 - gap].

        zeta = u^beta below one half and 1 - zeta = u^beta above it take the two vertices out of the
        integrand. Floats resolve the vertex at 0 but not the one at 1: hence the gap.
        """
        top = 0.5 ** (1 / self.beta)
        u, du = gauss_legendre(0.0, top, num_nodes)
        v, dv = gauss_legendre(gap ** (1 / self.beta), top, num_nodes)
        jacobian_u, jacobian_v = (self.beta * x ** (self.beta - 1) for x in (u, v))
        nodes = np.concatenate([u**self.beta, 1 - v**self.beta])
        return nodes, np.concatenate([du * jacobian_u, dv * jacobian_v]), (0.0, 1 - gap)


class ExponentialSmoothing(exact_machine.ExponentialSmoothing, Smoothing):
    """An exponential distribution truncated at 1, and its mirror image."""


class SpikeExponentialSmoothing(ExponentialSmoothing):
    """A point mass at 0 given z = 0; densities are with respect to delta_0 + Lebesgue measure."""

    def log_density(self, zeta, z):
        """log r(zeta | z)."""
        at_spike = np.equal(zeta, 0)
        if z:
            return np.where(at_spike, -np.inf, super().log_density(zeta, 1))
        return np.where(at_spike, 0.0, -np.inf)

    def cdf(self, zeta, z):
        """R(zeta | z)."""
        return super().cdf(zeta, 1) if z else np.where(np.greater_equal(zeta, 0), 1.0, 0.0)

    def quantile(self, rho, z):
        """The inverse of R(zeta | z)."""
        return super().quantile(rho, 1) if z else np.zeros_like(rho, np.float64)

    def mean(self, z):
        """E[zeta | z]."""
        return super().mean(1) if z else 0.0


class UniformExponentialSmoothing(ExponentialSmoothing):
    """0.95 of an exponential smoothing and 0.05 of a uniform one."""

    def log_density(self, zeta, z):
        """log r(zeta | z)."""
        uniform = stats.uniform.logpdf(zeta)
        return np.logaddexp(math.log(0.95) + super().log_density(zeta, z), math.log(0.05) + uniform)

    def cdf(self, zeta, z):
        """R(zeta | z)."""
        return 0.95 * super().cdf(zeta, z) + 0.05 * stats.uniform.cdf(zeta)

    def quantile(self, rho, z):
        """The inverse of R(zeta | z)."""
        rho = np.asarray(rho, np.float64)
        return bisect(
            lambda zeta: self.cdf(zeta, z), rho, np.zeros_like(rho), np.ones_like(rho), self.bisections
        )

    def mean(self, z):
        """E[zeta | z]."""
        return 0.95 * super().mean(z) + 0.05 * 0.5


class RealSmoothing(Smoothing):
    """Distributions on the whole line."""

    support = (-np.inf, np.inf)

    def quadrature(self):
        """Nodes and weights of an integral over zeta, and the ends of its range."""
        low, high = self.distributions[0].ppf(1e-12), self.distributions[1].isf(1e-12)
        cuts = [low, 0.5 * low, 0.0, 0.5, 1.0, 1 + 0.5 * (high - 1), high]
        return *composite_quadrature(cuts), (low, high)


class LogisticSmoothing(RealSmoothing):
    """Logistic distributions of scale 1/beta around 0 and 1."""

    def __init__(self, beta):
        super().__init__(stats.logistic(0.0, 1 / beta), stats.logistic(1.0, 1 / beta))


class ShiftedGaussianSmoothing(RealSmoothing):
    """Normal distributions around `shift` and 1 + `shift`, of standard deviation `scale`."""

    def __init__(self, shift, scale):
        super().__init__(stats.norm(shift, scale), stats.norm(1 + shift, scale))


class GaussianSmoothing(ShiftedGaussianSmoothing):
    """Normal distributions of variance 1/beta around 0 and 1."""

    def __init__(self, beta):
        super().__init__(0.0, beta**-0.5)


# --------------------------------------------------------------------------- the mixture over the bit


def mixture_log_density(smoothing, zeta, logits):
    """log of (1 - q) r(zeta | 0) + q r(zeta | 1)."""
    return np.logaddexp(
        special.log_expit(-np.asarray(logits)) + smoothing.log_density(zeta, 0),
        special.log_expit(logits) + smoothing.log_density(zeta, 1),
    )


def mixture_cdf(smoothing, zeta, logits):
    """(1 - q) R(zeta | 0) + q R(zeta | 1)."""
    probs = special.expit(logits)
    return (1 - probs) * smoothing.cdf(zeta, 0) + probs * smoothing.cdf(zeta, 1)


def mixture_quantile(smoothing, rho, logits):
    """The inverse CDF of the mixture by bisection between the quantiles of its two components."""
    rho, logits = np.broadcast_arrays(np.asarray(rho, np.float64), np.asarray(logits, np.float64))
    ends = smoothing.quantile(rho, 0), smoothing.quantile(rho, 1)
    ends = np.minimum(*ends), np.maximum(*ends)
    return bisect(lambda zeta: mixture_cdf(smoothing, zeta, logits), rho, *ends, smoothing.bisections)


def mixture_mean(smoothing, logits):
    """(1 - q) E[zeta | 0] + q E[zeta | 1]."""
    probs = special.expit(logits)
    return (1 - probs) * smoothing.mean(0) + probs * smoothing.mean(1)


class ConcreteRelaxation:
    """logit(zeta) is logistic around l / temperature, of scale 1 / temperature: no r(zeta | z)."""

    support = (0.0, 1.0)

    def __init__(self, temperature):
        self.temperature = temperature

    def _conditional(self, logits):
        return stats.logistic(np.asarray(logits) / self.temperature, 1 / self.temperature)

    def log_density(self, zeta, logits):
        """log q(zeta), with the Jacobian of the logit."""
        return self._conditional(logits).logpdf(special.logit(zeta)) - np.log(zeta) - np.log1p(-zeta)

    def cdf(self, zeta, logits):
        """The CDF of q(zeta)."""
        return self._conditional(logits).cdf(special.logit(zeta))

    def quantile(self, rho, logits):
        """The inverse CDF of q(zeta)."""
        return special.expit(self._conditional(logits).ppf(rho))

    def mean(self, logits):
        """E[zeta]: the trapezoidal rule over the logistic noise."""
        noise, step = np.linspace(-45, 45, 20_001, retstep=True)
        zeta = special.expit((np.asarray(logits)[..., np.newaxis] + noise) / self.temperature)
        return (zeta * stats.logistic.pdf(noise)).sum(-1) * step

    def quadrature(self, gap=2.0**-30):
        """Nodes and weights of an integral over zeta in [gap, 1 - gap], equal pieces of logit(zeta)."""
        x, dx = composite_quadrature(np.linspace(special.logit(gap), -special.logit(gap), 9))
        nodes = special.expit(x)
        return nodes, dx * nodes * special.expit(-x), (gap, 1 - gap)

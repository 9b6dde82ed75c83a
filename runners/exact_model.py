"""Training objectives of every system, exactly: float64 NumPy on models of a few units.

The expectation over the posterior is a sum over z (where there is one) and a quadrature over zeta given z,
unit by unit, each group conditioned on the relaxed values of those before. KL terms are written down as
what they are the average of, log q - log p, not in the closed forms of the library. The oracle of the
library's tests and of `gradient_study`, so it uses nothing of the library.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special, stats

from . import exact_machine

Parameters = dict[str, np.ndarray]


# One unit.


@dataclasses.dataclass(frozen=True)
class Unit:
    """Quadrature over one relaxed bit.

    `nodes(logits, shift, scale)` gives lists of (z or None, log weight [N], zeta [N]); the weights of the
    nodes sum to 1 for every N.
    """

    nodes: Callable[[np.ndarray, Any, Any], list]
    log_density: Callable[[np.ndarray, np.ndarray, Any, Any], Any]


def smoothed(smoothing: Any, nodes: tuple[np.ndarray, np.ndarray]) -> Unit:
    """A mixture over the bit; `nodes` are levels rho in (0, 1) of R(zeta | z) and their weights."""
    levels, weights = nodes
    zetas = [[float(smoothing.quantile(rho, z)) for rho in levels] for z in (0, 1)]
    if smoothing.support == (0.0, 1.0):
        # Sharp powers round to 1, where the density is infinite.
        zetas = [[min(max(zeta, 1e-300), 1 - 2.0**-53) for zeta in given] for given in zetas]

    def of(logits: np.ndarray, shift: Any, scale: Any) -> list:
        del shift, scale
        return [
            (
                z,
                special.log_expit(logits if z else -logits) + np.log(weight),
                np.full(logits.shape, zeta),
            )
            for z in (0, 1)
            for zeta, weight in zip(zetas[z], weights, strict=True)
        ]

    def density(zeta: np.ndarray, logits: np.ndarray, shift: Any, scale: Any) -> np.ndarray:
        del shift, scale
        return np.logaddexp(
            special.log_expit(-logits) + smoothing.log_density(zeta, 0),
            special.log_expit(logits) + smoothing.log_density(zeta, 1),
        )

    return Unit(of, density)


def spiked(beta: float, nodes: tuple[np.ndarray, np.ndarray]) -> Unit:
    """The spike for z = 0, the exponential density for z = 1."""
    zetas = 1 - stats.truncexpon(b=beta, scale=1 / beta).ppf(1 - nodes[0])

    def of(logits: np.ndarray, shift: Any, scale: Any) -> list:
        del shift, scale
        return [(0, special.log_expit(-logits), np.zeros_like(logits))] + [
            (1, special.log_expit(logits) + np.log(weight), np.full(logits.shape, zeta))
            for zeta, weight in zip(zetas, nodes[1], strict=True)
        ]

    return Unit(of, lambda *_: np.nan)


def shifted_gaussian(num_nodes: int) -> Unit:
    """N(z + shift, scale^2), by Gauss-Hermite nodes."""
    points, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    weights = weights / weights.sum()

    def of(logits: np.ndarray, shift: np.ndarray, scale: float) -> list:
        return [
            (z, special.log_expit(logits if z else -logits) + np.log(weight), z + shift + scale * point)
            for z in (0, 1)
            for point, weight in zip(points, weights, strict=True)
        ]

    def density(zeta: np.ndarray, logits: np.ndarray, shift: np.ndarray, scale: float) -> np.ndarray:
        return np.logaddexp(
            special.log_expit(-logits) + stats.norm.logpdf(zeta, shift, scale),
            special.log_expit(logits) + stats.norm.logpdf(zeta, 1 + shift, scale),
        )

    return Unit(of, density)


def bits() -> Unit:
    """The bit itself, without relaxation."""

    def of(logits: np.ndarray, shift: Any, scale: Any) -> list:
        del shift, scale
        return [
            (z, special.log_expit(logits if z else -logits), np.full(logits.shape, float(z))) for z in (0, 1)
        ]

    return Unit(of, lambda *_: np.nan)


def concrete(temperature: float, num_nodes: int) -> Unit:
    """sigmoid((l + logit rho) / temperature); the logistic noise by Gauss-Legendre on logit rho."""
    points, weights = reference_nodes(-18.0, 18.0, num_nodes)
    weights = weights * stats.logistic.pdf(points)
    weights = weights / weights.sum()

    def of(logits: np.ndarray, shift: Any, scale: Any) -> list:
        del shift, scale
        return [
            (None, np.full(logits.shape, np.log(weight)), special.expit((logits + point) / temperature))
            for point, weight in zip(points, weights, strict=True)
        ]

    def density(zeta: np.ndarray, logits: np.ndarray, shift: Any, scale: Any) -> np.ndarray:
        del shift, scale
        return concrete_log_density(zeta, logits, temperature)

    return Unit(of, density)


def concrete_log_density(zeta: np.ndarray, logits: np.ndarray, temperature: float) -> np.ndarray:
    """log density of zeta on (0, 1)."""
    noise = temperature * special.logit(zeta) - logits
    return stats.logistic.logpdf(noise) + np.log(temperature) - np.log(zeta) - np.log1p(-zeta)


def reference_nodes(low: float, high: float, num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [low, high]."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    return low + (high - low) * (nodes + 1) / 2, weights * (high - low) / 2


# The posterior.


@dataclasses.dataclass
class Grid:
    """All nodes of the posterior of one image: [N] and [N, D]."""

    log_weight: np.ndarray
    z: np.ndarray
    zeta: np.ndarray
    logits: np.ndarray
    log_q_z: np.ndarray
    log_q_zeta: np.ndarray


def posterior_grid(parameters: Parameters, x: np.ndarray, unit: Unit, num_groups: int) -> Grid:
    """Nodes over all units, one after the other."""
    empty = np.zeros((1, 0))
    grid = Grid(np.zeros(1), empty, empty, empty, np.zeros(1), np.zeros(1))
    for group in range(num_groups):
        outputs = parameters[f"encoder_{group}/x"].T @ x + parameters[f"encoder_{group}/bias"]
        outputs = outputs + np.zeros((len(grid.log_weight), 1))
        if group:
            outputs = outputs + grid.zeta @ parameters[f"encoder_{group}/before"]
        scale = parameters.get(f"scale_{group}")
        units = outputs.shape[1] // (1 if scale is None else 2)
        for index in range(units):
            logits = outputs[:, index]
            shift = None if scale is None else 0.5 * (special.expit(outputs[:, units + index]) - 0.5)
            width = None if scale is None else 0.05 + abs(0.2 * scale[index])
            grid, outputs = _expand(grid, outputs, unit, logits, shift, width)
    return grid


def _expand(grid: Grid, outputs: np.ndarray, unit: Unit, logits: Any, shift: Any, width: Any) -> tuple:
    parts = []
    for z, log_weight, zeta in unit.nodes(logits, shift, width):
        bit = np.full(logits.shape, np.nan if z is None else float(z))
        log_q_z = np.nan if z is None else special.log_expit(logits if z else -logits)
        # Infinite where a Concrete zeta rounds to a vertex, and then used by no objective.
        with np.errstate(divide="ignore", invalid="ignore"):
            log_density = unit.log_density(zeta, logits, shift, width)
        parts.append(
            Grid(
                grid.log_weight + log_weight,
                np.column_stack([grid.z, bit]),
                np.column_stack([grid.zeta, zeta]),
                np.column_stack([grid.logits, logits]),
                grid.log_q_z + log_q_z,
                grid.log_q_zeta + log_density,
            )
        )
    joined = Grid(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Grid))
    )
    return joined, np.concatenate([outputs] * len(parts))


# Log p and KL terms.


def machine(parameters: Parameters) -> exact_machine.Machine:
    """The Boltzmann machine of the parameters."""
    return exact_machine.Machine(parameters["left_bias"], parameters["right_bias"], parameters["weights"])


def log_likelihood(parameters: Parameters, x: np.ndarray, code: np.ndarray) -> np.ndarray:
    """log p(x | code) of Bernoulli pixels, [N]."""
    logits = code @ parameters["decoder/kernel"] + parameters["decoder/bias"]
    return (x * special.log_expit(logits) + (1 - x) * special.log_expit(-logits)).sum(1)


def directed_logits(parameters: Parameters, code: np.ndarray) -> np.ndarray:
    """Log-odds of a directed prior, one group or two."""
    first = np.broadcast_to(parameters["first_logits"], (len(code), len(parameters["first_logits"])))
    if "prior_1/kernel" not in parameters:
        return first
    units = first.shape[1]
    return np.column_stack(
        [first, code[:, :units] @ parameters["prior_1/kernel"] + parameters["prior_1/bias"]]
    )


def boltzmann_bits(parameters: Parameters, grid: Grid) -> np.ndarray:
    """log q(z | x, zeta_<) - log p(z) at the bits of the grid."""
    prior = machine(parameters)
    return grid.log_q_z + exact_machine.energy(prior, grid.z) + exact_machine.log_partition(prior)


def directed_bits(parameters: Parameters, grid: Grid) -> np.ndarray:
    """log q(z | x, zeta_<) - log p(z | zeta_<) at the bits of the grid."""
    logits = directed_logits(parameters, grid.zeta)
    return grid.log_q_z - (grid.z * logits - np.logaddexp(0, logits)).sum(1)


def directed_divergence(parameters: Parameters, grid: Grid) -> np.ndarray:
    """sum_i q log(q / p) + (1 - q) log((1 - q) / (1 - p)), given zeta_<."""
    q, p = special.expit(grid.logits), special.expit(directed_logits(parameters, grid.zeta))
    return (special.rel_entr(q, p) + special.rel_entr(1 - q, 1 - p)).sum(1)


def overlapping(smoothing: Any, exact: bool) -> Callable[[Parameters, Grid], np.ndarray]:
    """log q(zeta) - log p(zeta), p by enumeration or by the converged mean-field bound."""

    def term(parameters: Parameters, grid: Grid) -> np.ndarray:
        prior = machine(parameters)
        if exact:
            return grid.log_q_zeta - exact_machine.relaxed_log_prob(prior, smoothing, grid.zeta)
        m = exact_machine.mean_field(prior, smoothing, grid.zeta, 60)
        return grid.log_q_zeta - exact_machine.bound_at(prior, smoothing, grid.zeta, m)

    return term


def gaussian_integral(beta: float) -> Callable[[Parameters, Grid], np.ndarray]:
    """log q(zeta) - log sum_z p(z) N(zeta; z, (W- + beta I)^-1), the sum by enumeration."""

    def term(parameters: Parameters, grid: Grid) -> np.ndarray:
        prior = machine(parameters)
        precision = exact_machine.symmetric_couplings(prior) + beta * np.eye(prior.num_units)
        z = exact_machine.binary_states(prior.num_units)
        log_p = exact_machine.joint_log_probs(prior)[0].ravel()
        distance = grid.zeta[:, np.newaxis] - z
        quadratic = np.einsum("nsi,ij,nsj->ns", distance, precision, distance)
        log_det = np.linalg.slogdet(precision / (2 * np.pi))[1]
        return grid.log_q_zeta - special.logsumexp(log_p + 0.5 * (log_det - quadratic), axis=1)

    return term


def relaxed_directed(temperature: float) -> Callable[[Parameters, Grid], np.ndarray]:
    """log q(zeta) - log p(zeta), Concrete densities on both sides."""

    def term(parameters: Parameters, grid: Grid) -> np.ndarray:
        logits = directed_logits(parameters, grid.zeta)
        return grid.log_q_zeta - concrete_log_density(grid.zeta, logits, temperature).sum(1)

    return term


def gumbolt(parameters: Parameters, grid: Grid) -> np.ndarray:
    """GumBolt paper, Eq. 9."""
    prior, q = machine(parameters), special.expit(grid.logits)
    log_q = (grid.zeta * np.log(q) + (1 - grid.zeta) * np.log1p(-q)).sum(1)
    return log_q + exact_machine.energy(prior, grid.zeta) + exact_machine.log_partition(prior)


# Objectives.


def elbo(
    parameters: Parameters,
    x: np.ndarray,
    unit: Unit,
    kl: Callable[[Parameters, Grid], np.ndarray],
    num_groups: int,
) -> float:
    """E_q[log p(x | zeta) - KL term]: what one sample of any bound is the estimate of."""
    grid = posterior_grid(parameters, x, unit, num_groups)
    integrand = log_likelihood(parameters, x, grid.zeta) - kl(parameters, grid)
    return float(np.exp(grid.log_weight) @ integrand)


def importance_weighted(
    parameters: Parameters,
    x: np.ndarray,
    unit: Unit,
    kl: Callable[[Parameters, Grid], np.ndarray],
    num_groups: int,
    num_samples: int,
) -> float:
    """E over K independent samples of log (w_1 + ... + w_K) / K, over all K-tuples of nodes."""
    grid = posterior_grid(parameters, x, unit, num_groups)
    log_w = log_likelihood(parameters, x, grid.zeta) - kl(parameters, grid)
    weight = np.exp(grid.log_weight)
    log_sum, joint = log_w, weight
    for _ in range(num_samples - 1):
        log_sum = np.logaddexp(log_sum[..., np.newaxis], log_w)
        joint = joint[..., np.newaxis] * weight
    return float((joint * (log_sum - np.log(num_samples))).sum())


def discrete_elbo(parameters: Parameters, x: np.ndarray, num_groups: int, directed: bool = False) -> float:
    """The ELBO of the model of bits: what every relaxation tends to."""
    return elbo(parameters, x, bits(), directed_bits if directed else boltzmann_bits, num_groups)


def gradient(
    objective: Callable[[Parameters], float], parameters: Parameters, step: float = 1e-4
) -> Parameters:
    """Central differences in every parameter."""
    result = {}
    for name, value in parameters.items():
        slopes = np.zeros(value.shape)
        for index in np.ndindex(value.shape):
            ends = []
            for sign in (1, -1):
                moved = value.copy()
                moved[index] += sign * step
                ends.append(objective({**parameters, name: moved}))
            slopes[index] = (ends[0] - ends[1]) / (2 * step)
        result[name] = slopes
    return result

"""How far each relaxed objective's gradient is from the one it stands for, as the relaxation sharpens.

Every number is a difference of two exact gradients (`exact_model`), so there is no noise: relative norms over
all parameters of a machine of 1 + 1 units under linear networks, in one group and in two.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special, stats

from . import exact_machine
from . import exact_model as exact

X = np.array([1.0, 0.0, 1.0])
BETAS = (2.0, 4.0, 8.0, 16.0, 32.0)
# Seed of the parameters.
SEED = 5
TEMPERATURES = (1.0, 0.5, 0.25, 0.125)


def parameters(num_groups: int, directed: bool = False, seed: int = SEED) -> exact.Parameters:
    """Linear networks of two units, far from their start."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return 0.8 * rng.normal(size=shape)

    units = 2 // num_groups
    values = {"decoder/kernel": draw(2, 3), "decoder/bias": draw(3)}
    for group in range(num_groups):
        values |= {f"encoder_{group}/x": draw(3, units), f"encoder_{group}/bias": draw(units)}
    if num_groups == 2:
        values["encoder_1/before"] = draw(1, 1)
    if directed:
        values["first_logits"] = draw(units)
        if num_groups == 2:
            values |= {"prior_1/kernel": draw(1, 1), "prior_1/bias": draw(1)}
    else:
        values |= {"left_bias": draw(1), "right_bias": draw(1), "weights": 1.5 * draw(1, 1)}
    return values


def levels(num_nodes: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Levels rho of a quadrature, crowded toward 0 and 1, where sharp quantiles move."""
    points, weights = exact.reference_nodes(-16.0, 16.0, num_nodes)
    weights = weights * stats.logistic.pdf(points)
    return special.expit(points), weights / weights.sum()


def distance(found: exact.Parameters, expected: exact.Parameters) -> float:
    """|found - expected| / |expected| over all parameters."""
    flat = [np.concatenate([each[name].ravel() for name in expected]) for each in (found, expected)]
    return float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1]))


def bias(
    start: exact.Parameters,
    unit: exact.Unit,
    kl: Callable[[exact.Parameters, exact.Grid], Any],
    target: Callable[[exact.Parameters], float],
    num_groups: int,
) -> float:
    """The distance of the gradient of E_q[log p(x | zeta) - kl] from that of the target."""
    found = exact.gradient(lambda moved: exact.elbo(moved, X, unit, kl, num_groups), start)
    return distance(found, exact.gradient(target, start))


def mean_field(smoothing: Callable[[float], Any], beta: float, num_groups: int) -> float:
    """Of the mean-field prior, from the same relaxation with the exact log p(zeta)."""
    unit = exact.smoothed(smoothing(beta), levels())
    exactly = exact.overlapping(smoothing(beta), exact=True)
    return bias(
        parameters(num_groups),
        unit,
        exact.overlapping(smoothing(beta), exact=False),
        lambda moved: exact.elbo(moved, X, unit, exactly, num_groups),
        num_groups,
    )


def overlapping(smoothing: Callable[[float], Any], beta: float, num_groups: int) -> float:
    """Of the overlapping relaxation, from the ELBO of the bits."""
    return bias(
        parameters(num_groups),
        exact.smoothed(smoothing(beta), levels()),
        exact.overlapping(smoothing(beta), exact=False),
        lambda moved: exact.discrete_elbo(moved, X, num_groups),
        num_groups,
    )


def gumbolt(temperature: float, num_groups: int) -> float:
    """Of GumBolt's proxy, from the ELBO of the bits."""
    return bias(
        parameters(num_groups),
        exact.concrete(temperature, 240),
        exact.gumbolt,
        lambda moved: exact.discrete_elbo(moved, X, num_groups),
        num_groups,
    )


def gumbel_softmax(temperature: float, num_groups: int) -> float:
    """Of the Gumbel-Softmax surrogate, from the ELBO of the bits."""
    return bias(
        parameters(num_groups, directed=True),
        exact.concrete(temperature, 240),
        exact.directed_divergence,
        lambda moved: exact.discrete_elbo(moved, X, num_groups, directed=True),
        num_groups,
    )


SERIES: dict[str, tuple[tuple[float, ...], Callable[[float, int], float]]] = {
    "mean field, power": (
        BETAS,
        lambda beta, groups: mean_field(exact_machine.PowerSmoothing, beta, groups),
    ),
    "mean field, exponential": (
        BETAS,
        lambda beta, groups: mean_field(exact_machine.ExponentialSmoothing, beta, groups),
    ),
    "overlapping relaxation, power": (
        BETAS,
        lambda beta, groups: overlapping(exact_machine.PowerSmoothing, beta, groups),
    ),
    "overlapping relaxation, exponential": (
        BETAS,
        lambda beta, groups: overlapping(exact_machine.ExponentialSmoothing, beta, groups),
    ),
    "GumBolt": (TEMPERATURES, gumbolt),
    "Gumbel-Softmax": (TEMPERATURES, gumbel_softmax),
}


def all_biases() -> dict[str, dict[str, float]]:
    """The biases of every series by sharpness, for one group and for two; two minutes."""
    return {
        f"{name}, {groups} group{'s' * (groups > 1)}": {
            f"{sharpness:g}": series(sharpness, groups) for sharpness in sharpnesses
        }
        for name, (sharpnesses, series) in SERIES.items()
        for groups in (1, 2)
    }

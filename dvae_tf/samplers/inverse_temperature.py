r"""The inverse temperature at which somebody's sampler draws, from its states.

Hardware that is sent a machine with energy $E$ draws from $\exp(-\beta_\text{eff} E(z)) / Z$ at a temperature
of its own. The pseudo-likelihood of states needs no Z.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy import special

from ..graphs import Graph, check_graph, local_fields
from ..support import as_count

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-10


class BetaEstimate(NamedTuple):
    """An inverse temperature relative to given parameters, and its standard error.

    Attributes:
      beta_eff: 1 where the states are draws of the machine itself; NaN where they do not determine it.
      standard_error: infinite where they do not determine it.
    """

    beta_eff: float
    standard_error: float


def estimate_beta(graph: Graph, biases: Any, couplings: Any, z: Any, batch_size: int = 1) -> BetaEstimate:
    r"""Estimates the inverse temperature of states by maximum pseudo-likelihood (Besag, 1975).

    $$
    \hat\beta = \mathrm{argmax}_\beta \sum_s \ell_s(\beta), \qquad
    \ell_s(\beta) = \sum_i \log \sigma\big((2 z_i - 1) \, \beta \, (a_i + (\bar W z)_i)\big)
    $$

    over the states $s$. The sum is concave. As the terms of one state depend on each other, the standard
    error is the sandwich of the scores $g_s = \ell_s'(\hat\beta)$ and the information
    $H_s = -\ell_s''(\hat\beta)$,

    $$
    \sqrt{\textstyle\frac{S}{S - 1} \sum_s g_s^2} \Big/ \sum_s H_s .
    $$

    Consistent for draws of $\exp(-\beta E) / Z$; where the states follow no such distribution, it is the best
    fit of the conditionals. No gradient flows.

    Args:
      graph: the graph; that of a restricted machine, with its biases and couplings, is `rbm.to_graph(*rbm)`.
      biases: [D], nats.
      couplings: [M], nats.
      z: [S, D], states, zeros and ones.
      batch_size: of states that depend on each other, such as successive ones of a chain, so many consecutive
        ones at a time count as one s of the error. They should be longer than the dependence.

    Returns:
      The estimate; NaN and infinity if all fields are 0, all bits are on the side of their field or all on
      the other, or all states are the same.

    Raises:
      ValueError: if a shape is wrong, `z` is not bits, or there are fewer than two batches.
    """
    check_graph(graph)
    z = np.asarray(z, np.float64)
    if z.ndim != 2 or z.shape[1] != graph.num_units:
        raise ValueError(f"z: expected shape [S, {graph.num_units}], got {z.shape}")
    if not np.isin(z, (0, 1)).all():
        raise ValueError("z: expected zeros and ones")
    batch_size = as_count("batch_size", batch_size)
    starts = np.arange(0, len(z), batch_size)
    if len(starts) < 2:
        raise ValueError(f"batch_size: expected two batches or more of the {len(z)} states, got {batch_size}")
    biases, couplings = (tf.constant(np.asarray(each, np.float64)) for each in (biases, couplings))
    margins = (2 * z - 1) * local_fields(graph, biases, couplings, z).numpy()
    if np.all(z == z[0]) or not margins.min() < 0 < margins.max():
        return BetaEstimate(np.nan, np.inf)
    beta, scores, information = _maximum(margins)
    score = np.add.reduceat(scores, starts)
    variance = len(starts) / (len(starts) - 1) * np.sum(score**2)
    return BetaEstimate(float(beta), float(np.sqrt(variance) / information))


def _maximum(margins: np.ndarray) -> tuple[float, np.ndarray, float]:
    """The maximum over beta of the sum of log sigmoid(beta margins); scores of the states, information.

    By Newton's steps from 0. The information falls with the distance from 0, so they approach the maximum
    from one side and cannot leave it behind.
    """
    beta = 0.0
    for _ in range(_MAX_ITERATIONS):
        against = special.expit(-beta * margins)
        scores = np.sum(margins * against, 1)
        information = np.sum(margins**2 * against * (1 - against))
        step = scores.sum() / information
        if abs(step) <= _TOLERANCE * (1 + abs(beta)):
            break
        beta += step
    return beta, scores, information

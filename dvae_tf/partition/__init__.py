r"""$\log Z$ with error bars: by enumeration, annealing, bridge sampling, or from both sides.

Every estimator returns a `LogPartition`. `estimate` chooses the method: exact where that is fast, otherwise
annealing from one side or from both.
"""

from typing import Any

import tensorflow as tf

from .. import rbm
from .ais import AnnealedChains, annealed_importance_sampling, reverse_annealed_importance_sampling
from .bridge import LogRatio, TemperedLadders, bennett, bridge_sampling
from .estimate import BothSides, estimate
from .log_partition import Criterion, LogPartition
from .population import population_annealing


def exact(left_bias: Any, right_bias: Any, weights: Any, temperature: float = 1.0) -> tf.Tensor:
    r"""$\log Z$ in nats by enumeration, a scalar; differentiable once (`rbm.exact.log_partition`).

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R], min(L, R) at most 25.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.

    Raises:
      ValueError: if the smaller side has more than 25 units, or shapes disagree.
    """
    return rbm.exact.log_partition(rbm.as_rbm(left_bias, right_bias, weights, temperature))


__all__ = [
    "AnnealedChains",
    "BothSides",
    "Criterion",
    "LogPartition",
    "LogRatio",
    "TemperedLadders",
    "annealed_importance_sampling",
    "bennett",
    "bridge_sampling",
    "estimate",
    "exact",
    "population_annealing",
    "reverse_annealed_importance_sampling",
]

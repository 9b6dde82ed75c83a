"""log Z with error bars: enumerated, annealed, bridged, and an estimate that says whether to believe it.

Every estimate has `log_partition`, `standard_error`, `effective_sample_size` and `converged`, a verdict;
`estimate` puts log Z between two sides.
"""

from typing import Any

import tensorflow as tf

from .. import rbm
from .ais import AISEstimate, annealed_importance_sampling, reverse_annealed_importance_sampling
from .bridge import BridgeEstimate, LogRatio, bennett, bridge_sampling
from .estimate import Estimate, estimate
from .population import PopulationEstimate, population_annealing


def exact(left_bias: Any, right_bias: Any, weights: Any, temperature: float = 1.0) -> tf.Tensor:
    """Log Z in nats by enumeration, a scalar; differentiable once (`rbm.exact.log_partition`).

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R], min(L, R) at most 25.
      temperature: T of p(z) = exp(-E(z) / T) / Z.

    Raises:
      ValueError: if the smaller side has more than 25 units, or shapes disagree.
    """
    return rbm.exact.log_partition(rbm.as_rbm(left_bias, right_bias, weights, temperature))


__all__ = [
    "AISEstimate",
    "BridgeEstimate",
    "Estimate",
    "LogRatio",
    "PopulationEstimate",
    "annealed_importance_sampling",
    "bennett",
    "bridge_sampling",
    "estimate",
    "exact",
    "population_annealing",
    "reverse_annealed_importance_sampling",
]

"""log Z with error bars: by enumeration, and by annealed importance sampling."""

from typing import Any

import tensorflow as tf

from .. import rbm
from .ais import AISEstimate, annealed_importance_sampling


def exact(left_bias: Any, right_bias: Any, weights: Any) -> tf.Tensor:
    """Log Z in nats by enumeration, a scalar; differentiable once (`rbm.exact.log_partition`).

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R], min(L, R) at most 25.

    Raises:
      ValueError: if the smaller side has more than 25 units, or shapes disagree.
    """
    return rbm.exact.log_partition(rbm.as_rbm(left_bias, right_bias, weights))


__all__ = ["AISEstimate", "annealed_importance_sampling", "exact"]

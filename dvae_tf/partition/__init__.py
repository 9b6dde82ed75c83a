r"""$\log Z$ with error bars: by enumeration, annealing, bridge sampling, or from both sides.

Every estimator returns a `LogPartition`. `estimate` chooses the method: exact where that is fast, otherwise
annealing from one side or from both. A machine is given by three arguments: `left_bias, right_bias, weights`,
or `graph, biases, couplings`.
"""

from typing import Any

import tensorflow as tf

from .. import rbm
from ..graphs import Graph, check_graph
from .ais import AnnealedChains, annealed_importance_sampling, reverse_annealed_importance_sampling
from .bridge import LogRatio, TemperedLadders, bennett, bridge_sampling
from .estimate import BothSides, estimate
from .log_partition import Criterion, LogPartition
from .population import population_annealing


def exact(left_bias: Any, right_bias: Any, weights: Any, temperature: float = 1.0) -> tf.Tensor:
    r"""$\log Z$ in nats by enumeration, a scalar; differentiable once (`rbm.exact.log_partition`).

    On a graph also by elimination, where that is narrower (`graphs.exact`).

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R], min(L, R) at most 25; on a graph, the couplings [M].
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.

    Raises:
      ValueError: if the smaller side has more than 25 units (on a graph: as `graphs.exact.log_partition`),
        the graph has a single color, or shapes disagree.
    """
    return rbm.exact.log_partition(rbm.as_machine(left_bias, right_bias, weights, temperature))


def exact_graph(graph: Graph, biases: Any, couplings: Any, temperature: float = 1.0) -> tf.Tensor:
    """`exact` of a machine on a graph, with the names of its parameters."""
    check_graph(graph)
    return exact(graph, biases, couplings, temperature)


def estimate_graph(graph: Graph, biases: Any, couplings: Any, **options: Any) -> LogPartition[Any]:
    """`estimate` of a machine on a graph, with the names of its parameters; the options are its."""
    check_graph(graph)
    return estimate(graph, biases, couplings, **options)


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
    "estimate_graph",
    "exact",
    "exact_graph",
    "population_annealing",
    "reverse_annealed_importance_sampling",
]

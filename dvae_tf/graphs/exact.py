"""Exact log Z and moments of a machine on a graph: by enumeration or elimination, whichever is narrower."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from . import elimination, enumeration
from .graph import Graph
from .machine import Moments, check_graph


def log_partition(graph: Graph, biases: Any, couplings: Any, order: Sequence[int] | None = None) -> tf.Tensor:
    r"""$\log Z$ in nats, a scalar, exact up to rounding; differentiable once.

    The gradient is $\partial \log Z / \partial a_i = \mathbb{E}[z_i]$, $\partial \log Z / \partial w_{ij} =
    \mathbb{E}[z_i z_j]$.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      order: an elimination order of all units; None for the min-fill order.

    Raises:
      ValueError: if a shape is wrong, or more than 25 units are outside the largest color and the order has a
        width above 20.
    """
    check_graph(graph)
    if _is_narrow(graph, order):
        return elimination.log_partition(graph, biases, couplings, order)
    return enumeration.log_partition(graph, biases, couplings)


def moments(graph: Graph, biases: Any, couplings: Any, order: Sequence[int] | None = None) -> Moments:
    r"""$\log Z$ and the moments of units and edges; no gradient flows.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      order: an elimination order of all units; None for the min-fill order.

    Raises:
      ValueError: as `log_partition` does.
    """
    check_graph(graph)
    if _is_narrow(graph, order):
        return elimination.moments(graph, biases, couplings, order)
    return enumeration.moments(graph, biases, couplings)


def _is_narrow(graph: Graph, order: Sequence[int] | None) -> bool:
    """Whether elimination is narrower than enumeration.

    Raises:
      ValueError: if both are too wide.
    """
    width = elimination.min_fill(graph)[1] if order is None else elimination.width(graph, order)
    enumerated = enumeration.num_enumerated(graph)
    if width > elimination.MAX_WIDTH and enumerated > enumeration.MAX_UNITS:
        raise ValueError(
            f"graph: expected at most {enumeration.MAX_UNITS} units outside its largest color, or an "
            f"elimination order of width at most {elimination.MAX_WIDTH}, got {enumerated} units, and a "
            f"width of at least {width}, on {graph}"
        )
    return width < enumerated and width <= elimination.MAX_WIDTH

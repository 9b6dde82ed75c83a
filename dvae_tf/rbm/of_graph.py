"""Restricted machines as machines on graphs: two colors, of which the second is the left side."""

from typing import Any

import tensorflow as tf

from ..graphs import Graph, as_parameters, bipartite, by_colors
from .energy import RBM, as_rbm


def from_graph(graph: Graph, biases: Any, couplings: Any) -> RBM:
    """The restricted machine with the same distribution, of a machine on a graph of two colors.

    The units of the first color, which a sweep draws first, are the right side, and those of the second the
    left, each in rising order; pairs without an edge have weight 0. So block Gibbs sweeps draw the same.

    Args:
      graph: a graph of two colors.
      biases: [D], nats.
      couplings: [M], nats.

    Raises:
      ValueError: if the graph has another number of colors, or a shape is wrong.
    """
    biases, couplings = as_parameters(graph, biases, couplings)
    if graph.num_colors != 2:
        raise ValueError(f"graph: expected two colors, got {graph}")
    machine = by_colors(graph, biases, couplings)
    right, left = machine.biases
    if not graph.num_edges:
        return RBM(left, right, tf.zeros([left.shape[0], right.shape[0]], left.dtype))
    return RBM(left, right, machine.blocks[1, 0])


def to_graph(left_bias: Any, right_bias: Any, weights: Any) -> tuple[Graph, tf.Tensor, tf.Tensor]:
    """The machine on `graphs.bipartite(L, R)`: its graph, biases [L + R] and couplings [L * R].

    The inverse of `from_graph`; the left units come first.

    Raises:
      ValueError: if the shapes disagree.
    """
    rbm = as_rbm(left_bias, right_bias, weights)
    graph = bipartite(rbm.num_left, rbm.num_right)
    return graph, tf.concat([rbm.left_bias, rbm.right_bias], 0), tf.reshape(rbm.weights, [-1])

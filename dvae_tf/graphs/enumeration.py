r"""Enumeration of a small machine on a graph: $\log Z$ and moments, exact up to rounding.

The largest color is summed over in closed form, for its units $j$ are independent given the states $s$ of all
others, which are enumerated:

$$
Z = \sum_s e^{-E(s)} \prod_j \left(1 + e^{a_j + \sum_{i \sim j} w_{ij} s_i}\right),
$$

in blocks of at most 2^14 states, so that memory is bounded; time doubles with every unit.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from ..numerics import binary_digits, draw_bits, split, uniform
from ..products import matmul
from .graph import Graph
from .machine import Moments, as_parameters, by_colors, free_energy

MAX_UNITS = 25
MAX_SAMPLING_UNITS = 20
BLOCK_UNITS = 14


def num_enumerated(graph: Graph) -> int:
    """The number of units outside the largest color."""
    return graph.num_units - max(map(len, graph.colors))


def log_partition(graph: Graph, biases: Any, couplings: Any) -> tf.Tensor:
    r"""$\log Z$ in nats, a scalar, exact; differentiable once.

    The gradient is $\partial \log Z / \partial a_i = \mathbb{E}[z_i]$, $\partial \log Z / \partial w_{ij} =
    \mathbb{E}[z_i z_j]$.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.

    Raises:
      ValueError: if a shape is wrong, or more than 25 units are outside the largest color.
    """

    @tf.custom_gradient
    def with_moments(biases: tf.Tensor, couplings: tf.Tensor) -> tuple:
        found = moments(graph, biases, couplings)

        def gradient(upstream: tf.Tensor) -> tuple:
            return tuple(
                upstream
                * tf.raw_ops.PreventGradient(input=moment, message="log Z is differentiable once only")
                for moment in (found.means, found.products)
            )

        return found.log_partition, gradient

    return with_moments(*as_parameters(graph, biases, couplings))


def moments(graph: Graph, biases: Any, couplings: Any) -> Moments:
    r"""$\log Z$ and the moments of units and edges by enumeration; no gradient flows.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.

    Raises:
      ValueError: if a shape is wrong, or more than 25 units are outside the largest color.
    """
    biases, couplings = as_parameters(graph, biases, couplings)
    if num_enumerated(graph) > MAX_UNITS:
        raise ValueError(
            f"graph: expected at most {MAX_UNITS} units outside its largest color for enumeration, "
            f"got {num_enumerated(graph)} in {graph}"
        )
    return _moments(graph, tf.stop_gradient(biases), tf.stop_gradient(couplings))


def sample(
    graph: Graph, biases: Any, couplings: Any, num_samples: int | tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Exact draws, [num_samples, D]: all units but the largest color by their tabulated CDF, then these.

    No gradient flows.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      num_samples: how many.
      seed: an `int32[2]` seed.

    Raises:
      ValueError: if a shape is wrong, or more than 20 units are outside the largest color.
    """
    if num_enumerated(graph) > MAX_SAMPLING_UNITS:
        raise ValueError(
            f"graph: expected at most {MAX_SAMPLING_UNITS} units outside its largest color for exact "
            f"sampling, got {num_enumerated(graph)} in {graph}"
        )
    machine = by_colors(graph, biases, couplings)
    largest, enumerated, place = _enumerated(graph, machine.dtype)
    size = 2 ** min(len(enumerated), BLOCK_UNITS)

    def digits(numbers: tf.Tensor) -> tf.Tensor:
        return matmul(binary_digits(numbers, len(enumerated), machine.dtype), place)

    def block(index: tf.Tensor) -> tf.Tensor:
        numbers = index * size + tf.range(size, dtype=tf.int64)
        return -free_energy(machine, largest, machine.split(digits(numbers)))

    log_weights = tf.map_fn(
        block,
        tf.range(2 ** max(len(enumerated) - BLOCK_UNITS, 0), dtype=tf.int64),
        fn_output_signature=machine.dtype,
    )
    for_enumerated, for_largest = split(seed)
    states = machine.split(digits(draw_numbers(tf.reshape(log_weights, [-1]), num_samples, for_enumerated)))
    probs = tf.math.sigmoid(machine.fields(largest, states))
    states[largest] = draw_bits(probs, uniform(tf.shape(probs), for_largest, machine.dtype))
    return tf.stop_gradient(machine.join(states))


def draw_numbers(log_weights: tf.Tensor, num_samples: int | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Indices [num_samples], int64, drawn by weights whose logs are given, [N]."""
    # In float64, because 2^20 float32 probabilities do not sum to 1.
    cdf = tf.cumsum(tf.nn.softmax(tf.cast(log_weights, tf.float64)))
    rho = uniform([num_samples], seed, tf.float64) * cdf[-1]
    numbers = tf.searchsorted(cdf, rho, side="right", out_type=tf.int64)
    return tf.minimum(numbers, tf.size(cdf, tf.int64) - 1)


def _enumerated(graph: Graph, dtype: tf.DType) -> tuple[int, np.ndarray, tf.Tensor]:
    """The number of the largest color; the other units; the matrix that puts these in their places."""
    largest = max(range(graph.num_colors), key=lambda number: len(graph.colors[number]))
    enumerated = np.flatnonzero(graph.color_of != largest)
    return largest, enumerated, tf.one_hot(enumerated, graph.num_units, dtype=dtype)


@tf.function
def _moments(graph: Graph, biases: tf.Tensor, couplings: tf.Tensor) -> Moments:
    machine = by_colors(graph, biases, couplings)
    largest, enumerated, place = _enumerated(graph, biases.dtype)
    # An edge has an end among the enumerated units: its row below; its column is the other end.
    row_of = np.full(graph.num_units, -1)
    row_of[enumerated] = np.arange(len(enumerated))
    first, second = graph.edges.T
    rows = np.where(row_of[first] >= 0, row_of[first], row_of[second])
    columns = np.where(row_of[first] >= 0, second, first)
    size = 2 ** min(len(enumerated), BLOCK_UNITS)

    def block(index: tf.Tensor, log_total: tf.Tensor, totals: tf.Tensor) -> tuple:
        numbers = index * size + tf.range(size, dtype=tf.int64)
        digits = binary_digits(numbers, len(enumerated), biases.dtype)
        z = matmul(digits, place)
        states = machine.split(z)
        fields = machine.fields(largest, states)
        log_weights = -free_energy(machine, largest, states)
        new_total = tf.reduce_logsumexp(tf.concat([[log_total], log_weights], 0))
        weights = tf.exp(log_weights - new_total)[:, tf.newaxis]
        states[largest] = tf.math.sigmoid(fields)
        # A last column of ones gives the means from the product for the second moments.
        weighted = weights * tf.concat([digits, tf.ones_like(weights)], 1)
        update = matmul(weighted, machine.join(states), transpose_a=True)
        return index + 1, new_total, tf.exp(log_total - new_total) * totals + update

    _, log_total, totals = tf.while_loop(
        lambda index, *_: index < 2 ** max(len(enumerated) - BLOCK_UNITS, 0),
        block,
        (
            tf.constant(0, tf.int64),
            tf.constant(-float("inf"), biases.dtype),
            tf.zeros([len(enumerated) + 1, graph.num_units], biases.dtype),
        ),
    )
    return Moments(log_total, totals[-1], tf.gather_nd(totals, np.stack([rows, columns], 1)))

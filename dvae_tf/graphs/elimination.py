r"""Variable elimination: $\log Z$ of a machine on a narrow graph of any size, exact up to rounding.

The units are summed out one after the other. A unit $v$ leaves a table over the neighbors $S$ that it has at
that moment, which become neighbors of each other:

$$
\log T(z_S) = \log \sum_{z_v} \exp\left(a_v z_v + \sum_{u \in S} w_{uv} z_u z_v
  + \sum_k \log T_k(z_v, z_S)\right)
$$

with the tables $T_k$ of earlier units that depend on $z_v$. The largest $|S|$ is the width of the order, and
time and memory grow as two to the power of it; the smallest width of all orders is the treewidth of the
graph. (Dechter, Artificial Intelligence 113, 1999.)
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from .coloring import neighbors
from .graph import Graph
from .machine import Moments, as_parameters

MAX_WIDTH = 20


def log_partition(graph: Graph, biases: Any, couplings: Any, order: Sequence[int] | None = None) -> tf.Tensor:
    r"""$\log Z$ in nats, a scalar, exact; differentiable, also more than once.

    Computed in float64. The gradient is $\partial \log Z / \partial a_i = \mathbb{E}[z_i]$,
    $\partial \log Z / \partial w_{ij} = \mathbb{E}[z_i z_j]$; a gradient tape keeps the tables of all units.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      order: all units in the order in which they are summed out; None for `min_fill_order`.

    Raises:
      ValueError: if a shape is wrong, the order is no permutation of the units, or its width is above 20.
    """
    biases, couplings = as_parameters(graph, biases, couplings)
    order = min_fill_order(graph) if order is None else _as_order(graph, order)
    scopes = _scopes(graph, order)
    if (widest := max(map(len, scopes))) > MAX_WIDTH:
        raise ValueError(f"order: expected a width of at most {MAX_WIDTH}, got {widest} on {graph}")
    numbers = tf.unstack(tf.cast(biases, tf.float64))
    edges = map(tuple, graph.edges.tolist())
    strengths = dict(zip(edges, tf.unstack(tf.cast(couplings, tf.float64)), strict=True))
    total = tf.zeros([], tf.float64)
    # Unit -> the tables whose first unit it is, each with its units.
    waiting: list[list[tuple[tuple[int, ...], tf.Tensor]]] = [[] for _ in order]
    for unit, scope in zip(order, scopes, strict=True):
        change = _linear(numbers[unit], [strengths.get(_edge(unit, other)) for other in scope])
        at_0 = tf.zeros_like(change)
        for units, table in waiting[unit]:
            table = _widened(table, units[1:], scope)
            at_0 += table[0]
            change += table[1] - table[0]
        # The log of the sum of exp(at_0) and exp(at_0 + change).
        table = at_0 + tf.math.softplus(change)
        if scope:
            waiting[scope[0]].append((scope, table))
        else:
            total += table[0]
    return tf.cast(total, biases.dtype)


def moments(graph: Graph, biases: Any, couplings: Any, order: Sequence[int] | None = None) -> Moments:
    r"""$\log Z$ and the moments of units and edges, as its gradient; no gradient flows.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      order: all units in the order in which they are summed out; None for `min_fill_order`.

    Raises:
      ValueError: as `log_partition` does.
    """
    biases, couplings = (tf.stop_gradient(each) for each in as_parameters(graph, biases, couplings))
    with tf.GradientTape() as tape:
        tape.watch([biases, couplings])
        log_z = log_partition(graph, biases, couplings, order)
    zero = tf.UnconnectedGradients.ZERO
    return Moments(log_z, *tape.gradient(log_z, [biases, couplings], unconnected_gradients=zero))


def width(graph: Graph, order: Sequence[int]) -> int:
    """The most neighbors that a unit has when it is summed out in this order: at least the treewidth.

    Raises:
      ValueError: if the order is no permutation of the units.
    """
    return max(map(len, _scopes(graph, _as_order(graph, order))))


def min_fill_order(graph: Graph) -> tuple[int, ...]:
    """An order that joins the fewest pairs of neighbors at each step; then fewest neighbors, lowest unit.

    A heuristic: its width may be above the treewidth.

    Raises:
      ValueError: if its width is above 20.
    """
    order, widest = min_fill(graph)
    if widest > MAX_WIDTH:
        raise ValueError(
            f"graph: expected a min-fill order of width at most {MAX_WIDTH}, got one of at least {widest} "
            f"on {graph}"
        )
    return order


@functools.lru_cache(maxsize=64)
def min_fill(graph: Graph) -> tuple[tuple[int, ...], int]:
    """The min-fill order and its width; it stops at a width above 20, with the width there."""
    adjacent = [set(each) for each in neighbors(graph.num_units, graph.edges)]
    fills = {unit: _fill(adjacent, unit) for unit in range(graph.num_units)}
    order, widest = [], 0
    while fills:
        unit = min(fills, key=lambda unit: (fills[unit], len(adjacent[unit]), unit))
        widest = max(widest, len(adjacent[unit]))
        if widest > MAX_WIDTH:
            break
        del fills[unit]
        order.append(unit)
        scope = adjacent[unit]
        _sum_out(adjacent, unit)
        for other in scope.union(*(adjacent[other] for other in scope)):
            fills[other] = _fill(adjacent, other)
    return tuple(order), widest


def _fill(adjacent: list[set[int]], unit: int) -> float:
    """The number of pairs of neighbors that are not joined; infinite where there are too many neighbors."""
    scope = adjacent[unit]
    if len(scope) > MAX_WIDTH:
        return math.inf
    return sum(other not in adjacent[each] for each, other in itertools.combinations(scope, 2))


def _sum_out(adjacent: list[set[int]], unit: int) -> None:
    """Takes a unit out of the graph and joins its neighbors."""
    for other in adjacent[unit]:
        adjacent[other] |= adjacent[unit]
        adjacent[other] -= {unit, other}


@functools.lru_cache(maxsize=64)
def _scopes(graph: Graph, order: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The neighbors of each unit of the order when it is summed out, the next to follow first."""
    adjacent = [set(each) for each in neighbors(graph.num_units, graph.edges)]
    rank = {unit: position for position, unit in enumerate(order)}
    scopes = []
    for unit in order:
        scopes.append(tuple(sorted(adjacent[unit], key=rank.__getitem__)))
        _sum_out(adjacent, unit)
    return scopes


def _as_order(graph: Graph, order: Sequence[int]) -> tuple[int, ...]:
    units = np.asarray(order)
    if units.dtype.kind not in "iu" or not np.array_equal(np.sort(units), np.arange(graph.num_units)):
        raise ValueError(f"order: expected every unit from 0 to {graph.num_units - 1} once, got {order!r}")
    return tuple(units.tolist())


def _edge(unit: int, other: int) -> tuple[int, int]:
    return min(unit, other), max(unit, other)


# Tables are flat, [2^n] for n units, of which the first changes slowest.


def _linear(bias: tf.Tensor, strengths: list[tf.Tensor | None]) -> tf.Tensor:
    """The bias plus the strength, if there is one, of every unit that is 1: [2^n]."""
    table = bias[tf.newaxis]
    for strength in strengths:
        other = table if strength is None else table + strength
        table = tf.reshape(tf.stack([table, other], 1), [-1])
    return table


def _widened(table: tf.Tensor, units: tuple[int, ...], scope: tuple[int, ...]) -> tf.Tensor:
    """A table of one unit and then `units`, repeated for the other units of the scope: [2, 2^n]."""
    known = set(units)
    num_before = 2
    for is_known, run in itertools.groupby(scope, known.__contains__):
        size = 2 ** len(list(run))
        if not is_known:
            table = tf.repeat(tf.reshape(table, [num_before, 1, -1]), size, 1)
        num_before *= size
    return tf.reshape(table, [2, -1])

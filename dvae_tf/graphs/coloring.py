"""Proper colorings: the units of one color have no edge between them, so a sweep draws them in parallel.

A graph that is bipartite gets two colors; any other is colored greedily, the unit that sees the most colors
first (DSATUR; Brélaz, 1979), which need not find the fewest.
"""

import heapq
from collections.abc import Sequence

import numpy as np


def neighbors(num_units: int, edges: np.ndarray) -> list[list[int]]:
    """The neighbors of each unit, in rising order."""
    found: list[list[int]] = [[] for _ in range(num_units)]
    for i, j in edges.tolist():
        found[i].append(j)
        found[j].append(i)
    return [sorted(each) for each in found]


def color(num_units: int, edges: np.ndarray) -> tuple[np.ndarray, ...]:
    """Colors for a graph, each an array of units in rising order; two if it is bipartite.

    They are ordered by their lowest unit, falling: so unit 0 is drawn last, as the left side is in block
    Gibbs sweeps of a restricted machine.

    Args:
      num_units: D.
      edges: [M, 2], distinct pairs of different units.
    """
    adjacent = neighbors(num_units, edges)
    colors = _two_colors(adjacent) or _greedy_colors(adjacent)
    of_unit = np.asarray(colors)
    # Units without edges are all in the color of unit 0, so no color is empty.
    sets = [np.flatnonzero(of_unit == each) for each in range(max(colors) + 1)]
    return tuple(sorted(sets, key=lambda units: -units[0]))


def _two_colors(adjacent: Sequence[Sequence[int]]) -> list[int] | None:
    """The color of each unit, the lowest unit of each component having 0; None with an odd cycle."""
    colors = [-1] * len(adjacent)
    for start in range(len(adjacent)):
        if colors[start] >= 0:
            continue
        colors[start], queue = 0, [start]
        while queue:
            unit = queue.pop()
            for other in adjacent[unit]:
                if colors[other] == colors[unit]:
                    return None
                if colors[other] < 0:
                    colors[other] = 1 - colors[unit]
                    queue.append(other)
    return colors


def _greedy_colors(adjacent: Sequence[Sequence[int]]) -> list[int]:
    """The color of each unit: the first that none of its neighbors has."""
    colors = [-1] * len(adjacent)
    seen: list[set[int]] = [set() for _ in adjacent]
    # Most colors seen first, then most neighbors; entries that are out of date are passed over.
    heap = [(0, -len(each), unit) for unit, each in enumerate(adjacent)]
    heapq.heapify(heap)
    while heap:
        unit = heapq.heappop(heap)[2]
        if colors[unit] >= 0:
            continue
        colors[unit] = next(each for each in range(len(adjacent)) if each not in seen[unit])
        for other in adjacent[unit]:
            if colors[other] < 0 and colors[unit] not in seen[other]:
                seen[other].add(colors[unit])
                heapq.heappush(heap, (-len(seen[other]), -len(adjacent[other]), other))
    return colors

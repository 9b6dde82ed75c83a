"""Graphs of NetworkX, and of quantum annealers: Chimera, Pegasus and Zephyr, whole or fitted to D units.

The last three come from `dwave-networkx`, with its colorings of 2, 4 and 4 colors.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..support import as_count
from .coloring import neighbors
from .extras import import_extra
from .graph import Graph, from_edges


def from_networkx(graph: Any, colors: Mapping[Any, int] | None = None) -> Graph:
    """The graph of an undirected `networkx.Graph`.

    Unit i is the i-th node that the graph lists, whatever its label; edges are in lexicographic order of
    units. Attributes of nodes and edges are ignored.

    Args:
      graph: the graph, without loops or parallel edges.
      colors: the color of each node, which are drawn in rising order; None as in `from_edges`.

    Raises:
      ValueError: if it is no graph of that kind, a node has no color, or an edge lies within a color.
    """
    if not all(hasattr(graph, name) for name in ("nodes", "edges", "is_directed")) or graph.is_directed():
        raise ValueError(f"graph: expected an undirected networkx.Graph, got {graph!r}")
    number = {node: unit for unit, node in enumerate(graph.nodes)}
    edges = sorted(tuple(sorted((number[i], number[j]))) for i, j in graph.edges())
    if colors is None:
        return from_edges(len(number), edges)
    missing = [node for node in number if node not in colors]
    if missing:
        raise ValueError(f"colors: expected a color for every node, got none for {missing[0]!r}")
    of_unit = np.asarray([colors[node] for node in number])
    return from_edges(len(number), edges, [np.flatnonzero(of_unit == each) for each in np.unique(of_unit)])


def chimera(m: int, n: int | None = None, t: int = 4) -> Graph:
    """Chimera: a grid of m by n cells, each two sides of t units, 2 m n t units in all; two colors.

    A strip (m = 1 or n = 1) has treewidth t, however long it is, so its log Z is exact (`elimination`).

    Args:
      m: rows of the grid.
      n: columns; None for m.
      t: units on each side of a cell.

    Raises:
      ValueError: if a number is no integer of at least 1.
      ImportError: if `dwave-networkx` is not installed.
    """
    m, n, t = as_count("m", m), as_count("n", m if n is None else n), as_count("t", t)
    return _of_annealer("chimera", lambda library: library.chimera_two_color, m, n, t)


def pegasus(m: int) -> Graph:
    """Pegasus, 8 (3 m - 1)(m - 1) units with up to 15 neighbors (those of its main fabric); four colors.

    Raises:
      ValueError: if m is no integer of at least 2.
      ImportError: if `dwave-networkx` is not installed.
    """
    return _of_annealer("pegasus", lambda library: library.pegasus_four_color, as_count("m", m, 2))


def zephyr(m: int, t: int = 4) -> Graph:
    """Zephyr, 4 t m (2 m + 1) units with up to 4 t + 4 neighbors; four colors.

    Raises:
      ValueError: if a number is no integer of at least 1.
      ImportError: if `dwave-networkx` is not installed.
    """
    return _of_annealer(
        "zephyr", lambda library: library.zephyr_four_color, as_count("m", m), as_count("t", t)
    )


# Name -> constructor by the size m, and the number of units of that size.
_FAMILIES: dict[str, tuple[Callable[[int], Graph], Callable[[int], int]]] = {
    "chimera": (chimera, lambda m: 8 * m * m),
    "pegasus": (pegasus, lambda m: 8 * (3 * m - 1) * (m - 1)),
    "zephyr": (zephyr, lambda m: 16 * m * (2 * m + 1)),
}


def fitted(family: str, num_units: int) -> Graph:
    """A graph of D units out of a family: the smallest with at least D, induced on its first D.

    First in breadth-first order from unit 0, a corner, neighbors in rising order; the units are numbered in
    that order. Chimera grids are square, with t = 4, as is that of Zephyr.

    Args:
      family: "chimera", "pegasus" or "zephyr".
      num_units: D.

    Raises:
      ValueError: if the family is unknown, or D is no integer of at least 1.
      ImportError: if `dwave-networkx` is not installed.
    """
    if family not in _FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(_FAMILIES)}, got {family!r}")
    num_units = as_count("num_units", num_units)
    build, size = _FAMILIES[family]
    graph = build(next(m for m in itertools.count(1) if size(m) >= num_units))
    return graph.induced(_breadth_first(graph)[:num_units])


def _of_annealer(name: str, coloring: Callable[[Any], Callable[[Any], int]], *sizes: int) -> Graph:
    library = import_extra("dwave_networkx", name)
    whole = getattr(library, f"{name}_graph")(*sizes, coordinates=True)
    nodes = sorted(whole)
    number = {node: unit for unit, node in enumerate(nodes)}
    edges = np.sort([(number[i], number[j]) for i, j in whole.edges()], 1)
    of_unit = np.asarray([coloring(library)(node) for node in nodes])
    layout = getattr(library, f"{name}_layout")(whole)
    return Graph(
        len(nodes),
        edges[np.lexsort((edges[:, 1], edges[:, 0]))],
        tuple(np.flatnonzero(of_unit == each) for each in np.unique(of_unit)),
        np.asarray([layout[node] for node in nodes]),
    )


def _breadth_first(graph: Graph) -> list[int]:
    adjacent = neighbors(graph.num_units, graph.edges)
    order: list[int] = []
    seen = [False] * graph.num_units
    for start in range(graph.num_units):
        if seen[start]:
            continue
        seen[start], queue = True, [start]
        # The list grows while it is walked through.
        for unit in queue:
            for other in adjacent[unit]:
                if not seen[other]:
                    seen[other] = True
                    queue.append(other)
        order += queue
    return order

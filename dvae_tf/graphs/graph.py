"""Undirected graphs of the units of a Boltzmann machine, with a coloring: static, immutable, hashable."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..support import as_count
from .coloring import color


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """Units 0 to D - 1, the edges between them, and colors that sweeps draw in turn.

    Its arrays cannot be written to. Two graphs are equal if they have the same edges in the same order and
    the same colors in the same order: couplings and draws of one are those of the other.

    Attributes:
      num_units: D.
      edges: int32 [M, 2], each row (i, j) with i < j. Their order is that of the couplings of a machine.
      colors: arrays of units (int32, rising), in the order in which they are drawn. Together they hold every
        unit once, and no edge lies within one.
      positions: [D, 2], where pictures draw the units; None for a layout of their own.

    Raises:
      ValueError: if an edge is a loop, is there twice, or names a unit that does not exist; if the colors are
        no partition of the units, or an edge lies within one; if a shape is wrong or a number no integer.
    """

    num_units: int
    edges: np.ndarray
    colors: tuple[np.ndarray, ...]
    positions: np.ndarray | None = None

    def __post_init__(self) -> None:
        num_units = as_count("num_units", self.num_units)
        edges = _as_edges(num_units, self.edges)
        fields = {
            "num_units": num_units,
            "edges": edges,
            "colors": _as_colors(num_units, edges, self.colors),
            "positions": None if self.positions is None else _as_positions(num_units, self.positions),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def num_edges(self) -> int:
        """M."""
        return len(self.edges)

    @property
    def num_colors(self) -> int:
        """The number of colors, which are drawn in turn."""
        return len(self.colors)

    @property
    def density(self) -> float:
        """The share of all pairs of units that are edges, M / (D (D - 1) / 2); 0 for a single unit."""
        return self.num_edges / max(self.num_units * (self.num_units - 1) / 2, 1)

    @functools.cached_property
    def degrees(self) -> np.ndarray:
        """The number of neighbors of each unit, int32 [D]."""
        return _frozen(np.bincount(self.edges.ravel(), minlength=self.num_units))

    @property
    def degree(self) -> int:
        """The largest number of neighbors."""
        return int(self.degrees.max())

    @functools.cached_property
    def color_of(self) -> np.ndarray:
        """The number of the color of each unit, int32 [D]."""
        return _frozen(_color_of(self.num_units, self.colors))

    @functools.cached_property
    def complete_sides(self) -> tuple[int, int] | None:
        """(L, R) if this is `bipartite(L, R)`, the graph of a restricted machine; None for any other."""
        if self.num_colors != 2:
            return None
        num_right, num_left = map(len, self.colors)
        is_it = self.num_edges == num_left * num_right and self == bipartite(num_left, num_right)
        return (num_left, num_right) if is_it else None

    @functools.cached_property
    def reversed(self) -> "Graph":
        """The graph whose colors are drawn in the opposite order."""
        return Graph(self.num_units, self.edges, self.colors[::-1], self.positions)

    def induced(self, units: Sequence[int] | np.ndarray) -> "Graph":
        """The graph of some units and of all edges between them.

        Args:
          units: distinct units; the first becomes unit 0, and so on.

        Returns:
          Its edges are in lexicographic order; its colors are those of this graph, in the same order.

        Raises:
          ValueError: if a unit does not exist, or is named twice.
        """
        units = np.asarray(units)
        if units.ndim != 1 or not units.size or units.dtype.kind not in "iu":
            raise ValueError(f"units: expected integers [N], got {units.dtype} of shape {units.shape}")
        if units.min() < 0 or units.max() >= self.num_units or len(np.unique(units)) < len(units):
            raise ValueError(f"units: expected distinct units from 0 to {self.num_units - 1}")
        number = np.full(self.num_units, -1)
        number[units] = np.arange(len(units))
        edges = np.sort(number[self.edges], 1)
        edges = edges[edges[:, 0] >= 0]
        colors = [np.sort(number[each][number[each] >= 0]) for each in self.colors]
        return Graph(
            len(units),
            edges[np.lexsort((edges[:, 1], edges[:, 0]))],
            tuple(each for each in colors if each.size),
            None if self.positions is None else self.positions[units],
        )

    def to_json(self) -> dict[str, Any]:
        """The graph as JSON values."""
        return {
            "num_units": self.num_units,
            "edges": self.edges.tolist(),
            "colors": [units.tolist() for units in self.colors],
            "positions": None if self.positions is None else self.positions.tolist(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Graph":
        """The inverse of `to_json`."""
        return cls(**values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return (
            (self.num_units, self.num_colors) == (other.num_units, other.num_colors)
            and np.array_equal(self.edges, other.edges)
            and all(map(np.array_equal, self.colors, other.colors))
        )

    def __hash__(self) -> int:
        return int(self.digest[:14], 16)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the number of units, the edges and the colors, each in their order."""
        sizes = np.asarray([self.num_units, self.num_edges, *map(len, self.colors)])
        digest = hashlib.sha256()
        for array in (sizes, self.edges, *self.colors):
            digest.update(array.astype("<i8").tobytes())
        return digest.hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        # By the constructor, for copies of read-only arrays could be written to.
        return Graph, (self.num_units, self.edges, self.colors, self.positions)

    def __repr__(self) -> str:
        return f"Graph({self.num_units} units, {self.num_edges} edges, {self.num_colors} colors)"


def from_edges(num_units: int, edges: Any, colors: Any = None) -> Graph:
    """A graph from its edges.

    Args:
      num_units: D; units without an edge are allowed.
      edges: pairs of units [M, 2]. Their order is kept, and is that of the couplings of a machine; the two
        units of an edge may come in either order.
      colors: sets of units, in the order in which they are drawn; None for two colors where the graph is
        bipartite and for a greedy coloring elsewhere, ordered by their lowest unit, falling.

    Raises:
      ValueError: as `Graph` does.
    """
    if colors is None:
        num_units = as_count("num_units", num_units)
        edges = _as_edges(num_units, edges)
        colors = color(num_units, edges)
    return Graph(num_units, edges, colors)


def bipartite(num_left: int, num_right: int) -> Graph:
    """The graph of a restricted machine: every left unit is joined to every right unit.

    The left units come first. The edges are in the row-major order of the weights [L, R], so
    `tf.reshape(couplings, [L, R])` is W. The right side is drawn first, then the left one.

    Raises:
      ValueError: if a number is no integer of at least 1.
    """
    num_left, num_right = as_count("num_left", num_left), as_count("num_right", num_right)
    left, right = np.arange(num_left), np.arange(num_left, num_left + num_right)
    edges = np.stack([left.repeat(num_right), np.tile(right, num_left)], 1)
    return Graph(num_left + num_right, edges, (right, left))


def random_bipartite(num_left: int, num_right: int, num_edges: int, seed: int = 0) -> Graph:
    """A bipartite graph of M edges that are drawn from all pairs (left unit, right unit) without replacement.

    The left units come first; edges are in lexicographic order, colors as in `bipartite`. What a graph of an
    annealer is worth shows beside one of as many edges.

    Args:
      num_left: L.
      num_right: R.
      num_edges: M, at most L R.
      seed: an integer of at least 0.

    Raises:
      ValueError: if a number is no integer, below 1, or more edges are asked for than there are pairs.
    """
    whole = bipartite(num_left, num_right)
    num_edges, seed = as_count("num_edges", num_edges), as_count("seed", seed, 0)
    if num_edges > whole.num_edges:
        raise ValueError(f"num_edges: expected at most {whole.num_edges}, got {num_edges}")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    chosen = np.sort(np.argsort(rng.random(whole.num_edges), kind="stable")[:num_edges])
    return Graph(whole.num_units, whole.edges[chosen], whole.colors)


def _as_edges(num_units: int, edges: Any) -> np.ndarray:
    try:
        pairs = np.asarray(edges if hasattr(edges, "__array__") else list(edges))
    except (TypeError, ValueError):
        raise ValueError(f"edges: expected pairs of units [M, 2], got {edges!r}") from None
    if not pairs.size:
        return _frozen(np.zeros([0, 2]))
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise ValueError(f"edges: expected integers [M, 2], got {pairs.dtype} of shape {pairs.shape}")
    pairs = pairs.astype(np.int64)
    outside = (pairs < 0) | (pairs >= num_units)
    if outside.any():
        wrong = pairs[outside.any(1)][0]
        raise ValueError(f"edges: expected units from 0 to {num_units - 1}, got {tuple(wrong.tolist())}")
    low, high = pairs.min(1), pairs.max(1)
    if (low == high).any():
        raise ValueError(f"edges: expected two different units each, got a loop at {low[low == high][0]}")
    _, first = np.unique(low * num_units + high, return_index=True)
    if len(first) < len(pairs):
        again = pairs[np.setdiff1d(np.arange(len(pairs)), first)[0]]
        raise ValueError(f"edges: expected each edge once, got {tuple(again.tolist())} again")
    return _frozen(np.stack([low, high], 1))


def _as_colors(num_units: int, edges: np.ndarray, colors: Any) -> tuple[np.ndarray, ...]:
    try:
        sets = [np.asarray(_listed(each)) for each in colors]
    except (TypeError, ValueError):
        raise ValueError(f"colors: expected arrays of units, got {colors!r}") from None
    for units in sets:
        if units.ndim != 1 or not units.size or units.dtype.kind not in "iu":
            raise ValueError(
                f"colors: expected arrays of one or more integers, got {units.dtype} of shape {units.shape}"
            )
    if not np.array_equal(np.sort(np.concatenate([[], *sets])), np.arange(num_units)):
        raise ValueError(f"colors: expected every unit from 0 to {num_units - 1} once")
    of_edges = _color_of(num_units, sets)[edges]
    within = of_edges[:, 0] == of_edges[:, 1]
    if within.any():
        wrong = tuple(edges[within][0].tolist())
        raise ValueError(
            f"colors: expected no edge within a color, got {wrong} in color {of_edges[within][0, 0]}"
        )
    return tuple(_frozen(np.sort(units)) for units in sets)


def _listed(units: Any) -> Any:
    """Sets as lists; anything else as it is."""
    return sorted(units) if isinstance(units, Iterable) and not hasattr(units, "__array__") else units


def _color_of(num_units: int, colors: Sequence[np.ndarray]) -> np.ndarray:
    of_unit = np.zeros(num_units, np.int32)
    for number, units in enumerate(colors):
        of_unit[units] = number
    return of_unit


def _as_positions(num_units: int, positions: Any) -> np.ndarray:
    points = np.array(positions, np.float64)
    if points.shape != (num_units, 2) or not np.isfinite(points).all():
        raise ValueError(f"positions: expected finite numbers [{num_units}, 2], got shape {points.shape}")
    points.flags.writeable = False
    return points


def _frozen(numbers: np.ndarray) -> np.ndarray:
    """Integers as an int32 array of its own that cannot be written to."""
    numbers = np.array(numbers, np.int32)
    numbers.flags.writeable = False
    return numbers

r"""Energy and local fields of a Boltzmann machine on a graph.

$$
E(z) = -a \cdot z - \sum_{(i, j) \in \text{edges}} w_{ij} z_i z_j, \qquad p(z) = \exp(-E(z)) / Z
$$

with biases $a$ [D] and couplings $w$ [M] in the order of `graph.edges`. The energy is multilinear in $z$, so
these functions take binary states, mean-field parameters and relaxed $\zeta$ alike, with any leading
dimensions. Products are dense between the units of two colors, as in a restricted machine, whatever part of
the pairs are edges; sweeps of sparse graphs do without (`sparse`).
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from ..products import tensordot
from ..support import at_least_float32, check_kind, in_dtype
from .graph import Graph


class Moments(NamedTuple):
    """log Z (nats), the means of z [D], and those of z_i z_j over the edges [M]."""

    log_partition: tf.Tensor
    means: tf.Tensor
    products: tf.Tensor


def check_graph(graph: Any) -> None:
    """Checks that a graph is one of this package, and not of NetworkX, for example.

    Raises:
      ValueError: if it is none.
    """
    check_kind("graph", graph, Graph, "a graph such as dvae_tf.graphs.from_edges(3, [(0, 1), (1, 2)])")


def as_parameters(graph: Graph, biases: Any, couplings: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Converts arrays, tensors or variables to the `(biases, couplings)` of a machine on a graph.

    Args:
      graph: the graph.
      biases: [D]; its dtype (float64, or float32 for any other) is that of the machine.
      couplings: [M], in the order of `graph.edges`.

    Raises:
      ValueError: if `graph` is none, or a shape is wrong.
    """
    check_graph(graph)
    biases = at_least_float32(biases)
    couplings = in_dtype(couplings, biases.dtype)
    for name, values, size in (
        ("biases", biases, graph.num_units),
        ("couplings", couplings, graph.num_edges),
    ):
        if values.shape != (size,):
            raise ValueError(f"{name}: expected shape [{size}] for {graph}, got {values.shape}")
    return biases, couplings


class GraphMachine(NamedTuple):
    """The parameters of a machine on a graph.

    Sides generalize those of a restricted machine, whose right side is drawn first: the right side is the
    first color of the graph, in rising order, the left side all others, color by color.

    Attributes:
      graph: the graph.
      biases: [D].
      couplings: [M], in the order of `graph.edges`.
    """

    graph: Graph
    biases: tf.Tensor
    couplings: tf.Tensor

    @property
    def arguments(self) -> tuple[Any, Any, Any]:
        """Itself, as the three arguments that functions of a machine take."""
        return self

    @property
    def num_units(self) -> int:
        """D."""
        return self.graph.num_units

    @property
    def num_left(self) -> int:
        """The number of units outside the first color."""
        return self.num_units - self.num_right

    @property
    def num_right(self) -> int:
        """The number of units of the first color."""
        return len(self.graph.colors[0])

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""
        return self.biases.dtype

    @property
    def form(self) -> "ColoredMachine":
        """The machine by colors."""
        return by_colors(*self)

    def map(self, function: Callable[..., Any], *others: Any) -> "GraphMachine":
        """The machine whose parameters are a function of those of this one and of others."""
        parameters = zip(*(each[1:] for each in (self, *others)), strict=True)
        return GraphMachine(self.graph, *(function(*each) for each in parameters))

    @property
    def unit_biases(self) -> tf.Tensor:
        """The biases of all units, [D]."""
        return self.biases

    def with_unit_biases(self, biases: tf.Tensor) -> "GraphMachine":
        """The machine with other biases, [D]."""
        return self._replace(biases=biases)

    def sides(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[..., D] by sides."""
        return to_sides(split(self.graph, tf.convert_to_tensor(z)))

    def bits(self, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        """The inverse of `sides`, with the leading dimensions that the sides have in common."""
        return join(self.graph, to_colors(left, right, [len(each) for each in self.graph.colors]))


class Form(Protocol):
    """A machine by colors, as sweeps and energies compute with it: `ColoredMachine`, `rbm.RBM`.

    States are lists of tensors, [..., units of the color] for each color, in the order of the sweeps. Of a
    `SparseMachine` they are [units of the color, C].
    """

    @property
    def form(self) -> "Form":
        """Itself, so that functions of a machine take its form as well."""

    @property
    def sizes(self) -> list[int]:
        """The number of units of each color."""

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""

    @property
    def units_axis(self) -> int:
        """The dimension of states along which the units lie: -1, or 0 of a `SparseMachine`."""

    @property
    def biases(self) -> list[tf.Tensor]:
        """[units of the color], for each color; [units of the color, 1] of a `SparseMachine`."""

    def products(self, number: int, states: Sequence[tf.Tensor | None]) -> tf.Tensor:
        r"""$\sum_j w_{ij} z_j$ for the units i of a color, [..., units], over the units of the others.

        States that are None, or missing at the end, are left out.
        """

    def fields(self, number: int, states: Sequence[tf.Tensor | None]) -> tf.Tensor:
        """Log-odds of the units of a color given those of the others, [..., units]; as `products`."""

    def split(self, z: tf.Tensor) -> list[tf.Tensor]:
        """[..., D] by colors."""

    def join(self, states: Sequence[tf.Tensor]) -> tf.Tensor:
        """The inverse of `split`."""


def to_sides(states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """States by colors as (left, right), of which the right side is the first color."""
    return (states[1] if len(states) == 2 else tf.concat(states[1:], -1)), states[0]


def to_colors(left: tf.Tensor, right: Any, sizes: Sequence[int]) -> list[Any]:
    """The inverse of `to_sides`."""
    return [right, left] if len(sizes) == 2 else [right, *tf.split(left, sizes[1:], -1)]


def interaction(form: Form, states: Sequence[tf.Tensor | None]) -> tf.Tensor | float:
    """The sum of the couplings of all pairs that are 1, [...]; of the colors that are not None.

    0 of a single color.
    """
    total: Any = 0.0
    earlier: list[tf.Tensor | None] = []
    for number, state in enumerate(states):
        if state is not None and any(each is not None for each in earlier):
            total += tf.reduce_sum(state * form.products(number, earlier), form.units_axis)
        earlier.append(state)
    return total


def without(number: int, states: Sequence[tf.Tensor]) -> list[tf.Tensor | None]:
    """The states of all colors but one, in whose place is None."""
    return [None if other == number else state for other, state in enumerate(states)]


def energy_of_others(form: Form, number: int, states: Sequence[tf.Tensor]) -> tf.Tensor:
    """The part of the energy in which a color does not occur, nats, [...]."""
    rest = without(number, states)
    pairs = zip(form.biases, rest, strict=True)
    linear = [-tf.reduce_sum(state * bias, form.units_axis) for bias, state in pairs if state is not None]
    if not linear:
        return tf.zeros_like(tf.reduce_sum(states[number], form.units_axis))
    return linear[0] if len(linear) == 1 else tf.add_n(linear) - interaction(form, rest)


def free_energy(form: Form, number: int, states: Sequence[tf.Tensor]) -> tf.Tensor:
    r"""$-\log \sum_{z_c} \exp(-E(z))$ over the states of a color, nats, [...]; its own do not matter."""
    fields = form.fields(number, without(number, states))
    sums = tf.reduce_sum(tf.math.softplus(fields), form.units_axis)
    return energy_of_others(form, number, states) - sums


def energy(graph: Graph, biases: Any, couplings: Any, z: tf.Tensor) -> tf.Tensor:
    r"""$E(z)$ in nats, summed over units: z [..., D] gives [...].

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      z: [..., D], bits or relaxed bits in the dtype of the biases.

    Raises:
      ValueError: if a shape is wrong.
    """
    machine = by_colors(graph, biases, couplings)
    states = machine.split(z)
    total = tf.zeros([], machine.dtype)
    for number, state in enumerate(states):
        # An edge counts at the later of its two colors.
        total -= tf.reduce_sum(state * machine.fields(number, states[:number]), -1)
    return total


def local_fields(graph: Graph, biases: Any, couplings: Any, z: tf.Tensor) -> tf.Tensor:
    r"""Log-odds of each bit given the others, $a_i + \sum_{j \sim i} w_{ij} z_j$: [..., D] gives [..., D].

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      z: [..., D], bits or relaxed bits in the dtype of the biases.

    Raises:
      ValueError: if a shape is wrong.
    """
    machine = by_colors(graph, biases, couplings)
    states = machine.split(z)
    return machine.join([machine.fields(number, states) for number in range(graph.num_colors)])


def coupling_matrix(graph: Graph, couplings: Any) -> tf.Tensor:
    r"""$\bar W$, the symmetric matrix of all pairs, 0 where there is no edge: [M] gives [D, D].

    $E(z) = -a \cdot z - \frac12 z^\top \bar W z$.

    Raises:
      ValueError: if the shape is wrong.
    """
    check_graph(graph)
    couplings = at_least_float32(couplings)
    _, couplings = as_parameters(graph, tf.zeros([graph.num_units], couplings.dtype), couplings)
    upper = tf.scatter_nd(graph.edges, couplings, [graph.num_units] * 2)
    return upper + tf.transpose(upper)


class ColoredMachine(NamedTuple):
    r"""A machine by the colors of its graph: what sweeps and energies compute with.

    States are lists of tensors, [..., units of the color] for each color.

    Attributes:
      graph: the graph.
      biases: [units of the color], for each color.
      blocks: for two colors (later, earlier) with an edge between them, the couplings of the units of the
        later one (rows) with those of the earlier one.
    """

    graph: Graph
    biases: list[tf.Tensor]
    blocks: dict[tuple[int, int], tf.Tensor]

    @property
    def form(self) -> "ColoredMachine":
        """Itself."""
        return self

    @property
    def sizes(self) -> list[int]:
        """The number of units of each color."""
        return [len(units) for units in self.graph.colors]

    @property
    def units_axis(self) -> int:
        """The last dimension."""
        return -1

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""
        return self.biases[0].dtype

    def products(self, number: int, states: Sequence[tf.Tensor | None]) -> tf.Tensor:
        """As `Form` defines them."""
        found = []
        for other, state in enumerate(states):
            if state is None:
                continue
            if (number, other) in self.blocks:
                found.append(tensordot(state, self.blocks[number, other], ((-1,), (1,))))
            elif (other, number) in self.blocks:
                found.append(tensordot(state, self.blocks[other, number], 1))
        if found:
            return found[0] if len(found) == 1 else tf.add_n(found)
        # The leading dimensions are those of the states also where no edge leads to them.
        known = next((state[..., :1] for state in states if state is not None), tf.zeros([1], self.dtype))
        return tf.zeros_like(known) + tf.zeros([self.sizes[number]], self.dtype)

    def fields(self, number: int, states: Sequence[tf.Tensor | None]) -> tf.Tensor:
        """Log-odds of the units of a color, [..., units], by the states of all others or of some."""
        return self.biases[number] + self.products(number, states)

    def split(self, z: tf.Tensor) -> list[tf.Tensor]:
        """[..., D] by colors.

        Raises:
          ValueError: if the last dimension is another.
        """
        return split(self.graph, tf.convert_to_tensor(z, self.dtype))

    def join(self, states: Sequence[tf.Tensor]) -> tf.Tensor:
        """The inverse of `split`, with the leading dimensions that the states have in common."""
        return join(self.graph, states)


def split(graph: Graph, z: tf.Tensor) -> list[tf.Tensor]:
    """[..., D] by colors.

    Raises:
      ValueError: if the last dimension is another.
    """
    if z.shape.rank == 0 or z.shape[-1] != graph.num_units:
        raise ValueError(f"z: expected shape [..., {graph.num_units}], got {z.shape}")
    return [_take(z, units) for units in graph.colors]


def join(graph: Graph, states: Sequence[tf.Tensor]) -> tf.Tensor:
    """The inverse of `split`, with the leading dimensions that the states have in common."""
    order = sorted(range(len(states)), key=lambda number: graph.colors[number][0])
    units = np.concatenate([graph.colors[number] for number in order])
    joined = tf.concat([states[number] for number in order], -1)
    return _take(joined, np.argsort(units))


def by_colors(graph: Graph, biases: Any, couplings: Any) -> ColoredMachine:
    """The parameters of a machine by colors, differentiable.

    Raises:
      ValueError: if a shape is wrong.
    """
    biases, couplings = as_parameters(graph, biases, couplings)
    blocks = {}
    for pair, block in _block_edges(graph).items():
        if block.in_order:
            # All pairs, as weights have them: nothing is moved.
            blocks[pair] = tf.reshape(couplings, block.shape)
        else:
            values = _take(couplings, block.edges)
            blocks[pair] = tf.scatter_nd(block.entries, values, block.shape)
    return ColoredMachine(graph, [_take(biases, units) for units in graph.colors], blocks)


class _Block(NamedTuple):
    """The edges between two colors: their numbers, their entries (row, column), the shape of the block.

    `in_order` says that they are all the edges of the graph, in the row-major order of a full block.
    """

    edges: np.ndarray
    entries: np.ndarray
    shape: tuple[int, int]
    in_order: bool


@functools.lru_cache(maxsize=64)
def _block_edges(graph: Graph) -> dict[tuple[int, int], _Block]:
    within = np.zeros(graph.num_units, np.int32)
    for units in graph.colors:
        within[units] = np.arange(len(units))
    # The later color first.
    by_color = np.argsort(-graph.color_of[graph.edges], 1)
    ends = np.take_along_axis(graph.edges, by_color, 1)
    pairs = graph.color_of[ends]
    found = {}
    for later, earlier in np.unique(pairs, axis=0).tolist():
        edges = np.flatnonzero((pairs == (later, earlier)).all(1))
        entries = within[ends[edges]]
        shape = (len(graph.colors[later]), len(graph.colors[earlier]))
        full = len(edges) == graph.num_edges == shape[0] * shape[1]
        in_order = full and np.array_equal(np.ravel_multi_index(entries.T, shape), np.arange(len(edges)))
        found[later, earlier] = _Block(edges, entries, shape, in_order)
    return found


def _take(z: tf.Tensor, units: np.ndarray) -> tf.Tensor:
    """Entries of the last dimension; a slice where they are consecutive."""
    start, stop = int(units[0]), int(units[0]) + len(units)
    if np.array_equal(units, np.arange(start, stop)):
        return z[..., start:stop]
    if z.shape.rank == 1:
        # The gradient along the first dimension would be sparse, which some optimizers treat otherwise.
        return tf.gather(z[tf.newaxis], units, axis=1)[0]
    return tf.gather(z, units, axis=-1)

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
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ..support import at_least_float32, in_dtype
from .graph import Graph


class Moments(NamedTuple):
    """log Z (nats), the means of z [D], and those of z_i z_j over the edges [M]."""

    log_partition: tf.Tensor
    means: tf.Tensor
    products: tf.Tensor


def as_parameters(graph: Graph, biases: Any, couplings: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Converts arrays, tensors or variables to the `(biases, couplings)` of a machine on a graph.

    Args:
      graph: the graph.
      biases: [D]; its dtype (float64, or float32 for any other) is that of the machine.
      couplings: [M], in the order of `graph.edges`.

    Raises:
      ValueError: if `graph` is none, or a shape is wrong.
    """
    if not isinstance(graph, Graph):
        raise ValueError(f"graph: expected a graphs.Graph, got {graph!r}")
    biases = at_least_float32(biases)
    couplings = in_dtype(couplings, biases.dtype)
    for name, values, size in (
        ("biases", biases, graph.num_units),
        ("couplings", couplings, graph.num_edges),
    ):
        if values.shape != (size,):
            raise ValueError(f"{name}: expected shape [{size}] for {graph}, got {values.shape}")
    return biases, couplings


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
    couplings = at_least_float32(couplings)
    _, couplings = as_parameters(graph, tf.zeros([graph.num_units], couplings.dtype), couplings)
    upper = tf.scatter_nd(graph.edges, couplings, [graph.num_units] * 2)
    return upper + tf.transpose(upper)


class ColoredMachine(NamedTuple):
    r"""A machine by the colors of its graph: what a sweep computes with.

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
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""
        return self.biases[0].dtype

    def fields(self, number: int, states: list[tf.Tensor]) -> tf.Tensor:
        """Log-odds of the units of a color, [..., units], by the states of the first colors or of all."""
        # The leading dimensions are those of the states also where no edge leads to them.
        total = self.biases[number] + tf.zeros_like(states[0][..., :1]) if states else self.biases[number]
        for other, state in enumerate(states):
            if (number, other) in self.blocks:
                total += tf.tensordot(state, self.blocks[number, other], ((-1,), (1,)))
            elif (other, number) in self.blocks:
                total += tf.tensordot(state, self.blocks[other, number], 1)
        return total

    def noise_of(self, rho: tf.Tensor, number: int) -> tf.Tensor:
        """Numbers for the units of a color out of [C, most units]."""
        return rho[:, : len(self.graph.colors[number])]

    def noise_shape(self, states: list[tf.Tensor], width: int) -> list[Any]:
        """That of numbers for `width` units of the chains of states [C, units of the color]."""
        return [tf.shape(states[0])[0], width]

    def split(self, z: tf.Tensor) -> list[tf.Tensor]:
        """[..., D] by colors.

        Raises:
          ValueError: if the last dimension is another.
        """
        z = tf.convert_to_tensor(z, self.dtype)
        if z.shape.rank == 0 or z.shape[-1] != self.graph.num_units:
            raise ValueError(f"z: expected shape [..., {self.graph.num_units}], got {z.shape}")
        return [_take(z, units) for units in self.graph.colors]

    def join(self, states: list[tf.Tensor]) -> tf.Tensor:
        """The inverse of `split`, with the leading dimensions that the states have in common."""
        order = sorted(range(len(states)), key=lambda number: self.graph.colors[number][0])
        units = np.concatenate([self.graph.colors[number] for number in order])
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

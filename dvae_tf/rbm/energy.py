r"""Energy, conditionals and free energy of a Boltzmann machine, restricted or on a graph.

$$
E(z) = -a_l \cdot z_l - a_r \cdot z_r - z_l^\top W z_r, \qquad p(z) = \exp(-E(z)) / Z
$$

with the biases $a_l$ and $a_r$ (GumBolt paper, Eq. 3 and 4; DVAE# paper, Sec. 2). The energy is multilinear
in $z$, so these functions take binary states, mean-field parameters and relaxed $\zeta$ alike, with any
leading dimensions.

A machine on a graph (`graphs.GraphMachine`) has the same two sides: the right one is the color that sweeps
draw first, the left one all other units. Functions that take a `Machine` take both kinds.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from ..graphs import Form, Graph, GraphMachine, as_parameters
from ..graphs.machine import energy_of_others, free_energy, to_colors
from ..products import tensordot
from ..support import as_number, at_least_float32, in_dtype


class RBM(NamedTuple):
    """The parameters of a machine: shapes [L], [R] and [L, R], of one floating dtype.

    By colors (`graphs.Form`) the right side comes first, the left one second.
    """

    left_bias: tf.Tensor
    right_bias: tf.Tensor
    weights: tf.Tensor

    @property
    def num_left(self) -> int:
        """L, the number of left units."""
        return self.weights.shape[0]

    @property
    def num_right(self) -> int:
        """R, the number of right units."""
        return self.weights.shape[1]

    @property
    def arguments(self) -> tuple[Any, Any, Any]:
        """Itself, as the three arguments that functions of a machine take."""
        return self

    @property
    def num_units(self) -> int:
        """D = L + R."""
        return self.num_left + self.num_right

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""
        return self.weights.dtype

    def map(self, function: Callable[..., Any], *others: Any) -> "RBM":
        """The machine whose parameters are a function of those of this one and of others."""
        return RBM(*(function(*each) for each in zip(self, *others, strict=True)))

    @property
    def unit_biases(self) -> tf.Tensor:
        """The biases of all units, [L + R]."""
        return tf.concat([self.left_bias, self.right_bias], 0)

    def with_unit_biases(self, biases: tf.Tensor) -> "RBM":
        """The machine with other biases, [L + R]."""
        return RBM(*split_sides(biases, self.num_left), self.weights)

    def sides(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """[..., L + R] by sides."""
        return split_sides(z, self.num_left)

    def bits(self, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        """The inverse of `sides`."""
        return tf.concat([left, right], -1)

    @property
    def form(self) -> "RBM":
        """The machine by colors: it has them already."""
        return self

    @property
    def sizes(self) -> list[int]:
        """The number of units of each color."""
        return [self.num_right, self.num_left]

    @property
    def units_axis(self) -> int:
        """The last dimension."""
        return -1

    @property
    def biases(self) -> list[tf.Tensor]:
        """[units of the color], for each color."""
        return [self.right_bias, self.left_bias]

    def products(self, number: int, states: Sequence[tf.Tensor | None]) -> tf.Tensor:
        r"""$W^\top z_l$ for the right side, number 0, and $W z_r$ for the left one."""
        if number == 0:
            return tensordot(states[1], self.weights, 1)
        return tensordot(states[0], self.weights, ((-1,), (1,)))

    def fields(self, number: int, states: Sequence[tf.Tensor | None]) -> tf.Tensor:
        """Log-odds of the units of a color given the other one."""
        return self.biases[number] + self.products(number, states)

    def split(self, z: tf.Tensor) -> list[tf.Tensor]:
        """[..., L + R] by colors."""
        left, right = self.sides(z)
        return [right, left]

    def join(self, states: Sequence[tf.Tensor]) -> tf.Tensor:
        """The inverse of `split`."""
        right, left = states
        return self.bits(left, right)


Machine: TypeAlias = RBM | GraphMachine


def as_machine(
    first: Any, second: Any, third: Any, temperature: float = 1.0, dtype: tf.DType | None = None
) -> Machine:
    r"""Converts `(left_bias, right_bias, weights)` or `(graph, biases, couplings)` to a machine.

    The machine on the graph of a restricted one (`graphs.bipartite`) is returned as that one.

    Args:
      first: left_bias [L], or a `graphs.Graph`.
      second: right_bias [R], or biases [D].
      third: weights [L, R], or couplings [M] in the order of the graph's edges.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$; all parameters are divided by it.
      dtype: of the machine; None for float64 if it is that of the weights or of the graph's biases, and
        float32 otherwise.

    Raises:
      ValueError: if a shape is wrong, the temperature is not a finite number above 0, or the graph has a
        single color, so that it has no edges.
    """
    if not isinstance(first, Graph):
        third = third if dtype is None else tf.cast(tf.convert_to_tensor(third), dtype)
        return as_rbm(first, second, third, temperature)
    second = second if dtype is None else tf.cast(tf.convert_to_tensor(second), dtype)
    biases, couplings = as_parameters(first, second, third)
    if first.num_colors == 1:
        raise ValueError(f"graph: expected at least one edge, and so two colors, got {first}")
    if first.complete_sides is not None:
        num_left, _ = first.complete_sides
        weights = tf.reshape(couplings, first.complete_sides)
        return as_rbm(*split_sides(biases, num_left), weights, temperature)
    temperature = as_number("temperature", temperature, above=0.0)
    machine = GraphMachine(first, biases, couplings)
    return machine if temperature == 1 else scaled(machine, 1 / temperature)


def as_rbm(left_bias: Any, right_bias: Any, weights: Any, temperature: float = 1.0) -> RBM:
    r"""Converts arrays, tensors or variables to an `RBM`.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R]; its dtype (float64, or float32 for any other) is that of the machine.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$; all parameters are divided by it.

    Raises:
      ValueError: if a shape is wrong, or the temperature is not a finite number above 0.
    """
    temperature = as_number("temperature", temperature, above=0.0)
    weights = at_least_float32(weights)
    if weights.shape.rank != 2 or not weights.shape.is_fully_defined():
        raise ValueError(f"weights: expected a static shape [L, R], got {weights.shape}")
    biases = []
    for name, bias, size in (
        ("left_bias", left_bias, weights.shape[0]),
        ("right_bias", right_bias, weights.shape[1]),
    ):
        bias = in_dtype(bias, weights.dtype)
        if bias.shape != (size,):
            raise ValueError(
                f"{name}: expected shape [{size}] for weights of shape {weights.shape}, got {bias.shape}"
            )
        biases.append(bias)
    rbm = RBM(biases[0], biases[1], weights)
    return rbm if temperature == 1 else scaled(rbm, 1 / temperature)


def scaled(machine: Any, inverse_temperature: float | tf.Tensor) -> Any:
    r"""The machine, of the same kind, with energy $t E(z)$."""
    return machine.map(lambda parameter: inverse_temperature * parameter)


def transposed(machine: Any) -> Any:
    """The machine, of the same kind, with its colors in the opposite order: its sides exchanged, if two."""
    if isinstance(machine, GraphMachine):
        return machine._replace(graph=machine.graph.reversed)
    return RBM(machine.right_bias, machine.left_bias, tf.transpose(machine.weights))


def split_sides(z: tf.Tensor, num_left: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits [..., L + R] into the left [..., L] and the right [..., R]."""
    return z[..., :num_left], z[..., num_left:]


def right_logits(machine: Machine | Form, left: tf.Tensor) -> tf.Tensor:
    r"""Log-odds of $z_r = 1$ given the left side, $a_r + W^\top z_l$: shape [..., R]."""
    form = machine.form
    return form.fields(0, to_colors(left, None, form.sizes))


def left_logits(rbm: RBM, right: tf.Tensor) -> tf.Tensor:
    r"""Log-odds of $z_l = 1$ given the right side, $a_l + W z_r$: shape [..., L]."""
    return rbm.fields(1, [right, None])


def conditional_logits(machine: Machine, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Log-odds of each bit given all others: [..., D]."""
    form = machine.form
    states = to_colors(left, right, form.sizes)
    return form.join([form.fields(number, states) for number in range(len(states))])


def energy(
    machine: Machine | Form, left: tf.Tensor, right: tf.Tensor, logits: tf.Tensor | None = None
) -> tf.Tensor:
    r"""$E(z)$ in nats, summed over units: left [..., L] and right [..., R] give [...].

    The only matrix product of a restricted machine is that of `right_logits`, which is left out where they
    are given.
    """
    form = machine.form
    states = to_colors(left, right, form.sizes)
    logits = right_logits(machine, left) if logits is None else logits
    return energy_of_others(form, 0, states) - tf.reduce_sum(right * logits, -1)


def left_free_energy(machine: Machine, left: tf.Tensor) -> tf.Tensor:
    r"""$F(z_l) = -\log \sum_{z_r} \exp(-E(z))$ in nats: [..., L] gives [...]."""
    form = machine.form
    return free_energy(form, 0, to_colors(left, None, form.sizes))


def right_free_energy(rbm: RBM, right: tf.Tensor) -> tf.Tensor:
    r"""$F(z_r) = -\log \sum_{z_l} \exp(-E(z))$ in nats: [..., R] gives [...]."""
    return left_free_energy(transposed(rbm), right)


def mean_free_energy(machine: Machine, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """The mean, over the colors, of the free energy in which a color is summed out; nats, [...]."""
    form = machine.form
    states = to_colors(left, right, form.sizes)
    total = tf.add_n([free_energy(form, number, states) for number in range(len(states))])
    return total / len(states)

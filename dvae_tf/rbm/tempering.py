r"""The annealing path from a product distribution ($t = 0$) to the machine ($t = 1$).

$$
p_t(z) = \exp(-E_t(z)) / Z_t, \qquad -E_t(z) = ((1 - t)\, c + t a) \cdot z + t \sum_{ij} w_{ij} z_i z_j,
$$

with the log-odds $c$ of the product distribution and the biases $a$ of the machine; $c = 0$, fair bits, is
the machine at infinite temperature. Summing over the right side gives $f_t(z_l) = \log \sum_{z_r}
\exp(-E_t(z))$, the log marginal of the *tempered* machine, which is not $t f_1(z_l)$. Weights along the path
are ratios of $\exp(f_t)$, and of the exponentials of the log marginals without another color; of a restricted
machine that is $g_t(z_r)$, without the left side.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from ..graphs import Form, GraphMachine
from ..graphs.gibbs import noise
from ..graphs.machine import interaction, to_colors, to_sides
from ..graphs.sparse import UNITS_PER_NEIGHBOR, UNITS_PER_NEIGHBOR_ANNEALED, by_neighbors, is_sparse
from ..numerics import draw_bits, softplus_difference, uniform_pair
from ..products import matvec
from .energy import Machine, transposed

# Distance of the base probabilities from 0 and 1: a unit that is never 1 in the samples may be 1.
_CLIP = 0.01


class TemperedPath(NamedTuple):
    r"""A machine, and the log-odds $c$ [D] of the product distribution at the start of its path."""

    machine: Machine
    base_logits: tf.Tensor

    def map(self, function: Callable[[tf.Tensor], tf.Tensor]) -> "TemperedPath":
        """The path with a function of its parameters, such as `tf.stop_gradient`."""
        return TemperedPath(self.machine.map(function), function(self.base_logits))

    def at(self, t: tf.Tensor) -> Machine:
        r"""The machine with energy $E_t$, for a scalar $t$."""
        biases = (1 - t) * self.base_logits + t * self.machine.unit_biases
        return self.machine.map(lambda parameter: t * parameter).with_unit_biases(biases)

    @property
    def form(self) -> "ColoredPath":
        """The path by colors, as steps along it compute with."""
        form = self.machine.form
        return ColoredPath(form, form.split(self.base_logits))

    @property
    def for_sweeps(self) -> "ColoredPath":
        """As `form`, but by neighbors where sweeps are faster so (`graphs.sparse`)."""
        return self._by_neighbors(UNITS_PER_NEIGHBOR)

    @property
    def for_annealing(self) -> "ColoredPath":
        """As `form`, but by neighbors where annealing is faster so."""
        return self._by_neighbors(UNITS_PER_NEIGHBOR_ANNEALED)

    def _by_neighbors(self, units_per_neighbor: int) -> "ColoredPath":
        machine = self.machine
        if isinstance(machine, GraphMachine) and is_sparse(machine.graph, units_per_neighbor):
            form = by_neighbors(*machine)
            return ColoredPath(form, form.split(self.base_logits))
        return self.form

    def log_marginal_change(self, left: tf.Tensor, t: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        r"""$f_t(z_l) - f_\text{before}(z_l)$ in nats, [C], for $z_l$ [C, L]."""
        path = self.form
        states = to_colors(left, None, path.machine.sizes)
        pairs = interaction(path.machine, states)
        return path.log_marginal_change(0, states, path.machine.products(0, states), pairs, t, before)

    @property
    def transposed(self) -> "TemperedPath":
        """The same path with the colors drawn in the opposite order; so the sides are exchanged, if two."""
        machine = transposed(self.machine)
        return TemperedPath(machine, machine.form.join(self.form.base[::-1]))

    def advance(
        self, left: tf.Tensor, before: tf.Tensor, t: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`ColoredPath.advance` by sides: left [C, L] gives log w [C] and the new (left, right)."""
        states = to_colors(left, None, self.machine.form.sizes)
        log_weights, states = self.form.advance(states, before, t, seed)
        return log_weights, *to_sides(states)

    def draw_base(self, num_samples: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Exact draws at t = 0, where all units are independent: [C, L] and [C, R]."""
        rho, _ = uniform_pair([num_samples, self.base_logits.shape[0]], seed, self.machine.dtype)
        return self.machine.sides(draw_bits(tf.math.sigmoid(self.base_logits), rho))

    @property
    def log_base(self) -> tf.Tensor:
        r"""$\log Z_0 = \sum_i \log(1 + e^{c_i})$, nats."""
        return tf.reduce_sum(tf.math.softplus(self.base_logits))


class ColoredPath(NamedTuple):
    """A path by the colors of its machine: the machine, and the log-odds c of each color, as its biases."""

    machine: Form
    base: list[tf.Tensor]

    def biases(self, t: tf.Tensor) -> list[tf.Tensor]:
        r"""Those of the machine with energy $E_t$, by color."""
        return [(1 - t) * base + t * bias for base, bias in zip(self.base, self.machine.biases, strict=True)]

    def log_marginal_change(
        self,
        number: int,
        states: Sequence[tf.Tensor | None],
        products: tf.Tensor,
        pairs: tf.Tensor | float,
        t: tf.Tensor,
        before: tf.Tensor,
    ) -> tf.Tensor:
        """The change of the log marginal of all colors but one, nats, [C].

        Args:
          number: of the color that is summed out.
          states: by color, as the form of the machine has them; its own do not matter.
          products: of its units with the others (`Form.products`).
          pairs: the interaction of the others (`graphs.machine.interaction`); 0 of a single one.
          t: a scalar.
          before: a scalar.
        """
        now, then = self.biases(t), self.biases(before)
        change = softplus_difference(now[number] + t * products, then[number] + before * products)
        linear = [
            self._dot(state, now[other] - then[other])
            for other, state in enumerate(states)
            if other != number
        ]
        others = linear[0] if len(linear) == 1 else tf.add_n(linear) + (t - before) * pairs
        return others + tf.reduce_sum(change, self.machine.units_axis)

    def base_exponent(self, states: Sequence[tf.Tensor]) -> tf.Tensor:
        r"""$c \cdot z$, minus the energy of the product distribution, nats, [...]."""
        return tf.add_n([self._dot(state, base) for state, base in zip(states, self.base, strict=True)])

    def _dot(self, state: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
        if self.machine.units_axis == 0:
            return tf.reduce_sum(state * coefficients, 0)
        return matvec(state, coefficients)

    def advance(
        self, states: Sequence[tf.Tensor | None], before: tf.Tensor, t: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        r"""One Gibbs sweep, with weights, while $t$ moves in equal parts, one for each color.

        Each color is first summed out of the states, which are weighted as $t$ moves by its part, and then
        drawn. For a restricted machine, with $h$ the midpoint of `before` and `t`, from left states $z_l$:

        $$
        \begin{aligned}
        \log w &= f_h(z_l) - f_\text{before}(z_l), & z_r &\sim p_h(z_r | z_l), \\
        \log w &\leftarrow \log w + g_t(z_r) - g_h(z_r), & z_l &\sim p_t(z_l | z_r).
        \end{aligned}
        $$

        The weights use the matrix products of the sweep, so a step costs no more of them than with one weight
        per sweep, which has about twice the variance. With more than two colors the interaction of the others
        takes part of them again.

        Args:
          states: by color, as the form of the machine has them, properly weighted for p_before; those of the
            first do not matter.
          before: a scalar.
          t: a scalar, above or below it.
          seed: an `int32[2]` seed.

        Returns:
          log w [C] in nats, and the new states, which it weights properly for p_t.
        """
        form, states, count = self.machine, [None, *states[1:]], len(states)
        axis = form.units_axis
        pairs = interaction(form, states)
        log_weights, now = None, before
        for number, rho in enumerate(noise(form, states, seed)):
            later = t if number + 1 == count else ((count - number - 1) * before + (number + 1) * t) / count
            products = form.products(number, states)
            if count > 2 and number:
                pairs -= tf.reduce_sum(states[number] * products, axis)
            change = self.log_marginal_change(number, states, products, pairs, later, now)
            log_weights = change if log_weights is None else log_weights + change
            logits = self.biases(later)[number] + later * products
            states[number] = draw_bits(tf.math.sigmoid(logits), rho)
            if count > 2:
                pairs += tf.reduce_sum(states[number] * products, axis)
            now = later
        return log_weights, states


def tempered_path(machine: Machine, base_probs: Any = None) -> TemperedPath:
    """The path to a machine from independent bits of the given means.

    Args:
      machine: the machine at t = 1.
      base_probs: [D], such as the means of samples (clipped to [0.01, 0.99]); None for fair bits.

    Raises:
      ValueError: if the shape is wrong.
    """
    num_units = machine.num_units
    if base_probs is None:
        return TemperedPath(machine, tf.zeros([num_units], machine.dtype))
    base_probs = tf.cast(tf.convert_to_tensor(base_probs), machine.dtype)
    if base_probs.shape != (num_units,):
        raise ValueError(f"base_probs: expected shape [{num_units}], got {base_probs.shape}")
    probs = tf.clip_by_value(base_probs, _CLIP, 1 - _CLIP)
    return TemperedPath(machine, tf.math.log(probs) - tf.math.log1p(-probs))

r"""Block Gibbs sweeps by colors: $z_c \sim \mathrm{Bernoulli}(\sigma(a_c + \bar W_{c, \cdot} z))$ in turn.

One sweep redraws each unit once: the colors one after the other, the units of a color in parallel, which are
independent given all others. As in `rbm.block_gibbs`, the loop is an XLA program with the threefry generator,
and two colors share their random bits (`numerics.uniform_pair` states the rounding); on a complete bipartite
graph the draws are those of that function.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from ..numerics import Seed, as_seed, draw_bits, split, uniform_pair
from ..support import as_count_tensor
from .graph import Graph
from .machine import Form, GraphMachine, as_parameters, by_colors
from .sparse import by_neighbors, is_sparse


def block_gibbs(
    graph: Graph, biases: Any, couplings: Any, z: tf.Tensor, num_sweeps: int | tf.Tensor, seed: Seed
) -> tf.Tensor:
    """Runs `num_sweeps` sweeps from the given states; no gradient flows.

    It leaves p(z) invariant. The first color is drawn given the others, so its states in `z` do not matter.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      z: [C, D], the states of C chains, in the dtype of the biases.
      num_sweeps: at least 1.
      seed: an `int32[2]` seed.

    Returns:
      The states [C, D]; the last color was drawn given the others.

    Raises:
      ValueError: if a shape is wrong, or `num_sweeps` is below 1.
    """
    biases, couplings = as_parameters(graph, biases, couplings)
    z = tf.convert_to_tensor(z, biases.dtype)
    if z.shape.rank != 2 or z.shape[1] != graph.num_units:
        raise ValueError(f"z: expected shape [C, {graph.num_units}], got {z.shape}")
    return run_sweeps(GraphMachine(graph, biases, couplings), z, None, num_sweeps, seed)


def run_sweeps(
    machine: Any, z: tf.Tensor, given: tf.Tensor | None, num_sweeps: int | tf.Tensor, seed: Seed
) -> tf.Tensor:
    """`block_gibbs` of any machine, restricted or on a graph, over the units that are not given.

    Args:
      machine: a `GraphMachine` or an `rbm.RBM`.
      z: [C, D].
      given: booleans [C, D]; None where no unit is given.
      num_sweeps: at least 1.
      seed: an `int32[2]` seed.

    Raises:
      ValueError: if `num_sweeps` is below 1.
    """
    num_sweeps = as_count_tensor("num_sweeps", num_sweeps)
    # Outside of the program: a gradient tape would make it keep all intermediate values.
    machine, z = machine.map(tf.stop_gradient), tf.stop_gradient(z)
    # TensorFlow may serve a call of known shape by an existing trace of unknown shape, for instance after an
    # export, and a loop of the caller would reject the less specific shape.
    return tf.ensure_shape(_run_sweeps(machine, z, given, num_sweeps, as_seed(seed)), z.shape)


@tf.function(jit_compile=True)
def _run_sweeps(
    machine: Any, z: tf.Tensor, given: tf.Tensor | None, num_sweeps: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    form = for_sweeps(*machine) if isinstance(machine, GraphMachine) else machine.form
    keep = None if given is None else [each > 0 for each in form.split(tf.cast(given, z.dtype))]

    def one(index: tf.Tensor, states: list[tf.Tensor], seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        return index + 1, sweep(form, states, now, keep), seed

    _, states, _ = tf.while_loop(lambda index, *_: index < num_sweeps, one, (0, form.split(z), seed))
    return form.join(states)


def for_sweeps(graph: Graph, biases: Any, couplings: Any) -> Form:
    """The parameters in the form in which sweeps are faster: by neighbors where the graph is sparse.

    Raises:
      ValueError: if a shape is wrong.
    """
    if is_sparse(graph):
        return by_neighbors(graph, biases, couplings)
    return by_colors(graph, biases, couplings)


def sweep(
    form: Form,
    states: Sequence[tf.Tensor],
    seed: tf.Tensor,
    keep: Sequence[tf.Tensor] | None = None,
) -> list[tf.Tensor]:
    """One sweep, for use inside XLA programs.

    Args:
      form: the machine by colors, such as that of `for_sweeps`.
      states: what its `split` gives for states [C, D]; its `join` turns them back.
      seed: an `int32[2]` seed.
      keep: booleans, true for units that are not drawn; None where there are none.
    """
    states = list(states)
    for number, rho in enumerate(noise(form, states, seed)):
        drawn = draw_bits(tf.math.sigmoid(form.fields(number, states)), rho)
        states[number] = drawn if keep is None else tf.where(keep[number], states[number], drawn)
    return states


def noise(form: Form, states: Sequence[tf.Tensor], seed: tf.Tensor) -> list[tf.Tensor]:
    """Uniform numbers on [0, 1) for the units of each color, of the shapes of the states.

    The two colors of a pair take the halves of one random word per unit of the larger.
    """
    starts = range(0, len(states), 2)
    seeds = [seed] if len(starts) == 1 else split(seed, len(starts))
    units_first = form.units_axis == 0
    found = []
    for start, now in zip(starts, seeds, strict=True):
        sizes = form.sizes[start : start + 2]
        # The last color has the chains also where the first has yet to be drawn.
        shape = tf.shape(states[-1])
        shape = [max(sizes), *tf.unstack(shape[1:])] if units_first else [*tf.unstack(shape[:-1]), max(sizes)]
        for size, rho in zip(sizes, uniform_pair(shape, now, form.dtype), strict=False):
            found.append(rho[:size] if units_first else rho[..., :size])
    return found

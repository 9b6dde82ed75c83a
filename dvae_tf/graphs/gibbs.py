r"""Block Gibbs sweeps by colors: $z_c \sim \mathrm{Bernoulli}(\sigma(a_c + \bar W_{c, \cdot} z))$ in turn.

One sweep redraws each unit once: the colors one after the other, the units of a color in parallel, which are
independent given all others. As in `rbm.block_gibbs`, the loop is an XLA program with the threefry generator,
and two colors share their random bits (`numerics.uniform_pair` states the rounding); on a complete bipartite
graph the draws are those of that function.
"""

from typing import Any

import tensorflow as tf

from ..numerics import Seed, as_seed, draw_bits, split, uniform_pair
from ..support import as_count_tensor
from .graph import Graph
from .machine import ColoredMachine, as_parameters, by_colors
from .sparse import SparseMachine, by_neighbors, is_sparse


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
    num_sweeps = as_count_tensor("num_sweeps", num_sweeps)
    biases, couplings = as_parameters(graph, biases, couplings)
    z = tf.convert_to_tensor(z, biases.dtype)
    if z.shape.rank != 2 or z.shape[1] != graph.num_units:
        raise ValueError(f"z: expected shape [C, {graph.num_units}], got {z.shape}")
    # Outside of the program: a gradient tape would make it keep all intermediate values.
    biases, couplings, z = (tf.stop_gradient(each) for each in (biases, couplings, z))
    # The program may have been compiled for any number of chains.
    return tf.ensure_shape(_block_gibbs(graph, biases, couplings, z, num_sweeps, as_seed(seed)), z.shape)


@tf.function(jit_compile=True)
def _block_gibbs(
    graph: Graph,
    biases: tf.Tensor,
    couplings: tf.Tensor,
    z: tf.Tensor,
    num_sweeps: tf.Tensor,
    seed: tf.Tensor,
) -> tf.Tensor:
    machine = for_sweeps(graph, biases, couplings)

    def one(index: tf.Tensor, states: list[tf.Tensor], seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        return index + 1, sweep(machine, states, now), seed

    _, states, _ = tf.while_loop(lambda index, *_: index < num_sweeps, one, (0, machine.split(z), seed))
    return machine.join(states)


def for_sweeps(graph: Graph, biases: Any, couplings: Any) -> ColoredMachine | SparseMachine:
    """The parameters in the form in which sweeps are faster: by neighbors where the graph is sparse.

    Raises:
      ValueError: if a shape is wrong.
    """
    form = by_neighbors if is_sparse(graph) else by_colors
    return form(graph, biases, couplings)


def sweep(
    machine: ColoredMachine | SparseMachine, states: list[tf.Tensor], seed: tf.Tensor
) -> list[tf.Tensor]:
    """One sweep, for use inside XLA programs.

    Args:
      machine: of `for_sweeps`.
      states: what its `split` gives for states [C, D]; its `join` turns them back.
      seed: an `int32[2]` seed.
    """
    states = list(states)
    num_pairs = (len(states) + 1) // 2
    seeds = [seed] if num_pairs == 1 else split(seed, num_pairs)
    for number in range(len(states)):
        if number % 2 == 0:
            # The two colors of a pair take the halves of one random word per unit of the larger.
            width = max(map(len, machine.graph.colors[number : number + 2]))
            pair = uniform_pair(machine.noise_shape(states, width), seeds[number // 2], machine.dtype)
        rho = machine.noise_of(pair[number % 2], number)
        states[number] = draw_bits(tf.math.sigmoid(machine.fields(number, states)), rho)
    return states

r"""A Boltzmann machine trained in centered units.

$$
E(z) = -a' \cdot z_l - b' \cdot z_r - (z_l - \tfrac{1}{2})^\top W (z_r - \tfrac{1}{2}) + \text{const}, \qquad
a' = a + \tfrac{1}{2} W 1, \quad b' = b + \tfrac{1}{2} W^\top 1,
$$

is the same family as the machine with biases $a$, $b$; but the gradient in $W$ is a covariance around
$\tfrac{1}{2}$, so a change of the couplings does not act as one of the biases as well. The variables remain
$a$, $b$ and $W$: the optimizer takes its step with the gradients of the centered parameters, then the biases
follow. On a graph $a'_i = a_i + \tfrac{1}{2} \sum_j w_{ij}$, over the neighbors of each unit.
"""

from collections.abc import Sequence
from typing import TypeGuard

import keras
import tensorflow as tf

from ..graphs import Graph
from ..priors import BoltzmannPrior, Prior


def is_centerable(prior: Prior) -> TypeGuard[BoltzmannPrior]:
    """Whether all parameters of a machine are trained: neither without couplings nor frozen."""
    return isinstance(prior, BoltzmannPrior) and prior.trainable and prior.couplings


def apply_centered(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    prior: BoltzmannPrior,
) -> None:
    r"""Takes one step of an optimizer in the centered parameters of a prior.

    With $a = a' - \frac{1}{2} W 1$ and $b = b' - \frac{1}{2} W^\top 1$ the gradients in $a'$ and $b'$ are
    those in $a$ and $b$, and that in $W$ is $\nabla_W - \frac{1}{2} (\nabla_a 1^\top + 1 \nabla_b^\top)$: of
    a coupling half the gradients of the biases of its two units are subtracted, on a graph too.

    Args:
      optimizer: its moments of the biases are those of the centered biases.
      gradients: in the variables.
      variables: the parameters of the machine, and others.
      prior: the owner of the machine.
    """
    numbers = {id(variable): number for number, variable in enumerate(variables)}
    *biases, couplings = prior.parameters
    gradients = list(gradients)
    of_biases = [gradients[numbers[id(bias)]] for bias in biases]
    gradients[numbers[id(couplings)]] -= 0.5 * _at_couplings(prior.graph, of_biases)
    before = tf.convert_to_tensor(couplings)
    optimizer.apply(gradients, variables)
    change = tf.convert_to_tensor(couplings) - before
    for bias, total in zip(biases, _at_units(prior.graph, change), strict=True):
        bias.assign_sub(0.5 * total)


def _at_couplings(graph: Graph | None, of_biases: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sums of the numbers of the two units of each coupling, in the shape of the couplings."""
    if graph is None:
        left, right = of_biases
        return left[:, tf.newaxis] + right[tf.newaxis]
    return tf.reduce_sum(tf.gather(of_biases[0], graph.edges), 1)


def _at_units(graph: Graph | None, of_couplings: tf.Tensor) -> list[tf.Tensor]:
    """The sums of the numbers of the couplings of each unit, in the shapes of the biases."""
    if graph is None:
        return [tf.reduce_sum(of_couplings, 1), tf.reduce_sum(of_couplings, 0)]
    ends = tf.reshape(graph.edges, [-1])
    return [tf.math.unsorted_segment_sum(tf.repeat(of_couplings, 2), ends, graph.num_units)]

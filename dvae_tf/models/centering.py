r"""A Boltzmann machine trained in centred units.

$$
E(z) = -a' \cdot z_l - b' \cdot z_r - (z_l - \tfrac{1}{2})^\top W (z_r - \tfrac{1}{2}) + \text{const}, \qquad
a' = a + \tfrac{1}{2} W 1, \quad b' = b + \tfrac{1}{2} W^\top 1,
$$

is the same family as the machine with biases $a$, $b$; but the gradient in $W$ is a covariance around
$\tfrac{1}{2}$, so a change of the couplings does not act as one of the biases as well. The variables remain
$a$, $b$ and $W$: the optimizer takes its step with the gradients of the centred parameters, then the biases
follow.
"""

from collections.abc import Sequence
from typing import TypeGuard

import keras
import tensorflow as tf

from ..priors import BoltzmannPrior, Prior


def is_centerable(prior: Prior) -> TypeGuard[BoltzmannPrior]:
    """Whether all three parameters of a machine are trained: neither without couplings nor frozen."""
    return isinstance(prior, BoltzmannPrior) and prior.trainable and prior.couplings


def apply_centered(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    prior: BoltzmannPrior,
) -> None:
    r"""Takes one step of an optimizer in the centred parameters of a prior.

    With $a = a' - \frac{1}{2} W 1$ and $b = b' - \frac{1}{2} W^\top 1$ the gradients in $a'$ and $b'$ are
    those in $a$ and $b$, and that in $W$ is $\nabla_W - \frac{1}{2} (\nabla_a 1^\top + 1 \nabla_b^\top)$.

    Args:
      optimizer: its moments of the biases are those of the centred biases.
      gradients: in the variables.
      variables: the three parameters of the machine, and others.
      prior: the owner of the machine.
    """
    numbers = {id(variable): number for number, variable in enumerate(variables)}
    left, right, weights = (
        numbers[id(each)] for each in (prior.left_bias, prior.right_bias, prior.coupling_weights)
    )
    gradients = list(gradients)
    gradients[weights] -= 0.5 * (gradients[left][:, tf.newaxis] + gradients[right][tf.newaxis])
    before = tf.convert_to_tensor(prior.coupling_weights)
    optimizer.apply(gradients, variables)
    change = tf.convert_to_tensor(prior.coupling_weights) - before
    prior.left_bias.assign_sub(0.5 * tf.reduce_sum(change, 1))
    prior.right_bias.assign_sub(0.5 * tf.reduce_sum(change, 0))

r"""The training surrogate of $\log Z$: its value is the running estimate, its gradient the negative phase."""

from typing import Any

import tensorflow as tf

from ..rbm import as_machine, energy, mean_free_energy
from ..support import in_dtype


def log_partition_surrogate(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    left: tf.Tensor,
    right: tf.Tensor,
    log_partition: tf.Tensor | float = 0.0,
    log_weights: tf.Tensor | None = None,
    rao_blackwellized: bool = False,
) -> tf.Tensor:
    r"""A scalar whose value is `log_partition` and whose gradient estimates that of $\log Z$.

    $$
    \nabla \log Z = -\mathbb{E}_{z \sim p}[\nabla E(z)]
    $$

    (GumBolt paper, Eq. 6), with the weighted mean over the given states for the expectation.
    Rao-Blackwellised, each side is averaged given the other,

    $$
    \nabla \log Z = -\tfrac{1}{2} \mathbb{E}_{z \sim p}[\nabla F(z_l) + \nabla F(z_r)]
    $$

    with the free energies $F$ of both sides: the same expectation at states of a stationary chain, and a
    variance that is lower or equal. On a graph it is the mean, over the colors, of the free energies in which
    one color is summed out.

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      left: [C, L], states of the left side.
      right: [C, R], states of the right side; on a graph both are sides of `graphs.GraphMachine`.
      log_partition: the value, nats.
      log_weights: [C], of the states; not necessarily normalized. None gives equal weights.
      rao_blackwellized: whether free energies take the place of energies.
    """
    machine = as_machine(left_bias, right_bias, weights)
    left, right = (tf.stop_gradient(in_dtype(side, machine.dtype)) for side in (left, right))
    energies = (mean_free_energy if rao_blackwellized else energy)(machine, left, right)
    if log_weights is None:
        log_weights = tf.zeros_like(energies)
    normalized = tf.stop_gradient(tf.nn.softmax(tf.cast(log_weights, energies.dtype)))
    negative_phase = -tf.reduce_sum(normalized * energies)
    return tf.stop_gradient(log_partition - negative_phase) + negative_phase

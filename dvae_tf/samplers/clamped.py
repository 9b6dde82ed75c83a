"""Conditional sampling: some units are given, such as a whole side."""

from typing import Any

import tensorflow as tf

from ..numerics import Seed
from ..rbm import as_machine, clamped_gibbs


def sample_clamped(
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    z: Any,
    given: Any,
    num_sweeps: int = 1000,
    seed: Seed = (0, 0),
    temperature: float = 1.0,
) -> tf.Tensor:
    r"""Draws $z_\text{free} \sim p(z_\text{free} | z_\text{given})$ by block Gibbs sweeps.

    Exact after one sweep if all colors but one are given, as a side of a restricted machine; otherwise as
    good as the sweeps mix. No gradient flows.

    Args:
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      z: [C, D], zeros and ones: the values of the given units, and initial values of the free ones.
      given: booleans [D] or [C, D], true for the given units.
      num_sweeps: at least 1.
      seed: an `int32[2]` seed.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$.

    Returns:
      [C, D].

    Raises:
      ValueError: if shapes disagree or `num_sweeps` is below 1.
    """
    machine = as_machine(left_bias, right_bias, weights, temperature)
    num_units = machine.num_units
    z = tf.cast(tf.convert_to_tensor(z), machine.dtype)
    if z.shape.rank != 2 or z.shape[-1] != num_units:
        raise ValueError(f"z: expected shape [chains, {num_units}], got {z.shape}")
    given = tf.cast(tf.convert_to_tensor(given), tf.bool)
    if given.shape != (num_units,) and not given.shape.is_compatible_with(z.shape):
        raise ValueError(f"given: expected shape [{num_units}] or {z.shape}, got {given.shape}")
    given = tf.broadcast_to(given, tf.shape(z))
    return machine.bits(*clamped_gibbs(machine, z, given, num_sweeps, seed))

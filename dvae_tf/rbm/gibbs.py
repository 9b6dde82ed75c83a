r"""Block Gibbs sampling: $z_r \sim p(z_r | z_l)$ and $z_l \sim p(z_l | z_r)$ in turn.

One sweep updates each side once; on a graph it draws the colors in turn (`graphs.sweep`), of which the first
is the right side. The loop is always an XLA program with the threefry generator, which there is three times
faster than Philox on a CPU, and both sides share their random bits (`numerics.uniform_pair` states the
rounding). Inside `tf.vectorized_map` it becomes an ordinary graph with the same draws.
"""

import tensorflow as tf

from ..graphs.gibbs import run_sweeps
from ..numerics import Seed, as_seed, check_precision, draw_bits, uniform, uniform_pair
from ..support import as_count
from .energy import Machine, right_logits, split_sides


def block_gibbs(
    machine: Machine, left: tf.Tensor, num_sweeps: int | tf.Tensor, seed: Seed
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs `num_sweeps` block Gibbs sweeps from the given left states; no gradient flows.

    It leaves p(z) invariant. The right side is redrawn first, so only the left states are needed.

    Args:
      machine: the machine.
      left: [C, L], the left states of C chains, of the machine's dtype.
      num_sweeps: at least 1.
      seed: an `int32[2]` seed.

    Returns:
      `(left, right)`: [C, L] and [C, R]; left was drawn given right.

    Raises:
      ValueError: if `num_sweeps` is below 1.
    """
    right = tf.zeros([tf.shape(left)[0], machine.num_right], machine.dtype)
    z = run_sweeps(machine, machine.bits(left, right), None, num_sweeps, seed)
    return tuple(tf.ensure_shape(side, [left.shape[0], None]) for side in machine.sides(z))


def sample_right(machine: Machine, left: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    r"""Draws $z_r$ given `left` [..., L]: [..., R]; no gradient flows."""
    logits = right_logits(machine, left)
    rho = uniform(tf.shape(logits), seed, machine.dtype)
    return tf.stop_gradient(draw_bits(tf.math.sigmoid(logits), rho))


def clamped_gibbs(
    machine: Machine, z: tf.Tensor, given: tf.Tensor, num_sweeps: int | tf.Tensor, seed: Seed
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs block Gibbs sweeps over the units that are not given; leaves p(z_free | z_given) invariant.

    Args:
      machine: the machine.
      z: [C, D], values of the given units, first values of the free ones.
      given: booleans [C, D]: True holds a unit at its value.
      num_sweeps: at least 1; with one whole side of a restricted machine given, a single sweep is an exact
        draw of the other.
      seed: an `int32[2]` seed.

    Returns:
      `(left, right)`: [C, L] and [C, R].

    Raises:
      ValueError: if `num_sweeps` is below 1.
    """
    return machine.sides(run_sweeps(machine, z, given, num_sweeps, seed))


@tf.function(jit_compile=True)
def _coin_flips(shape: tuple[int, ...], dtype: tf.DType, seed: tf.Tensor) -> tf.Tensor:
    return draw_bits(0.5, uniform_pair(shape, seed, dtype)[0])


def uniform_states(
    num_chains: int, num_left: int, num_right: int, seed: Seed, dtype: tf.DType = tf.float32
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws independent fair bits, [C, L] and [C, R]: the machine at infinite temperature.

    Raises:
      ValueError: if the dtype is neither float32 nor float64.
    """
    num_left, num_right = as_count("num_left", num_left), as_count("num_right", num_right)
    return split_sides(uniform_bits(num_chains, num_left + num_right, seed, dtype), num_left)


def uniform_bits(num_chains: int, num_units: int, seed: Seed, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Draws independent fair bits, [C, D].

    Raises:
      ValueError: if the dtype is neither float32 nor float64.
    """
    if not tf.is_tensor(num_chains):
        num_chains = as_count("num_chains", num_chains, 0)
    check_precision(dtype)
    return _coin_flips((num_chains, num_units), tf.as_dtype(dtype), as_seed(seed))

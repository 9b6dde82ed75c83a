r"""Block Gibbs sampling: $z_r \sim p(z_r | z_l)$ and $z_l \sim p(z_l | z_r)$ in turn.

One sweep updates each side once. The loop is always an XLA program with the threefry generator, which there
is three times faster than Philox on a CPU, and both sides share their random bits (`numerics.uniform_pair`
states the rounding). Inside `tf.vectorized_map` it becomes an ordinary graph with the same draws.
"""

import tensorflow as tf

from ..numerics import Seed, as_seed, check_precision, draw_bits, split, uniform, uniform_pair
from ..support import as_count, as_count_tensor
from .energy import RBM, left_logits, right_logits, split_sides


def block_gibbs(
    rbm: RBM, left: tf.Tensor, num_sweeps: int | tf.Tensor, seed: Seed
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs `num_sweeps` block Gibbs sweeps from the given left states; no gradient flows.

    It leaves p(z) invariant. The right side is redrawn first, so only the left states are needed.

    Args:
      rbm: the machine.
      left: [C, L], the left states of C chains, of the machine's dtype.
      num_sweeps: at least 1.
      seed: an `int32[2]` seed.

    Returns:
      `(left, right)`: [C, L] and [C, R]; left was drawn given right.

    Raises:
      ValueError: if `num_sweeps` is below 1.
    """
    num_sweeps = as_count_tensor("num_sweeps", num_sweeps)
    # Outside of the program: a gradient tape would make it keep all intermediate values.
    rbm, left = tf.nest.map_structure(tf.stop_gradient, (rbm, left))
    states = _block_gibbs(rbm, left, num_sweeps, as_seed(seed))
    return _with_chains_of(left, *states)


def _with_chains_of(start: tf.Tensor, left: tf.Tensor, right: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The states, with the static number of chains that they started with.

    TensorFlow may serve a call of known shape by an existing trace of unknown shape, for instance after an
    export, and a loop of the caller would reject the less specific shape.
    """
    return tuple(tf.ensure_shape(side, [start.shape[0], side.shape[-1]]) for side in (left, right))


@tf.function(jit_compile=True)
def _block_gibbs(
    rbm: RBM, left: tf.Tensor, num_sweeps: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    right = tf.zeros([tf.shape(left)[0], rbm.num_right], rbm.dtype)

    def sweep(index: tf.Tensor, left: tf.Tensor, right: tf.Tensor, seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        left, right = sample_both(rbm, right_logits(rbm, left), now)
        return index + 1, left, right, seed

    _, left, right, _ = tf.while_loop(lambda index, *_: index < num_sweeps, sweep, (0, left, right, seed))
    return left, right


def sample_both(rbm: RBM, logits: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """One sweep, for use inside XLA programs: z_r from the given log-odds [C, R], then z_l given z_r."""
    width = max(rbm.num_left, rbm.num_right)
    for_right, for_left = uniform_pair([tf.shape(logits)[0], width], seed, rbm.dtype)
    right = draw_bits(tf.math.sigmoid(logits), for_right[:, : rbm.num_right])
    left = draw_bits(tf.math.sigmoid(left_logits(rbm, right)), for_left[:, : rbm.num_left])
    return left, right


def sample_right(rbm: RBM, left: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    r"""Draws $z_r$ given `left` [..., L]: [..., R]; no gradient flows."""
    logits = right_logits(rbm, left)
    return tf.stop_gradient(draw_bits(tf.math.sigmoid(logits), uniform(tf.shape(logits), seed, rbm.dtype)))


def clamped_gibbs(
    rbm: RBM, z: tf.Tensor, given: tf.Tensor, num_sweeps: int | tf.Tensor, seed: Seed
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs block Gibbs sweeps over the units that are not given; leaves p(z_free | z_given) invariant.

    Args:
      rbm: the machine.
      z: [C, L + R], values of the given units, first values of the free ones.
      given: booleans [C, L + R]: True holds a unit at its value.
      num_sweeps: at least 1; with one whole side given, a single sweep is an exact draw of the other.
      seed: an `int32[2]` seed.

    Returns:
      `(left, right)`: [C, L] and [C, R].

    Raises:
      ValueError: if `num_sweeps` is below 1.
    """
    num_sweeps = as_count_tensor("num_sweeps", num_sweeps)
    rbm, z = tf.nest.map_structure(tf.stop_gradient, (rbm, z))
    states = _clamped_gibbs(rbm, z, given, num_sweeps, as_seed(seed))
    return _with_chains_of(z, *states)


@tf.function(jit_compile=True)
def _clamped_gibbs(
    rbm: RBM, z: tf.Tensor, given: tf.Tensor, num_sweeps: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    (z_left, z_right), (keep_left, keep_right) = (split_sides(x, rbm.num_left) for x in (z, given))
    width = max(rbm.num_left, rbm.num_right)

    def sweep(index: tf.Tensor, left: tf.Tensor, right: tf.Tensor, seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        for_right, for_left = uniform_pair([tf.shape(left)[0], width], now, rbm.dtype)
        drawn = draw_bits(tf.math.sigmoid(right_logits(rbm, left)), for_right[:, : rbm.num_right])
        right = tf.where(keep_right, z_right, drawn)
        drawn = draw_bits(tf.math.sigmoid(left_logits(rbm, right)), for_left[:, : rbm.num_left])
        return index + 1, tf.where(keep_left, z_left, drawn), right, seed

    _, left, right, _ = tf.while_loop(lambda index, *_: index < num_sweeps, sweep, (0, z_left, z_right, seed))
    return left, right


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
    if not tf.is_tensor(num_chains):
        num_chains = as_count("num_chains", num_chains, 0)
    num_left, num_right = as_count("num_left", num_left), as_count("num_right", num_right)
    check_precision(dtype)
    states = _coin_flips((num_chains, num_left + num_right), tf.as_dtype(dtype), as_seed(seed))
    return states[:, :num_left], states[:, num_left:]

"""Log-space helpers, stateless seeds and random bits, on which all other modules build.

Seeds are `int32[2]` tensors. A consumer never uses a seed twice: it folds in a tag (the consumer) and a step,
or splits it. Nothing here keeps state.
"""

import enum
import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

Seed: TypeAlias = tf.Tensor | Sequence[int]


class Tag(enum.IntEnum):
    """Consumers of random numbers; folded into a run's seed so that no two of them share a stream."""

    BINARIZATION = 1
    POSTERIOR = 2
    NEGATIVE_PHASE = 3
    INITIAL_CHAINS = 4
    INITIAL_WEIGHTS = 5
    VALIDATION = 6
    ANNEALING = 7
    TEST = 8
    PICTURES = 9
    BATCH_ORDER = 10
    MIXING = 11
    LIVE = 12
    TRACKING = 13
    BATCH_NORM = 14
    LOCAL = 15


def as_seed(seed: Seed | int) -> tf.Tensor:
    """Returns `seed` as an `int32[2]` tensor, so that a new pair of integers does not cause retracing.

    Args:
      seed: an integer, a pair of integers, or an `int32[2]` tensor.

    Raises:
      ValueError: if `seed` is none of these.
    """
    if isinstance(seed, int | np.integer):
        seed = (0, int(seed))
    if isinstance(seed, tf.Tensor):
        tensor = tf.cast(seed, tf.int32) if seed.dtype.is_integer else None
    else:
        values = np.asarray(seed)
        fits = values.dtype.kind in "iu" and np.all((values >= -(2**31)) & (values < 2**31))
        tensor = tf.constant(values, tf.int32) if fits else None
    if tensor is None or tensor.shape != (2,):
        raise ValueError(f"seed: expected an integer or a pair of integers of 32 bits, got {seed!r}")
    return tensor


def fold_in(seed: Seed, *data: int | tf.Tensor) -> tf.Tensor:
    """Derives a new `int32[2]` seed from `seed` and one or more integers (a tag, a step)."""
    seed = as_seed(seed)
    for value in data:
        # int64 data would result in an int64 seed.
        seed = tf.random.fold_in(seed, tf.cast(value, tf.int32), alg="philox")
    return seed


def split(seed: Seed, num: int = 2) -> list[tf.Tensor]:
    """Derives `num` independent `int32[2]` seeds from `seed`."""
    return tf.unstack(tf.random.split(as_seed(seed), num, alg="philox"))


def integer_seed(seed: int, *data: int) -> int:
    """Derives a Python integer below 2^31 from integers, for libraries that require one."""
    return int(np.random.SeedSequence((seed, *data)).generate_state(1)[0] >> 1)


def check_precision(dtype: tf.DType) -> None:
    """Raises `ValueError` for a dtype that states of a machine are not drawn in, such as half precision."""
    if dtype not in (tf.float32, tf.float64):
        raise ValueError(f"dtype: expected float32 or float64, got {tf.as_dtype(dtype).name}")


# The lower bound of the standard deviations that networks output.
_SMALLEST_SCALE = 0.02


def in_xla() -> bool:
    """Whether operations are being traced for an XLA program."""
    return control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph())


def uniform(shape: Sequence[int] | tf.Tensor, seed: Seed, dtype: tf.DType, native: bool = False) -> tf.Tensor:
    """Draws uniform numbers on [0, 1): by threefry inside an XLA program, by TensorFlow's default outside.

    Threefry is three times faster than Philox in XLA programs on a CPU, but slow outside of them; so draws
    inside an XLA program differ from those outside.

    Args:
      shape: the shape of the draws.
      seed: an `int32[2]` seed.
      dtype: float32 or float64.
      native: whether threefry is TensorFlow's operation, which no vectorized map can take out of an XLA
        program of its own. The draws are the same, but XLA rounds what is computed from them otherwise; so
        relaxed variables keep it, for the sake of runs that are to repeat to the last bit.

    Raises:
      ValueError: if the dtype is another.
    """
    check_precision(dtype)
    if not in_xla():
        return tf.random.stateless_uniform(shape, as_seed(seed), dtype=dtype)
    if native:
        return tf.random.stateless_uniform(shape, as_seed(seed), dtype=dtype, alg="threefry")
    # In float32 one bit less than the mantissa holds, as in the native draws.
    return _unit(_threefry(shape, seed, dtype), {tf.float32: 9, tf.float64: 12}[dtype], dtype)


def uniform_pair(
    shape: Sequence[int] | tf.Tensor, seed: Seed, dtype: tf.DType, native: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Draws two uniform numbers on [0, 1) per entry; inside an XLA program from one random word.

    From a random word $w$ of $2h$ bits, the first number is $w / 2^{2h}$, and the second is $w$ rotated by
    $h$ bits, divided by $2^{2h}$ (both cut to the mantissa; $h$ is 16 in float32, 32 in float64). Each is
    uniform to the last bit. Given the outcome of $u_1 < p_1$, the distribution of $u_2$ is exact unless the
    upper half of $w$ equals that of $p_1$: an event of probability $p_2$ occurs with a relative error below
    $2^{-h}$. Random bits dominate the cost of a Gibbs sweep, and this halves them.

    Args:
      shape: the shape of each of the two.
      seed: an `int32[2]` seed.
      dtype: float32 or float64.
      native: as for `uniform`.

    Returns:
      Two tensors of the given shape and dtype.

    Raises:
      ValueError: if the dtype is another.
    """
    check_precision(dtype)
    if not in_xla():
        first, second = split(seed)
        return uniform(shape, first, dtype), uniform(shape, second, dtype)
    words = _native_threefry(shape, seed, dtype) if native else _threefry(shape, seed, dtype)
    unused = {tf.float32: 8, tf.float64: 12}[dtype]
    return _unit(words, unused, dtype), _unit(_rotated(words, 4 * words.dtype.size), unused, dtype)


def _native_threefry(shape: Sequence[int] | tf.Tensor, seed: Seed, dtype: tf.DType) -> tf.Tensor:
    word = {tf.float32: tf.uint32, tf.float64: tf.uint64}[dtype]
    return tf.random.stateless_uniform(shape, as_seed(seed), None, None, word, alg="threefry")


def _unit(words: tf.Tensor, unused: int, dtype: tf.DType) -> tf.Tensor:
    """The leading bits of random words as numbers on [0, 1)."""
    bits = 8 * words.dtype.size
    mantissa = tf.bitwise.right_shift(words, tf.constant(unused, words.dtype))
    # By way of the signed type, whose conversion to a float is a single instruction.
    signed = tf.bitcast(mantissa, {32: tf.int32, 64: tf.int64}[bits])
    return tf.cast(signed, dtype) * 2.0 ** (unused - bits)


def _rotated(words: tf.Tensor, distance: int) -> tf.Tensor:
    """Words whose bits are rotated to the left."""
    left, right = (tf.constant(d, words.dtype) for d in (distance, 8 * words.dtype.size - distance))
    return tf.bitwise.bitwise_or(tf.bitwise.left_shift(words, left), tf.bitwise.right_shift(words, right))


# Distances of rotation in the rounds of Threefry-2x32, four to a key; and a constant of the key schedule.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def _threefry(shape: Sequence[int] | tf.Tensor, seed: Seed, dtype: tf.DType) -> tf.Tensor:
    """Random words of the size of a float: the counter-based Threefry-2x32 (Salmon et al., 2011), 20 rounds.

    Bit for bit the words of `tf.random.stateless_uniform(..., alg="threefry")`, which exists in XLA programs
    only: `tf.vectorized_map` takes the operations of a program out of it, where that one fails. These are
    plain operations, of which XLA makes the same machine code.
    """
    key = tf.unstack(tf.bitcast(as_seed(seed), tf.uint32))
    shape = tf.convert_to_tensor(shape, tf.int32)
    if dtype == tf.float64:
        low, high = (tf.cast(each, tf.uint64) for each in _threefry_pairs(key, tf.reduce_prod(shape)))
        words = tf.bitwise.bitwise_or(low, tf.bitwise.left_shift(high, tf.constant(32, tf.uint64)))
        return tf.reshape(words, shape)
    # The two words of a pair are neighbors in the first even dimension, or else in the longest one.
    sizes = tf.concat([[1], shape], 0)
    even = tf.cast(sizes % 2 == 0, tf.int32)
    axis = tf.argmax(tf.where(tf.reduce_any(even > 0), even, sizes), output_type=tf.int32)
    before, size, after = tf.reduce_prod(sizes[:axis]), sizes[axis], tf.reduce_prod(sizes[axis + 1 :])
    half = (size + 1) // 2
    pairs = [tf.reshape(each, [before, half, after]) for each in _threefry_pairs(key, before * half * after)]
    words = tf.reshape(tf.stack(pairs, 2), [before, 2 * half, after])
    return tf.reshape(words[:, :size], shape)


def _threefry_pairs(key: Sequence[tf.Tensor], count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The two words of 32 bits of the counters from 0 on."""
    keys = (*key, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(*key), tf.constant(_PARITY, tf.uint32)))
    first, second = tf.bitcast(tf.range(count), tf.uint32) + keys[0], keys[1]
    for index in range(5):
        for distance in _ROTATIONS[index % 2]:
            first += second
            second = tf.bitwise.bitwise_xor(first, _rotated(second, distance))
        first += keys[(index + 1) % 3]
        second += keys[(index + 2) % 3] + tf.constant(index + 1, tf.uint32)
    return first, second


def draw_bits(probs: tf.Tensor | float, rho: tf.Tensor) -> tf.Tensor:
    """Bits that are 1 with the given probabilities, from uniform numbers on [0, 1) and in their dtype."""
    return tf.cast(rho < probs, rho.dtype)


def normal(shape: Sequence[int] | tf.Tensor, seed: Seed, dtype: tf.DType) -> tf.Tensor:
    """Draws standard normal numbers, from `uniform` by the quantile function; within 5.4 in float32.

    Args:
      shape: the shape of the draws.
      seed: an `int32[2]` seed.
      dtype: float32 or float64.

    Raises:
      ValueError: if the dtype is another.
    """
    u = uniform(shape, seed, dtype)
    # Uniform draws are multiples of twice this; in the middle of their cells they are symmetric around 1/2.
    return tf.math.ndtri(u + {tf.float32: 2.0**-24, tf.float64: 2.0**-53}[dtype])


def positive_scale(raw: tf.Tensor) -> tf.Tensor:
    """A scale above 0.02 from any number: 1 at 0, and asymptotically linear."""
    width = (1.0 - _SMALLEST_SCALE) / tf.math.log(tf.constant(2.0, raw.dtype))
    return _SMALLEST_SCALE + width * tf.math.softplus(raw)


def binary_digits(numbers: tf.Tensor, num_digits: int, dtype: tf.DType) -> tf.Tensor:
    """The binary digits of int64 numbers, the lowest first: [N] gives [N, num_digits]."""
    digits = tf.bitwise.right_shift(numbers[:, tf.newaxis], tf.range(num_digits, dtype=tf.int64))
    return tf.cast(tf.bitwise.bitwise_and(digits, tf.constant(1, tf.int64)), dtype)


def log_mean_exp(values: tf.Tensor, axis: int = 0) -> tf.Tensor:
    """The log of the mean of exp(values) along `axis`, computed relative to the maximum; in nats."""
    values = tf.convert_to_tensor(values)
    count = tf.cast(tf.shape(values)[axis], values.dtype)
    return tf.reduce_logsumexp(values, axis) - tf.math.log(count)


def keep_nan(value: tf.Tensor, *inputs: tf.Tensor) -> tf.Tensor:
    """`value`, but NaN where an input is NaN, which comparisons and searches would turn into a number."""
    spoiled = functools.reduce(tf.logical_or, map(tf.math.is_nan, inputs))
    return tf.where(spoiled, tf.constant(float("nan"), value.dtype), value)


def bernoulli_entropy(logits: tf.Tensor) -> tf.Tensor:
    r"""The entropy of a Bernoulli variable per element, in nats; finite for all logits.

    $H = \log(1 + e^l) - l \sigma(l)$, an even function, evaluated at $-|l|$ where no terms cancel.
    """
    magnitude = tf.abs(logits)
    # sigmoid(-|l|) underflows to 0 long before |l| overflows; the cap avoids 0 * inf.
    capped = tf.minimum(magnitude, 1e3)
    return tf.math.softplus(-magnitude) + capped * tf.math.sigmoid(-capped)


# The last power of the series of artanh up to 1/3.
_ARTANH_POWER = {tf.float32: 15, tf.float64: 33}


def softplus_difference(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    r"""softplus(x) - softplus(y) per element, to the rounding of the result where x and y are close.

    $$
    \log \frac{1 + a}{1 + b} = 2 \operatorname{artanh} u, \qquad u = \frac{a - b}{2 + a + b}, \quad
    a = e^{-|x|}, \quad b = e^{-|y|}, \quad |u| \le \tfrac{1}{3},
    $$

    by its series, on top of the difference of the positive parts. Annealing spends most of its time here, and
    adds up millions of differences: as the logarithm of the ratio each would be biased by 1e-9 in float32.
    """
    a, b = tf.exp(-tf.abs(x)), tf.exp(-tf.abs(y))
    u = (a - b) / (2.0 + a + b)
    square = u * u
    series = tf.zeros_like(u)
    for power in range(_ARTANH_POWER[u.dtype], 0, -2):
        series = series * square + 1.0 / power
    return tf.nn.relu(x) - tf.nn.relu(y) + 2.0 * u * series


def effective_sample_size(log_weights: tf.Tensor) -> tf.Tensor:
    r"""$(\sum w)^2 / \sum w^2$ of log weights over the first axis: between 1 and their number."""
    # Relative to the largest weight, for the difference below loses digits to large log weights.
    log_weights -= tf.stop_gradient(tf.reduce_max(log_weights, 0))
    return tf.exp(2.0 * tf.reduce_logsumexp(log_weights, 0) - tf.reduce_logsumexp(2.0 * log_weights, 0))

"""Tests of the log-space helpers, the stateless seeds and the paired uniforms."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import numerics
from support.reference import bernoulli_entropy, chi_square_p_value, ks_distance

_MANTISSA = {tf.float32: 24, tf.float64: 52}
_HALF = {tf.float32: 16, tf.float64: 32}


def _uniform_pair(shape, seed, dtype):
    compiled = tf.function(lambda: numerics.uniform_pair(shape, seed, dtype), jit_compile=True)
    return [each.numpy() for each in compiled()]


@pytest.fixture(scope="module", params=[tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def pair(request):
    """A dtype and 200,000 pairs."""
    return request.param, *_uniform_pair([400, 500], (3, 5), request.param)


def test_uniform_pair_has_uniform_marginals(pair):
    dtype, *uniforms = pair
    for uniform in uniforms:
        assert uniform.shape == (400, 500)
        assert uniform.dtype == dtype.as_numpy_dtype
        assert uniform.min() >= 0
        assert uniform.max() < 1
        assert ks_distance(uniform, lambda u: u) < 2.2


def test_uniform_pair_reaches_both_ends(pair):
    _, *uniforms = pair
    for uniform in uniforms:
        # The extremes of n uniforms are within 14/n of the ends with probability 1 - 1e-6.
        assert uniform.min() < 14 / uniform.size
        assert uniform.max() > 1 - 14 / uniform.size


def test_uniform_pair_is_independent(pair):
    _, first, second = pair
    correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
    assert abs(correlation) * np.sqrt(first.size) < 4
    cells = 32 * np.floor(32 * first).astype(int) + np.floor(32 * second).astype(int)
    assert chi_square_p_value(cells, np.ones(32 * 32)) > 1e-4
    # As in the sampler: the outcome of one comparison given that of the other, off the grid.
    for p1, p2 in ((0.3, 0.7), (0.011, 0.983)):
        outcomes = 2 * (first < p1).astype(int) + (second < p2)
        probs = np.outer([1 - p1, p1], [1 - p2, p2])
        assert chi_square_p_value(outcomes, probs) > 1e-4


def test_uniform_pair_is_independent_between_entries(pair):
    _, first, second = pair
    for one, other in ((first, first), (first, second), (second, second)):
        correlation = np.corrcoef(one[:, :-1].ravel(), other[:, 1:].ravel())[0, 1]
        assert abs(correlation) * np.sqrt(first.size) < 4


def test_uniform_pair_is_one_word_and_its_rotation(pair):
    dtype, *uniforms = pair
    bits, half = _MANTISSA[dtype], _HALF[dtype]
    scaled = [uniform.astype(np.float64) * 2.0**bits for uniform in uniforms]
    first, second = (each.astype(np.int64) for each in scaled)
    for integers, numbers in zip((first, second), scaled, strict=True):
        np.testing.assert_array_equal(integers, numbers)  # no bit below the mantissa
    low = bits - half  # the number of bits of the other half that a mantissa still holds
    np.testing.assert_array_equal(first >> low >> (half - low), second & (2**low - 1))
    np.testing.assert_array_equal(second >> low >> (half - low), first & (2**low - 1))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_uniform_pair_outside_a_compiled_program(dtype):
    first, second = (each.numpy() for each in numerics.uniform_pair([200, 100], (3, 5), dtype))
    for uniform in (first, second):
        assert uniform.dtype == dtype.as_numpy_dtype
        assert ks_distance(uniform, lambda u: u) < 2.2
    cells = 8 * np.floor(8 * first).astype(int) + np.floor(8 * second).astype(int)
    assert chi_square_p_value(cells, np.ones(64)) > 1e-4


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_uniform(dtype, jit_compile):
    draw = tf.function(lambda: numerics.uniform([200, 100], (3, 5), dtype), jit_compile=jit_compile)
    uniform = draw().numpy()
    assert uniform.dtype == dtype.as_numpy_dtype
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert ks_distance(uniform, lambda u: u) < 2.2
    np.testing.assert_array_equal(uniform, draw())


def test_uniform_pair_depends_on_the_seed_alone():
    one, again = (_uniform_pair([50], (1, 2), tf.float32) for _ in range(2))
    other = _uniform_pair([50], (1, 3), tf.float32)
    np.testing.assert_array_equal(one, again)
    assert not np.intersect1d(one[0], other[0]).size


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_log_mean_exp(axis):
    values = np.random.default_rng(0).normal(0, 3, (5, 7))
    expected = np.log(np.mean(np.exp(values), axis))
    np.testing.assert_allclose(numerics.log_mean_exp(values, axis), expected, rtol=1e-12)
    shifted = numerics.log_mean_exp(tf.constant(values + 1e4), axis)
    np.testing.assert_allclose(shifted, expected + 1e4, rtol=1e-12)


def test_log_mean_exp_of_extreme_values():
    values = tf.constant([[1e4, -1e4, -np.inf], [-1e4, -1e4, -np.inf]], tf.float32)
    found = numerics.log_mean_exp(values, 0).numpy()
    np.testing.assert_allclose(found[:2], [1e4 - np.log(2), -1e4], rtol=1e-6)
    assert found[2] == -np.inf


def test_log_mean_exp_is_not_the_mean_of_logs():
    assert abs(numerics.log_mean_exp(tf.constant([0.0, 10.0])) - (10 - np.log(2))) < 1e-3


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_bernoulli_entropy(dtype):
    logits = np.concatenate([np.linspace(-40, 40, 161), [-1e6, -700, -1e-6, 1e-6, 700, 1e6]])
    found = numerics.bernoulli_entropy(tf.constant(logits, dtype)).numpy()
    rtol = 1e-5 if dtype == tf.float32 else 1e-12
    expected = bernoulli_entropy(logits.astype(dtype.as_numpy_dtype))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-37)


def test_bernoulli_entropy_of_certain_bits():
    logits = tf.constant([-np.inf, -3e38, 3e38, np.inf], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        entropy = numerics.bernoulli_entropy(logits)
    np.testing.assert_array_equal(entropy, np.zeros(4))
    np.testing.assert_array_equal(tape.gradient(entropy, logits), np.zeros(4))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_bernoulli_entropy_gradient(dtype):
    values = np.array([-1e6, -1e4, -90.0, -30.0, -2.0, -0.1, 0.0, 0.3, 3.0, 30.0, 90.0, 1e4, 1e6])
    logits = tf.constant(values, dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        entropy = numerics.bernoulli_entropy(logits)
    gradient = tape.gradient(entropy, logits).numpy()
    # d H / d l = -l q (1 - q).
    expected = -values * special.expit(values) * special.expit(-values)
    rtol = 1e-5 if dtype == tf.float32 else 1e-12
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=1e-36)


def test_as_seed_takes_integers_pairs_and_tensors():
    for seed in (7, np.int64(7), (0, 7), [0, 7], np.array([0, 7]), tf.constant([0, 7])):
        found = numerics.as_seed(seed)
        assert found.dtype == tf.int32
        assert found.numpy().tolist() == [0, 7]


@pytest.mark.parametrize("seed", [(1, 2, 3), (1,), [[1, 2]], (), tf.constant(3)])
def test_as_seed_refuses_other_shapes(seed):
    with pytest.raises(ValueError, match="seed"):
        numerics.as_seed(seed)


@pytest.mark.parametrize("seed", [None, "ab", {}, 1.5, (1.5, 2.5)])
def test_as_seed_refuses_other_types(seed):
    with pytest.raises(ValueError, match="seed"):
        numerics.as_seed(seed)


def test_as_seed_tells_large_integers_apart():
    try:
        found = numerics.as_seed(2**40)
    except ValueError:
        return
    assert found.numpy().tolist() != numerics.as_seed(0).numpy().tolist()


def test_fold_in_gives_distinct_seeds():
    consumers = [((0, 0), tag, step) for tag in range(9) for step in range(9)]
    consumers += [((0, seed), 1, 1) for seed in range(1, 9)]
    found = {tuple(numerics.fold_in(*consumer).numpy()) for consumer in consumers}
    assert len(found) == len(consumers)
    assert (0, 0) not in found


def test_fold_in_is_reproducible_and_takes_tensors():
    expected = numerics.fold_in((1, 2), numerics.Tag.TEST, 3)
    assert expected.dtype == tf.int32
    for step in (np.int64(3), tf.constant(3), tf.constant(3, tf.int64)):
        found = numerics.fold_in(tf.constant([1, 2]), tf.constant(8), step)
        np.testing.assert_array_equal(found, expected)
    in_order = numerics.fold_in(numerics.fold_in((1, 2), numerics.Tag.TEST), 3)
    np.testing.assert_array_equal(in_order, expected)


def test_fold_in_is_the_same_in_a_graph_and_under_xla():
    for jit_compile in (False, True):
        compiled = tf.function(lambda step: numerics.fold_in((1, 2), step), jit_compile=jit_compile)
        np.testing.assert_array_equal(compiled(tf.constant(5)), numerics.fold_in((1, 2), 5))


def test_split_gives_distinct_seeds():
    seeds = numerics.split((4, 5), 50)
    found = {tuple(seed.numpy()) for seed in seeds}
    assert len(found) == 50
    assert (4, 5) not in found
    assert all(seed.dtype == tf.int32 for seed in seeds)
    assert len(numerics.split((4, 5))) == 2


def test_tags_are_distinct():
    assert len({int(tag) for tag in numerics.Tag}) == len(numerics.Tag.__members__)


def test_integer_seed_is_reproducible_and_distinct():
    found = [numerics.integer_seed(seed, step) for seed in range(20) for step in range(20)]
    assert len(set(found)) == 400
    assert all(0 <= each < 2**31 for each in found)
    assert numerics.integer_seed(3, 4) == numerics.integer_seed(3, 4)


def test_effective_sample_size():
    equal = numerics.effective_sample_size(tf.fill([50], 1234.0))
    np.testing.assert_allclose(equal, 50, rtol=1e-3)
    one = numerics.effective_sample_size(tf.constant([0.0, -1e4, -1e4]))
    np.testing.assert_allclose(one, 1, rtol=1e-6)
    weights = np.random.default_rng(0).gamma(1.0, 1.0, 200)
    expected = weights.sum() ** 2 / (weights**2).sum()
    for shift in (0.0, 500.0, -500.0):
        found = numerics.effective_sample_size(tf.constant(np.log(weights) + shift))
        np.testing.assert_allclose(found, expected, rtol=1e-10)


# Of one and more dimensions, of which none, one or several are even.
SHAPES = [(8,), (5,), (3, 5), (5, 3), (4, 1, 2), (3, 1, 6), ()]


@pytest.mark.parametrize(
    "dtype", [tf.float32, pytest.param(tf.float64, marks=pytest.mark.slow)], ids=lambda dtype: dtype.name
)
def test_threefry_is_that_of_tensorflow_to_the_last_bit(dtype):
    """For every kind of shape, inside an XLA program; and outside of it the same."""
    word = {tf.float32: tf.uint32, tf.float64: tf.uint64}[dtype]

    @functools.partial(tf.function, jit_compile=True)
    def draw(seed):
        given = [
            tf.random.stateless_uniform(shape, seed, None, None, word, alg="threefry") for shape in SHAPES
        ]
        ours = [numerics._threefry(shape, seed, dtype) for shape in SHAPES]
        uniform = [
            numerics.uniform(shape, seed, dtype, native) for shape in SHAPES for native in (True, False)
        ]
        pair = [numerics.uniform_pair([3, 4], seed, dtype, native) for native in (True, False)]
        return given, ours, uniform, pair

    for seed in ((3, 7), (-5, 2**31 - 1)):
        given, ours, uniform, pair = draw(tf.constant(seed))
        for shape, expected, found in zip(SHAPES, given, ours, strict=True):
            assert found.shape == shape
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(numerics._threefry(shape, seed, dtype), expected)
        for native, found in zip(uniform[::2], uniform[1::2], strict=True):
            np.testing.assert_array_equal(found, native)
        np.testing.assert_array_equal(*pair)


def test_precisions_that_are_not_drawn_are_refused():
    for draw in (numerics.uniform, numerics.uniform_pair):
        with pytest.raises(ValueError, match="^dtype: expected float32 or float64, got float16$"):
            draw([3], (0, 1), tf.float16)


def _close_pairs(dtype, scale, step, count=1_000_000):
    """Numbers as annealing meets them: y, and x a small step away."""
    y = (scale * np.random.default_rng(0).normal(size=count)).astype(dtype)
    return (y * (1 + step)).astype(dtype), y


def _log_of_ratio(x, y):
    ratio = (1.0 + tf.exp(-tf.abs(x))) / (1.0 + tf.exp(-tf.abs(y)))
    return tf.nn.relu(x) - tf.nn.relu(y) + tf.math.log(ratio)


@pytest.mark.parametrize("scale", [0.5, 5.0, 50.0])
@pytest.mark.parametrize("step", [1e-4, 1e-2, 1.0])
def test_softplus_difference(scale, step):
    for dtype, tolerance in ((np.float32, 1e-7), (np.float64, 3e-16)):
        x, y = _close_pairs(dtype, scale, step, 100_000)
        wide = [each.astype(np.longdouble) for each in (x, y)]
        expected = np.logaddexp(0, wide[0]) - np.logaddexp(0, wide[1])
        compiled = tf.function(numerics.softplus_difference, jit_compile=True)
        for function in (numerics.softplus_difference, compiled):
            error = np.abs(function(tf.constant(x), tf.constant(y)).numpy() - expected)
            # The positive parts are known to the rounding of the result, the rest to that of 1.
            assert (error <= tolerance * (1 + np.abs(expected))).all()


@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_softplus_difference_has_no_bias(scale):
    """Annealing adds up millions of them."""
    x, y = _close_pairs(np.float32, scale, 5e-5)
    expected = np.logaddexp(0, x.astype(np.float64)) - np.logaddexp(0, y.astype(np.float64))

    def bias(function):
        compiled = tf.function(function, jit_compile=True)
        error = compiled(tf.constant(x), tf.constant(y)).numpy().astype(np.float64) - expected
        return error.mean(), error.std() / 1e3

    mean, standard_error = bias(numerics.softplus_difference)
    assert abs(mean) < 4 * standard_error + 2e-11
    assert abs(bias(_log_of_ratio)[0]) > 2e-10

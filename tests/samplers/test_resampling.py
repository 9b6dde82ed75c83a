"""Tests of systematic resampling: counts proportional to the weights, without rounding of running sums."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf.samplers import resampling, systematic_resampling
from support import reference

compiled = tf.function(systematic_resampling, jit_compile=True)
each_mode = pytest.mark.parametrize("resample", [systematic_resampling, compiled], ids=["eager", "compiled"])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

LOG_WEIGHTS = np.log([0.03, 0.21, 0.0004, 0.4, 0.3096, 0.05])[np.newaxis]
# The largest float64 below 1, the largest possible offset.
LAST_OFFSET = 1 - 2.0**-53


def _normalized(log_weights):
    return special.softmax(np.asarray(log_weights, np.float64), -1)


def _counts(indices, num_states):
    """How often each state was chosen, [..., C]."""
    return (np.asarray(indices)[..., np.newaxis] == np.arange(num_states)).sum(-2)


def _fix_offset(monkeypatch, offset):
    monkeypatch.setattr(
        resampling, "uniform", lambda shape, seed, dtype: tf.fill(shape, tf.cast(offset, dtype))
    )


def _naive(log_weights, offset):
    """Running sums in float32: the defect that this module avoids."""
    sums = tf.cumsum(tf.nn.softmax(log_weights))
    ticks = tf.range(len(log_weights), dtype=tf.float32) + tf.cast(offset, tf.float32)
    return tf.searchsorted(sums, ticks / len(log_weights), side="right")


@each_mode
@each_dtype
def test_counts_are_the_weights_on_average(resample, dtype):
    rows = 4000
    log_weights = tf.constant(np.repeat(LOG_WEIGHTS, rows, 0), dtype)
    counts = _counts(resample(log_weights, tf.constant([1, 2])), 6)
    expected = 6 * np.exp(LOG_WEIGHTS[0])
    assert np.abs(reference.z_scores(counts, expected)).max() < 4
    assert np.all((counts == np.floor(expected)) | (counts == np.ceil(expected)))


def test_counts_are_the_weights_on_average_over_seeds():
    resample = tf.function(lambda seeds: tf.map_fn(lambda seed: compiled(LOG_WEIGHTS[0], seed), seeds))
    seeds = tf.constant([(3, seed) for seed in range(2000)])
    counts = _counts(resample(seeds), 6)
    assert np.abs(reference.z_scores(counts, 6 * np.exp(LOG_WEIGHTS[0]))).max() < 4


@each_mode
def test_counts_are_rounded_either_way(resample):
    """Every count is C w_i rounded down or up, in populations of many kinds of weights."""
    rng = np.random.default_rng(0)
    log_weights = rng.normal(0, rng.uniform(0, 5, (200, 1)), (200, 150)).astype(np.float32)
    counts = _counts(resample(tf.constant(log_weights), tf.constant([4, 5])), 150)
    expected = 150 * _normalized(log_weights)
    # Weights are multiples of 2^-32 of the largest one.
    assert np.all(counts >= np.floor(expected - 1e-6))
    assert np.all(counts <= np.ceil(expected + 1e-6))


@each_mode
def test_rows_of_a_batch_have_their_own_offsets(resample):
    log_weights = tf.constant(np.broadcast_to(LOG_WEIGHTS[0], (50, 40, 6)), tf.float32)
    indices = resample(log_weights, tf.constant([6, 7]))
    assert indices.shape == (50, 40, 6)
    assert indices.dtype == tf.int32
    assert np.all(np.diff(indices, axis=-1) >= 0)
    counts = _counts(indices, 6).reshape(2000, 6)[:, 1].astype(np.float64)
    correlation = np.corrcoef(counts[1:], counts[:-1])[0, 1]
    assert abs(correlation) * np.sqrt(2000) < 4


@each_mode
@pytest.mark.parametrize("dead", ["first", "last", "both", "most"])
@each_dtype
def test_states_of_weight_0_are_never_taken(resample, dead, dtype):
    size = 1000
    log_weights = np.random.default_rng(1).normal(0, 1, size).astype(dtype)
    kept = {
        "first": np.arange(size) >= 10,
        "last": np.arange(size) < size - 10,
        "both": np.abs(np.arange(size) - size // 2) < 200,
        "most": np.arange(size) % 331 == 7,
    }[dead]
    log_weights[~kept] = -np.inf
    for seed in range(20):
        indices = resample(tf.constant(log_weights), tf.constant([8, seed])).numpy()
        assert np.all(kept[indices])


@pytest.mark.parametrize("offset", [0.0, 0.5, LAST_OFFSET])
def test_states_of_weight_0_are_never_taken_at_the_ends_of_the_offset(monkeypatch, offset):
    _fix_offset(monkeypatch, offset)
    for size in (2, 7, 1000, 100_000):
        log_weights = np.full(size, -np.inf, np.float32)
        log_weights[size // 3 : size // 3 + size // 2] = 0.0
        indices = systematic_resampling(tf.constant(log_weights), tf.constant([0, 0])).numpy()
        assert np.all(log_weights[indices] == 0)


def test_one_state_takes_all():
    for state in (0, 3, 5):
        log_weights = np.where(np.arange(6) == state, 0.0, -np.inf)
        for resample in (systematic_resampling, compiled):
            indices = resample(tf.constant(log_weights), tf.constant([0, 1]))
            np.testing.assert_array_equal(indices, np.full(6, state))
    np.testing.assert_array_equal(systematic_resampling(tf.constant([-3.0]), tf.constant([0, 1])), [0])


@pytest.mark.parametrize("kind", ["equal", "uneven", "falling", "one large"])
def test_large_populations(monkeypatch, kind):
    size = 100_000
    log_weights = {
        "equal": np.full(size, -np.log(size)),
        "uneven": np.random.default_rng(2).normal(0, 8, size),
        "falling": -np.arange(size) / 100,
        "one large": np.where(np.arange(size) == 5, 0.0, -9.0),
    }[kind].astype(np.float32)
    expected = size * _normalized(log_weights)
    offsets = [None, None, 0.3, LAST_OFFSET]
    for seed, offset in enumerate(offsets):
        if offset is not None:
            _fix_offset(monkeypatch, offset)
        indices = systematic_resampling(tf.constant(log_weights), tf.constant([9, seed])).numpy()
        assert indices.min() >= 0
        assert indices.max() < size
        assert np.all(expected[indices] > 0)
        counts = np.bincount(indices, minlength=size)
        # Weights below 2^-33 of the largest are dropped: together less than C 2^-33 of it.
        slack = size * 2.0**-33 * expected.max() + 1e-5
        assert np.all(counts >= np.floor(expected - slack))
        assert np.all(counts <= np.ceil(expected + slack))


def test_equal_weights_keep_every_state():
    for size in (3, 1000, 65_537):
        indices = systematic_resampling(tf.fill([size], -4.0), tf.constant([0, 3]))
        np.testing.assert_array_equal(indices, np.arange(size))


def test_the_checks_catch_running_sums_of_float32(monkeypatch):
    """They end below or above 1: a position beyond the last sum, or in a tail of weight 0."""
    size = 100_000
    log_weights = np.random.default_rng(3).normal(0, 1, size).astype(np.float32)
    log_weights[-100:] = -np.inf
    beyond = dead = 0
    _fix_offset(monkeypatch, LAST_OFFSET)
    for seed in range(5):
        log_weights[:-100] = np.random.default_rng(seed).normal(0, 1, size - 100)
        naive = _naive(tf.constant(log_weights), LAST_OFFSET).numpy()
        beyond += naive.max() >= size
        dead += np.isneginf(log_weights[np.minimum(naive, size - 1)]).any()
        ours = systematic_resampling(tf.constant(log_weights), tf.constant([0, 0])).numpy()
        assert np.isfinite(log_weights[ours]).all()
    assert beyond > 0
    assert dead > 0
    counts = np.bincount(_naive(tf.fill([size], 0.0), 0.5).numpy(), minlength=size)
    assert np.any(counts != 1)
    _fix_offset(monkeypatch, 0.5)
    np.testing.assert_array_equal(systematic_resampling(tf.fill([size], 0.0), (0, 0)), np.arange(size))


def test_weights_need_not_be_normalized():
    log_weights = LOG_WEIGHTS[0].astype(np.float32)
    expected = systematic_resampling(tf.constant(log_weights), tf.constant([1, 1]))
    for shift in (-300.0, 200.0):
        found = systematic_resampling(tf.constant(log_weights + np.float32(shift)), tf.constant([1, 1]))
        np.testing.assert_array_equal(found, expected)


@each_mode
def test_seeds(resample):
    log_weights = tf.constant(np.random.default_rng(4).normal(0, 2, (20, 30)), tf.float32)
    one, again = (resample(log_weights, tf.constant([5, 6])) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != resample(log_weights, tf.constant([5, 7])))


def test_compiled_memory_grows_with_the_population_alone():
    """A table for 100,000 states would take 38 GiB."""
    program = compiled.experimental_get_compiler_ir(tf.zeros([1009]), tf.constant([0, 0]))
    assert "1009,1009]" not in program(stage="optimized_hlo")

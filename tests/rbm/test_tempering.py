"""Tests of the annealing path by enumeration of every state of machines on it."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import rbm
from support import reference

TIMES = (0.0, 0.125, 0.5, 1.0)
SIZES = [(4, 3), (2, 5), (1, 1)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")
each_base = pytest.mark.parametrize("based", [False, True], ids=["fair bits", "given means"])
each_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-12)])


def _path(size, based, dtype):
    """A machine, the log-odds of the base, the path between them."""
    machine = reference.random_machine(*size, seed=40, stddev=1.5)
    probs = np.linspace(0.1, 0.8, sum(size)).astype(np.float32) if based else None
    base_logits = special.logit(probs.astype(np.float64)) if based else np.zeros(sum(size))
    return machine, base_logits, rbm.tempered_path(rbm.as_rbm(*machine.cast(dtype)), probs)


def _change(path, left, t, before):
    """Tolerance of the log marginals of left states."""
    times = (tf.constant(each, path.machine.dtype) for each in (t, before))
    return path.log_marginal_change(tf.constant(left, path.machine.dtype), *times)


def _log_marginal(machine, base_logits, t):
    """f_t of every left state, by enumeration of the right side."""
    left, right = (reference.binary_states(side) for side in machine.weights.shape)
    z = np.concatenate([np.repeat(left, len(right), 0), np.tile(right, (len(left), 1))], 1)
    terms = (1 - t) * z @ base_logits - t * reference.energy(machine, z)
    return special.logsumexp(terms.reshape(len(left), len(right)), axis=1)


@each_size
@each_base
@each_dtype
def test_machines_of_the_path(size, based, dtype, tolerance):
    """-E_t(z) of every state is (1 - t) c . z - t E(z)."""
    machine, base_logits, path = _path(size, based, dtype)
    z = reference.binary_states(sum(size))
    for t in TIMES:
        there = path.at(tf.constant(t, dtype))
        assert there.dtype == dtype
        found = -rbm.energy(there, *rbm.split_sides(tf.constant(z, dtype), size[0]))
        expected = (1 - t) * z @ base_logits - t * reference.energy(machine, z)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=10 * tolerance)


@each_size
@each_base
@each_dtype
def test_changes_of_log_marginals_by_enumeration_of_the_right_side(size, based, dtype, tolerance):
    machine, base_logits, path = _path(size, based, dtype)
    left = reference.binary_states(size[0])
    for t, before in itertools.product(TIMES, TIMES):
        found = _change(path, left, t, before)
        assert found.dtype == dtype
        expected = _log_marginal(machine, base_logits, t) - _log_marginal(machine, base_logits, before)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_changes_of_log_marginals_of_strong_couplings(dtype):
    """Exponents far beyond the range of floats, of either sign."""
    machine = reference.random_machine(4, 3, seed=42, stddev=500.0)
    path = rbm.tempered_path(rbm.as_rbm(*machine.cast(dtype)))
    left = reference.binary_states(4)
    for t, before in itertools.pairwise(TIMES):
        expected = _log_marginal(machine, np.zeros(7), t) - _log_marginal(machine, np.zeros(7), before)
        np.testing.assert_allclose(_change(path, left, t, before), expected, rtol=1e-5, atol=1e-3)


@each_base
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_that_go_nowhere_leave_the_machines_of_the_path_invariant(based, dtype):
    machine, base_logits, path = _path((4, 3), based, dtype)
    for seed, t in enumerate(TIMES):
        there = reference.tempered(machine, t, base_logits)
        start = tf.constant(reference.exact_draws(there, 40_000, seed)[:, :4], dtype)
        t = tf.constant(t, dtype)
        log_weights, left, right = path.advance(start, t, t, tf.constant([1, seed]))
        assert left.dtype == right.dtype == dtype
        np.testing.assert_array_equal(log_weights, 0)
        numbers = reference.state_numbers(np.concatenate([left, right], 1))
        assert reference.chi_square_p_value(numbers, np.exp(reference.joint_log_probs(there)[0])) > 1e-4


@each_base
@pytest.mark.parametrize(("before", "t"), [(0.0, 0.25), (0.5, 1.0), (1.0, 0.5), (0.125, 0.0)])
def test_steps_weight_properly(based, before, t):
    """E[w] is the ratio of the partition functions, and E[w 1(z)] that ratio times p_t(z) for every z."""
    machine, base_logits, path = _path((4, 3), based, np.float64)
    there, target = (reference.tempered(machine, each, base_logits) for each in (before, t))
    start = tf.constant(reference.exact_draws(there, 40_000, 3)[:, :4])
    times = (tf.constant(each, tf.float64) for each in (before, t))
    log_weights, left, right = path.advance(start, *times, tf.constant([4, 1]))
    weights = np.exp(log_weights)
    assert weights.std() > 0.05
    ratio = np.exp(reference.log_partition(target) - reference.log_partition(there))
    assert abs(weights.mean() - ratio) < 4 * weights.std() / 200
    indicator = reference.state_numbers(np.concatenate([left, right], 1))[:, np.newaxis] == np.arange(128)
    terms = weights[:, np.newaxis] * indicator
    expected = ratio * np.exp(reference.joint_log_probs(target)[0].ravel())
    error = np.sqrt(expected * weights.max() / 40_000)
    assert (np.abs(terms.mean(0) - expected) < 5 * error).all()


def test_weights_at_both_halves_vary_less_than_weights_at_one():
    machine = rbm.as_rbm(*reference.random_machine(30, 30, seed=43, stddev=0.3).cast(np.float32))
    path, times = rbm.tempered_path(machine), np.linspace(0, 1, 41, dtype=np.float32)
    left, _ = path.draw_base(2_000, tf.constant([5, 0]))
    once, twice, start = 0.0, 0.0, left
    for step, (before, t) in enumerate(itertools.pairwise(times)):
        change, left, _ = path.advance(left, before, t, tf.constant([6, step]))
        twice += change
    left = start
    for step, (before, t) in enumerate(itertools.pairwise(times)):
        once += path.log_marginal_change(left, t, before)
        left, _ = rbm.block_gibbs(path.at(t), left, 1, (7, step))
    assert np.var(twice) < 0.7 * np.var(once)


@each_size
@each_base
def test_the_transposed_path_is_that_of_the_transposed_machine(size, based):
    _, _, path = _path(size, based, np.float64)
    t = tf.constant(0.3, tf.float64)
    for found, expected in zip(path.transposed.at(t), rbm.transposed(path.at(t)), strict=True):
        np.testing.assert_array_equal(found, expected)


@each_base
def test_draws_of_the_base(based):
    machine, base_logits, path = _path((4, 3), based, np.float32)
    left, right = path.draw_base(40_000, tf.constant([2, 3]))
    assert (left.shape, right.shape) == ((40_000, 4), (40_000, 3))
    numbers = reference.state_numbers(np.concatenate([left, right], 1))
    base = reference.tempered(machine, 0.0, base_logits)
    assert reference.chi_square_p_value(numbers, np.exp(reference.joint_log_probs(base)[0])) > 1e-4


@each_size
@each_base
def test_log_base_is_log_z_at_the_start(size, based):
    machine, base_logits, path = _path(size, based, np.float64)
    start = reference.tempered(machine, 0.0, base_logits)
    np.testing.assert_allclose(path.log_base, reference.log_partition(start), rtol=1e-12)


def test_the_marginal_of_the_tempered_machine_is_not_the_tempered_marginal():
    _, _, path = _path((4, 3), False, np.float64)
    left = reference.binary_states(4)
    difference = _change(path, left, 0.5, 0.0) - 0.5 * _change(path, left, 1.0, 0.0)
    assert np.ptp(difference) > 0.1


def test_means_of_0_and_1_are_clipped():
    machine = rbm.as_rbm(*reference.random_machine(2, 2, seed=41))
    path = rbm.tempered_path(machine, [0, 1, 0.005, 0.6])
    expected = special.logit([0.01, 0.99, 0.01, 0.6])
    np.testing.assert_allclose(path.base_logits, expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (3,), (5,), (1, 4)])
def test_wrong_shapes_are_refused_by_name(shape):
    machine = rbm.as_rbm(*reference.random_machine(2, 2, seed=41))
    with pytest.raises(ValueError, match="base_probs"):
        rbm.tempered_path(machine, np.full(shape, 0.5))

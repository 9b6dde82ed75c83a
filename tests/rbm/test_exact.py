"""Tests of enumeration: log Z, moments, gradients and exact draws."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import rbm
from dvae_tf.rbm import exact
from support import reference

SIZES = [(1, 1), (3, 5), (5, 3), (2, 9), (9, 2), (10, 10)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")


def _compare(found, expected, **tolerance):
    for name in expected._fields:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), **tolerance)


@each_size
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 3e-5), (np.float64, 1e-11)])
def test_log_partition_and_moments(size, dtype, rtol):
    machine = reference.random_machine(*size, seed=2)
    parameters = rbm.as_rbm(*machine.cast(dtype))
    found = exact.moments(parameters)
    assert {each.dtype for each in found} == {tf.as_dtype(dtype)}
    np.testing.assert_allclose(found.log_partition, reference.log_partition(machine), rtol=rtol)
    _compare(found, reference.moments(machine), rtol=rtol, atol=rtol)
    log_partition = exact.log_partition(parameters)
    assert log_partition.shape == ()
    np.testing.assert_allclose(log_partition, found.log_partition, rtol=1e-6)


@each_size
def test_gradient_of_log_partition_is_the_moments(size):
    machine = reference.random_machine(*size, seed=3)
    parameters = [tf.constant(each) for each in machine]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_partition = 3.0 * exact.log_partition(rbm.as_rbm(*parameters))
    gradients = tape.gradient(log_partition, parameters)
    for gradient, moment in zip(gradients, reference.moments(machine), strict=True):
        np.testing.assert_allclose(gradient, 3 * moment, rtol=1e-10)


def test_gradient_of_log_partition_matches_finite_differences():
    machine = reference.random_machine(3, 4, seed=4)
    parameters = [tf.constant(each) for each in machine]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        log_partition = exact.log_partition(rbm.as_rbm(*parameters))
    for name, gradient in zip(machine._fields, tape.gradient(log_partition, parameters), strict=True):

        def shifted(value, name=name):
            return reference.log_partition(machine._replace(**{name: value}))

        expected = reference.finite_difference(shifted, getattr(machine, name))
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


def test_second_derivative_raises():
    parameters = [tf.constant(each) for each in reference.random_machine(2, 2, seed=0)]
    with tf.GradientTape() as outer:
        outer.watch(parameters)
        with tf.GradientTape() as inner:
            inner.watch(parameters)
            log_partition = exact.log_partition(rbm.as_rbm(*parameters))
        first = inner.gradient(log_partition, parameters)
    with pytest.raises(LookupError):
        outer.gradient(first[0], parameters)


def test_moments_carry_no_gradient():
    parameters = [tf.constant(each) for each in reference.random_machine(2, 2, seed=0)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        left = exact.moments(rbm.as_rbm(*parameters)).left
    assert tape.gradient(left, parameters) == [None] * 3


@pytest.mark.parametrize(("num_left", "num_right"), [(15, 15), (16, 16)])
def test_blocks_of_a_larger_machine_paired_units(num_left, num_right):
    """More than 2^14 states are summed in blocks; independent pairs have a closed form."""
    rng = np.random.default_rng(5)
    left_bias, right_bias, couplings = rng.normal(0, 1, (3, num_left))
    log_partition, expected = reference.paired_moments(left_bias, right_bias, couplings)
    found = exact.moments(rbm.as_rbm(left_bias, right_bias, np.diag(couplings)))
    np.testing.assert_allclose(found.log_partition, log_partition, rtol=1e-11)
    _compare(found, expected, rtol=1e-9)


@pytest.mark.parametrize(("num_left", "num_right"), [(15, 15), (17, 15)])
def test_blocks_of_a_larger_machine_equal_couplings(num_left, num_right):
    log_partition, expected = reference.uniform_couplings_moments(num_left, num_right, -0.7, 0.4, 0.11)
    biases = np.full(num_left, -0.7), np.full(num_right, 0.4)
    found = exact.moments(rbm.as_rbm(*biases, np.full((num_left, num_right), 0.11)))
    np.testing.assert_allclose(found.log_partition, log_partition, rtol=1e-11)
    _compare(found, expected, rtol=1e-9)


def test_strong_couplings_do_not_overflow():
    machine = reference.random_machine(6, 5, seed=6, stddev=300.0)
    found = exact.moments(rbm.as_rbm(*machine.cast(np.float32)))
    np.testing.assert_allclose(found.log_partition, reference.log_partition(machine), rtol=1e-5)
    _compare(found, reference.moments(machine), atol=1e-3)


def test_a_thin_machine_may_be_long():
    machine = rbm.as_rbm(np.zeros(2), np.zeros(300), np.zeros((2, 300)))
    np.testing.assert_allclose(exact.log_partition(machine), 302 * np.log(2), rtol=1e-12)


def test_enumeration_and_sampling_refuse_large_machines():
    large = rbm.as_rbm(np.zeros(26), np.zeros(27), np.zeros((26, 27)))
    for refused in (exact.log_partition, exact.moments):
        with pytest.raises(ValueError, match=r"weights.*25.*26 \+ 27"):
            refused(large)
    large = rbm.as_rbm(np.zeros(22), np.zeros(21), np.zeros((22, 21)))
    with pytest.raises(ValueError, match=r"weights.*20.*22 \+ 21"):
        exact.sample(large, 1, tf.constant([0, 0]))


@pytest.mark.parametrize("size", [(3, 4), (4, 3), (1, 6)], ids=lambda size: f"{size[0]}+{size[1]}")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exact_draws_follow_the_joint_table(size, dtype):
    machine = reference.random_machine(*size, seed=7)
    left, right = exact.sample(rbm.as_rbm(*machine.cast(dtype)), 40_000, tf.constant([1, 2]))
    assert left.shape == (40_000, size[0])
    assert right.shape == (40_000, size[1])
    assert left.dtype == right.dtype == dtype
    numbers = reference.state_numbers(np.concatenate([left, right], 1))
    probs = np.exp(reference.joint_log_probs(machine)[0])
    assert reference.chi_square_p_value(numbers, probs) > 1e-4
    # Consecutive draws are independent.
    first, second = numbers[:-1] % 4, numbers[1:] % 4
    marginal = np.bincount(numbers % 4) / numbers.size
    assert reference.chi_square_p_value(4 * first + second, np.outer(marginal, marginal)) > 1e-4


def test_exact_draws_across_blocks():
    rng = np.random.default_rng(8)
    left_bias, right_bias, couplings = rng.normal(0, 1, (3, 15))
    _, expected = reference.paired_moments(left_bias, right_bias, couplings)
    machine = rbm.as_rbm(left_bias, right_bias, np.diag(couplings))
    left, right = (each.numpy() for each in exact.sample(machine, 20_000, tf.constant([3, 4])))
    assert np.abs(reference.z_scores(left, expected.left)).max() < 4.5
    assert np.abs(reference.z_scores(right, expected.right)).max() < 4.5
    both = np.diag(expected.products)
    assert np.abs(reference.z_scores(left * right, both)).max() < 4.5

"""Tests of energies, conditionals and free energies against enumeration."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import rbm
from support import reference

SIZES = [(3, 5), (5, 3), (4, 4), (1, 1)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _machines(size, dtype=np.float64):
    machine = reference.random_machine(*size, seed=1)
    return machine, rbm.as_rbm(*machine.cast(dtype))


@each_size
@each_dtype
def test_energy_of_every_state(size, dtype):
    machine, parameters = _machines(size, dtype)
    z = reference.binary_states(sum(size))
    left, right = rbm.split_sides(tf.constant(z, dtype), size[0])
    assert (left.shape[-1], right.shape[-1]) == size
    found = rbm.energy(parameters, left, right)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, reference.energy(machine, z), rtol=1e-5, atol=1e-5)


@each_size
def test_energy_of_relaxed_values_and_leading_dimensions(size):
    machine, parameters = _machines(size)
    z = np.random.default_rng(0).random((2, 3, sum(size)))
    found = rbm.energy(parameters, *rbm.split_sides(tf.constant(z), size[0]))
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found, reference.energy(machine, z), rtol=1e-12)


@each_size
def test_conditionals_match_the_joint_table(size):
    machine, parameters = _machines(size)
    probs = np.exp(reference.joint_log_probs(machine)[0])
    left, right = (reference.binary_states(side) for side in size)
    given_left = probs @ right / probs.sum(1, keepdims=True)
    given_right = probs.T @ left / probs.sum(0)[:, np.newaxis]
    found = rbm.right_logits(parameters, tf.constant(left))
    np.testing.assert_allclose(special.expit(found), given_left, rtol=1e-10)
    found = rbm.left_logits(parameters, tf.constant(right))
    np.testing.assert_allclose(special.expit(found), given_right, rtol=1e-10)


@each_size
def test_free_energy_is_the_negative_log_marginal(size):
    machine, parameters = _machines(size)
    log_probs, log_partition = reference.joint_log_probs(machine)
    left = reference.binary_states(size[0])
    found = rbm.left_free_energy(parameters, tf.constant(left))
    expected = -(special.logsumexp(log_probs, axis=1) + log_partition)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@each_size
@each_dtype
def test_right_free_energy_is_the_negative_log_marginal(size, dtype):
    machine, parameters = _machines(size, dtype)
    log_probs, log_partition = reference.joint_log_probs(machine)
    right = reference.binary_states(size[1])
    found = rbm.right_free_energy(parameters, tf.constant(right, dtype))
    assert found.dtype == dtype
    expected = -(special.logsumexp(log_probs, axis=0) + log_partition)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    leading = tf.zeros([2, 4, size[1]], dtype)
    assert rbm.right_free_energy(parameters, leading).shape == (2, 4)


@each_size
def test_transposed_exchanges_the_sides(size):
    machine, parameters = _machines(size)
    z = reference.binary_states(sum(size))
    left, right = rbm.split_sides(tf.constant(z), size[0])
    exchanged = rbm.transposed(parameters)
    assert (exchanged.num_left, exchanged.num_right) == size[::-1]
    np.testing.assert_allclose(rbm.energy(exchanged, right, left), reference.energy(machine, z), atol=1e-12)
    for one, again in zip(rbm.transposed(exchanged), parameters, strict=True):
        np.testing.assert_array_equal(one, again)


@each_size
@each_dtype
@pytest.mark.parametrize("temperature", [0.3, 1, 2.5])
def test_temperature_divides_the_energy_of_every_state(size, dtype, temperature):
    machine, _ = _machines(size)
    z = reference.binary_states(sum(size))
    left, right = rbm.split_sides(tf.constant(z, dtype), size[0])
    expected = reference.energy(machine, z) / temperature
    hot = rbm.as_rbm(*machine.cast(dtype), temperature)
    scaled = rbm.scaled(rbm.as_rbm(*machine.cast(dtype)), 1 / temperature)
    for parameters in (hot, scaled):
        assert parameters.dtype == dtype
        np.testing.assert_allclose(rbm.energy(parameters, left, right), expected, rtol=2e-5, atol=2e-5)
    by_tensor = rbm.scaled(rbm.as_rbm(*machine.cast(dtype)), tf.constant(1 / temperature, dtype))
    np.testing.assert_allclose(by_tensor.weights, scaled.weights, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan")])
def test_bad_temperatures_are_refused_by_name(temperature):
    with pytest.raises(ValueError, match="temperature"):
        rbm.as_rbm(np.zeros(2), np.zeros(3), np.zeros((2, 3)), temperature)


def test_logits_take_leading_dimensions():
    _, parameters = _machines((3, 5))
    assert rbm.right_logits(parameters, tf.zeros([2, 4, 3], tf.float64)).shape == (2, 4, 5)
    assert rbm.left_logits(parameters, tf.zeros([2, 4, 5], tf.float64)).shape == (2, 4, 3)
    assert rbm.left_free_energy(parameters, tf.zeros([2, 4, 3], tf.float64)).shape == (2, 4)


def test_as_rbm_takes_lists_arrays_and_variables():
    parameters = rbm.as_rbm([0, 1], np.zeros(3), tf.Variable(tf.ones([2, 3], tf.float64)))
    assert parameters.dtype == tf.float64
    assert {each.dtype for each in parameters} == {tf.float64}
    assert (parameters.num_left, parameters.num_right) == (2, 3)
    assert rbm.as_rbm([0, 1], [0, 0, 0], [[1, 2, 3], [4, 5, 6]]).dtype == tf.float32


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        (((2,), (3,), (3, 2)), "left_bias"),
        (((2,), (4,), (2, 3)), "right_bias"),
        (((2, 1), (3,), (2, 3)), "left_bias"),
        (((2,), (3,), (6,)), "weights"),
        (((2,), (3,), (1, 2, 3)), "weights"),
    ],
)
def test_wrong_shapes_are_refused_by_name(shapes, name):
    with pytest.raises(ValueError, match=name):
        rbm.as_rbm(*(np.zeros(shape, np.float32) for shape in shapes))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_half_precision_is_raised_to_float32(dtype):
    """log Z of the rounded parameters, which half precision itself would miss by 0.1 and more."""
    machine = reference.random_machine(4, 5, seed=2)
    half = [tf.cast(20.0 + each, dtype) for each in machine]
    expected = reference.log_partition(reference.Machine(*(np.asarray(tf.cast(x, tf.float64)) for x in half)))
    found = rbm.exact.log_partition(rbm.as_rbm(*half))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert abs(float(tf.cast(expected, dtype)) - expected) > 0.1


@pytest.mark.parametrize("number", [np.float32(2), np.array(2), np.int64(2)], ids=repr)
def test_temperature_may_be_a_number_of_numpy(number):
    _, parameters = _machines((3, 5))
    for found, one in zip(rbm.as_rbm(*parameters, temperature=number), parameters, strict=True):
        np.testing.assert_array_equal(found, one / 2)

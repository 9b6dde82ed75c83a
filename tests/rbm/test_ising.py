"""Tests of Ising machines: for every state the energy of the bits up to a constant."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf.rbm import as_rbm, energy, split_sides
from dvae_tf.rbm.ising import from_ising, to_ising
from support import reference

SIZES = [(3, 4), (4, 2), (1, 1)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")
each_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])


def _spin_energies(left_field, right_field, couplings):
    """E of every state by a loop over spins and pairs, in the order of `binary_states`."""
    num_left = len(left_field)
    found = []
    for z in reference.binary_states(num_left + len(right_field)):
        s_l, s_r = np.split(2 * z - 1, [num_left])
        total = 0.0
        for i, s in enumerate(s_l):
            total -= left_field[i] * s
            for j, other in enumerate(s_r):
                total -= couplings[i, j] * s * other
        for j, other in enumerate(s_r):
            total -= right_field[j] * other
        found.append(total)
    return np.array(found)


@each_size
@each_dtype
def test_from_ising(size, dtype, tolerance):
    fields = reference.random_machine(*size, seed=50)
    parameters, constant = from_ising(*fields.cast(dtype))
    assert {each.dtype for each in (*parameters, constant)} == {tf.as_dtype(dtype)}
    z = tf.constant(reference.binary_states(sum(size)), dtype)
    found = energy(parameters, *split_sides(z, size[0])) + constant
    np.testing.assert_allclose(found, _spin_energies(*fields), rtol=tolerance, atol=tolerance)
    expected = reference.machine_of_spins(*fields)
    for each, value in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(each, value, rtol=tolerance, atol=tolerance)


@each_size
@each_dtype
def test_to_ising(size, dtype, tolerance):
    machine = reference.random_machine(*size, seed=51)
    found = to_ising(*machine.cast(dtype))
    assert {each.dtype for each in found} == {tf.as_dtype(dtype)}
    spins = _spin_energies(*(each.numpy().astype(np.float64) for each in found[:3]))
    bits = reference.energy(machine, reference.binary_states(sum(size)))
    np.testing.assert_allclose(
        spins - bits, np.full(len(bits), found.constant), rtol=tolerance, atol=tolerance
    )


def test_log_partition_of_spins():
    machine = reference.random_machine(3, 4, seed=52)
    found = to_ising(*machine)
    spins = special.logsumexp(-_spin_energies(*(each.numpy() for each in found[:3])))
    np.testing.assert_allclose(spins, reference.log_partition(machine) - found.constant, rtol=1e-12)


@each_size
def test_there_and_back(size):
    machine = reference.random_machine(*size, seed=53)
    spins = to_ising(*machine)
    parameters, constant = from_ising(*spins[:3])
    for each, value in zip(parameters, machine, strict=True):
        np.testing.assert_allclose(each, value, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(constant, spins.constant, rtol=1e-12, atol=1e-12)


def test_signs_of_fields_and_couplings():
    """A positive field turns its spin up, a positive coupling aligns its spins."""
    up = reference.moments(reference.Machine(*(np.array(x) for x in from_ising([1.0], [0.0], [[0.0]])[0])))
    assert up.left[0] > 0.8
    assert up.right[0] == 0.5
    for coupling in (-2.0, 2.0):
        parameters, _ = from_ising([0.0], [0.0], [[coupling]])
        probs = np.exp(reference.joint_log_probs(reference.Machine(*(np.array(x) for x in parameters)))[0])
        assert (np.trace(probs) > 0.9) == (coupling > 0)


@pytest.mark.parametrize("convert", [from_ising, to_ising])
@pytest.mark.parametrize(
    ("shapes", "name"), [(((3,), (3,), (2, 3)), "left_bias"), (((2,), (3,), (6,)), "weights")]
)
def test_wrong_shapes_are_refused(convert, shapes, name):
    with pytest.raises(ValueError, match=name):
        convert(*(np.zeros(shape) for shape in shapes))


def test_parameters_may_be_an_rbm():
    machine = as_rbm(*reference.random_machine(2, 3, seed=54))
    assert to_ising(*machine).couplings.shape == (2, 3)

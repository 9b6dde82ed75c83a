"""Energies, free energies and enumeration at weights up to 1e3: finite, right in sign, NaN for NaN."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from dvae_tf.rbm import RBM, energy, exact, left_free_energy, right_free_energy
from support import extremes, reference
from support.extremes import assert_finite, property_test
from support.smoothing_cases import each_dtype

SIZES = [(1, 1), (2, 3), (4, 2)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")


def _parameters(size, seed, scale, dtype):
    rng = np.random.default_rng(seed)
    left, right = size
    return [
        (scale * rng.choice([-1.0, -0.4, 0.0, 1.0], shape)).astype(dtype.as_numpy_dtype)
        for shape in ((left,), (right,), (left, right))
    ]


@each_size
@each_dtype
@property_test(few=8, many=100, seed=st.integers(0, 2**32 - 1), scale=extremes.log_uniform(1e-3, 1e3))
def test_energies(size, dtype, seed, scale):
    parameters = _parameters(size, seed, scale, dtype)
    machine = reference.Machine(*(each.astype(np.float64) for each in parameters))
    states = reference.binary_states(sum(size)).astype(dtype.as_numpy_dtype)
    left, right = states[:, : size[0]], states[:, size[0] :]
    energies = assert_finite(
        lambda left, right, *rbm: energy(RBM(*rbm), left, right), left, right, *parameters
    )
    rounding = 32 * np.finfo(dtype.as_numpy_dtype).eps * (1 + sum(np.abs(each).sum() for each in machine))
    np.testing.assert_allclose(energies, reference.energy(machine, states), atol=rounding)
    # Parameters of one sign: energies of the other.
    positive = [np.abs(each) for each in parameters]
    assert np.all(energy(RBM(*positive), left, right) <= 0)
    assert np.all(energy(RBM(*(-each for each in positive)), left, right) >= 0)
    # A free energy is below every energy it sums over, by at most log 2 for each unit of the other side.
    for free_energy, side, others in ((left_free_energy, left, size[1]), (right_free_energy, right, size[0])):
        found = assert_finite(lambda side, *rbm, f=free_energy: f(RBM(*rbm), side), side, *parameters)
        same = (side[:, np.newaxis] == side).all(-1)
        least = np.where(same, energies, np.inf).min(1)
        assert np.all(found <= least + rounding)
        assert np.all(found >= least - others * np.log(2) - rounding)


@each_size
@each_dtype
@property_test(few=8, many=100, seed=st.integers(0, 2**32 - 1), scale=extremes.log_uniform(1e-3, 1e3))
def test_enumeration(size, dtype, seed, scale):
    parameters = _parameters(size, seed, scale, dtype)
    machine = reference.Machine(*(each.astype(np.float64) for each in parameters))
    log_z = assert_finite(lambda *rbm: exact.log_partition(RBM(*rbm)), *parameters)
    rounding = 32 * np.finfo(dtype.as_numpy_dtype).eps * (1 + sum(np.abs(each).sum() for each in machine))
    np.testing.assert_allclose(log_z, reference.log_partition(machine), atol=rounding)
    highest = -reference.energy(machine, reference.binary_states(sum(size))).min()
    assert highest - rounding <= log_z <= highest + sum(size) * np.log(2) + rounding
    moments = exact.moments(RBM(*map(tf.constant, parameters)))
    for found, expected in zip(moments[1:], reference.moments(machine), strict=True):
        assert np.all((found >= 0) & (found <= 1 + rounding))
        np.testing.assert_allclose(found, expected, atol=1e-6 + 10 * rounding)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_nan_in_nan_out(position):
    parameters = _parameters((2, 3), 0, 1.0, tf.float32)
    parameters[position].ravel()[0] = np.nan
    rbm = RBM(*map(tf.constant, parameters))
    left, right = tf.ones([4, 2]), tf.ones([4, 3])
    for value in (energy(rbm, left, right), left_free_energy(rbm, left), right_free_energy(rbm, right)):
        assert np.isnan(value).all()
    assert np.isnan(exact.log_partition(rbm))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0)])
def test_empty_and_singleton_batches(shape):
    rbm = RBM(*map(tf.constant, _parameters((2, 3), 0, 1.0, tf.float32)))
    left, right = tf.ones([*shape, 2]), tf.ones([*shape, 3])
    assert energy(rbm, left, right).shape == shape
    assert left_free_energy(rbm, left).shape == shape
    assert right_free_energy(rbm, right).shape == shape

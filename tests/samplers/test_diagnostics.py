"""Tests of R-hat and of autocorrelation times, on series with known values."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import signal

from dvae_tf.samplers import (
    ParallelTempering,
    PersistentGibbs,
    PopulationAnnealing,
    autocorrelation_time,
    measure_mixing,
    mixing,
)
from support import reference

MACHINE = reference.random_machine(4, 3, seed=20, stddev=0.8)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _autoregressive(phi, steps, chains, seed):
    """Stationary series x_t = phi x_(t-1) + noise of variance 1, [steps, C]."""
    noise = np.random.default_rng(seed).normal(0, 1, (steps, chains))
    noise[0] /= np.sqrt(1 - phi**2)
    return signal.lfilter([1], [1, -phi], noise, axis=0)


def _time(values, dtype=np.float64):
    return float(autocorrelation_time(tf.constant(values, dtype)))


# --------------------------------------------------------------------------- autocorrelation


@each_dtype
@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.8, 0.95])
def test_autocorrelation_time_of_autoregressive_series(phi, dtype):
    """(1 + phi) / (1 - phi), or a little less because the mean is estimated."""
    steps, expected = 600, (1 + phi) / (1 - phi)
    found = [_time(_autoregressive(phi, steps, 20, seed) + 30.0, dtype) for seed in range(25)]
    # Values around 30, like energies, so that the mean matters. The noise at the end of the sum is 5 %.
    assert abs(np.mean(found) - expected) < 4 * np.std(found) / np.sqrt(25) + 0.05 * expected
    assert np.std(found) < 0.3 * expected


def test_autocorrelation_time_by_its_definition():
    """The sum over lags by loops, cut where a pair is no longer positive, for even and odd lengths."""
    for steps in (40, 41):
        values = _autoregressive(0.7, steps, 3, 1)
        centered = values - values.mean()
        covariance = [
            sum((centered[t] * centered[t + lag]).sum() for t in range(steps - lag)) for lag in range(steps)
        ]
        rho = np.array(covariance) / covariance[0]
        expected = -1.0
        for start in range(0, steps - 1, 2):
            pair = rho[start] + rho[start + 1]
            if pair <= 0:
                break
            expected += 2 * pair
        np.testing.assert_allclose(_time(values), expected, rtol=1e-10)


def test_chains_that_stay_at_their_places_show():
    steps = 100
    apart = np.random.default_rng(0).normal(0, 1, (steps, 20)) * 0.01 + np.arange(20)
    # rho_t = 1 - t / steps, hence about the number of steps.
    np.testing.assert_allclose(_time(apart), steps, rtol=0.05)
    np.testing.assert_allclose(_time(np.broadcast_to(np.arange(20.0), (steps, 20))), steps, rtol=0.05)


@each_dtype
@pytest.mark.parametrize("value", [0.0, 3.1, -1000.1])
def test_values_that_never_change_give_the_number_of_steps(dtype, value):
    found = _time(np.full((50, 4), value), dtype)
    np.testing.assert_allclose(found, 50, rtol=0.05)


def test_alternating_values_are_worth_more_than_draws():
    values = np.where(np.arange(100) % 2, 1.0, -1.0)[:, np.newaxis] * np.ones(3)
    assert 1 / 100 <= _time(values) < 0.1


# --------------------------------------------------------------------------- R-hat


def _reference_r_hat(values):
    """Gelman and Rubin (1992), with Brooks and Gelman's 1998 pooling of the variance: [steps, C]."""
    steps, chains = values.shape
    within = values.var(0, ddof=1).mean()
    between = values.mean(0).var(ddof=1)
    pooled = (steps - 1) / steps * within + between
    return (chains + 1) / chains * pooled / within - (steps - 1) / (steps * chains)


@each_dtype
def test_r_hat(dtype):
    agreeing = _autoregressive(0.3, 500, 20, 2) + 30
    for values in (agreeing, agreeing + np.arange(20)):
        found = mixing(tf.constant(values, dtype))
        assert {each.dtype for each in found} == {tf.as_dtype(dtype)}
        np.testing.assert_allclose(found.r_hat, _reference_r_hat(values), rtol=1e-3)
        np.testing.assert_array_equal(found.energies, values.astype(dtype))
    assert 0.99 < float(mixing(tf.constant(agreeing)).r_hat) < 1.02
    assert float(mixing(tf.constant(agreeing + np.arange(20))).r_hat) > 10


# --------------------------------------------------------------------------- samplers


@pytest.mark.parametrize(
    "sampler",
    [PersistentGibbs(200, 2), pytest.param(ParallelTempering(200, 2, 3), marks=pytest.mark.slow)],
    ids=lambda sampler: type(sampler).__name__,
)
def test_mixing_of_a_sampler(sampler):
    state = sampler.init(4, 3, (0, 1))
    parameters = MACHINE.cast(np.float32)
    for step in range(5):
        state, _ = sampler.step(*parameters, state, (0, 2 + step))
    copies = [np.array(each) for each in state]
    found = measure_mixing(sampler, *parameters, state, (1, 1), num_steps=40)
    assert found.energies.shape == (40, 200)
    for each, copy in zip(state, copies, strict=True):
        np.testing.assert_array_equal(each, copy)
    assert 0.99 < float(found.r_hat) < 1.1
    assert 0.8 < float(found.autocorrelation_time) < 4
    # The energies have the right distribution, and the autocorrelation time of steps taken by hand.
    energies = reference.energy(MACHINE, reference.binary_states(7))
    mean = np.exp(reference.joint_log_probs(MACHINE)[0]).ravel() @ energies
    assert abs(reference.z_scores(found.energies.numpy().mean(0), mean)) < 4
    again = measure_mixing(sampler, *parameters, state, (1, 1), num_steps=40)
    np.testing.assert_array_equal(again.energies, found.energies)
    other = measure_mixing(sampler, *parameters, state, (1, 2), num_steps=40)
    assert np.any(other.energies != found.energies)


def test_chains_that_do_not_mix_show():
    """Half of the chains in either of two modes of different energies."""
    ones = np.ones(3, np.float32)
    machine = (-15 * ones, -15 * ones, 10.2 * np.ones((3, 3), np.float32))
    sampler = PersistentGibbs(num_chains=20, num_sweeps=2)
    state = sampler.init(3, 3, (0, 0))
    state = state._replace(left=tf.constant(np.repeat([[0.0] * 3, [1.0] * 3], 10, 0), tf.float32))
    found = measure_mixing(sampler, *machine, state, (1, 1), num_steps=40)
    assert float(found.r_hat) > 1.5
    assert float(found.autocorrelation_time) > 20


def test_bad_arguments_are_refused_by_name():
    parameters = MACHINE.cast(np.float32)
    sampler = PersistentGibbs(num_chains=2, num_sweeps=1)
    state = sampler.init(4, 3, (0, 1))
    with pytest.raises(ValueError, match="num_steps"):
        measure_mixing(sampler, *parameters, state, (0, 0), num_steps=1)
    with pytest.raises(ValueError, match="seed"):
        measure_mixing(sampler, *parameters, state, (0, 0, 0))
    lonely = PopulationAnnealing(num_chains=1, num_sweeps=1)
    with pytest.raises(ValueError, match="sampler"):
        measure_mixing(lonely, *parameters, lonely.init(4, 3, (0, 1)), (0, 0))

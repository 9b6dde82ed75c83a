"""Tests of the overlapping relaxation as a distribution: samples, shapes, support, compilation."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from dvae_tf import smoothing
from dvae_tf.priors import BoltzmannMachine, OverlappingRelaxation, mean_field
from support import reference, smoothing_cases, smoothing_reference

tfd = tfp.distributions

FAMILIES = [case for case in smoothing_cases.SYMMETRIC if hasattr(case.layer, "log_density_given_0")]
each_family = smoothing_cases.parametrize(FAMILIES)


def _relaxation(machine, layer, dtype=np.float64, log_partition=None, **kwargs):
    return OverlappingRelaxation(
        BoltzmannMachine(*machine.cast(dtype), log_partition=log_partition), layer, **kwargs
    )


@each_family
def test_samples_follow_the_relaxed_machine(case):
    machine = reference.random_machine(2, 3, seed=60)
    theta = case.thetas[-1]
    oracle = case.oracle(*theta)
    zeta = _relaxation(machine, case.make(theta)).sample(40_000, seed=(1, 2)).numpy()
    assert zeta.shape == (40_000, 5)
    left, right, products = reference.moments(machine)
    means = np.concatenate([left, right])
    for column, mean in zip(zeta.T, means, strict=True):
        cdf = lambda x, mean=mean: smoothing_reference.mixture_cdf(  # noqa: E731
            oracle, x, np.log(mean / (1 - mean))
        )
        assert reference.ks_distance(column, cdf) < 2.2
    # The zeta are independent given the bits, so E[zeta_i zeta_j] follows from E[z_i z_j].
    low, high = oracle.mean(0), oracle.mean(1)
    slope = high - low
    found = zeta[:, :2, np.newaxis] * zeta[:, np.newaxis, 2:]

    def scores(products):
        expected = low**2 + slope * low * (left[:, None] + right) + slope**2 * products
        return np.abs(reference.z_scores(found, expected)).max()

    assert scores(products) < 4
    assert scores(np.outer(left, right)) > 8


def test_samples_carry_no_gradient():
    parameters = [tf.constant(each) for each in reference.random_machine(3, 4, seed=60)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        relaxation = OverlappingRelaxation(BoltzmannMachine(*parameters), smoothing.Power(beta=3.0))
        total = tf.reduce_sum(relaxation.sample(5, seed=(1, 2)))
    assert tape.gradient(total, parameters) == [None] * 3
    assert relaxation.reparameterization_type == tfd.NOT_REPARAMETERIZED


@each_family
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(case, dtype):
    layer = case.make()
    relaxation = _relaxation(reference.random_machine(3, 4, seed=61), layer, dtype)
    assert isinstance(relaxation, tfd.Distribution)
    assert (relaxation.event_shape, relaxation.batch_shape) == ((7,), ())
    np.testing.assert_array_equal(relaxation.event_shape_tensor(), [7])
    sample = relaxation.sample([2, 5], seed=(0, 1))
    assert (sample.shape, sample.dtype) == ((2, 5, 7), dtype)
    np.testing.assert_array_equal(sample, relaxation.sample([2, 5], seed=(0, 1)))
    assert relaxation.sample(seed=(0, 1)).shape == (7,)
    log_prob = relaxation.log_prob(sample)
    assert log_prob.shape == (2, 5)
    np.testing.assert_allclose(relaxation.log_prob(sample[1, 2]), log_prob[1, 2], rtol=1e-4)
    assert relaxation.mean_field(sample).shape == (2, 5, 7)
    assert relaxation.boltzmann.num_left == 3
    assert relaxation.smoothing is layer


def test_mean_field_is_a_function_of_tensors():
    machine = reference.random_machine(3, 4, seed=61)
    oracle = smoothing_reference.PowerSmoothing(3.0)
    zeta = reference.relaxed_draws(machine, oracle, 10, 0)
    ratio = oracle.log_density_ratio(zeta)
    logits = mean_field(BoltzmannMachine(*machine).rbm, ratio[:, :3], ratio[:, 3:], 4)
    found = tf.math.sigmoid(tf.concat(logits, -1))
    np.testing.assert_allclose(found, reference.mean_field(machine, oracle, zeta, 4), atol=1e-12)


@each_family
def test_log_prob_is_minus_infinity_outside(case):
    relaxation = _relaxation(reference.random_machine(3, 4, seed=61), case.make())
    for wrong in case.outside:
        zeta = np.full(7, 0.5)
        zeta[2] = wrong
        assert relaxation.log_prob(zeta) == -np.inf


@each_family
def test_validate_args(case):
    relaxation = _relaxation(reference.random_machine(3, 4, seed=61), case.make(), validate_args=True)
    assert np.isfinite(relaxation.log_prob(np.full(7, 0.5)))
    for wrong in (*case.outside, np.nan):
        zeta = np.full(7, 0.5)
        zeta[2] = wrong
        with pytest.raises(tf.errors.InvalidArgumentError, match="zeta"):
            relaxation.log_prob(zeta)


@pytest.mark.parametrize("value", [0, -2])
def test_bad_number_of_iterations_is_refused_by_name(value):
    machine = reference.random_machine(3, 4, seed=61)
    with pytest.raises(ValueError, match="num_mean_field_iterations"):
        _relaxation(machine, smoothing.Power(beta=30.0), num_mean_field_iterations=value)

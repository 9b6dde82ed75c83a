"""Samples and quantiles against SciPy and bisection."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from support import reference
from support.smoothing_cases import (
    CLOSED_QUANTILE,
    COLUMN,
    EXTREME_LOGITS,
    LOGITS,
    each_case,
    each_dtype,
    parametrize,
    with_thetas,
)

# --------------------------------------------------------------------------- samples


@with_thetas
@each_dtype
def test_samples_follow_the_cdf(case, theta, dtype):
    q = case.distribution([-1.5, 0.4, 2.5], theta, dtype)
    samples = q.sample(20_000, seed=(1, 2)).numpy()
    assert samples.shape == (20_000, 3)
    assert samples.dtype == dtype.as_numpy_dtype
    for column, logits in zip(samples.T, q.logits.numpy().astype(np.float64), strict=True):
        cdf = functools.partial(case.cdf, theta, logits=logits)
        assert reference.ks_distance(column, cdf, between=case.resolved) < 2.2


@each_case
def test_samples_of_different_units_and_seeds_are_independent(case):
    q = case.distribution(np.zeros([2, 3]), case.thetas[0])
    samples = q.sample(20_000, seed=(3, 4)).numpy()
    assert samples.shape == (20_000, 2, 3)
    other = q.sample(20_000, seed=(3, 5)).numpy()
    columns = np.concatenate([samples.reshape(-1, 6), other.reshape(-1, 6)], 1)
    off_diagonal = np.corrcoef(columns.T) - np.eye(12)
    assert np.abs(off_diagonal).max() * np.sqrt(20_000) < 5
    np.testing.assert_array_equal(samples, q.sample(20_000, seed=(3, 4)))


@each_case
def test_sharp_limit_is_the_bernoulli(case):
    q = case.distribution(LOGITS, case.limit)
    samples = q.sample(20_000, seed=(5, 6)).numpy()
    low, high = case.oracle.support
    assert np.all((samples >= low) & (samples <= high))
    between = (samples > 0.02) & (samples < 0.98)
    outlying = (samples < -0.02) | (samples > 1.02)
    assert abs(between.mean() - 0.96 * case.uniform) < 2e-3
    assert not outlying.any()
    expected = (1 - case.uniform) * special.expit(LOGITS) + case.uniform / 2
    assert np.abs(reference.z_scores(samples > 0.5, expected)).max() < 4
    np.testing.assert_allclose(q.binary.probs_parameter(), special.expit(LOGITS), rtol=1e-12)


@each_case
@each_dtype
def test_samples_are_finite_everywhere(case, dtype):
    logits = tf.constant(EXTREME_LOGITS, dtype)
    low, high = case.oracle.support
    for theta in (*case.thetas, case.sharp, *case.extremes):
        theta = tuple(tf.constant(each, dtype) for each in theta)
        with tf.GradientTape() as tape:
            tape.watch((logits, theta))
            samples = case.distribution(logits, theta, dtype).sample(5_000, seed=(9, 9))
        for number in (samples, *tape.gradient(samples, (logits, *theta))):
            assert np.isfinite(number).all(), theta
        assert np.all((samples >= low) & (samples <= high))


# --------------------------------------------------------------------------- quantiles


@with_thetas
def test_quantile_inverts_cdf(case, theta):
    q = case.distribution(COLUMN, theta)
    zeta = np.array(case.inside)
    rho = case.cdf(theta, zeta, COLUMN)
    found = q.quantile(rho).numpy()
    # Up to the rounding of rho, d zeta = d rho / density.
    slack = 1e-12 + 8 * np.finfo(np.float64).eps * rho / np.exp(case.log_density(theta, zeta, COLUMN))
    assert np.all(np.abs(found - zeta) <= slack + 1e-9 * np.abs(zeta))


@with_thetas
@each_dtype
def test_quantile_matches_bisection(case, theta, dtype):
    rho = np.array([0.02, 0.3, 0.5, 0.77, 0.98], dtype.as_numpy_dtype)
    found = case.distribution(COLUMN, theta, dtype).quantile(rho).numpy()
    assert found.shape == (LOGITS.size, rho.size)
    assert found.dtype == dtype.as_numpy_dtype
    expected = case.quantile(theta, rho.astype(np.float64), COLUMN)
    if dtype == tf.float64:
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)
    else:
        # In float32 the CDF has an error of a few units in the last place, so levels are compared.
        levels = case.cdf(theta, found.astype(np.float64), COLUMN)
        resolved = (expected > case.resolved[0]) & (expected < case.resolved[1])
        np.testing.assert_allclose(levels[resolved], (levels * 0 + rho)[resolved], atol=2e-6)
        np.testing.assert_allclose(found[resolved], expected[resolved], atol=2e-3)


@each_case
@each_dtype
def test_quantile_is_finite_everywhere(case, dtype):
    rho = tf.constant([1e-30, 1e-6, 0.5, 1 - 2.0**-20], dtype)[:, tf.newaxis]
    logits = tf.constant(EXTREME_LOGITS, dtype)
    rho, logits = rho + 0 * logits, logits + 0 * rho

    @tf.function
    def quantile(logits, rho, theta):
        with tf.GradientTape() as tape:
            tape.watch((rho, logits))
            zeta = case.distribution(logits, theta, dtype).quantile(rho)
        return zeta, *tape.gradient(zeta, (rho, logits))

    low, high = case.oracle.support
    for theta in (case.thetas[0], case.sharp, *case.extremes):
        zeta, *gradients = quantile(logits, rho, [tf.constant(each, dtype) for each in theta])
        assert np.isfinite(zeta).all(), theta
        assert np.all((zeta >= low) & (zeta <= high))
        assert np.all(np.diff(zeta, axis=0) >= 0), theta
        if theta not in case.extremes:
            # Further out d zeta / d rho = 1 / density overflows.
            for number in gradients:
                assert np.isfinite(number).all(), theta


@each_case
@each_dtype
def test_quantile_of_0_and_1_are_the_ends_of_the_support(case, dtype):
    logits = np.array(EXTREME_LOGITS)
    for theta in (case.thetas[0], case.sharp, *case.extremes):
        q = case.distribution(logits, theta, dtype)
        low, high = case.oracle.support
        np.testing.assert_allclose(q.quantile(0.0), np.full(logits.shape, low), atol=1e-5)
        found = q.quantile(1.0).numpy()
        if case.has_atom:
            # If z = 1 is too rare, the last level is that of the spike.
            found = found[logits >= -1]
        np.testing.assert_allclose(found, np.full(found.shape, high), atol=1e-5)


@parametrize(CLOSED_QUANTILE)
@pytest.mark.parametrize("beta", [12.0, 16.0])
def test_closed_quantile_is_precise_in_float32(case, beta):
    rho, probs = np.meshgrid(np.float32([0.97, 0.98, 0.99, 0.995]), [0.97, 0.98, 0.99, 0.995])
    logits = np.log(probs / (1 - probs)).astype(np.float32)
    found = case.distribution(logits, (beta,), tf.float32).quantile(rho)
    expected = case.quantile((beta,), rho.astype(np.float64), logits.astype(np.float64))
    np.testing.assert_allclose(found, expected, atol=1e-5)

"""Tests of the power smoothing: its Beta components and its saturation."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from dvae_tf.smoothing import Power
from support import reference, smoothing_reference


@pytest.mark.parametrize("beta", [1.5, 3.0, 30.0])
def test_components_are_beta_distributions(beta):
    zeta = np.array([1e-12, 1e-3, 0.2, 0.5, 0.9, 0.999])
    theta = tf.constant(beta, tf.float64)
    for z, distribution in ((0, stats.beta(1 / beta, 1)), (1, stats.beta(1, 1 / beta))):
        log_density = Power.log_density_given_0(tf.constant(zeta), theta)
        if z:
            log_density += Power.log_density_ratio(tf.constant(zeta), theta)
        cdf = (Power.cdf_given_0, Power.cdf_given_1)[z](tf.constant(zeta), theta)
        np.testing.assert_allclose(log_density, distribution.logpdf(zeta), rtol=1e-9)
        np.testing.assert_allclose(cdf, distribution.cdf(zeta), rtol=1e-9)
        rho = np.array([0.05, 0.4, 0.97])
        quantile = (Power.quantile_given_0, Power.quantile_given_1)[z](tf.constant(rho), theta)
        np.testing.assert_allclose(quantile, distribution.ppf(rho), rtol=1e-7, atol=1e-300)


def test_cdf_given_1_is_precise_near_0():
    zeta = np.array([1e-30, 1e-20, 1e-9])
    found = Power.cdf_given_1(tf.constant(zeta, tf.float32), tf.constant(5.0))
    np.testing.assert_allclose(found, zeta / 5, rtol=1e-5)
    found = Power.quantile_given_1(tf.constant(zeta / 5, tf.float32), tf.constant(5.0))
    np.testing.assert_allclose(found, zeta, rtol=1e-5)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_cdfs_end_at_0_and_1(dtype):
    for beta in (1.5, 30.0, 100.0):
        for cdf in (Power.cdf_given_0, Power.cdf_given_1):
            ends = cdf(tf.constant([0.0, 1.0], dtype), tf.constant(beta, dtype)).numpy()
            np.testing.assert_allclose(ends, [0, 1], atol=1e-6 if dtype == tf.float32 else 1e-14)


def test_quantile_of_levels_that_underflow():
    # 0.02^30 = 1e-51 underflows in float32, where 0 is close.
    logits = np.array([-6.0, 0.0, 2.5])
    found = Power(beta=30.0)(tf.constant(logits, tf.float32)).quantile(0.02)
    expected = smoothing_reference.mixture_quantile(smoothing_reference.PowerSmoothing(30.0), 0.02, logits)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_over_half_of_the_sharp_draws_round_to_1():
    zeta = Power(beta=30.0)(tf.fill([50_000], 1e4)).sample(seed=(0, 1)).numpy()
    # P(u^30 < 2^-25), with half the spacing of floats below 1.
    expected = (2.0**-25) ** (1 / 30)
    assert 0.5 < expected < 0.6
    assert abs(reference.z_scores(zeta == 1, expected)) < 4


def test_log_density_ratio_is_capped_by_the_spacing_of_floats():
    q = Power(beta=30.0)(tf.zeros([]))
    at_1, at_0 = (float(q.log_density_ratio(zeta)) for zeta in (1.0, 0.0))
    assert 15 < at_1 < 16.2
    assert at_0 < -80
    ratio = q.log_density_ratio(tf.constant([0.0, 1e-38, 1e-20, 0.4, 0.9, 1 - 2.0**-24, 1.0]))
    assert np.all(np.diff(ratio) >= 0)


def test_log_prob_of_sharp_draws_has_no_outliers_near_1():
    """A draw that saturates has the density of the last float, not infinity."""
    q = Power(beta=30.0)(tf.fill([20_000], 2.0))
    zeta = q.sample(seed=(1, 1))
    log_prob = q.log_prob(zeta).numpy()
    assert np.isfinite(log_prob).all()
    nearest = np.clip(zeta.numpy().astype(np.float64), 1e-37, 1 - 2.0**-24)
    expected = smoothing_reference.mixture_log_density(smoothing_reference.PowerSmoothing(30.0), nearest, 2.0)
    np.testing.assert_allclose(log_prob[zeta > 1e-37], expected[zeta > 1e-37], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_gradient_in_zeta_of_the_sharp_density(dtype):
    """d log r(zeta | 0) / d zeta = (1/beta - 1) / zeta, down to the smallest floats."""
    zeta = tf.constant([1e-36, 1e-20, 1e-3, 0.5], dtype)
    with tf.GradientTape() as tape:
        tape.watch(zeta)
        log_density = Power.log_density_given_0(zeta, tf.constant(30.0, dtype))
    expected = (1 / 30 - 1) / zeta.numpy().astype(np.float64)
    np.testing.assert_allclose(tape.gradient(log_density, zeta), expected, rtol=1e-5)

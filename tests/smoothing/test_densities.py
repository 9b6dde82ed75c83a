"""Densities, CDFs and posteriors of the bit, against SciPy, quadrature and finite differences."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from support.smoothing_cases import (
    COLUMN,
    EXTREME_LOGITS,
    LOGITS,
    MIXTURES,
    SYMMETRIC,
    each_case,
    each_dtype,
    mixtures_with_thetas,
    parametrize,
    tolerance,
    with_thetas,
)

tfd = tfp.distributions


# --------------------------------------------------------------------------- density and CDF


@with_thetas
def test_density_integrates_to_one(case, theta):
    nodes, weights, (low, high) = case.oracle(*theta).quadrature()
    found = case.distribution(COLUMN, theta).prob(nodes).numpy() @ weights
    # The probability of an atom and of what lies beyond the ends of the quadrature is known.
    beyond = case.cdf(theta, low, LOGITS) + 1 - case.cdf(theta, high, LOGITS)
    np.testing.assert_allclose(found + beyond, 1, atol=1e-6)


@with_thetas
@each_dtype
def test_log_prob_is_the_log_density(case, theta, dtype):
    zeta = np.array(case.inside, dtype.as_numpy_dtype)
    found = case.distribution(COLUMN, theta, dtype).log_prob(zeta)
    assert found.dtype == dtype
    np.testing.assert_allclose(
        found, case.log_density(theta, zeta.astype(np.float64), COLUMN), **tolerance(dtype)
    )


@with_thetas
@each_dtype
def test_cdf(case, theta, dtype):
    zeta = np.array(case.inside, dtype.as_numpy_dtype)
    found = case.distribution(COLUMN, theta, dtype).cdf(zeta)
    np.testing.assert_allclose(found, case.cdf(theta, zeta.astype(np.float64), COLUMN), **tolerance(dtype))


@with_thetas
def test_derivative_of_cdf_is_the_density(case, theta):
    zeta = tf.constant(np.tile(case.inside, (LOGITS.size, 1)))
    q = case.distribution(COLUMN, theta)
    with tf.GradientTape() as tape:
        tape.watch(zeta)
        cdf = q.cdf(zeta)
    np.testing.assert_allclose(tape.gradient(cdf, zeta), q.prob(zeta), rtol=1e-8, atol=1e-10)
    # And against finite differences, where they are precise.
    low, high = case.oracle.support
    inner = np.array([each for each in case.inside if low + 0.01 < each < high - 0.01])
    step = 1e-6
    difference = (q.cdf(inner + step) - q.cdf(inner - step)) / (2 * step)
    np.testing.assert_allclose(difference, q.prob(inner), rtol=1e-5, atol=1e-8)


@with_thetas
def test_cdf_outside_the_support(case, theta):
    q = case.distribution(LOGITS, theta)
    low, high = case.oracle.support
    for zeta in case.outside:
        expected = 0.0 if zeta <= low else 1.0
        np.testing.assert_allclose(q.cdf(zeta), np.full(LOGITS.size, expected), atol=1e-12)
    at_low = special.expit(-LOGITS) if case.has_atom else np.zeros(LOGITS.size)
    np.testing.assert_allclose(q.cdf(low), at_low, atol=1e-12)
    np.testing.assert_allclose(q.cdf(high), np.ones(LOGITS.size), atol=1e-12)


@each_case
@each_dtype
def test_log_prob_is_minus_infinity_outside(case, dtype):
    zeta = tf.constant(case.outside, dtype)[:, tf.newaxis]
    logits = tf.constant(LOGITS, dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_prob = case.distribution(logits, case.sharp, dtype).log_prob(zeta)
    assert np.all(log_prob == -np.inf)
    if np.isfinite(case.oracle.support).all():
        assert np.isfinite(tape.gradient(log_prob, logits)).all()


@each_case
def test_nan_in_nan_out(case):
    q = case.distribution(LOGITS, case.sharp)
    assert np.isnan(q.log_prob(np.nan)).all()
    assert np.isnan(q.cdf(np.nan)).all()


@parametrize(SYMMETRIC, with_thetas=True)
def test_density_is_symmetric_under_flipping_the_bit(case, theta):
    zeta = np.array([2.0**-20, 0.0625, 0.25, 0.5, 0.8125, 1 - 2.0**-20])
    q, flipped = case.distribution(COLUMN, theta), case.distribution(-COLUMN, theta)
    np.testing.assert_allclose(q.log_prob(zeta), flipped.log_prob(1 - zeta), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(q.cdf(zeta), 1 - flipped.cdf(1 - zeta), rtol=1e-10, atol=1e-12)


@each_case
@each_dtype
def test_everything_is_finite_everywhere(case, dtype):
    zeta = tf.constant(case.edges, dtype)[:, tf.newaxis]
    logits = tf.constant(EXTREME_LOGITS, dtype)
    zeta, logits = zeta + 0 * logits, logits + 0 * zeta
    names = ["log_prob", "cdf"]
    if case in MIXTURES and not case.has_atom:
        names.append("log_density_ratio")
    for theta in (*case.thetas, case.sharp, *case.extremes):
        theta = tuple(tf.constant(each, dtype) for each in theta)
        for name in names:
            with tf.GradientTape() as tape:
                tape.watch((zeta, logits, theta))
                value = getattr(case.distribution(logits, theta, dtype), name)(zeta)
            gradients = tape.gradient(
                value, (zeta, logits, *theta), unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            for number in (value, *gradients):
                assert np.isfinite(number).all(), (name, theta)


# --------------------------------------------------------------------------- the posterior of the bit


@mixtures_with_thetas
@each_dtype
def test_log_density_ratio(case, theta, dtype):
    zeta = np.array(case.inside, dtype.as_numpy_dtype)
    found = case.distribution([0.0], theta, dtype).log_density_ratio(zeta)
    expected = case.oracle(*theta).log_density_ratio(zeta.astype(np.float64))
    np.testing.assert_allclose(found, expected, **tolerance(dtype))


@parametrize([case for case in SYMMETRIC if case in MIXTURES], with_thetas=True)
def test_log_density_ratio_is_antisymmetric(case, theta):
    zeta = np.array([2.0**-20, 0.0625, 0.25, 0.5, 0.8125, 1 - 2.0**-20])
    q = case.distribution(0.0, theta)
    np.testing.assert_allclose(q.log_density_ratio(zeta), -q.log_density_ratio(1 - zeta), atol=1e-10)


@mixtures_with_thetas
def test_binary_posterior_obeys_bayes(case, theta):
    zeta = np.array(case.inside + (0.0,) * case.has_atom)
    posterior = case.distribution(COLUMN, theta).binary_posterior(zeta)
    assert isinstance(posterior, tfd.Bernoulli)
    for z, log_prior in ((0, special.log_expit(-COLUMN)), (1, special.log_expit(COLUMN))):
        joint = log_prior + case.oracle(*theta).log_density(zeta, z)
        expected = np.exp(joint - case.log_density(theta, zeta, COLUMN))
        np.testing.assert_allclose(posterior.prob(z), expected, rtol=1e-8, atol=1e-12)


@each_case
def test_binary_is_the_bernoulli_of_the_logits(case):
    q = case.distribution(LOGITS, case.sharp, tf.float32)
    assert isinstance(q.binary, tfd.Bernoulli)
    assert q.binary.dtype == tf.float32
    np.testing.assert_allclose(q.binary.logits_parameter(), LOGITS, rtol=1e-6)
    np.testing.assert_allclose(q.logits, LOGITS, rtol=1e-6)
    bits = q.binary.sample(seed=(0, 0)).numpy()
    assert set(np.unique(bits)) <= {0.0, 1.0}

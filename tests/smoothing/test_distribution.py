"""Every relaxed bit as a tfp distribution: shapes, dtypes, compilation, composition, checks."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from support import reference
from support.smoothing_cases import LOGITS, each_case, each_dtype

tfd = tfp.distributions


@each_case
@each_dtype
def test_shapes_and_dtypes(case, dtype):
    q = case.make()(tf.zeros([4, 3], dtype))
    assert isinstance(q, tfd.Distribution)
    assert q.batch_shape == (4, 3)
    assert q.event_shape == ()
    assert q.dtype == dtype
    sample = q.sample([2, 5], seed=(0, 1))
    assert sample.shape == (2, 5, 4, 3)
    for value in (sample, q.log_prob(sample), q.cdf(sample), q.quantile(0.5), q.logits):
        assert value.dtype == dtype
    assert q.log_prob(sample).shape == (2, 5, 4, 3)
    assert q.quantile(0.5).shape == (4, 3)


@pytest.mark.slow
@each_case
def test_sampling_and_quantiles_compile(case):
    logits = tf.constant([-1.5, 0.4, 2.5], tf.float32)
    theta = case.thetas[1]

    def evaluate(logits, rho):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            q = case.distribution(logits, theta, tf.float32)
            zeta, quantile = q.sample(10_000, seed=(2, 3)), q.quantile(rho)
            total = tf.reduce_sum(zeta) + tf.reduce_sum(quantile)
        return zeta, quantile, tape.gradient(total, logits)

    rho = tf.constant(0.6)
    _, eager_quantile, _ = evaluate(logits, rho)
    for jit_compile in (False, True):
        zeta, quantile, gradient = tf.function(evaluate, jit_compile=jit_compile)(logits, rho)
        assert zeta.shape == (10_000, 3)
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(quantile, eager_quantile, rtol=1e-4, atol=1e-6)
        # Random numbers differ inside an XLA program, and so do draws.
        for column, each in zip(zeta.numpy().T, logits.numpy().astype(np.float64), strict=True):
            cdf = functools.partial(case.cdf, theta, logits=each)
            assert reference.ks_distance(column, cdf, between=case.resolved) < 2.2


@each_case
def test_independent(case):
    q = case.make()(tf.constant(LOGITS[np.newaxis].repeat(4, 0)))
    joint = tfd.Independent(q, reinterpreted_batch_ndims=1)
    assert joint.event_shape == (LOGITS.size,)
    zeta = joint.sample(3, seed=(0, 4))
    np.testing.assert_allclose(joint.log_prob(zeta), tf.reduce_sum(q.log_prob(zeta), -1), rtol=1e-9)


@each_case
def test_default_bijector_maps_into_the_support(case):
    q = case.distribution(LOGITS, case.sharp)
    bijector = q.experimental_default_event_space_bijector()
    low, high = case.oracle.support
    assert q.support == (low, high)
    found = bijector.forward(tf.constant([-5.0, 0.0, 5.0], tf.float64)).numpy()
    assert np.all((found > low) & (found < high))


@each_case
def test_validate_args(case):
    checked = case.distribution(LOGITS, case.sharp, validate_args=True)
    assert np.isfinite(checked.log_prob(0.5)).all()
    for wrong in (np.nan, *case.outside):
        for method in (checked.log_prob, checked.cdf):
            with pytest.raises(tf.errors.InvalidArgumentError, match="zeta"):
                method(np.float64(wrong))


@each_case
def test_validate_args_refuses_nan_logits(case):
    with pytest.raises(tf.errors.InvalidArgumentError, match="logits"):
        case.distribution([np.nan], case.sharp, validate_args=True).log_prob(0.5)


@each_case
def test_copy_changes_one_parameter(case):
    q = case.distribution(LOGITS, case.sharp)
    other = q.copy(logits=tf.zeros([2], tf.float64))
    assert other.batch_shape == (2,)
    expected = case.distribution(np.zeros(2), case.sharp)
    np.testing.assert_array_equal(other.log_prob(0.25), expected.log_prob(0.25))
    np.testing.assert_array_equal(other.sample(seed=(0, 1)), expected.sample(seed=(0, 1)))

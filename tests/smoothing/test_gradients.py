"""Hand-written gradients against differences of bisections, closed forms, and gradients of moments."""

import numpy as np
import pytest
import tensorflow as tf

from support.smoothing_cases import (
    CASES,
    CLOSED_QUANTILE,
    COLUMN,
    LOGITS,
    each_dtype,
    each_mixture,
    mixtures_with_thetas,
    parametrize,
    with_thetas,
)


def _sample_gradients(case, logits, theta, num_samples, dtype=tf.float64):
    """Draws, and the derivative of each in its logit and in each of its parameters."""
    logits = tf.tile(tf.constant(logits, dtype)[tf.newaxis], [num_samples, 1])
    theta = tuple(tf.fill(logits.shape, tf.constant(each, dtype)) for each in theta)
    with tf.GradientTape() as tape:
        tape.watch((logits, theta))
        zeta = case.distribution(logits, theta, dtype).sample(seed=(7, 8))
    return zeta.numpy(), [each.numpy() for each in tape.gradient(zeta, (logits, *theta))]


def _differences(function, arguments, step=1e-4):
    """The derivative of a function in each argument, to fourth order in the step."""

    def moved(position, by):
        return function(*arguments[:position], arguments[position] + by, *arguments[position + 1 :])

    return [
        (8 * (moved(i, step) - moved(i, -step)) - (moved(i, 2 * step) - moved(i, -2 * step))) / (12 * step)
        for i in range(len(arguments))
    ]


def _errors(values, expected, dtype):
    """|mean - expected| in standard errors, beyond what rounding explains."""
    rounding = 1e-6 if dtype == tf.float32 else 1e-9
    values = values.astype(np.float64)
    standard_errors = values.std(0, ddof=1) / np.sqrt(len(values))
    return np.maximum(np.abs(values.mean(0) - expected) - rounding, 0) / np.maximum(standard_errors, 1e-300)


def _between(zeta, ends):
    return (zeta > ends[0]) & (zeta < ends[1])


# --------------------------------------------------------------------------- samples


@parametrize(CASES)
@pytest.mark.parametrize("which", [0, 1])
def test_sample_gradients_match_the_inverse_cdf(case, which):
    theta = case.thetas[which]
    logits = np.array([-2.0, 0.3, 3.0])
    zeta, gradients = _sample_gradients(case, logits, theta, 150)
    rho = case.cdf(theta, zeta, logits)
    # For levels close to an end, bisection is too coarse for differences.
    known = _between(rho, (1e-6, 1 - 1e-6)) & _between(zeta, case.differenced)
    assert known[zeta != 0].mean() > 0.75
    expected = _differences(lambda logits, *theta: case.quantile(theta, rho, logits), (logits, *theta))
    for found, difference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found[known], difference[known], rtol=1e-5, atol=1e-7)


@with_thetas
@each_dtype
def test_sample_gradients_are_unbiased_for_the_mean(case, theta, dtype):
    logits = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])
    zeta, gradients = _sample_gradients(case, logits, theta, 20_000, dtype)
    expected = _differences(lambda logits, *theta: case.mean(theta, logits), (logits, *theta))
    assert _errors(zeta, case.mean(theta, logits), dtype).max() < 4
    for found, exact in zip(gradients, expected, strict=True):
        assert _errors(found, exact, dtype).max() < 4


@mixtures_with_thetas
def test_the_check_above_catches_a_wrong_cdf(case, theta, monkeypatch):
    right = case.layer.cdf_given_1

    def wrong(cls, zeta, *theta):
        return 0.5 * right(zeta, *theta) + 0.5 * cls.cdf_given_0(zeta, *theta)

    monkeypatch.setattr(case.layer, "cdf_given_1", classmethod(wrong))
    _, gradients = _sample_gradients(case, [1.0], theta, 20_000)
    by_logits, *_ = _differences(lambda logits, *theta: case.mean(theta, logits), (np.array([1.0]), *theta))
    assert _errors(gradients[0], by_logits, tf.float64).max() > 4


# --------------------------------------------------------------------------- quantiles


@with_thetas
def test_gradients_of_quantile(case, theta):
    rho, logits = np.broadcast_arrays([0.05, 0.3, 0.5, 0.62, 0.9], [[-1.0], [0.0], [0.3]])
    arguments = rho, logits, *(np.full(rho.shape, each) for each in theta)
    tensors = tuple(tf.constant(each) for each in arguments)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        zeta = case.distribution(tensors[1], tensors[2:]).quantile(tensors[0])
    gradients = tape.gradient(zeta, tensors)
    expected = _differences(
        lambda rho, logits, *theta: case.quantile(theta, rho, logits), arguments, step=1e-5
    )
    known = _between(zeta.numpy(), case.differenced) & (
        zeta.numpy() < 1 - 1e-6 if case.oracle.support[1] == 1 else True
    )
    assert known.mean() > 0.3
    for found, difference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found.numpy()[known], difference[known], rtol=1e-4, atol=1e-7)
    # d zeta / d rho = 1 / density.
    density = np.exp(case.log_density(theta, zeta.numpy(), logits))
    np.testing.assert_allclose(gradients[0].numpy()[known], 1 / density[known], rtol=1e-6)


@parametrize(CLOSED_QUANTILE, with_thetas=True)
def test_implicit_gradient_is_that_of_the_closed_form(case, theta):
    logits = np.array([-3.0, -0.4, 0.7, 2.0])
    zeta, by_implicit = _sample_gradients(case, logits, theta, 500)
    rho = case.cdf(theta, zeta, logits)
    arguments = tuple(tf.constant(np.broadcast_to(each, rho.shape)) for each in (rho, logits, *theta))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(arguments)
        closed = case.layer.mixture_quantile(*arguments)
        quantile = case.distribution(arguments[1], arguments[2:]).quantile(arguments[0])
    np.testing.assert_array_equal(quantile, closed)
    by_closed = tape.gradient(closed, arguments)
    known = _between(rho, (1e-6, 1 - 1e-6)) & (zeta != 0)
    np.testing.assert_allclose(closed.numpy()[known], zeta[known], atol=1e-8)
    for found, expected in zip(tape.gradient(quantile, arguments), by_closed, strict=True):
        np.testing.assert_allclose(found.numpy()[known], expected.numpy()[known], rtol=1e-6, atol=1e-9)
    # The same for samples, up to the rounding of rho.
    for found, expected in zip(by_implicit, by_closed[1:], strict=True):
        np.testing.assert_allclose(found[known], expected.numpy()[known], rtol=1e-5, atol=1e-8)


@each_mixture
@pytest.mark.parametrize("what", ["sample", "quantile"])
def test_second_derivative_raises(case, what):
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            q = case.distribution(logits, case.thetas[0])
            zeta = q.sample(seed=(1, 1)) if what == "sample" else q.quantile(0.3)
        first = inner.gradient(zeta, logits)
        with pytest.raises(LookupError):
            outer.gradient(first, logits)


# --------------------------------------------------------------------------- densities


@with_thetas
def test_gradients_of_log_prob(case, theta):
    arguments = np.broadcast_arrays([0.0625, 0.3, 0.5, 0.8125], COLUMN, *theta)
    tensors = tuple(tf.constant(each) for each in arguments)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        log_prob = case.distribution(tensors[1], tensors[2:]).log_prob(tensors[0])
    expected = _differences(
        lambda zeta, logits, *theta: case.log_density(theta, zeta, logits), arguments, step=1e-5
    )
    for found, difference in zip(tape.gradient(log_prob, tensors), expected, strict=True):
        np.testing.assert_allclose(found, difference, rtol=1e-6, atol=1e-8)

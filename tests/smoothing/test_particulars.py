"""Tests of properties of single smoothings; `test_power.py` has those of the power smoothing."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf.smoothing import Concrete, Exponential, ShiftedGaussian, SpikeExponential
from support import reference, smoothing_reference
from support.smoothing_cases import LOGITS

# --------------------------------------------------------------------------- spike-and-exponential


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_zeta_tells_the_bit_of_the_spike(dtype):
    q = SpikeExponential(beta=4.0)(tf.constant(LOGITS, dtype)[:, tf.newaxis])
    zeta = tf.constant([0.0, 1e-6, 0.5, 1.0], dtype)
    np.testing.assert_array_equal(q.log_density_ratio(zeta), [-np.inf, np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(
        q.binary_posterior(zeta).probs_parameter(), np.tile([0.0, 1.0, 1.0, 1.0], (LOGITS.size, 1))
    )


def test_spike_has_the_probability_of_0():
    samples = SpikeExponential(beta=4.0)(tf.constant(LOGITS)).sample(20_000, seed=(0, 3)).numpy()
    assert np.abs(reference.z_scores(samples == 0, special.expit(-LOGITS))).max() < 4


def test_density_at_the_spike_is_its_probability():
    q = SpikeExponential(beta=4.0)(tf.constant(LOGITS))
    np.testing.assert_allclose(q.log_prob(0.0), special.log_expit(-LOGITS), rtol=1e-12)


def test_implicit_gradient_at_the_spike_is_0():
    logits = tf.tile(tf.constant(LOGITS)[tf.newaxis], [2_000, 1])
    layer = SpikeExponential(beta=4.0, trainable_beta=True)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        q = layer(logits)
        zeta, quantile = q.sample(seed=(0, 3)), q.quantile(0.3)
        at_spike = tf.reduce_sum(tf.where(zeta == 0, zeta, 0.0))
    assert np.any(zeta == 0)
    for values in (zeta, quantile):
        by_logits = tape.gradient(values, logits).numpy()
        assert np.all(by_logits[values == 0] == 0)
        assert np.all(by_logits[values != 0] > 0)
    np.testing.assert_array_equal(tape.gradient(at_spike, layer.trainable_variables), [0.0])


# --------------------------------------------------------------------------- exponential


@pytest.mark.parametrize("beta", [12.0, 16.0])
def test_the_published_quantile_is_useless_in_float32(beta):
    """The naive form of `mixture_quantile`, which subtracts b from sqrt(b^2 - 4c) and cancels."""
    q, rho = np.float32(0.99), np.float32(0.99)
    e = np.exp(np.float32(-beta))
    b, c = (rho + e * (q - rho)) / (1 - q) - 1, -q * e / (1 - q)
    with np.errstate(divide="ignore"):
        published = -np.log((-b + np.sqrt(b**2 - 4 * c)) / 2) / np.float32(beta)
    logits = np.log(q / (1 - q))
    oracle = smoothing_reference.ExponentialSmoothing(beta)
    exact = smoothing_reference.mixture_quantile(oracle, float(rho), float(logits))
    found = Exponential(beta=beta)(logits).quantile(rho)
    assert abs(published - exact) > 1e-3
    assert abs(float(found) - exact) < 1e-5


# --------------------------------------------------------------------------- shifted Gaussian


def test_shift_and_scale_come_from_the_encoder_and_a_weight():
    layer = ShiftedGaussian()
    logits, h = tf.constant([[0.3, -2.0, 1.0]] * 4), tf.constant([[-9.0, 0.0, 1.5]] * 4)
    assert layer.outputs_per_unit == 2
    layer(logits, h)
    assert layer.s.shape == (3,)
    layer.s.assign([1.0, -2.0, 0.0])
    shift, scale = layer(logits, h).theta
    np.testing.assert_allclose(shift, (special.expit(h) - 0.5) / 2, rtol=1e-6)
    np.testing.assert_allclose(scale, [0.25, 0.45, 0.05], rtol=1e-6)
    np.testing.assert_array_equal(layer(logits).theta[0], np.zeros([4, 3]))


def test_shift_output_gets_the_gradient_of_samples():
    logits, h = tf.zeros([50, 3]), tf.constant([[-1.0, 0.0, 2.0]] * 50)
    layer = ShiftedGaussian()
    with tf.GradientTape() as tape:
        tape.watch(h)
        zeta = layer(logits, h).sample(seed=(1, 4))
    # d zeta / d shift = 1.
    probs = special.expit(h)
    np.testing.assert_allclose(tape.gradient(zeta, h), probs * (1 - probs) / 2, rtol=1e-4)


# --------------------------------------------------------------------------- Concrete


@pytest.mark.parametrize("method", ["log_density_ratio", "binary_posterior"])
def test_concrete_has_no_bit_behind_zeta(method):
    q = Concrete(temperature=0.5)(tf.zeros([2]))
    with pytest.raises(NotImplementedError, match="Concrete"):
        getattr(q, method)(0.5)


def test_concrete_bit_is_zeta_above_one_half():
    """P(zeta > 1/2) equals the probability of the bit at every temperature."""
    for temperature in (1 / 7, 2.0):
        q = Concrete(temperature=temperature)(tf.constant(LOGITS))
        np.testing.assert_allclose(q.cdf(0.5), special.expit(-LOGITS), rtol=1e-12)


def test_concrete_samples_are_differentiable_twice():
    logits = tf.constant([0.7], tf.float64)
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            zeta = Concrete(temperature=0.5)(logits).sample(seed=(1, 1))
        first = inner.gradient(zeta, logits)
    # zeta' = 2 zeta (1 - zeta), zeta'' = 4 zeta (1 - zeta) (1 - 2 zeta).
    np.testing.assert_allclose(first, 2 * zeta * (1 - zeta), rtol=1e-9)
    expected = 4 * zeta * (1 - zeta) * (1 - 2 * zeta)
    np.testing.assert_allclose(outer.gradient(first, logits), expected, rtol=1e-9)

"""Local Gaussians against quadrature and TFP, and the draws of the layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, stats
from tensorflow_probability import distributions as tfd

from dvae_tf import local, numerics
from dvae_tf.networks import Network

CASES = [(0.0, 1.0), (0.7, 0.4), (-1.5, 2.5), (2.0, 0.05)]


@pytest.mark.parametrize(("shift", "ratio"), CASES)
def test_kl_is_that_of_quadrature_and_of_tfp(shift, ratio):
    location, scale = 0.3, 1.7
    q, p = stats.norm(location + scale * shift, scale * ratio), stats.norm(location, scale)
    low, high = q.mean() - 12 * q.std(), q.mean() + 12 * q.std()

    def integrand(y):
        return q.pdf(y) * (q.logpdf(y) - p.logpdf(y))

    exact = integrate.quad(integrand, low, high, epsabs=1e-11)[0]
    found = local.gaussian_kl(tf.constant([shift], tf.float64), tf.constant([ratio], tf.float64))
    assert float(found) == pytest.approx(exact, abs=1e-8)
    theirs = tfd.kl_divergence(tfd.Normal(np.float64(q.mean()), q.std()), tfd.Normal(np.float64(0.3), 1.7))
    assert float(found) == pytest.approx(float(theirs), abs=1e-10)


def kl_of_a_variance(shift, ratio):
    return local.gaussian_kl(shift, tf.sqrt(ratio))


def test_a_scale_taken_for_a_variance_is_noticed():
    wrong = kl_of_a_variance(tf.constant([0.7], tf.float64), tf.constant([0.4], tf.float64))
    theirs = tfd.kl_divergence(tfd.Normal(np.float64(0.7), 0.4), tfd.Normal(np.float64(0.0), 1.0))
    assert abs(float(wrong) - float(theirs)) > 0.1


@pytest.mark.parametrize(("shift", "ratio"), CASES)
def test_log_ratio_at_a_sample(shift, ratio):
    """The difference of two log densities, whose mean is the KL divergence."""
    u, weights = np.polynomial.hermite_e.hermegauss(20)
    location, scale = -0.4, 0.6
    y = location + scale * (shift + ratio * u)
    expected = stats.norm.logpdf(y, location + scale * shift, scale * ratio)
    expected -= stats.norm.logpdf(y, location, scale)
    given = (tf.constant(np.full((20, 1), each)) for each in (shift, ratio))
    found = local.log_ratio(*given, tf.constant(u[:, np.newaxis]))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    mean = weights / weights.sum() @ np.asarray(found)
    kl = local.gaussian_kl(tf.constant([shift], tf.float64), tf.constant([ratio], tf.float64))
    assert mean == pytest.approx(float(kl), abs=1e-12)


def test_scales_are_positive_and_start_at_one():
    raw = tf.constant([-1e4, -3.0, 0.0, 5.0, 1e4])
    scales = np.asarray(numerics.positive_scale(raw))
    assert np.isfinite(scales).all()
    assert (scales >= 0.02).all()
    assert (np.diff(scales) > 0).all()
    assert scales[2] == pytest.approx(1.0)


def layer(num_groups=2, units=3):
    """Networks of 5 pixels and 4 bits."""
    sizes = [4 + group * units for group in range(num_groups)]
    encoders = [
        Network([5, size], [6], 2 * units, seed=i, name=f"encoder_{i}") for i, size in enumerate(sizes)
    ]
    priors = [Network([size], [6], 2 * units, seed=9 + i, name=f"prior_{i}") for i, size in enumerate(sizes)]
    return local.LocalVariables(encoders, priors, units, name="local")


def given(num_samples=2, num_images=7):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_images, 5)).astype(np.float32)
    return x, rng.integers(0, 2, (num_samples, num_images, 4)).astype(np.float32)


@pytest.mark.parametrize("training", [False, True])
def test_sample_is_that_of_the_networks(training):
    """Group by group, with densities of TFP."""
    made, (x, code) = layer(), given()
    noise = made.draw_noise(code.shape[:2], (0, 1))
    drawn = made(x, code, noise, training=training)
    before, log_ratio, kls = tf.constant(code), 0.0, []
    for group in range(2):
        location, raw = tf.split(made.priors[group](before, training=training), 2, -1)
        shift, raw_ratio = tf.split(made.encoders[group](x, before, training=training), 2, -1)
        scale = numerics.positive_scale(raw)
        p = tfd.MultivariateNormalDiag(location, scale)
        q = tfd.MultivariateNormalDiag(location + scale * shift, scale * numerics.positive_scale(raw_ratio))
        y = q.mean() + q.stddev() * noise[..., 3 * group : 3 * group + 3]
        np.testing.assert_allclose(drawn.y[..., 3 * group : 3 * group + 3], y, atol=1e-4)
        log_ratio += q.log_prob(y) - p.log_prob(y)
        kls.append(tfd.kl_divergence(q, p))
        before = tf.concat([before, y], -1)
    np.testing.assert_allclose(drawn.log_ratio, log_ratio, atol=1e-3)
    np.testing.assert_allclose(drawn.kl, tf.stack(kls), atol=1e-3)


def test_noise_is_shared_by_codes_in_turn():
    made, (x, code) = layer(), given(num_samples=2)
    noise = made.draw_noise([2, 7], (0, 1))
    four = np.concatenate([code, 1 - code])
    drawn = made(x, four, noise).y
    np.testing.assert_allclose(drawn[:2], made(x, code, noise).y, atol=1e-6)
    np.testing.assert_allclose(drawn[2:], made(x, 1 - code, noise).y, atol=1e-6)


def test_samples_of_the_prior():
    made, (_, code) = layer(num_groups=1), given()
    noise = made.draw_noise(code.shape[:2], (0, 1))
    location, raw = tf.split(made.priors[0](code), 2, -1)
    np.testing.assert_allclose(
        made.sample(code, noise), location + numerics.positive_scale(raw) * noise, atol=1e-6
    )
    np.testing.assert_array_equal(made.sample(code, None), location)
    # A vector of bits, too, and noise that all codes share.
    np.testing.assert_allclose(made.sample(tf.constant(code[0, 0]), None), location[0, 0], atol=1e-6)
    shared = made.sample(tf.constant(code), noise[0, 0])
    np.testing.assert_allclose(shared[1, 2], made.sample(tf.constant(code[1, 2]), noise[0, 0]), atol=1e-6)


def test_a_missing_network_is_named():
    made = layer()
    with pytest.raises(ValueError, match="priors: expected one for each of 2 encoders, got 1"):
        local.LocalVariables(made.encoders, made.priors[:1], 3)


def test_normal_noise_is_normal():
    """Inside and outside of XLA, by the test of Kolmogorov and Smirnov."""
    for jit in (False, True):
        drawn = tf.function(lambda: numerics.normal([50_000], (0, 3), tf.float32), jit_compile=jit)()
        assert stats.kstest(np.asarray(drawn), "norm").pvalue > 1e-3
        assert np.abs(drawn).max() < 5.5


def test_configuration_round_trip():
    made = layer()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == made.get_config()

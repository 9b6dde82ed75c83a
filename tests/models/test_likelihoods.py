"""Likelihoods of the pixels, against sums and quadrature in float64."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf

from dvae_tf import config, models
from dvae_tf.models.likelihoods import DiscretizedLogisticPixels
from support.tiny import NUM_PIXELS, recipe

LEVELS = np.arange(256) / 255
# Wide, moderate, narrower than a level, and centred on an edge.
CASES = [(0.4, 0.3), (0.4, 0.02), (0.37, 5e-4), (0.0, 0.05), (1.0, 0.05), (0.5, 3.0)]


def reference(loc, scale):
    """Probabilities of the levels by differences of the cumulative distribution, float64."""
    edges = np.concatenate([[-np.inf], LEVELS[:-1] + 0.5 / 255, [np.inf]])
    # The upper half by survival functions, which are precise there.
    below, above = scipy.stats.logistic.cdf(edges, loc, scale), scipy.stats.logistic.sf(edges, loc, scale)
    return np.where(edges[1:] < loc, np.diff(below), -np.diff(above))


@pytest.mark.parametrize(("loc", "scale"), CASES)
def test_probabilities_of_the_levels(loc, scale):
    distribution = DiscretizedLogisticPixels(np.float32(loc), np.float32(scale))
    found = distribution.log_prob(LEVELS.astype(np.float32)).numpy().astype(np.float64)
    assert np.exp(found).sum() == pytest.approx(1, abs=1e-4)
    expected = reference(np.float64(np.float32(loc)), np.float64(np.float32(scale)))
    likely = expected > 1e-30
    # A level is known to float32's rounding, relative to the scale.
    tolerance = 1e-5 + 4e-7 / scale
    np.testing.assert_allclose(found[likely], np.log(expected[likely]), rtol=1e-5, atol=tolerance)
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("loc", "scale"), CASES)
def test_mean_and_samples(loc, scale):
    distribution = DiscretizedLogisticPixels(np.float32(loc), np.float32(scale))
    expected = (reference(loc, scale) * LEVELS).sum()
    assert float(distribution.mean()) == pytest.approx(expected, abs=1 / 510)
    drawn = distribution.sample(20_000, seed=(1, 2)).numpy()
    assert np.abs(drawn * 255 - np.round(drawn * 255)).max() < 1e-3
    spread = np.sqrt((reference(loc, scale) * (LEVELS - expected) ** 2).sum())
    assert abs(drawn.mean() - expected) < 4 * spread / np.sqrt(20_000) + 1e-6


def test_gradients_are_finite_far_from_the_mean():
    loc, scale = tf.Variable(0.0), tf.Variable(1e-3)
    with tf.GradientTape() as tape:
        log_prob = DiscretizedLogisticPixels(loc, scale).log_prob(1.0)
    assert np.isfinite(tape.gradient(log_prob, [loc, scale])).all()
    assert float(log_prob) < -900


@pytest.mark.parametrize("logit", [-6.0, -0.01, 0.0, 3.0])
def test_the_continuous_bernoulli_is_a_density(logit):
    likelihood = models.ContinuousBernoulli()
    x = np.linspace(0, 1, 2001, dtype=np.float32)[:, np.newaxis]
    density = np.exp(likelihood(tf.constant([logit])).log_prob(x).numpy().astype(np.float64))
    assert scipy.integrate.simpson(density, x=x[:, 0]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", config.LIKELIHOODS)
def test_a_model_starts_at_the_mean_image(name):
    mean = np.linspace(0.1, 0.9, NUM_PIXELS)
    settings = recipe(likelihood=name)
    model = models.DVAE(settings, mean)
    # The code is multiplied by small initial weights.
    model.decoder.later[-1].kernel.assign(tf.zeros_like(model.decoder.later[-1].kernel))
    decoded = model.decode(np.zeros((1, 6))).numpy()[0]
    expected = model.likelihood(tf.constant(model.likelihood.initial_outputs(mean), tf.float32)).mean()
    np.testing.assert_allclose(decoded, expected, atol=1e-6)
    if name == "bernoulli":  # the others have their mode or location there
        np.testing.assert_allclose(decoded, mean, atol=1e-6)


def test_levels_are_not_binarised():
    with pytest.raises(ValueError, match="dynamic_binarization: expected false for continuous_bernoulli"):
        recipe(likelihood="continuous_bernoulli", dynamic_binarization=True)
    own = config.recipe("digits", "1-layer-small", "dvaes_power", 1, likelihood="discretized_logistic")
    assert not own.dynamic_binarization

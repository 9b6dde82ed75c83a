"""Likelihoods of the pixels, against sums and quadrature in float64, and models of levels and colors."""

import dataclasses

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import tensorflow as tf

from dvae_tf import config, data, evaluation, export, models, plots, runs, training
from dvae_tf.models.levels import DiscretizedLogisticPixels
from support.tiny import NUM_PIXELS, all_bits, prior_log_probs, recipe, struct_of
from support.training import SMALL

LEVELS = np.arange(256) / 255
# Wide, moderate, narrower than a level, and centered on an edge.
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


def test_levels_are_not_binarized():
    with pytest.raises(ValueError, match="dynamic_binarization: expected false for continuous_bernoulli"):
        recipe(likelihood="continuous_bernoulli", dynamic_binarization=True)
    own = config.recipe("digits", "1-layer-small", "dvaes_power", 1, likelihood="discretized_logistic")
    assert not own.dynamic_binarization


COLORS = (1, 2, 3)


def color_model(**changes):
    settings = recipe(likelihood="logistic_mixture", **changes)
    return models.DVAE(settings, np.linspace(0.1, 0.9, NUM_PIXELS), image_shape=COLORS)


def some_levels(count=5):
    return (np.random.default_rng(0).integers(0, 256, (count, NUM_PIXELS)) / 255).astype(np.float32)


def test_a_mixture_has_the_channels_of_the_images():
    model = color_model()
    assert model.likelihood == models.LogisticMixture(num_channels=3)
    assert model.decoder(np.zeros((1, 6), np.float32)).shape == (1, 2 * 10 * 5)
    gray = models.DVAE(model.recipe, np.full(NUM_PIXELS, 0.5), image_shape=(2, 3))
    assert gray.likelihood == models.LogisticMixture(num_channels=1)
    own = models.LogisticMixture(num_components=2, num_channels=3)
    assert own.of_images(None) is own
    with pytest.raises(ValueError, match="num_components: expected an integer of at least 1, got 0"):
        models.LogisticMixture(num_components=0)


def test_the_outputs_of_a_mixture_are_those_of_one_pixel_after_another():
    # Two pixels of three channels and two components: weights, locations, log scales, slopes.
    outputs = np.arange(2 * 10 * 2, dtype=np.float32).reshape(2, 10, 2) / 100 - np.float32(0.1)
    found = models.LogisticMixture(2, 3)(outputs.ravel())
    np.testing.assert_array_equal(found.logits, outputs[:, 0])
    np.testing.assert_array_equal(found.loc, outputs[:, 1:4])
    np.testing.assert_allclose(found.scale, np.exp(outputs[:, 4:7]), rtol=1e-6)
    np.testing.assert_array_equal(found.slopes, outputs[:, 7:])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mixture_starts_near_the_mean_image(channels):
    mean = np.linspace(0.1, 0.9, 6)
    likelihood = models.LogisticMixture(num_channels=channels)
    np.testing.assert_allclose(likelihood(likelihood.initial_outputs(mean)).mean(), mean, atol=0.1)


def test_other_levels_than_those_of_8_bits_are_refused():
    model, x = color_model(), some_levels()
    model(x)
    with pytest.raises(ValueError, match="x: expected the 256 levels n / 255 of 8-bit images, got"):
        model(0.999 * x)


def test_levels_of_8_bits_are_not_binarized():
    with pytest.raises(ValueError, match="dynamic_binarization: expected false for logistic_mixture"):
        recipe(likelihood="logistic_mixture", dynamic_binarization=True)
    mnist = config.recipe("mnist", "1-layer-small", "dvaes_power", 1, likelihood="logistic_mixture")
    assert not mnist.dynamic_binarization
    assert config.recipe("cifar10", "1-layer-small", "dvaes_power", 1).likelihood == "logistic_mixture"


@pytest.mark.slow
def test_the_likelihood_of_colors_against_enumeration():
    """Over all codes, the probabilities of the levels from differences of the cumulative distribution."""
    model, x = color_model(), some_levels(3)
    rng = np.random.default_rng(1)
    for variable in (model.decoder.later[-1].kernel, *model.prior.trainable_variables):
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape).astype(np.float32))
    model.measure_log_partition((0, 1))
    codes = all_bits(6).astype(np.float32)
    outputs = np.asarray(model.decoder(codes), np.float64).reshape(len(codes), 2, 10, 5)
    log_joint = np.zeros((len(codes), 3))
    for code, pixel, image in np.ndindex(len(codes), 2, 3):
        (logits,), loc, log_scale, slopes = np.split(outputs[code, pixel].copy(), [1, 4, 7])
        scale, x_pixel = np.exp(log_scale), x[image].reshape(2, 3)[pixel].astype(np.float64)
        loc[1] += slopes[0] * (x_pixel[0] - 0.5)
        loc[2] += slopes[1] * (x_pixel[0] - 0.5) + slopes[2] * (x_pixel[1] - 0.5)
        levels = np.rint(x_pixel * 255).astype(int)
        channels = [
            [np.log(reference(loc[c, m], scale[c, m])[levels[c]]) for m in range(5)] for c in range(3)
        ]
        weights = logits - scipy.special.logsumexp(logits)
        log_joint[code, image] += scipy.special.logsumexp(weights + np.sum(channels, 0))
    expected = scipy.special.logsumexp(log_joint + prior_log_probs(model)[:, None], 0)
    found = np.stack([model.log_likelihood(x, 2_000, (0, seed)) for seed in range(8)])
    error = found.std(0, ddof=1) / np.sqrt(8)
    assert (np.abs(found.mean(0) - expected) < 5 * error + 1e-3).all()
    assert (error < 0.2).all()


@pytest.mark.slow
@pytest.mark.parametrize("baseline", config.BASELINES)
def test_every_system_takes_colors(baseline):
    k = config.ESTIMATORS[config.SYSTEMS[baseline].estimator].smallest_k
    model, x = color_model(baseline=baseline, k=k, struct=struct_of(baseline)), some_levels()
    with tf.GradientTape() as tape:
        bound = tf.reduce_mean(model.relaxed_bound(x, (0, 1)).bound)
    gradients = tape.gradient(bound, model.decoder.trainable_variables)
    assert np.isfinite(bound)
    assert all(np.isfinite(each).all() and np.abs(each).max() > 0 for each in gradients)
    assert model.decode(np.zeros((2, model.recipe.structure.num_units))).shape == (2, NUM_PIXELS)


@pytest.mark.slow
def test_a_run_of_colors(tmp_path):
    x = some_levels(150)
    images = data.Images(x[:100], x[100:120], x[120:], COLORS, "tiny", "a test")
    settings = recipe(likelihood="logistic_mixture", **SMALL)
    result = training.train(settings, images, tmp_path / "run")
    assert result.test_bits_per_dim == pytest.approx(result.test_nll / (6 * np.log(2)))
    assert runs.read_result(tmp_path / "run") == result
    model = models.load(tmp_path / "run")
    assert model.image_shape == COLORS
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(again.log_likelihood(x, 3), model.log_likelihood(x, 3))
    measured = evaluation.evaluate(model, images.test, 20, num_temperatures=20)
    assert measured.bits_per_dim == pytest.approx(evaluation.bits_per_dim(measured.nll, 6))
    loaded = tf.saved_model.load(export.save(model, tmp_path / "saved", 50, 7))
    assert tuple(loaded.image_shape.numpy()) == COLORS
    seed = tf.constant([0, 1])
    found = loaded.signatures["log_likelihood"](x=tf.constant(x), seed=seed)["log_likelihood"]
    np.testing.assert_allclose(found, model.log_likelihood(x, 50, (0, 1)), atol=1e-4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected the 256 levels"):
        loaded.signatures["log_likelihood"](x=tf.constant(0.999 * x), seed=seed)
    assert plots.report_pictures(model, images).keys() >= {"samples", "reconstructions"}


def test_levels_are_validated_and_tested_on_levels():
    recipe = config.recipe("digits", "1-layer-small", "gumbolt", k=1, likelihood="discretized_logistic")
    training.check_run(recipe, data.load("digits", pixels="levels"))
    with pytest.raises(ValueError, match="images: expected levels in validation .* got bits"):
        training.check_run(recipe, data.load("digits"))
    with pytest.raises(ValueError, match=r"image_shape: expected that of the images, .* got \(4, 16\)"):
        training.check_run(
            dataclasses.replace(recipe, image_shape=(4, 16)), data.load("digits", pixels="levels")
        )


def test_bits_per_dimension_are_those_of_256_levels():
    images = np.arange(256).reshape(4, 64) / 255
    assert evaluation._has_levels(images.astype(np.float32), 256)
    assert not evaluation._has_levels(np.arange(17)[np.newaxis] / 16, 256)
    assert not evaluation._has_levels(images, None)


def test_a_gaussian_code_has_no_graph():
    with pytest.raises(ValueError, match="graph: "):
        config.recipe("digits", "1-layer-small", "gaussian", k=1, graph="chimera")

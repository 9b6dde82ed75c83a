"""The posterior by groups: probabilities of its bits, what later groups see, bits given their zeta."""

import keras
import numpy as np
import pytest
from scipy import special

from dvae_tf import smoothing
from dvae_tf.posterior import Posterior

UNITS = 3
X = np.array([[0.2, -1.0], [1.5, 0.3]], np.float32)
WEIGHTS = np.array([[0.5, -1.0, 2.0], [1.0, 0.3, -0.7]])
BEFORE = np.array([[1.5, 0.0, -1.0], [0.0, 2.0, 0.5], [-1.0, 1.0, 0.0]])


@keras.saving.register_keras_serializable("tests")
class Linear(keras.layers.Layer):
    """x W, and U before if there are groups before: logits that NumPy knows."""

    def call(self, x, before=None, training=False):
        logits = keras.ops.matmul(x, WEIGHTS.astype(np.float32))
        return logits if before is None else logits + keras.ops.matmul(before, BEFORE.astype(np.float32))


def posterior(num_groups, relaxation=None):
    relaxation = smoothing.Exponential(beta=4.0) if relaxation is None else relaxation
    return Posterior([Linear() for _ in range(num_groups)], [relaxation] * num_groups)


def numpy_logits(sample):
    """Log-odds of two groups given the sample of the first, [K, B, 2 units]."""
    first = np.broadcast_to(X @ WEIGHTS, (*sample.shape[:2], UNITS))
    return np.concatenate([first, X @ WEIGHTS + sample[..., :UNITS] @ BEFORE], -1)


@pytest.mark.parametrize("binary", [False, True])
def test_later_groups_see_the_samples_of_those_before(binary):
    layer = posterior(2)
    draw = layer.sample_binary(X, 50, (0, 1)) if binary else layer(X, num_samples=50, seed=(0, 1))
    sample = np.asarray(draw.sample, np.float64)
    assert sample.shape == (50, 2, 2 * UNITS)
    assert np.isin(sample, (0, 1)).all() == binary
    np.testing.assert_allclose(draw.logits, numpy_logits(sample), atol=1e-5)


def test_log_prob_of_bits_is_that_of_bernoulli_bits():
    draw = posterior(2).sample_binary(X, 20, (0, 1))
    z, logits = np.asarray(draw.sample), numpy_logits(np.asarray(draw.sample, np.float64))
    expected = (z * special.log_expit(logits) + (1 - z) * special.log_expit(-logits)).sum(-1)
    np.testing.assert_allclose(draw.log_prob, expected, atol=1e-4)


def test_log_prob_of_zeta_is_that_of_the_mixture():
    beta = 4.0
    draw = posterior(2)(X, num_samples=20, seed=(0, 1))
    zeta = np.asarray(draw.sample, np.float64)
    q = special.expit(numpy_logits(zeta))
    r0, r1 = (beta * np.exp(-beta * each) / (1 - np.exp(-beta)) for each in (zeta, 1 - zeta))
    np.testing.assert_allclose(draw.log_prob, np.log((1 - q) * r0 + q * r1).sum(-1), atol=1e-4)
    # Bayes: the probability of a bit given its own zeta.
    np.testing.assert_allclose(draw.binary_posterior_probs(), q * r1 / ((1 - q) * r0 + q * r1), atol=1e-5)


def test_frequencies_of_bits_are_their_probabilities():
    """One group; 5 standard errors for each of six frequencies."""
    count = 4000
    z = np.asarray(posterior(1).sample_binary(X, count, (0, 2)).sample)
    q = special.expit(X @ WEIGHTS)
    assert np.all(np.abs(z.mean(0) - q) < 5 * np.sqrt(q * (1 - q) / count))


def test_seeds_determine_the_draws_and_groups_do_not_share_them():
    layer = posterior(2)
    first, again, other = (np.asarray(layer.sample_binary(X, 40, (0, seed)).sample) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)

    @keras.saving.register_keras_serializable("tests")
    class Fair(keras.layers.Layer):
        def call(self, x, before=None, training=False):
            zeros = keras.ops.zeros([2, UNITS])
            return zeros if before is None else keras.ops.zeros([40, 2, UNITS])

    fair = Posterior([Fair(), Fair()], [smoothing.Exponential(beta=4.0)] * 2)
    z = np.asarray(fair.sample_binary(X, 40, (0, 1)).sample)
    assert np.any(z[..., :UNITS] != z[..., UNITS:])

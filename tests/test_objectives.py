import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.objectives import elbo, importance_weighted_bound


def test_bounds_against_numpy():
    rng = np.random.default_rng(0)
    like, kl = rng.normal(scale=30, size=(2, 7, 5))
    for weight in (0.0, 0.3, 1.0):
        logs = like - weight * kl
        expected = np.log(np.mean(np.exp(logs - logs.max(0)), 0)) + logs.max(0)
        np.testing.assert_allclose(importance_weighted_bound(like, kl, weight), expected, rtol=1e-12)
        np.testing.assert_allclose(elbo(like, kl, weight), logs.mean(0), rtol=1e-12)


def test_gradient_is_self_normalized_importance_weights():
    like = tf.constant(np.random.default_rng(1).normal(scale=2, size=(4, 3)))
    zero = tf.zeros_like(like)
    with tf.GradientTape() as tape:
        tape.watch(like)
        bound = importance_weighted_bound(like, zero)
    gradient = tape.gradient(bound, like).numpy()
    weights = np.exp(like.numpy())
    np.testing.assert_allclose(gradient, weights / weights.sum(0), rtol=1e-12)


def test_k_of_one_is_the_elbo_and_extremes_are_finite():
    values = tf.constant([[-1e30, 3.0, -5e4]])
    zero = tf.zeros_like(values)
    np.testing.assert_allclose(importance_weighted_bound(values, zero), values[0])
    far = tf.constant([[-1e5], [-1e5 + 1.0]])
    assert float(importance_weighted_bound(far, 0 * far)[0]) == pytest.approx(-1e5 + 0.6201, abs=0.01)

"""Training in centered units: a step in the centered parameters, written down in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import priors
from dvae_tf.models.centering import apply_centered
from support import reference

SIZES = 3, 4


def _prior(seed=0):
    prior = priors.BoltzmannPrior(*SIZES)
    rng = np.random.default_rng(seed)
    for variable in prior.trainable_variables:
        variable.assign(rng.normal(size=variable.shape).astype(np.float32))
    return prior


def _values(prior):
    return [np.asarray(each, np.float64) for each in prior.rbm]


def _moments(z, center=0.0):
    """Means of the states and of their products around a center."""
    left, right = z[:, : SIZES[0]], z[:, SIZES[0] :]
    return left.mean(0), right.mean(0), (left - center).T @ (right - center) / len(z)


def _phases(rng, center=0.0):
    """The gradients of a positive minus a negative phase, of states drawn at random."""
    phases = (_moments(rng.integers(0, 2, (6, sum(SIZES))).astype(np.float64), center) for _ in range(2))
    return [tf.constant(one - other, tf.float32) for one, other in zip(*phases, strict=True)]


def _centered_energy(left_bias, right_bias, weights, z):
    left, right = z[:, : SIZES[0]], z[:, SIZES[0] :]
    return -left @ left_bias - right @ right_bias - (((left - 0.5) @ weights) * (right - 0.5)).sum(1)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_machine_is_that_of_steps_in_centered_parameters(kind):
    prior = _prior()
    left, right, weights = _values(prior)
    centered = [left + 0.5 * weights.sum(1), right + 0.5 * weights.sum(0), weights]
    optimizer = keras.optimizers.SGD(0.1) if kind == "sgd" else keras.optimizers.Adam(0.1)
    same = keras.optimizers.SGD(0.1) if kind == "sgd" else keras.optimizers.Adam(0.1)
    shadow = [keras.Variable(each.astype(np.float32)) for each in centered]
    optimizer.build(prior.trainable_variables)
    same.build(shadow)
    for step in range(5):
        gradients = _phases(np.random.default_rng(step))
        apply_centered(optimizer, gradients, prior.trainable_variables, prior)
        same.apply(_phases(np.random.default_rng(step), 0.5), shadow)
    states = reference.binary_states(sum(SIZES))
    found = reference.energy(reference.Machine(*_values(prior)), states)
    expected = _centered_energy(*(np.asarray(each, np.float64) for each in shadow), states)
    # The same family up to a constant.
    difference = found - expected
    np.testing.assert_allclose(difference, difference.mean(), atol=2e-5)


def test_steps_in_plain_parameters_lead_elsewhere():
    """Negative control of the test above: the constant is none."""
    prior, plain = _prior(), _prior()
    optimizers = [keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)]
    gradients = _phases(np.random.default_rng(0))
    apply_centered(optimizers[0], gradients, prior.trainable_variables, prior)
    optimizers[1].apply(gradients, plain.trainable_variables)
    states = reference.binary_states(sum(SIZES))
    first, second = (reference.energy(reference.Machine(*_values(each)), states) for each in (prior, plain))
    assert np.ptp(first - second) > 0.05

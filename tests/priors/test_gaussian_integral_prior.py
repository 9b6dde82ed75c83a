"""Tests of the Gaussian integral prior: its singular value, the raised beta, saving and loading."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.priors import GaussianIntegralPrior, GaussianIntegralRelaxation
from dvae_tf.samplers import PersistentGibbs
from support import reference

SAMPLER = PersistentGibbs(num_chains=20, num_sweeps=2)


def _prior(num_left=20, num_right=15, beta=8.0, **kwargs):
    return GaussianIntegralPrior(num_left, num_right, beta, **({"sampler": SAMPLER} | kwargs))


def _svd(prior):
    return np.linalg.svd(np.array(prior.coupling_weights, np.float64), compute_uv=False)[0]


def _trained(prior, num_steps, seed=0, drift=0.02):
    """Updates as in a training: small and mostly in one direction, with a step of the chains before each."""
    rng = np.random.default_rng(seed)
    shape = prior.coupling_weights.shape
    toward = rng.normal(size=shape)
    advance = tf.function(prior.advance_chains)
    for _ in range(num_steps):
        advance()
        update = toward + rng.normal(size=shape)
        prior.coupling_weights.assign_add(drift * update.astype(np.float32))
    return prior


@pytest.mark.parametrize("size", [(20, 15), (15, 20)])
def test_singular_value_is_followed_while_the_weights_move(size):
    prior = _prior(*size)
    behind = []
    for part in range(8):
        _trained(prior, 25, part)
        prior.advance_chains()
        behind.append(1 - float(prior.spectral_norm) / _svd(prior))
    assert _svd(prior) > 10
    # A close lower bound: the margin of 5 is never exhausted.
    assert min(behind) > -1e-5
    assert max(behind) < 0.1
    # For constant weights it converges.
    for _ in range(30):
        prior.advance_chains()
    np.testing.assert_allclose(prior.spectral_norm, _svd(prior), rtol=1e-3)


def test_a_direction_that_stays_falls_behind():
    prior = _prior()
    still = np.array(prior._direction)
    _trained(prior, 200)
    prior._direction.assign(still)
    assert float(prior.spectral_norm) < 0.6 * _svd(prior)


def test_direction_survives_weights_of_zero():
    prior = _prior(couplings=False)
    before = np.array(prior._direction)
    prior.advance_chains()
    np.testing.assert_array_equal(prior._direction, before)
    assert prior.spectral_norm == 0
    assert prior.diagnostics().items() >= {"prior_beta": 8.0, "prior_beta_raised": 0.0}.items()


def test_diagnostics_say_when_the_guard_binds():
    prior = _prior()
    assert prior.diagnostics().items() >= {"prior_beta": 8.0, "prior_beta_raised": 0.0}.items()
    _trained(prior, 100)
    for _ in range(30):
        prior.advance_chains()
    found = prior.diagnostics()
    assert found["prior_beta_raised"] == 1.0
    np.testing.assert_allclose(found["prior_beta"], _svd(prior) + 5, rtol=1e-3)
    relaxation = prior()
    assert isinstance(relaxation, GaussianIntegralRelaxation)
    np.testing.assert_allclose(relaxation.sharpness, found["prior_beta"])
    couplings = reference.symmetric_couplings(
        reference.Machine(*(np.array(each, np.float64) for each in prior.rbm))
    )
    assert np.linalg.eigvalsh(couplings).min() + found["prior_beta"] > 4.9


def test_gradient_is_that_of_the_relaxation_with_the_mean_of_the_chains():
    prior = _prior(3, 4, beta=9.0)
    prior.coupling_weights.assign(np.random.default_rng(1).normal(size=(3, 4)))
    prior.log_partition.assign(2.5)
    zeta = tf.constant(np.random.default_rng(2).normal(0.5, 0.6, (6, 7)), tf.float32)
    with tf.GradientTape() as tape:
        log_prob = tf.reduce_mean(prior(training=True).log_prob(zeta))
    parameters = (prior.left_bias, prior.right_bias, prior.coupling_weights)
    gradients = tape.gradient(log_prob, parameters)
    machine = prior().boltzmann.rbm
    with tf.GradientTape() as tape:
        tape.watch(machine)
        bm = prior().boltzmann.copy(
            left_bias=machine.left_bias,
            right_bias=machine.right_bias,
            weights=machine.weights,
            log_partition=2.5,
        )
        value = tf.reduce_mean(GaussianIntegralRelaxation(bm, 9.0, prior.spectral_norm).log_prob(zeta))
    positive = tape.gradient(value, machine)
    np.testing.assert_allclose(log_prob, value, rtol=1e-5)
    left, right = (side.numpy() for side in prior.state())
    negative = left.mean(0), right.mean(0), left.T @ right / 20
    for gradient, now, then in zip(gradients, positive, negative, strict=True):
        np.testing.assert_allclose(gradient, now - then, rtol=1e-4, atol=1e-4)


def test_owns_three_trainable_variables_and_moves_only_in_training():
    prior = _prior(3, 4)
    assert len(prior.trainable_variables) == 3
    _trained(prior, 3)
    before = [np.array(each) for each in prior.variables]
    prior()
    prior(training=False)
    for variable, value in zip(prior.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    prior(training=True)
    assert int(prior.num_updates) == 4
    moved = {
        variable.path.split("/")[-1]
        for variable, value in zip(prior.variables, before, strict=True)
        if np.any(np.array(variable) != value)
    }
    assert moved == {"spectral_direction", "sampler_left", "sampler_right", "num_updates"}


def test_compiled_training_is_the_eager_one():
    priors = [_prior(3, 4, seed=2) for _ in range(2)]
    for prior in priors:
        prior.coupling_weights.assign(np.random.default_rng(1).normal(size=(3, 4)))
    zeta = tf.fill([2, 7], 0.3)

    def step(prior):
        return prior(training=True).log_prob(zeta)

    graph = tf.function(lambda: step(priors[0]))()
    compiled = tf.function(lambda: step(priors[1]), jit_compile=True)()
    np.testing.assert_allclose(graph, compiled, rtol=1e-5)
    for one, other in zip(priors[0].variables, priors[1].variables, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("beta", [0.0, -1.0, np.inf, np.nan])
def test_bad_beta_is_refused_by_name(beta):
    with pytest.raises(ValueError, match="beta"):
        _prior(beta=beta)


# --------------------------------------------------------------------------- saving and loading


def test_checkpoint_holds_the_direction(tmp_path):
    prior = _trained(_prior(), 20)
    path = tf.train.Checkpoint(prior=prior).save(str(tmp_path / "checkpoint"))
    other = _prior()
    assert np.any(np.array(other._direction) != np.array(prior._direction))
    tf.train.Checkpoint(prior=other).restore(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(other._direction, prior._direction)
    # Subsequent steps agree too.
    for each in (prior, other):
        _trained(each, 3, seed=5)
    for one, same in zip(prior.variables, other.variables, strict=True):
        np.testing.assert_array_equal(one, same)
    assert float(prior().sharpness) == float(other().sharpness)


def test_float64():
    prior = _prior(3, 4, dtype="float64")
    relaxation = prior(training=True)
    assert relaxation.sharpness.dtype == tf.float64
    assert relaxation.log_prob(np.full((2, 7), 0.25)).dtype == tf.float64

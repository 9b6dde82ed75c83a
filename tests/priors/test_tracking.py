"""Tests of the population that tracks log Z along a training, against enumeration."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.priors import BoltzmannPrior
from dvae_tf.samplers import PersistentGibbs, PopulationAnnealing
from support import reference

SIZE = 8


def _exact(prior):
    return reference.log_partition(reference.Machine(*(np.array(each, np.float64) for each in prior.rbm)))


def _data():
    """Four patterns with a tenth of their bits flipped, [400, 2 SIZE]."""
    rng = np.random.default_rng(70)
    patterns = (rng.random((4, 2 * SIZE)) < 0.5)[rng.integers(0, 4, 400)]
    return (patterns ^ (rng.random((400, 2 * SIZE)) < 0.1)).astype(np.float32)


def _train(prior, num_updates):
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build(prior.trainable_variables)
    data = tf.constant(_data())

    @tf.function(jit_compile=True)
    def run(num_updates):
        def update(index):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(prior(training=True).log_prob(data))
            gradients = tape.gradient(loss, prior.trainable_variables)
            optimizer.apply_gradients(zip(gradients, prior.trainable_variables, strict=True))
            return (index + 1,)

        return tf.while_loop(lambda index: index < num_updates, update, (0,))

    run(tf.constant(num_updates))


def _prior(num_tracking_chains=100, sampler=None, seed=0):
    # One sweep per update leaves the replicas correlated with the states that the gradient saw.
    sampler = sampler or PopulationAnnealing(num_chains=20, num_sweeps=1)
    return BoltzmannPrior(SIZE, SIZE, sampler=sampler, num_tracking_chains=num_tracking_chains, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [None, PersistentGibbs(20, 1)], ids=["pa", "pcd"])
def test_the_population_tracks_log_z(sampler):
    """Over hundreds of updates between evaluations; the replicas of the gradient themselves fail to."""
    prior = _prior(sampler=sampler)
    errors, drifts = [], []
    for _ in range(5):
        _train(prior, 400)
        found = prior.track()
        assert float(found) == float(prior.log_partition)
        errors.append(float(found) - _exact(prior))
        if sampler is None:
            drifts.append(float(prior.state().log_partition) - _exact(prior))
    assert _exact(prior) > 2 * SIZE * np.log(2) + 3
    assert np.abs(errors).max() < 0.3
    if sampler is None:
        # The negative control.
        assert drifts[-1] < -10


@pytest.mark.slow
def test_tracking_continues_from_a_measurement():
    prior = _prior()
    _train(prior, 200)
    known = prior.measure_log_partition(1, 1, (0, 0)).log_partition
    np.testing.assert_allclose(known, _exact(prior), rtol=1e-5)
    np.testing.assert_allclose(float(prior.log_partition), known)
    assert float(prior.tracking_population.log_partition) == known
    assert len(set(prior.tracking_population.families.numpy())) == 100
    for one, other in zip(prior.tracking_population.rbm, prior.rbm, strict=True):
        np.testing.assert_array_equal(one, other)
    # At the same parameters log Z is unchanged up to rounding.
    np.testing.assert_allclose(float(prior.track()), known, atol=1e-3)
    _train(prior, 50)
    np.testing.assert_allclose(float(prior.track()), _exact(prior), atol=0.1)
    assert float(prior.log_partition) != known


@pytest.mark.slow
def test_no_gradient_sees_the_population():
    """The same machine is trained with and without it."""
    one, other = _prior(100), _prior(0)
    for prior in (one, other):
        _train(prior, 20)
        prior.track()
    assert other.track() is None
    for a, b in zip(one.rbm, other.rbm, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(AttributeError):
        other.tracking_population  # noqa: B018


def test_tracking_follows_from_the_seed_and_the_update():
    machine = reference.random_machine(SIZE, SIZE, seed=3)

    def tracked(seed, update):
        prior = _prior(seed=seed)
        for variable, value in zip(prior.trainable_variables, machine, strict=True):
            variable.assign(value)
        prior.num_updates.assign(update)
        return float(prior.track())

    assert tracked(0, 30) == tracked(0, 30)
    assert len({tracked(0, 30), tracked(1, 30), tracked(0, 31)}) == 3


@pytest.mark.slow
def test_diagnostics_report_the_population():
    prior = _prior()
    _train(prior, 100)
    prior.track()
    found = prior.diagnostics()
    assert 1 <= found["tracking_effective_sample_size"] <= 100
    assert 1 <= found["tracking_families"] <= 100


def test_configuration_and_refusal():
    prior = _prior(7)
    again = BoltzmannPrior.from_config(prior.get_config())
    assert again.num_tracking_chains == 7
    assert [each.shape for each in again.variables] == [each.shape for each in prior.variables]
    with pytest.raises(ValueError, match="num_tracking_chains: expected an integer of at least 0, got -1"):
        _prior(-1)

"""Tests that standard errors of log Z agree with the spread of independent runs, for every estimator."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import models, partition, rbm
from dvae_tf.partition import ais
from support import reference

pytestmark = pytest.mark.slow

_NUM_RUNS = 200
_NUM_CHAINS = 500
_MACHINE = reference.random_machine(6, 6, seed=40, stddev=1.5)
_PARAMETERS = _MACHINE.cast(np.float32)


def _forward(seed):
    return partition.annealed_importance_sampling(*_PARAMETERS, 30, _NUM_CHAINS, seed)


def _draws(seed):
    return rbm.exact.sample(rbm.as_rbm(*_PARAMETERS), _NUM_CHAINS, tf.constant([9, seed[1]]))[0]


def _reverse(seed):
    return partition.reverse_annealed_importance_sampling(*_PARAMETERS, _draws(seed), 30, seed)


def _bridge(seed):
    return partition.bridge_sampling(*_PARAMETERS, 4, 40, 10, num_sweeps=2, num_burn_in=20, seed=seed)


def _adaptive_population(seed):
    return partition.population_annealing(*_PARAMETERS, 20, 50, 2, seed=seed)


def _fixed_population(seed):
    return partition.population_annealing(*_PARAMETERS, 20, 50, 2, num_temperatures=10, seed=seed)


def _both_sides(seed):
    return partition.estimate(*_PARAMETERS, 30, _NUM_CHAINS, seed, left=_draws(seed), max_exact_units=1)


def _scores(method):
    """(log Z - its value) / its standard error, of independent runs."""
    found = [method((7, seed)) for seed in range(_NUM_RUNS)]
    values, errors = (np.array([float(getattr(run, name)) for run in found]) for name in found[0]._fields[:2])
    return (values - reference.log_partition(_MACHINE)) / errors


def _are_honest(scores):
    """Errors estimated from 20 groups give a variance of 1.12, which 200 runs determine to 0.12."""
    return 0.7 < scores.var() < 1.4 and abs(scores.mean()) < 4 / np.sqrt(_NUM_RUNS)


@pytest.mark.parametrize(
    "method",
    [
        _forward,
        _reverse,
        _bridge,
        _adaptive_population,
        _fixed_population,
        _both_sides,
    ],
    ids=lambda method: method.__name__.strip("_"),
)
def test_standard_errors_are_honest(method):
    scores = _scores(method)
    assert _are_honest(scores), f"mean {scores.mean():.3f}, variance {scores.var():.3f}"


@pytest.mark.parametrize("method", [_forward, _reverse], ids=["forward", "reverse"])
def test_the_check_catches_the_mean_of_the_logs(method, monkeypatch):
    monkeypatch.setattr(ais, "log_mean_exp", lambda values, axis=0: tf.reduce_mean(values, axis))
    assert not _are_honest(_scores(method))


def test_the_check_catches_errors_of_half_the_size():
    scores = np.random.default_rng(1).standard_t(19, _NUM_RUNS)
    assert _are_honest(scores)
    assert not _are_honest(2 * scores)
    assert not _are_honest(scores / 2)
    assert not _are_honest(scores + 0.5)


# --------------------------------------------------------------------------- a trained machine

_NUM_SEEDS = 24


class _Spread(NamedTuple):
    """Variance of an estimate over seeds, relative to its squared error: by ladder, and by state."""

    by_ladder: float
    by_state: float


def _relative_variance(values, errors):
    return np.var(values, ddof=1) / np.mean(np.square(errors))


@pytest.fixture(scope="module")
def trained():
    """Both sides of a machine of 200 + 200 units trained on MNIST, with few temperatures and many seeds."""
    machine = models.load("binarized_mnist").prior.rbm
    assert (machine.num_left, machine.num_right) == (200, 200)
    return [partition.estimate(*machine, 300, seed=(8, seed), num_samples=20) for seed in range(_NUM_SEEDS)]


def _two_sided(runs):
    def error_by_state(found):
        sides = found.details
        weights = sides.forward.details.log_weights, sides.reverse.details.log_weights
        return np.sqrt(partition.bennett(*weights).variance)

    values = [found.log_partition for found in runs]
    return _Spread(
        _relative_variance(values, [found.standard_error for found in runs]),
        _relative_variance(values, [error_by_state(found) for found in runs]),
    )


def _from_reverse(runs):
    def error_by_state(found):
        weights = np.exp(np.asarray(found.details.log_weights, np.float64))
        return weights.std() / weights.mean() / np.sqrt(weights.size)

    reverse = [found.details.reverse for found in runs]
    values = [found.log_partition for found in reverse]
    return _Spread(
        _relative_variance(values, [found.standard_error for found in reverse]),
        _relative_variance(values, [error_by_state(found) for found in reverse]),
    )


@pytest.mark.parametrize("spread", [_from_reverse, _two_sided], ids=["reverse", "both sides"])
def test_errors_of_a_trained_machine_are_honest(trained, spread):
    """Ten successive draws of each of 100 ladders are not a thousand: their error as such is too small."""
    found = spread(trained)
    # The variance over 24 seeds has an error of 30 %.
    assert 0.4 < found.by_ladder < 1.9
    assert found.by_state > 1.9

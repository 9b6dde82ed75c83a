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


def _spread(runs, errors_by_state):
    variance = np.var([found.log_partition for found in runs], ddof=1)
    errors_by_ladder = [found.standard_error for found in runs]
    return _Spread(*(variance / np.mean(np.square(each)) for each in (errors_by_ladder, errors_by_state)))


@pytest.fixture(scope="module")
def trained():
    """Both sides of a machine of 200 + 200 units trained on MNIST, for many seeds.

    The draws are 50 of each of 20 ladders, one sweep apart.
    """
    machine = models.load("binarized_mnist").prior.rbm
    assert (machine.num_left, machine.num_right) == (200, 200)

    def run(seed):
        tempering = partition.bridge_sampling(
            *machine, num_chains=20, num_sweeps=1, num_burn_in=400, seed=(7, seed)
        )
        return partition.estimate(*machine, 300, 1000, (8, seed), left=tempering.details.left)

    return [run(seed) for seed in range(_NUM_SEEDS)]


def _from_reverse(runs):
    reverse = [found.details.reverse for found in runs]
    weights = [np.exp(np.asarray(found.details.log_weights, np.float64)) for found in reverse]
    return _spread(reverse, [w.std() / w.mean() / np.sqrt(w.size) for w in weights])


def _two_sided(runs):
    sides = [(found.details.forward.details, found.details.reverse.details) for found in runs]
    variances = [partition.bennett(*(side.log_weights for side in both)).variance for both in sides]
    return _spread(runs, np.sqrt(variances))


@pytest.mark.parametrize("spread", [_from_reverse, _two_sided], ids=["reverse", "both sides"])
def test_errors_of_a_trained_machine_are_honest(trained, spread):
    """And those that take all draws as independent are not."""
    found = spread(trained)
    # The variance over 24 seeds has an error of 30 %.
    assert 0.4 < found.by_ladder < 1.9
    assert found.by_state > 1.9

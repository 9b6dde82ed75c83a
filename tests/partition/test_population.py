"""Tests of log Z by population annealing."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import partition
from support import reference
from support.nests import tensors

# One shape for most tests, which then share a compiled program: rungs and sweeps are dynamic.
_POPULATIONS, _CHAINS = 20, 50


def _machine(seed=30, size=(5, 4), stddev=1.2):
    return reference.random_machine(*size, seed=seed, stddev=stddev)


def _anneal(machine, dtype=np.float32, **kwargs):
    settings = {"num_populations": _POPULATIONS, "num_chains": _CHAINS, "num_sweeps": 2, "seed": (0, 1)}
    return partition.population_annealing(*machine.cast(dtype), **settings | kwargs)


def _score(found, machine):
    """How many standard errors the estimate is from log Z."""
    error = float(found.log_partition) - reference.log_partition_by_left(machine)
    return error / float(found.standard_error)


def _num_families(found):
    """How many ancestors the replicas of each population have."""
    return np.array([len(np.unique(families)) for families in found.details.families])


# --------------------------------------------------------------------------- the value


@pytest.mark.parametrize("num_temperatures", [None, 10], ids=["adaptive", "fixed"])
@pytest.mark.parametrize(
    ("size", "stddev", "dtype"),
    [
        pytest.param((5, 4), 1.2, np.float32, id="5+4"),
        pytest.param((5, 4), 1.2, np.float64, id="5+4-float64", marks=pytest.mark.slow),
        pytest.param((12, 12), 0.6, np.float32, id="12+12", marks=pytest.mark.slow),
    ],
)
def test_log_partition_within_its_standard_error(size, stddev, dtype, num_temperatures):
    for seed in range(3):
        machine = _machine(seed, size, stddev)
        found = _anneal(machine, dtype, seed=(2, seed), num_temperatures=num_temperatures)
        assert found.converged
        assert abs(_score(found, machine)) < 4


def test_a_fitted_base():
    machine = _machine(stddev=1.5)
    settings = {"num_temperatures": 3, "num_sweeps": 1}
    fitted = _anneal(machine, base_probs=reference.means_by_left(machine), **settings)
    assert abs(_score(fitted, machine)) < 4
    assert fitted.standard_error < _anneal(machine, **settings).standard_error


@pytest.fixture(scope="module")
def rough_runs():
    """A machine, and many runs with a coarse ladder."""
    machine = _machine(stddev=1.5)
    settings = {"num_temperatures": 3, "num_sweeps": 1}
    return machine, [_anneal(machine, seed=(3, seed), **settings) for seed in range(200)]


@pytest.mark.slow
def test_a_fixed_ladder_is_unbiased(rough_runs):
    """E[Z] with 3 rungs of one sweep; the mean of log Z is too low."""
    machine, runs = rough_runs
    expected = reference.log_partition(machine)
    by_run = np.exp([float(run.log_partition) - expected for run in runs])
    assert abs(reference.z_scores(by_run, 1.0)) < 4
    by_population = np.concatenate([run.details.log_partition for run in runs]) - expected
    assert abs(reference.z_scores(np.exp(by_population), 1.0)) < 4
    assert reference.z_scores(by_population, 0.0) < -4


@pytest.mark.slow
def test_populations_are_independent(rough_runs):
    """Correlations of independent numbers have mean 0 and variance 1 / (runs - 1)."""
    runs = rough_runs[1]
    correlations = np.corrcoef(np.transpose([run.details.log_partition for run in runs]))
    scaled = correlations[np.triu_indices(_POPULATIONS, 1)] * np.sqrt(len(runs) - 1)
    assert abs(reference.z_scores(scaled, 0.0)) < 4
    assert 0.7 < scaled.var() < 1.4


def test_temperature():
    machine = _machine(stddev=1.5)
    found = _anneal(machine, temperature=1.6)
    assert abs(_score(found, reference.tempered(machine, 1 / 1.6))) < 4
    assert abs(_score(found, machine)) > 20


def test_replicas_are_draws():
    """Populations weighted by their Z: the mean of a ratio of sums over independent populations."""
    machine = _machine()
    moments = reference.moments(machine)
    runs = [_anneal(machine, seed=(4, seed), num_temperatures=10) for seed in range(20)]
    shares = special.softmax(np.concatenate([run.details.log_partition for run in runs]))
    for side in ("left", "right"):
        means = np.concatenate([getattr(run.details, side).numpy().mean(1) for run in runs])
        differences = shares[:, np.newaxis] * (means - getattr(moments, side))
        assert np.abs(differences.sum(0) / np.sqrt((differences**2).sum(0))).max() < 4


# --------------------------------------------------------------------------- errors and verdict


@pytest.mark.slow
def test_numbers_of_the_estimate():
    found = _anneal(_machine(), np.float64, num_temperatures=5)
    log_z = found.details.log_partition.numpy()
    z = np.exp(log_z)
    np.testing.assert_allclose(found.log_partition, np.log(z.mean()), rtol=1e-12)
    expected = z.std(ddof=1) / np.sqrt(_POPULATIONS) / z.mean()
    np.testing.assert_allclose(found.standard_error, expected, rtol=1e-9)
    assert found.details.num_rungs == 5
    assert np.all((_num_families(found) >= 1) & (_num_families(found) <= _CHAINS))
    assert 1 < found.effective_sample_size < _POPULATIONS * _CHAINS


def test_an_adaptive_ladder_follows_the_target():
    machine = _machine(stddev=1.5)
    rungs = [_anneal(machine, target_ess=target).details.num_rungs.numpy() for target in (0.5, 0.9, 0.97)]
    assert rungs[0] < rungs[1] < rungs[2]
    flat = reference.Machine(np.zeros(5), np.zeros(4), np.zeros((5, 4)))
    found = _anneal(flat)
    # A flat machine: one rung, every replica its own ancestor, log Z up to rounding.
    assert found.details.num_rungs == 1
    np.testing.assert_array_equal(_num_families(found), np.full(_POPULATIONS, _CHAINS))
    np.testing.assert_allclose(found.effective_sample_size, _POPULATIONS * _CHAINS, rtol=1e-5)
    np.testing.assert_allclose(found.log_partition, 9 * np.log(2), rtol=1e-6)
    assert found.converged


@pytest.mark.slow
def test_populations_that_collapse_have_not_converged():
    machine = _machine(31, (12, 12), 3.0)
    found = _anneal(machine, num_temperatures=1)
    assert _num_families(found).mean() < 10
    assert not found.converged
    assert _anneal(machine, num_temperatures=200, num_sweeps=10).converged


def test_populations_that_disagree_have_not_converged():
    """One state in 1024 is 120 nats more probable than all others, and one population has found it."""
    machine = reference.Machine(np.zeros(12), np.full(12, -190.0), np.zeros((12, 12)))
    machine.weights[:10] = 20.0
    found = _anneal(machine, num_temperatures=1, seed=(6, 1))
    assert (found.details.log_partition.numpy() > 100).sum() == 1
    assert _num_families(found).mean() > 40
    assert not found.converged


# --------------------------------------------------------------------------- the interface


def test_shapes_and_dtypes():
    for dtype in (np.float32, np.float64):
        found = _anneal(_machine(), dtype)
        assert found.log_partition.shape == found.standard_error.shape == ()
        assert found.details.log_partition.shape == (_POPULATIONS,)
        assert found.details.left.shape == (_POPULATIONS, _CHAINS, 5)
        assert found.details.right.shape == (_POPULATIONS, _CHAINS, 4)
        assert set(np.unique(found.details.left)) | set(np.unique(found.details.right)) == {0.0, 1.0}
        assert {each.dtype for each in tensors(found)} == {tf.as_dtype(dtype), tf.bool, tf.int32}


def test_arrays_tensors_and_integers_give_the_same():
    machine = reference.Machine(np.arange(-2, 3), np.arange(4), np.eye(5, 4, dtype=np.int64))
    expected = _anneal(machine)
    tensors = [tf.constant(each) for each in machine]
    for same in (machine, tensors, [each.tolist() for each in machine]):
        found = partition.population_annealing(*same, _POPULATIONS, _CHAINS, 2, seed=tf.constant([0, 1]))
        assert found.log_partition.dtype == tf.float32
        np.testing.assert_array_equal(found.details.log_partition, expected.details.log_partition)


def test_seeds():
    one, again, other = (_anneal(_machine(), seed=seed) for seed in ((5, 6), (5, 6), (5, 7)))
    for field, repeated in zip(tensors(one), tensors(again), strict=True):
        np.testing.assert_array_equal(field, repeated)
    assert np.all(one.details.log_partition != other.details.log_partition)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_populations", 1),
        ("num_chains", 1),
        ("num_sweeps", 0),
        ("num_temperatures", -1),
        ("num_temperatures", 0),
        ("target_ess", 0.0),
        ("target_ess", 1.0),
        ("target_ess", float("nan")),
        ("base_probs", np.full(8, 0.5)),
        ("seed", (1, 2, 3)),
        ("temperature", 0.0),
    ],
)
def test_bad_arguments_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: "):
        _anneal(_machine(), **{name: value})


def test_wrong_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match="^left_bias: "):
        partition.population_annealing(np.zeros(3), np.zeros(3), np.zeros((2, 3)))

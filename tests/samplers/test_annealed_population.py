"""Tests of populations that are annealed from infinite temperature, by enumeration."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from dvae_tf.numerics import as_seed
from dvae_tf.rbm import as_rbm, tempered_path
from dvae_tf.samplers import PopulationAnnealing, PopulationAnnealingState, anneal, annealed_population
from support import populations, reference


def _annealed(machine, num_populations, num_chains, seed, dtype=np.float32, base_probs=None, **kwargs):
    path = tempered_path(as_rbm(*machine.cast(dtype)), base_probs)
    return anneal(path, num_populations, num_chains, seed=seed, **({"num_sweeps": 1} | kwargs))


def _annealed_p_value(found, machine):
    relative = found.log_partition.numpy().astype(np.float64) - reference.log_partition(machine)
    num_populations, num_chains = found.families.shape
    log_weights = np.broadcast_to(relative[:, np.newaxis] - np.log(num_chains), (num_populations, num_chains))
    frequencies = populations.frequencies(found.left, found.right, log_weights, 2**machine.num_units)
    return reference.weighted_p_value(frequencies, np.exp(reference.joint_log_probs(machine)[0]))


@pytest.mark.parametrize(
    ("size", "stddev", "dtype", "based"),
    [
        pytest.param((3, 3), 1.0, np.float32, False, id="3+3"),
        pytest.param((5, 6), 0.6, np.float64, True, id="5+6 float64 given means"),
    ],
)
@pytest.mark.slow
def test_fixed_ladders_measure_z_without_bias(size, stddev, dtype, based):
    """Unbiased with few rungs, one sweep and few replicas, for Z and for the states weighted by Z."""
    machine = reference.random_machine(*size, seed=80, stddev=stddev)
    base_probs = np.linspace(0.3, 0.7, sum(size)) if based else None
    found = _annealed(machine, 4000, 8, (1, 2), dtype, base_probs, num_temperatures=6)
    assert found.log_partition.dtype == dtype
    assert int(found.num_rungs) == 6
    assert abs(populations.z_score(found.log_partition, machine)) < 4
    if sum(size) < 8:
        assert _annealed_p_value(found, machine) > 1e-4
    assert np.all((found.families.numpy() >= 0) & (found.families.numpy() < 8))


@pytest.fixture
def uncompiled(monkeypatch):
    """Runs the annealing without compilation, so that it uses patched parts, and they get numbers."""
    monkeypatch.setattr(annealed_population, "_anneal", annealed_population._anneal.python_function)


@pytest.mark.usefixtures("uncompiled")
def test_the_checks_catch_one_seed_for_everything(monkeypatch):
    """Sweeps with the same random numbers at every rung do not sample."""
    machine = reference.random_machine(3, 3, seed=80)

    def p_value():
        found = _annealed(machine, 4000, 8, (1, 2), num_temperatures=6)
        of_z = 2 * stats.norm.sf(abs(populations.z_score(found.log_partition, machine)))
        return min(_annealed_p_value(found, machine), of_z)

    assert p_value() > 1e-4
    monkeypatch.setattr(annealed_population, "split", lambda seed, num=2: [as_seed(seed)] * num)
    assert p_value() < 1e-6


@pytest.mark.usefixtures("uncompiled")
def test_no_seed_is_used_twice_in_an_annealing(monkeypatch):
    """At each rung only the replicas and their families share a seed, as they must."""
    seen = populations.recorded_seeds(monkeypatch, annealed_population)
    found = _annealed(reference.random_machine(3, 3, seed=80), 2, 5, (1, 2), num_temperatures=4)
    assert int(found.num_rungs) == 4
    sweeps, choices = (
        [seed for name, seed in seen if name == wanted] for wanted in ("block_gibbs", "systematic_resampling")
    )
    assert len(set(sweeps)) == len(set(choices)) == 4
    assert not set(sweeps) & set(choices)


@pytest.mark.usefixtures("uncompiled")
def test_replicas_of_an_annealing_carry_their_families(monkeypatch):
    """Without sweeps a replica equals the ancestor given by its family, within its own population."""
    first = []

    def unmoved(rbm, left, num_sweeps, seed):
        first.append(left)
        return left, tf.zeros([len(left), 3])

    monkeypatch.setattr(annealed_population, "block_gibbs", unmoved)
    kwargs = {"num_chains": 40, "seed": (1, 2), "num_temperatures": 1}
    machine = reference.random_machine(3, 3, seed=80)
    ancestors = _annealed(reference.tempered(machine, 0.0), 3, **kwargs).left.numpy()
    found = _annealed(machine, 3, **kwargs)
    for population in range(3):
        expected = ancestors[population][found.families.numpy()[population]]
        np.testing.assert_array_equal(found.left.numpy()[population], expected)
        assert len(np.unique(found.families.numpy()[population])) < 35


@pytest.mark.slow
def test_adaptive_ladders():
    """They reach t = 1 with about the requested effective sample size; the states there are draws."""
    machine = reference.random_machine(3, 3, seed=81, stddev=1.5)
    probs = np.exp(reference.joint_log_probs(machine)[0]).ravel()
    rungs = []
    for target in (0.5, 0.8, 0.95):
        runs = [_annealed(machine, 1, 1000, (3, seed), num_sweeps=5, target_ess=target) for seed in range(20)]
        # Weights of left states vary less than those of the pairs that determine the step.
        assert all(target - 0.02 < float(found.worst_ess) < 1 for found in runs)
        rungs.append(int(runs[0].num_rungs))
        assert abs(populations.z_score([found.log_partition[0] for found in runs], machine)) < 4
        numbers = reference.state_numbers([np.concatenate([each.left[0], each.right[0]], 1) for each in runs])
        frequencies = np.stack([np.bincount(n, minlength=64) for n in numbers])[:, probs > 0.03]
        assert np.abs(reference.z_scores(frequencies, 1000 * probs[probs > 0.03])).max() < 5
    assert 1 < rungs[0] < rungs[1] < rungs[2] < 60


def test_adaptive_steps_are_as_long_as_the_weights_allow():
    """The largest step from infinite temperature that keeps the target effective sample size."""
    machine = reference.random_machine(3, 3, seed=81, stddev=1.5)
    slope = -reference.energy(machine, reference.binary_states(6))
    for target in (0.5, 0.8, 0.95):
        found = float(
            annealed_population._adaptive_time(
                tf.constant(0.0, tf.float64), tf.constant(slope), tf.constant(target, tf.float64)
            )
        )
        ess = np.exp(2 * special.logsumexp(found * slope) - special.logsumexp(2 * found * slope)) / 64
        np.testing.assert_allclose(ess, target, atol=1e-4)
    near = [tf.constant(each, tf.float64) for each in (0.9, 0.1 * slope, 0.5)]
    assert float(annealed_population._adaptive_time(*near)) == 1


@pytest.mark.slow
def test_annealed_populations_continue_along_a_path():
    sampler = PopulationAnnealing(num_chains=1000, num_sweeps=10, threshold=0.5)
    machine = populations.path()[-1]
    state = sampler.anneal(*machine.cast(np.float32), (5, 5), num_temperatures=6)
    assert isinstance(state, PopulationAnnealingState)
    assert [each.shape for each in state] == [each.shape for each in sampler.init(3, 3, (0, 0))]
    np.testing.assert_allclose(state.log_partition, reference.log_partition(machine), atol=0.15)
    for each, value in zip(state.rbm, machine.cast(np.float32), strict=True):
        np.testing.assert_array_equal(each, value)
    # Back to the first machine of the path.
    for index, there in enumerate(populations.path()[::-1]):
        state, _ = sampler.step(*there.cast(np.float32), state, (6, index))
    np.testing.assert_allclose(state.log_partition, reference.log_partition(populations.path()[0]), atol=0.25)
    by_default = sampler.anneal(*machine.cast(np.float32), (5, 5))
    np.testing.assert_allclose(by_default.log_partition, reference.log_partition(machine), atol=0.15)
    hot = sampler.anneal(*machine.cast(np.float32), (5, 5), temperature=2.0, num_temperatures=6)
    cool = reference.log_partition(reference.tempered(machine, 0.5))
    np.testing.assert_allclose(hot.log_partition, cool, atol=0.1)


def test_annealing_is_pure_and_seeds_matter():
    machine = reference.random_machine(3, 3, seed=80)
    one, again, other = (
        _annealed(machine, 4000, 8, seed, num_temperatures=6) for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert populations.equal(one, again)
    assert np.any(one.left != other.left)
    assert np.any(one.log_partition != other.log_partition)
    # Populations are independent.
    correlation = np.corrcoef(one.log_partition[1:], one.log_partition[:-1])[0, 1]
    assert abs(correlation) * np.sqrt(4000) < 4


def test_rungs_sweeps_and_seeds_do_not_trace_again():
    machine = reference.random_machine(3, 3, seed=80)
    _annealed(machine, 4000, 8, (1, 2), num_temperatures=6)
    before = annealed_population._anneal.experimental_get_tracing_count()
    for num_temperatures in (2, 3, None):
        _annealed(machine, 4000, 8, (2, 2), num_temperatures=num_temperatures, num_sweeps=2)
    assert annealed_population._anneal.experimental_get_tracing_count() == before

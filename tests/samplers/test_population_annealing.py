"""Tests of population annealing: weighted states and log Z along a path, by enumeration of every machine.

Independent runs are the unit of all statistics: replicas of a run descend from each other.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from dvae_tf.numerics import fold_in
from dvae_tf.rbm import block_gibbs
from dvae_tf.samplers import (
    PopulationAnnealing,
    count_families,
    follow_straight_path,
    population_annealing,
    systematic_resampling,
)
from support import populations, reference

each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _stacked(path, dtype):
    return tuple(tf.constant(np.stack(each), dtype) for each in zip(*path, strict=True))


@functools.cache
def _follower(sampler, dtype):
    """A program that follows paths: from stacked parameters and seeds [N, 2] to the last states of N runs."""

    @tf.function(jit_compile=True)
    def follow(left_biases, right_biases, weights, seeds):
        def one(seed):
            def step(index, state):
                machine = left_biases[index], right_biases[index], weights[index]
                return index + 1, sampler.step(*machine, state, fold_in(seed, index))[0]

            state = sampler.init(*weights.shape[1:], fold_in(seed, 1000), dtype)
            length = left_biases.shape[0]
            return tf.while_loop(lambda index, _: index < length, step, (0, state))[1]

        state = sampler.init(*weights.shape[1:], (0, 0), dtype)
        signature = type(state)(*(tf.TensorSpec(each.shape, each.dtype) for each in state))
        return tf.map_fn(one, seeds, fn_output_signature=signature)

    return follow


def _runs(sampler, path, num_runs, tag, dtype=np.float32):
    """The last states of independent runs along a path; leading dimension [N]."""
    seeds = tf.constant([(tag, seed) for seed in range(num_runs)])
    found = _follower(sampler, tf.as_dtype(dtype))(*_stacked(path, dtype), seeds)
    return type(found)(*(each.numpy() for each in found))


def _reweighted(state, machine):
    """Log weights and log Z of a state's left replicas at another machine, in float64."""
    old = reference.Machine(*(np.asarray(each, np.float64) for each in state.rbm))
    change = reference.left_log_marginals(machine, state.left)
    change -= reference.left_log_marginals(old, state.left)
    log_weights = np.asarray(state.log_weights, np.float64) + change
    total = special.logsumexp(log_weights)
    return log_weights - total, float(state.log_partition) + total


# --------------------------------------------------------------------------- along a path


@pytest.mark.parametrize(("dtype", "threshold"), [(np.float32, 0.5), (np.float64, 1.0)])
def test_few_replicas_measure_z_without_bias(dtype, threshold):
    """And the weighted replicas are draws of the joint distribution, with any number of sweeps."""
    sampler = PopulationAnnealing(num_chains=5, num_sweeps=1, threshold=threshold)
    state = _runs(sampler, populations.path(), 6000, 1, dtype)
    assert state.left.dtype == state.log_partition.dtype == dtype
    assert abs(populations.z_score(state.log_partition, populations.path()[-1])) < 4
    assert populations.joint_p_value(state, populations.path()[-1]) > 1e-4
    np.testing.assert_allclose(special.logsumexp(state.log_weights, axis=1), np.zeros(6000), atol=1e-5)
    assert (np.ptp(state.log_weights) == 0) == (threshold == 1)


def _drop_weights(monkeypatch):
    monkeypatch.setattr(
        population_annealing,
        "systematic_resampling",
        lambda log_weights, seed: systematic_resampling(tf.zeros_like(log_weights), seed),
    )


def _forget_the_right_side(monkeypatch):
    monkeypatch.setattr(
        population_annealing,
        "left_free_energy",
        lambda rbm, left: -tf.linalg.matvec(left, rbm.left_bias),
    )


@pytest.mark.parametrize("spoil", [_drop_weights, _forget_the_right_side])
def test_the_checks_catch_wrong_weights(monkeypatch, spoil):
    sampler = PopulationAnnealing(num_chains=5000, num_sweeps=1, threshold=1.0)
    path = populations.path()[3::4]
    probs = np.exp(reference.joint_log_probs(path[-1])[0]).ravel()

    def z_scores():
        """p-values over runs, of Z and of the fraction of the most probable state."""
        states = [populations.advanced(sampler, path, tag=tag)[0] for tag in range(8)]
        numbers = reference.state_numbers([np.concatenate([each.left, each.right], 1) for each in states])
        part = (numbers == probs.argmax()).mean(1)
        of_z = populations.z_score([state.log_partition for state in states], path[-1])
        return np.abs([of_z, float(reference.z_scores(part, probs.max()))])

    # t with 7 degrees of freedom.
    assert z_scores().max() < 6
    spoil(monkeypatch)
    assert z_scores().max() > 20


@each_dtype
def test_a_large_population_has_the_joint_law(dtype):
    """Weighted replicas without resampling are independent; without their weights they are biased."""
    sampler = PopulationAnnealing(num_chains=20_000, num_sweeps=3, threshold=0.0)
    state, infos = populations.advanced(sampler, populations.path()[3::4], dtype)
    assert state.left.dtype == dtype
    assert not any(info.resampled for info in infos)
    machine = populations.path()[-1]
    left, right, log_weights = (
        each.numpy()[:, np.newaxis] for each in (state.left, state.right, state.log_weights)
    )
    frequencies = populations.frequencies(left, right, log_weights, 64)
    probs = np.exp(reference.joint_log_probs(machine)[0])
    assert reference.weighted_p_value(frequencies, probs) > 1e-4
    numbers = reference.state_numbers(np.concatenate([left, right], -1))
    assert reference.chi_square_p_value(numbers, probs) < 1e-6


def test_a_large_population_has_the_joint_law_once_resampled():
    """The sweeps of the last steps, at the same machine, decorrelate the copies."""
    sampler = PopulationAnnealing(num_chains=20_000, num_sweeps=20, threshold=1.0)
    state, infos = populations.advanced(sampler, [*populations.path(), populations.path()[-1]])
    assert all(info.resampled for info in infos[:-1])
    numbers = reference.state_numbers(np.concatenate([state.left, state.right], 1))
    assert (
        reference.chi_square_p_value(numbers, np.exp(reference.joint_log_probs(populations.path()[-1])[0]))
        > 1e-4
    )


def test_log_partition_is_as_near_as_it_can_be():
    """With sweeps enough, each step adds a relative variance of chi^2(new || old) / C to Z."""
    path, num_chains, num_runs = populations.path(), 50, 400
    sampler = PopulationAnnealing(num_chains, 10, threshold=1.0)
    state = _runs(sampler, path, num_runs, 3)
    errors = state.log_partition.astype(np.float64) - reference.log_partition(path[-1])
    nothing = reference.tempered(path[0], 0.0)
    variance = 0.0
    for old, new in zip([nothing, *path[:-1]], path, strict=True):
        old_probs, new_probs = (np.exp(reference.joint_log_probs(each)[0]).sum(1) for each in (old, new))
        variance += (new_probs**2 / old_probs).sum() - 1
    variance /= num_chains
    low, high = stats.chi2(num_runs - 1).ppf([1e-4, 1 - 1e-4]) / (num_runs - 1)
    assert low < errors.var(ddof=1) / variance < high
    # The log of an unbiased Z is biased by minus half its relative variance.
    assert abs(reference.z_scores(errors, -variance / 2)) < 4


def test_a_step_that_changes_nothing_changes_no_weights():
    sampler = PopulationAnnealing(num_chains=100, num_sweeps=2, threshold=0.5)
    machine = populations.path()[-1].cast(np.float32)
    state, _ = populations.advanced(sampler, populations.path())
    again, info = sampler.step(*machine, state, (7, 7))
    np.testing.assert_allclose(again.log_weights, state.log_weights, atol=1e-5)
    np.testing.assert_allclose(again.log_partition, state.log_partition, atol=1e-5)
    np.testing.assert_allclose(info.log_partition_change, 0, atol=1e-5)
    assert np.any(again.left != state.left)


# --------------------------------------------------------------------------- along its own gradient


def _drifts(wrong, num_runs=6, size=8, num_steps=250, rate=0.1):
    """Running log Z minus exact log Z after a training, whose gradient is taken over the replicas."""
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=10)
    rng = np.random.default_rng(70)
    data = (rng.random((4, 2 * size)) < 0.5)[rng.integers(0, 4, 400)] ^ (rng.random((400, 2 * size)) < 0.1)
    left, right = np.split(data.astype(np.float32), [size], axis=1)
    targets = left.mean(0), right.mean(0), left.T @ right / len(left)

    def train(seed):
        def update(index, rbm, state):
            weights = tf.exp(state.log_weights)[:, tf.newaxis]
            products = tf.matmul(weights * state.left, state.right, transpose_a=True)
            means = (tf.reduce_sum(weights * side, 0) for side in (state.left, state.right))
            rbm = [
                old + rate * (target - mean)
                for old, target, mean in zip(rbm, targets, (*means, products), strict=True)
            ]
            state, _ = sampler.step(*rbm, state, fold_in(seed, index))
            if wrong:
                moved = block_gibbs(state.rbm, state.left, sampler.num_sweeps, fold_in(seed, index, 1))
                state = state._replace(left=moved[0], right=moved[1])
            return index + 1, rbm, state

        state = sampler.init(size, size, fold_in(seed, 1000))
        _, _, state = tf.while_loop(
            lambda index, *_: index < num_steps,
            update,
            (0, list(state.rbm), state),
            maximum_iterations=num_steps,
        )
        return state.log_partition, *state.rbm

    program = tf.function(
        lambda seeds: tf.map_fn(train, seeds, fn_output_signature=(tf.float32,) * 4), jit_compile=True
    )
    found = program(tf.constant([(4, seed) for seed in range(num_runs)]))
    log_partitions, *parameters = (each.numpy().astype(np.float64) for each in found)
    exact = [reference.log_partition(reference.Machine(*each)) for each in zip(*parameters, strict=True)]
    assert np.mean(exact) > 2 * size * np.log(2) + 2
    return log_partitions - exact


@pytest.mark.slow
def test_log_partition_runs_along_with_a_training(monkeypatch):
    """Replicas that the gradient has seen would bias it downwards, so they sweep before they are weighted."""
    drifts = _drifts(wrong=False)
    assert np.abs(drifts).max() < 0.6
    # The wrong order: weights first, sweeps afterwards.
    monkeypatch.setattr(population_annealing, "block_gibbs", lambda rbm, left, *_: (left, None))
    wrong = _drifts(wrong=True)
    assert wrong.max() < -2
    assert np.abs(wrong.mean()) > 10 * np.abs(drifts).mean()


# --------------------------------------------------------------------------- weights, families, a known log Z


@each_dtype
def test_weights_are_ratios_of_marginals(dtype, monkeypatch):
    """Marginals of the left states after the sweeps, at the old and the new machine; without resampling."""
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=2, threshold=0.0)
    state, _ = populations.advanced(sampler, populations.path()[:4], dtype)
    monkeypatch.setattr(population_annealing, "block_gibbs", lambda rbm, left, *_: (left, None))
    new, info = sampler.step(*populations.path()[6].cast(dtype), state, (1, 2))
    np.testing.assert_array_equal(new.left, state.left)
    log_weights, log_partition = _reweighted(state, populations.path()[6])
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(new.log_weights, log_weights, **tolerance)
    np.testing.assert_allclose(new.log_partition, log_partition, **tolerance)
    change = log_partition - float(state.log_partition)
    np.testing.assert_allclose(info.log_partition_change, change, **tolerance)
    ess = 1 / (np.exp(log_weights) ** 2).sum()
    np.testing.assert_allclose(info.effective_sample_size, ess, rtol=1e-4)
    z = np.concatenate([new.left, new.right], 1)
    np.testing.assert_allclose(info.energy, reference.energy(populations.path()[6], z), rtol=1e-5, atol=1e-5)
    for each, value in zip(new.rbm, populations.path()[6].cast(dtype), strict=True):
        np.testing.assert_array_equal(each, value)


def test_resampling_waits_for_the_threshold():
    def resampled(threshold, machine):
        sampler = PopulationAnnealing(num_chains=50, num_sweeps=2, threshold=threshold)
        state = sampler.init(3, 3, (5, 6))
        new, info = sampler.step(*machine.cast(np.float32), state, (7, 8))
        equal = np.ptp(new.log_weights) == 0
        assert equal == bool(info.resampled)
        return bool(info.resampled), float(info.effective_sample_size)

    machine = populations.path()[-1]
    _, ess = resampled(0.0, machine)
    assert 5 < ess < 40
    for threshold in (0.0, 0.3, ess / 50 - 0.01, ess / 50 + 0.01, 0.9, 1.0):
        assert resampled(threshold, machine) == (ess < threshold * 50, ess)
    assert resampled(0.9, reference.tempered(machine, 0.05))[0] is False


def test_replicas_of_a_resampling_carry_their_families(monkeypatch):
    sampler = PopulationAnnealing(num_chains=200, num_sweeps=1, threshold=1.0)
    first = sampler.init(3, 3, (1, 1))
    monkeypatch.setattr(population_annealing, "block_gibbs", lambda rbm, left, *_: (left, None))
    state = first
    for index, machine in enumerate(populations.path()):
        state, _ = sampler.step(*machine.cast(np.float32), state, (2, index))
        np.testing.assert_array_equal(state.left, first.left.numpy()[state.families])
    assert len(np.unique(state.families)) < 150


def test_families_die_out_and_are_founded_by_a_known_log_z():
    sampler = PopulationAnnealing(num_chains=200, num_sweeps=3, threshold=1.0)
    state = sampler.init(3, 3, (1, 2))
    assert count_families(state.families) == 200
    counts = []
    for index, machine in enumerate(populations.path()):
        state, _ = sampler.step(*machine.cast(np.float32), state, (2, index))
        counts.append(int(count_families(state.families)))
        assert counts[-1] == len(np.unique(state.families))
        assert sampler.summary(state)["population_families"] == counts[-1]
    assert 200 > counts[0] > counts[3] > counts[-1] > 1
    assert np.all(np.diff(counts) <= 0)
    known = sampler.with_log_partition(*populations.path()[-1].cast(np.float32), state, tf.constant(3.0))
    np.testing.assert_array_equal(known.families, np.arange(200))
    kept, _ = populations.advanced(PopulationAnnealing(200, 3, threshold=0.0), populations.path())
    np.testing.assert_array_equal(kept.families, np.arange(200))


def test_count_families():
    for families in ([5], [3, 3, 3], [2, 0, 2, 1, 0], list(range(7))):
        assert count_families(tf.constant(families)) == len(set(families))


@each_dtype
def test_with_log_partition(dtype):
    sampler = PopulationAnnealing(num_chains=300, num_sweeps=3)
    state, _ = populations.advanced(sampler, populations.path()[:5], dtype)
    machine = populations.path()[5]
    known = sampler.with_log_partition(*machine.cast(dtype), state, tf.constant(12.5, tf.float64))
    assert known.log_partition.dtype == dtype
    assert float(known.log_partition) == 12.5
    np.testing.assert_array_equal(known.left, state.left)
    np.testing.assert_allclose(known.log_weights, _reweighted(state, machine)[0], rtol=1e-4, atol=1e-5)
    for each, value in zip(known.rbm, machine.cast(dtype), strict=True):
        np.testing.assert_array_equal(each, value)
    # Later values are relative to the known one.
    later, _ = sampler.step(*populations.path()[6].cast(dtype), known, (1, 1))
    unknown, _ = sampler.step(
        *populations.path()[6].cast(dtype), known._replace(log_partition=state.log_partition), (1, 1)
    )
    difference = float(later.log_partition - unknown.log_partition)
    np.testing.assert_allclose(difference, 12.5 - float(state.log_partition), rtol=1e-5)


def test_summary():
    sampler = PopulationAnnealing(num_chains=300, num_sweeps=3, threshold=0.0)
    state, _ = populations.advanced(sampler, populations.path())
    weights = np.exp(state.log_weights.numpy().astype(np.float64))
    found = sampler.summary(state)["population_effective_sample_size"]
    np.testing.assert_allclose(found, weights.sum() ** 2 / (weights**2).sum(), rtol=1e-4)


# --------------------------------------------------------------------------- the interface of a sampler


def test_first_replicas_are_fair_bits_with_the_log_z_of_no_parameters():
    state = PopulationAnnealing(num_chains=20_000).init(4, 2, (0, 1), tf.float64)
    numbers = reference.state_numbers(np.concatenate([state.left, state.right], 1))
    assert reference.chi_square_p_value(numbers, np.ones(2**6)) > 1e-4
    np.testing.assert_allclose(state.log_partition, 6 * np.log(2), rtol=1e-12)
    np.testing.assert_allclose(state.log_weights, np.full(20_000, -np.log(20_000)), rtol=1e-12)
    assert [each.shape for each in state.rbm] == [(4,), (2,), (4, 2)]
    assert not any(np.any(each) for each in state.rbm)
    assert {each.dtype for each in state} == {tf.float64, tf.int32}


def test_steps_are_pure_and_seeds_matter():
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=3, threshold=1.0)
    state, _ = populations.advanced(sampler, populations.path()[:3])
    copies = [np.array(each) for each in state]
    machine = populations.path()[3].cast(np.float32)
    one, info = sampler.step(*machine, state, (5, 6))
    again, same_info = sampler.step(*machine, state, tf.constant([5, 6]))
    assert populations.equal(one, again)
    assert populations.equal(info, same_info)
    assert populations.equal(state, copies)
    assert [each.shape for each in one] == [each.shape for each in state]
    other, _ = sampler.step(*machine, state, (5, 7))
    for name in ("left", "right", "families"):
        assert np.any(getattr(one, name) != getattr(other, name))
    assert not populations.equal(sampler.init(3, 3, (0, 1))[:2], sampler.init(3, 3, (0, 2))[:2])


def test_temperature_divides_the_parameters():
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=3)
    state = sampler.init(3, 3, (0, 1))
    machine = populations.path()[3]
    hot, _ = sampler.step(*machine.cast(np.float32), state, (5, 6), temperature=2.0)
    halved, _ = sampler.step(*reference.tempered(machine, 0.5).cast(np.float32), state, (5, 6))
    assert populations.equal(hot, halved)


def test_no_gradient_flows():
    parameters = [tf.constant(each, tf.float32) for each in populations.path()[3]]
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=1)
    state, _ = populations.advanced(sampler, populations.path()[:2])
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        moved, info = sampler.step(*parameters, state, (0, 0))
        there = follow_straight_path(sampler, *parameters, state, 2, (0, 0))
        results = (*moved[:5], *info[1:], *there[:5])
        total = sum(tf.reduce_sum(tf.cast(each, tf.float32)) for each in results)
    assert tape.gradient(total, parameters) == [None] * 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_chains", 0),
        ("num_sweeps", -1),
        ("num_sweeps", 2.0),
        ("threshold", -0.1),
        ("threshold", 1.5),
        ("threshold", float("nan")),
    ],
)
def test_bad_numbers_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        PopulationAnnealing(**{name: value})


def test_wrong_shapes_are_refused_by_name():
    sampler = PopulationAnnealing(num_chains=2, num_sweeps=1)
    state = sampler.init(3, 3, (0, 1))
    with pytest.raises(ValueError, match="right_bias"):
        sampler.step(np.zeros(3), np.zeros(4), np.zeros((3, 3)), state, (0, 0))
    with pytest.raises(ValueError, match="left_bias"):
        follow_straight_path(sampler, np.zeros(4), np.zeros(3), np.zeros((3, 3)), state, 1, (0, 0))
    with pytest.raises(ValueError, match="weights"):
        sampler.anneal(np.zeros(3), np.zeros(3), np.zeros(9), (0, 0))


def test_no_seed_is_used_twice_along_a_path(monkeypatch):
    seen = populations.recorded_seeds(monkeypatch, population_annealing)
    populations.advanced(
        PopulationAnnealing(num_chains=5, num_sweeps=1, threshold=1.0), populations.path()[:4]
    )
    assert {name for name, _ in seen} == {"block_gibbs", "systematic_resampling", "sample_right"}
    assert len(seen) == len({seed for _, seed in seen}) == 12

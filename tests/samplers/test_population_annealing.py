"""Tests of population annealing: weighted states and log Z along a path, by enumeration of every machine.

Independent runs are the unit of all statistics: replicas of a run descend from each other.
"""

import functools

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from scipy import special, stats

from dvae_tf.numerics import as_seed, fold_in
from dvae_tf.rbm import as_rbm, block_gibbs, tempered_path
from dvae_tf.samplers import (
    PopulationAnnealing,
    anneal,
    count_families,
    population_annealing,
    systematic_resampling,
)

LENGTH = 8
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@functools.cache
def _path(size=(3, 3), stddev=1.0, length=LENGTH):
    """Machines that change slowly, from nearly none to one that is, in a roundabout way."""
    first, last = (reference.random_machine(*size, seed=seed, stddev=stddev) for seed in (60, 61))
    times = np.arange(1, length + 1) / length
    machines = [
        reference.Machine(*(t * (1 - t) * a + t * b for a, b in zip(first, last, strict=True))) for t in times
    ]
    return [machine.cast(np.float32).cast(np.float64) for machine in machines]


def _stacked(path, dtype):
    return tuple(tf.constant(np.stack(each), dtype) for each in zip(*path, strict=True))


@functools.cache
def _follower(sampler, dtype):
    """A program that follows paths: stacked parameters and seeds [N, 2] give the last states of N runs."""

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


def _frequencies(left, right, log_weights, num_states):
    """By run and state: the weights of all replicas that are in it; [N, C, ...] gives [N, S]."""
    numbers = reference.state_numbers(np.concatenate([left, right], -1))
    weights = np.exp(np.asarray(log_weights, np.float64))
    return np.stack([np.bincount(n, w, minlength=num_states) for n, w in zip(numbers, weights, strict=True)])


def _joint_p_value(state, machine):
    """Whether exp(log Z) times the weights of a state's replicas is Z p(z) on average, over runs."""
    relative = state.log_partition.astype(np.float64) - reference.log_partition(machine)
    log_weights = state.log_weights + relative[:, np.newaxis]
    frequencies = _frequencies(state.left, state.right, log_weights, 2**machine.num_units)
    return reference.weighted_p_value(frequencies, np.exp(reference.joint_log_probs(machine)[0]))


def _z_score(log_partition, machine):
    """Of the mean of Z over runs."""
    relative = np.asarray(log_partition, np.float64) - reference.log_partition(machine)
    return float(reference.z_scores(np.exp(relative), 1.0))


def _advanced(sampler, path, dtype=np.float32, tag=0):
    """A state that has followed a path, outside any program; the infos too."""
    size = path[0].weights.shape
    state, infos = sampler.init(*size, (tag, 0), tf.as_dtype(dtype)), []
    for index, machine in enumerate(path):
        state, info = sampler.step(*machine.cast(dtype), state, (tag, 1 + index))
        infos.append(info)
    return state, infos


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
    """And the weighted replicas are draws of the joint law, however few sweeps there are."""
    sampler = PopulationAnnealing(num_chains=5, num_sweeps=1, threshold=threshold)
    state = _runs(sampler, _path(), 6000, 1, dtype)
    assert state.left.dtype == state.log_partition.dtype == dtype
    assert abs(_z_score(state.log_partition, _path()[-1])) < 4
    assert _joint_p_value(state, _path()[-1]) > 1e-4
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
    path = _path()[3::4]
    probs = np.exp(reference.joint_log_probs(path[-1])[0]).ravel()

    def z_scores():
        """Of Z and of the part of the most likely state, over runs."""
        states = [_advanced(sampler, path, tag=tag)[0] for tag in range(8)]
        numbers = reference.state_numbers([np.concatenate([each.left, each.right], 1) for each in states])
        part = (numbers == probs.argmax()).mean(1)
        of_z = _z_score([state.log_partition for state in states], path[-1])
        return np.abs([of_z, float(reference.z_scores(part, probs.max()))])

    # t of 7 degrees of freedom.
    assert z_scores().max() < 6
    spoil(monkeypatch)
    assert z_scores().max() > 20


@each_dtype
def test_a_large_population_has_the_joint_law(dtype):
    """Weighted, unresampled replicas are independent; without their weights they lag behind."""
    sampler = PopulationAnnealing(num_chains=20_000, num_sweeps=3, threshold=0.0)
    state, infos = _advanced(sampler, _path()[3::4], dtype)
    assert state.left.dtype == dtype
    assert not any(info.resampled for info in infos)
    machine = _path()[-1]
    left, right, log_weights = (
        each.numpy()[:, np.newaxis] for each in (state.left, state.right, state.log_weights)
    )
    frequencies = _frequencies(left, right, log_weights, 64)
    probs = np.exp(reference.joint_log_probs(machine)[0])
    assert reference.weighted_p_value(frequencies, probs) > 1e-4
    numbers = reference.state_numbers(np.concatenate([left, right], -1))
    assert reference.chi_square_p_value(numbers, probs) < 1e-6


def test_a_large_population_has_the_joint_law_once_resampled():
    """The sweeps of the last steps, at the same machine, part the copies."""
    sampler = PopulationAnnealing(num_chains=20_000, num_sweeps=20, threshold=1.0)
    state, infos = _advanced(sampler, [*_path(), _path()[-1]])
    assert all(info.resampled for info in infos[:-1])
    numbers = reference.state_numbers(np.concatenate([state.left, state.right], 1))
    assert reference.chi_square_p_value(numbers, np.exp(reference.joint_log_probs(_path()[-1])[0])) > 1e-4


def test_log_partition_is_as_near_as_it_can_be():
    """With sweeps enough, each step adds a relative variance of chi^2(new || old) / C to Z."""
    path, num_chains, num_runs = _path(), 50, 400
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
    # The log of an unbiased Z is low by half its relative variance.
    assert abs(reference.z_scores(errors, -variance / 2)) < 4


def test_a_step_that_changes_nothing_changes_no_weights():
    sampler = PopulationAnnealing(num_chains=100, num_sweeps=2, threshold=0.5)
    machine = _path()[-1].cast(np.float32)
    state, _ = _advanced(sampler, _path())
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


def test_log_partition_runs_along_with_a_training(monkeypatch):
    """Replicas that the gradient has seen would drag it down: they sweep before they are weighted."""
    drifts = _drifts(wrong=False)
    assert np.abs(drifts).max() < 0.6
    # Weights first, sweeps after.
    monkeypatch.setattr(population_annealing, "block_gibbs", lambda rbm, left, *_: (left, None))
    wrong = _drifts(wrong=True)
    assert wrong.max() < -2
    assert np.abs(wrong.mean()) > 10 * np.abs(drifts).mean()


# --------------------------------------------------------------------------- weights, families, anchors


@each_dtype
def test_weights_are_ratios_of_marginals(dtype, monkeypatch):
    """Of the left states after the sweeps, for the old machine and the new; without a resampling."""
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=2, threshold=0.0)
    state, _ = _advanced(sampler, _path()[:4], dtype)
    monkeypatch.setattr(population_annealing, "block_gibbs", lambda rbm, left, *_: (left, None))
    new, info = sampler.step(*_path()[6].cast(dtype), state, (1, 2))
    np.testing.assert_array_equal(new.left, state.left)
    log_weights, log_partition = _reweighted(state, _path()[6])
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(new.log_weights, log_weights, **tolerance)
    np.testing.assert_allclose(new.log_partition, log_partition, **tolerance)
    change = log_partition - float(state.log_partition)
    np.testing.assert_allclose(info.log_partition_change, change, **tolerance)
    ess = 1 / (np.exp(log_weights) ** 2).sum()
    np.testing.assert_allclose(info.effective_sample_size, ess, rtol=1e-4)
    z = np.concatenate([new.left, new.right], 1)
    np.testing.assert_allclose(info.energy, reference.energy(_path()[6], z), rtol=1e-5, atol=1e-5)
    for each, value in zip(new.rbm, _path()[6].cast(dtype), strict=True):
        np.testing.assert_array_equal(each, value)


def test_resampling_waits_for_the_threshold():
    def resampled(threshold, machine):
        sampler = PopulationAnnealing(num_chains=50, num_sweeps=2, threshold=threshold)
        state = sampler.init(3, 3, (5, 6))
        new, info = sampler.step(*machine.cast(np.float32), state, (7, 8))
        equal = np.ptp(new.log_weights) == 0
        assert equal == bool(info.resampled)
        return bool(info.resampled), float(info.effective_sample_size)

    machine = _path()[-1]
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
    for index, machine in enumerate(_path()):
        state, _ = sampler.step(*machine.cast(np.float32), state, (2, index))
        np.testing.assert_array_equal(state.left, first.left.numpy()[state.families])
    assert len(np.unique(state.families)) < 150


def test_families_die_out_and_are_founded_by_an_anchor():
    sampler = PopulationAnnealing(num_chains=200, num_sweeps=3, threshold=1.0)
    state = sampler.init(3, 3, (1, 2))
    assert count_families(state.families) == 200
    counts = []
    for index, machine in enumerate(_path()):
        state, _ = sampler.step(*machine.cast(np.float32), state, (2, index))
        counts.append(int(count_families(state.families)))
        assert counts[-1] == len(np.unique(state.families))
        assert sampler.summary(state)["population_families"] == counts[-1]
    assert 200 > counts[0] > counts[3] > counts[-1] > 1
    assert np.all(np.diff(counts) <= 0)
    anchored = sampler.anchor(*_path()[-1].cast(np.float32), state, tf.constant(3.0))
    np.testing.assert_array_equal(anchored.families, np.arange(200))
    kept, _ = _advanced(PopulationAnnealing(200, 3, threshold=0.0), _path())
    np.testing.assert_array_equal(kept.families, np.arange(200))


def test_count_families():
    for families in ([5], [3, 3, 3], [2, 0, 2, 1, 0], list(range(7))):
        assert count_families(tf.constant(families)) == len(set(families))


@each_dtype
def test_log_partition_at_other_parameters(dtype):
    sampler = PopulationAnnealing(num_chains=300, num_sweeps=3)
    state, _ = _advanced(sampler, _path()[:5], dtype)
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    for machine in _path()[3:]:
        found = sampler.log_partition(*machine.cast(dtype), state)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, _reweighted(state, machine)[1], rtol=rtol)
    here = sampler.log_partition(*_path()[4].cast(dtype), state)
    np.testing.assert_allclose(here, state.log_partition, rtol=1e-6)


@each_dtype
def test_anchor(dtype):
    sampler = PopulationAnnealing(num_chains=300, num_sweeps=3)
    state, _ = _advanced(sampler, _path()[:5], dtype)
    machine = _path()[5]
    anchored = sampler.anchor(*machine.cast(dtype), state, tf.constant(12.5, tf.float64))
    assert anchored.log_partition.dtype == dtype
    assert float(anchored.log_partition) == 12.5
    np.testing.assert_array_equal(anchored.left, state.left)
    np.testing.assert_allclose(anchored.log_weights, _reweighted(state, machine)[0], rtol=1e-4, atol=1e-5)
    for each, value in zip(anchored.rbm, machine.cast(dtype), strict=True):
        np.testing.assert_array_equal(each, value)
    # The weights go on from there: what is found later is relative to the anchor.
    later, _ = sampler.step(*_path()[6].cast(dtype), anchored, (1, 1))
    unanchored, _ = sampler.step(
        *_path()[6].cast(dtype), anchored._replace(log_partition=state.log_partition), (1, 1)
    )
    difference = float(later.log_partition - unanchored.log_partition)
    np.testing.assert_allclose(difference, 12.5 - float(state.log_partition), rtol=1e-5)


def test_summary():
    sampler = PopulationAnnealing(num_chains=300, num_sweeps=3, threshold=0.0)
    state, _ = _advanced(sampler, _path())
    weights = np.exp(state.log_weights.numpy().astype(np.float64))
    found = sampler.summary(state)["population_effective_sample_size"]
    np.testing.assert_allclose(found, weights.sum() ** 2 / (weights**2).sum(), rtol=1e-4)


# --------------------------------------------------------------------------- the contract of a sampler


def test_first_replicas_are_fair_bits_with_the_log_z_of_no_parameters():
    state = PopulationAnnealing(num_chains=20_000).init(4, 2, (0, 1), tf.float64)
    numbers = reference.state_numbers(np.concatenate([state.left, state.right], 1))
    assert reference.chi_square_p_value(numbers, np.ones(2**6)) > 1e-4
    np.testing.assert_allclose(state.log_partition, 6 * np.log(2), rtol=1e-12)
    np.testing.assert_allclose(state.log_weights, np.full(20_000, -np.log(20_000)), rtol=1e-12)
    assert [each.shape for each in state.rbm] == [(4,), (2,), (4, 2)]
    assert not any(np.any(each) for each in state.rbm)
    assert {each.dtype for each in state} == {tf.float64, tf.int32}


def _equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_steps_are_pure_and_seeds_matter():
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=3, threshold=1.0)
    state, _ = _advanced(sampler, _path()[:3])
    copies = [np.array(each) for each in state]
    machine = _path()[3].cast(np.float32)
    one, info = sampler.step(*machine, state, (5, 6))
    again, same_info = sampler.step(*machine, state, tf.constant([5, 6]))
    assert _equal(one, again)
    assert _equal(info, same_info)
    assert _equal(state, copies)
    assert [each.shape for each in one] == [each.shape for each in state]
    other, _ = sampler.step(*machine, state, (5, 7))
    for name in ("left", "right", "families"):
        assert np.any(getattr(one, name) != getattr(other, name))
    assert not _equal(sampler.init(3, 3, (0, 1))[:2], sampler.init(3, 3, (0, 2))[:2])


def test_temperature_divides_the_parameters():
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=3)
    state = sampler.init(3, 3, (0, 1))
    machine = _path()[3]
    hot, _ = sampler.step(*machine.cast(np.float32), state, (5, 6), temperature=2.0)
    halved, _ = sampler.step(*reference.tempered(machine, 0.5).cast(np.float32), state, (5, 6))
    assert _equal(hot, halved)


def test_no_gradient_flows():
    parameters = [tf.constant(each, tf.float32) for each in _path()[3]]
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=1)
    state, _ = _advanced(sampler, _path()[:2])
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        moved, info = sampler.step(*parameters, state, (0, 0))
        here = sampler.log_partition(*parameters, state)
        total = sum(tf.reduce_sum(tf.cast(each, tf.float32)) for each in (*moved[:5], *info[1:], here))
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
        sampler.log_partition(np.zeros(4), np.zeros(3), np.zeros((3, 3)), state)
    with pytest.raises(ValueError, match="weights"):
        sampler.anneal(np.zeros(3), np.zeros(3), np.zeros(9), (0, 0))


def test_keras_serialisation():
    sampler = PopulationAnnealing(num_chains=12, num_sweeps=34, threshold=0.25)
    assert PopulationAnnealing.from_config(sampler.get_config()) == sampler
    serialised = keras.saving.serialize_keras_object(sampler)
    assert keras.saving.deserialize_keras_object(serialised) == sampler
    assert sampler != PopulationAnnealing(12, 34, 0.5)


# --------------------------------------------------------------------------- from infinite temperature


def _annealed(machine, num_populations, num_chains, seed, dtype=np.float32, base_probs=None, **kwargs):
    path = tempered_path(as_rbm(*machine.cast(dtype)), base_probs)
    return anneal(path, num_populations, num_chains, seed=seed, **({"num_sweeps": 1} | kwargs))


def _annealed_p_value(found, machine):
    relative = found.log_partition.numpy().astype(np.float64) - reference.log_partition(machine)
    num_populations, num_chains = found.families.shape
    log_weights = np.broadcast_to(relative[:, np.newaxis] - np.log(num_chains), (num_populations, num_chains))
    frequencies = _frequencies(found.left, found.right, log_weights, 2**machine.num_units)
    return reference.weighted_p_value(frequencies, np.exp(reference.joint_log_probs(machine)[0]))


@pytest.mark.parametrize(
    ("size", "stddev", "dtype", "based"),
    [
        ((3, 3), 1.0, np.float32, False),
        ((5, 6), 0.6, np.float64, True),
    ],
    ids=["3+3", "5+6 float64 given means"],
)
def test_fixed_ladders_measure_z_without_bias(size, stddev, dtype, based):
    """A few rungs, a sweep and some replicas are enough, for Z and for the states weighted by Z."""
    machine = reference.random_machine(*size, seed=80, stddev=stddev)
    base_probs = np.linspace(0.3, 0.7, sum(size)) if based else None
    found = _annealed(machine, 4000, 8, (1, 2), dtype, base_probs, num_temperatures=6)
    assert found.log_partition.dtype == dtype
    assert int(found.num_rungs) == 6
    assert abs(_z_score(found.log_partition, machine)) < 4
    if sum(size) < 8:
        assert _annealed_p_value(found, machine) > 1e-4
    assert np.all((found.families.numpy() >= 0) & (found.families.numpy() < 8))


@pytest.fixture
def uncompiled(monkeypatch):
    """Runs the annealing as it is written, so that it sees patched parts, and they see numbers."""
    monkeypatch.setattr(population_annealing, "_anneal", population_annealing._anneal.python_function)


@pytest.mark.usefixtures("uncompiled")
def test_the_checks_catch_one_seed_for_everything(monkeypatch):
    """Sweeps that see the same random numbers at every rung do not sample."""
    machine = reference.random_machine(3, 3, seed=80)

    def p_value():
        found = _annealed(machine, 4000, 8, (1, 2), num_temperatures=6)
        of_z = 2 * stats.norm.sf(abs(_z_score(found.log_partition, machine)))
        return min(_annealed_p_value(found, machine), of_z)

    assert p_value() > 1e-4
    monkeypatch.setattr(population_annealing, "split", lambda seed, num=2: [as_seed(seed)] * num)
    assert p_value() < 1e-6


def _recorded_seeds(monkeypatch):
    """Names and seeds of all that draws, in order."""
    seen = []

    def recording(name):
        function = getattr(population_annealing, name)

        def wrapped(*args):
            seen.append((name, tuple(np.asarray(args[-1]))))
            return function(*args)

        monkeypatch.setattr(population_annealing, name, wrapped)

    for name in ("block_gibbs", "systematic_resampling", "sample_right"):
        recording(name)
    return seen


def test_no_seed_is_used_twice_along_a_path(monkeypatch):
    seen = _recorded_seeds(monkeypatch)
    _advanced(PopulationAnnealing(num_chains=5, num_sweeps=1, threshold=1.0), _path()[:4])
    assert {name for name, _ in seen} == {"block_gibbs", "systematic_resampling", "sample_right"}
    assert len(seen) == len({seed for _, seed in seen}) == 12


@pytest.mark.usefixtures("uncompiled")
def test_no_seed_is_used_twice_in_an_annealing(monkeypatch):
    """Of the rungs: only the replicas and their families are chosen by one seed, as they must be."""
    seen = _recorded_seeds(monkeypatch)
    found = _annealed(reference.random_machine(3, 3, seed=80), 2, 5, (1, 2), num_temperatures=4)
    assert int(found.num_rungs) == 4
    sweeps, choices = (
        [seed for name, seed in seen if name == wanted] for wanted in ("block_gibbs", "systematic_resampling")
    )
    assert len(set(sweeps)) == len(set(choices)) == 4
    assert not set(sweeps) & set(choices)


@pytest.mark.usefixtures("uncompiled")
def test_replicas_of_an_annealing_carry_their_families(monkeypatch):
    """Without sweeps a replica is the ancestor that its family names, within its own population."""
    first = []

    def unmoved(rbm, left, num_sweeps, seed):
        first.append(left)
        return left, tf.zeros([len(left), 3])

    monkeypatch.setattr(population_annealing, "block_gibbs", unmoved)
    kwargs = {"num_chains": 40, "seed": (1, 2), "num_temperatures": 1}
    machine = reference.random_machine(3, 3, seed=80)
    ancestors = _annealed(reference.tempered(machine, 0.0), 3, **kwargs).left.numpy()
    found = _annealed(machine, 3, **kwargs)
    for population in range(3):
        expected = ancestors[population][found.families.numpy()[population]]
        np.testing.assert_array_equal(found.left.numpy()[population], expected)
        assert len(np.unique(found.families.numpy()[population])) < 35


def test_adaptive_ladders():
    """They reach t = 1 with weights about as even as asked for; the states there are draws."""
    machine = reference.random_machine(3, 3, seed=81, stddev=1.5)
    probs = np.exp(reference.joint_log_probs(machine)[0]).ravel()
    rungs = []
    for target in (0.5, 0.8, 0.95):
        runs = [_annealed(machine, 1, 1000, (3, seed), num_sweeps=5, target_ess=target) for seed in range(20)]
        # Of left states alone the weights are more even than of the pairs that set the step.
        assert all(target - 0.02 < float(found.worst_ess) < 1 for found in runs)
        rungs.append(int(runs[0].num_rungs))
        assert abs(_z_score([found.log_partition[0] for found in runs], machine)) < 4
        numbers = reference.state_numbers([np.concatenate([each.left[0], each.right[0]], 1) for each in runs])
        frequencies = np.stack([np.bincount(n, minlength=64) for n in numbers])[:, probs > 0.03]
        assert np.abs(reference.z_scores(frequencies, 1000 * probs[probs > 0.03])).max() < 5
    assert 1 < rungs[0] < rungs[1] < rungs[2] < 60


def test_adaptive_steps_are_as_long_as_the_weights_allow():
    """One rung further and a population at infinite temperature would lose more than it may."""
    machine = reference.random_machine(3, 3, seed=81, stddev=1.5)
    slope = -reference.energy(machine, reference.binary_states(6))
    for target in (0.5, 0.8, 0.95):
        found = float(
            population_annealing._adaptive_time(
                tf.constant(0.0, tf.float64), tf.constant(slope), tf.constant(target, tf.float64)
            )
        )
        ess = np.exp(2 * special.logsumexp(found * slope) - special.logsumexp(2 * found * slope)) / 64
        np.testing.assert_allclose(ess, target, atol=1e-4)
    near = [tf.constant(each, tf.float64) for each in (0.9, 0.1 * slope, 0.5)]
    assert float(population_annealing._adaptive_time(*near)) == 1


def test_annealed_populations_go_on_along_a_path():
    sampler = PopulationAnnealing(num_chains=1000, num_sweeps=10, threshold=0.5)
    machine = _path()[-1]
    state = sampler.anneal(*machine.cast(np.float32), (5, 5), num_temperatures=6)
    assert isinstance(state, population_annealing.PopulationAnnealingState)
    assert [each.shape for each in state] == [each.shape for each in sampler.init(3, 3, (0, 0))]
    np.testing.assert_allclose(state.log_partition, reference.log_partition(machine), atol=0.15)
    for each, value in zip(state.rbm, machine.cast(np.float32), strict=True):
        np.testing.assert_array_equal(each, value)
    # Back to the first machine of the path.
    for index, there in enumerate(_path()[::-1]):
        state, _ = sampler.step(*there.cast(np.float32), state, (6, index))
    np.testing.assert_allclose(state.log_partition, reference.log_partition(_path()[0]), atol=0.25)
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
    assert _equal(one, again)
    assert np.any(one.left != other.left)
    assert np.any(one.log_partition != other.log_partition)
    # Populations know nothing of each other.
    correlation = np.corrcoef(one.log_partition[1:], one.log_partition[:-1])[0, 1]
    assert abs(correlation) * np.sqrt(4000) < 4


def test_rungs_sweeps_and_seeds_do_not_trace_again():
    machine = reference.random_machine(3, 3, seed=80)
    _annealed(machine, 4000, 8, (1, 2), num_temperatures=6)
    before = population_annealing._anneal.experimental_get_tracing_count()
    for num_temperatures in (2, 3, None):
        _annealed(machine, 4000, 8, (2, 2), num_temperatures=num_temperatures, num_sweeps=2)
    assert population_annealing._anneal.experimental_get_tracing_count() == before

"""Tests of replica exchange: distributions of all rungs by enumeration, rates, ladders and round trips."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.rbm import as_rbm, left_free_energy, tempered_path
from dvae_tf.samplers import ParallelTempering, equal_rejection_ladder, merge_ladders, parallel_tempering
from support import reference

# One shape for all statistical tests, because a program takes seconds to compile.
NUM_CHAINS, RUNGS = 8000, 5
FAR = ParallelTempering(NUM_CHAINS, num_sweeps=40, num_temperatures=RUNGS, adapt=False)
NEAR = ParallelTempering(NUM_CHAINS, num_sweeps=1, num_temperatures=RUNGS, adapt=False)
SMALL = ParallelTempering(num_chains=50, num_sweeps=2, num_temperatures=4)

MACHINES = {
    "mild": reference.random_machine(3, 3, seed=90, stddev=0.8),
    "strong": reference.random_machine(3, 3, seed=91, stddev=2.5),
    "two modes": reference.planted_machine(3, 3, 0.8, 0.1, seed=92)[0],
}
each_machine = pytest.mark.parametrize("name", MACHINES)


@functools.cache
def _settled(name, dtype=tf.float32, sampler=FAR):
    """A state and an info after many steps, and the machine."""
    machine = MACHINES[name]
    state = sampler.init(3, 3, (0, 1), dtype)
    state, info = sampler.step(*machine.cast(dtype.as_numpy_dtype), state, (0, 2))
    return state, info, machine


def _by_rung(values, replica_at):
    """Values of replicas [M, C, ...] in the order of their rungs, by a loop."""
    values, replica_at = np.asarray(values), np.asarray(replica_at)
    return np.stack([values[at, np.arange(values.shape[1])] for at in replica_at])


def _p_values(state, machine, base_logits=None):
    """p-values of the joint law at each rung, of the path from the given log-odds or from fair bits."""
    left, right = (_by_rung(each, state.replica_at) for each in (state.replica_left, state.replica_right))
    found = []
    for t, *states in zip(state.inverse_temperatures.numpy(), left, right, strict=True):
        probs = np.exp(reference.joint_log_probs(reference.tempered(machine, t, base_logits))[0])
        numbers = reference.state_numbers(np.concatenate(states, 1))
        found.append(reference.chi_square_p_value(numbers, probs))
    return found


def _acceptances(machine, ladder):
    """E and standard deviation of min(1, exp((t' - t) (E' - E))) for states of neighbors, [M - 1] each."""
    energies = reference.energy(machine, reference.binary_states(machine.num_units))
    found = []
    for low, high in itertools.pairwise(ladder):
        at_low, at_high = (np.exp(-t * energies) / np.exp(-t * energies).sum() for t in (low, high))
        gain = (high - low) * (energies[np.newaxis] - energies[:, np.newaxis])
        accepted = np.exp(np.minimum(gain, 0))
        mean = at_low @ accepted @ at_high
        found.append((mean, np.sqrt(at_low @ accepted**2 @ at_high - mean**2)))
    return np.array(found).T


# --------------------------------------------------------------------------- the distribution


@each_machine
def test_every_rung_has_its_joint_law(name):
    """The hottest rung holds fair bits, the coldest the machine."""
    state, _, machine = _settled(name)
    np.testing.assert_allclose(state.inverse_temperatures, np.linspace(0, 1, RUNGS), atol=1e-7)
    assert min(_p_values(state, machine)) > 1e-4


def test_every_rung_of_a_path_from_other_means_has_its_joint_law():
    """The hottest rung holds independent bits of those means."""
    machine = MACHINES["strong"]
    path = tempered_path(as_rbm(*machine.cast(np.float32)), np.linspace(0.1, 0.8, 6))
    state, _ = FAR.step_along(path, FAR.init(3, 3, (0, 1)), (0, 2))
    base_logits = path.base_logits.numpy().astype(np.float64)
    assert min(_p_values(state, machine, base_logits)) > 1e-4
    assert min(_p_values(state, machine)[:-1]) < 1e-8


def test_every_rung_has_its_joint_law_in_float64():
    state, info, machine = _settled("strong", tf.float64)
    assert state.left.dtype == state.inverse_temperatures.dtype == info.acceptance.dtype == tf.float64
    assert min(_p_values(state, machine)) > 1e-4


@each_machine
def test_the_marginal_by_rung_is_that_of_the_tempered_machine(name):
    state, _, machine = _settled(name)
    for rung, left in enumerate(state.ladder_left.numpy()):
        there = reference.tempered(machine, state.inverse_temperatures.numpy()[rung])
        probs = np.exp(reference.joint_log_probs(there)[0]).sum(1)
        assert reference.chi_square_p_value(reference.state_numbers(left), probs) > 1e-4


def test_ladders_are_independent_of_each_other():
    state, info, _ = _settled("mild")
    energies = info.energy.numpy()
    assert abs(np.corrcoef(energies[1:], energies[:-1])[0, 1]) * np.sqrt(NUM_CHAINS) < 4


@pytest.fixture
def fresh_program(monkeypatch):
    """Compiles the sweeps anew within the test, so that they use patched parts."""
    program = tf.function(parallel_tempering._exchange_sweeps.python_function, jit_compile=True)
    monkeypatch.setattr(parallel_tempering, "_exchange_sweeps", program)


@pytest.mark.usefixtures("fresh_program")
def test_the_check_catches_exchanges_by_free_energies(monkeypatch):
    monkeypatch.setattr(
        parallel_tempering,
        "_relative_energies",
        lambda path, replicas, _: left_free_energy(path.machine, replicas[1]),
    )
    machine = MACHINES["strong"]
    state, _ = FAR.step(*machine.cast(np.float32), FAR.init(3, 3, (0, 1)), (0, 2))
    p_values = _p_values(state, machine)
    assert p_values[-1] < 1e-8
    assert min(p_values[1:-1]) < 1e-8


# --------------------------------------------------------------------------- exchanges


@each_machine
def test_exchanges_are_as_likely_as_enumeration_says(name):
    state, _, machine = _settled(name)
    parameters = machine.cast(np.float32)
    _, info = NEAR.step(*parameters, state, (3, 4))
    mean, deviation = _acceptances(machine, np.linspace(0, 1, RUNGS))
    assert np.abs((info.acceptance - mean) / deviation).max() * np.sqrt(NUM_CHAINS) < 4
    # Averages over many sweeps, which are correlated.
    _, info = FAR.step(*parameters, state, (3, 5))
    np.testing.assert_allclose(info.acceptance, mean, atol=0.01)


def test_running_rejection_rates():
    state, _, machine = _settled("strong")
    before = state.rejection.numpy()
    after, info = NEAR.step(*machine.cast(np.float32), state, (3, 4))
    expected = 0.9 * before + 0.1 * (1 - info.acceptance.numpy())
    np.testing.assert_allclose(after.rejection, expected, rtol=1e-5)
    np.testing.assert_allclose(NEAR.summary(after)["exchange_rate"], 1 - expected.max(), rtol=1e-5)


@functools.cache
def _history():
    """The states of every sweep from the start, of the machine of strong couplings."""
    states = [NEAR.init(3, 3, (0, 1))]
    for step in range(60):
        state, _ = NEAR.step(*MACHINES["strong"].cast(np.float32), states[-1], (4, step))
        states.append(state)
    return states


def test_replicas_change_places():
    """In a sweep even pairs exchange, then odd pairs, so a replica moves by up to two rungs."""
    history = np.stack([state.replica_at.numpy() for state in _history()])
    assert history.dtype == np.int32
    np.testing.assert_array_equal(
        np.sort(history, 1), np.broadcast_to(np.arange(5)[:, np.newaxis], history.shape)
    )
    rungs = np.argsort(history, 1)
    moves = np.abs(np.diff(rungs, axis=0))
    assert set(np.unique(moves)) == {0, 1, 2}
    # From rung 0, 1, ...: even pairs are (0, 1) and (2, 3), odd ones (1, 2) and (3, 4).
    reachable = [{0, 1, 2}, {0, 1, 2}, {1, 2, 3, 4}, {1, 2, 3, 4}, {3, 4}]
    for rung, there in enumerate(reachable):
        assert set(np.unique(rungs[1:][rungs[:-1] == rung])) == there
    # Every replica visits every rung.
    assert all(len(np.unique(rungs[:, replica, 0])) == RUNGS for replica in range(RUNGS))


def test_round_trips_are_those_of_the_recorded_places():
    """A round trip is an arrival at the coldest rung after a visit to the hottest."""
    history = _history()
    chains = 300
    for chain in range(chains):
        trips, hot = 0, [False] * RUNGS
        for state_number in range(1, len(history)):
            at = _places()[state_number][:, chain]
            hot[at[0]] = True
            if hot[at[-1]]:
                trips += 1
                hot[at[-1]] = False
        assert trips == history[-1].round_trips.numpy()[chain]
        np.testing.assert_array_equal(hot, history[-1].was_hot.numpy()[:, chain])
    assert history[-1].round_trips.numpy()[:chains].max() > 3
    np.testing.assert_allclose(
        NEAR.summary(history[-1])["round_trips"], history[-1].round_trips.numpy().mean(), rtol=1e-5
    )


@functools.cache
def _places():
    return [state.replica_at.numpy() for state in _history()]


def test_states_by_rung_are_those_of_the_replicas():
    for state in (_history()[0], _history()[1], _history()[-1]):
        left, right = (_by_rung(each, state.replica_at) for each in (state.replica_left, state.replica_right))
        np.testing.assert_array_equal(state.ladder_left, left)
        np.testing.assert_array_equal(state.left, left[-1])
        np.testing.assert_array_equal(state.right, right[-1])
        np.testing.assert_allclose(state.log_weights, np.full(NUM_CHAINS, -np.log(NUM_CHAINS)), rtol=1e-6)


@pytest.mark.parametrize("name", ["strong"])
def test_energies_are_those_of_the_coldest(name):
    state, info, machine = _settled(name)
    expected = reference.energy(machine, np.concatenate([state.left, state.right], 1))
    np.testing.assert_allclose(info.energy, expected, rtol=1e-5, atol=1e-5)


# --------------------------------------------------------------------------- ladders


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_equal_rejection_ladder(dtype):
    def found(ladder, rejection):
        result = equal_rejection_ladder(tf.constant(ladder, dtype), tf.constant(rejection, dtype))
        assert result.dtype == dtype
        return result.numpy()

    tolerance = {"rtol": 1e-5, "atol": 1e-6}
    # A constant density of rejections gives equal steps.
    uneven = np.array([0, 0.1, 0.15, 0.7, 1.0])
    np.testing.assert_allclose(found(uneven, 0.4 * np.diff(uneven)), np.linspace(0, 1, 5), **tolerance)
    # By hand: half of 0.8 is reached within the first step, at five sixths of it.
    np.testing.assert_allclose(found([0, 0.3, 1], [0.6, 0.4]), [0, 0.25, 1], **tolerance)
    # A density of t (barrier t^2 / 2) gives square roots, up to the error of interpolation.
    fine = np.linspace(0, 1, 2001)
    roots = np.sqrt(fine)
    np.testing.assert_allclose(found(roots, 2 * np.diff(roots**2)), roots, atol=1e-4)
    moved = found(fine, 4000 * np.diff(fine**2))
    np.testing.assert_allclose(moved, np.sqrt(fine), atol=1e-3)
    # Pairs that never reject keep a positive length, so the ladder stays increasing.
    for rejection in ([0, 0, 0, 0], [0, 0.5, 0, 0], [1, 0, 0, 1]):
        there = found(np.linspace(0, 1, 5), rejection)
        assert np.all(np.diff(there) > 0)
        np.testing.assert_allclose(there[[0, -1]], [0, 1], atol=1e-6)


def test_equal_rejection_ladder_of_more_rungs():
    uneven = np.array([0, 0.1, 0.15, 0.7, 1.0])
    found = equal_rejection_ladder(tf.constant(uneven), tf.constant(0.4 * np.diff(uneven)), 11)
    np.testing.assert_allclose(found, np.linspace(0, 1, 11), rtol=1e-6)


@pytest.mark.parametrize(("num_chains", "uses"), [(25, 1), (50, 2)])
def test_merged_ladders_hold_the_replicas_of_the_same_temperatures(num_chains, uses):
    """The 50 ladders of 4 rungs become 25 of 8, or 50 of 8 that use each replica twice."""
    state = SMALL.init(60, 60, (0, 1))
    state, _ = SMALL.step(np.zeros(60), np.zeros(60), np.zeros((60, 60)), state, (0, 2))
    merged = merge_ladders(state, 2, num_chains)
    assert merged.replica_left.shape == merged.replica_right.shape == (8, num_chains, 60)
    for new, old in ((merged.ladder_left, state.ladder_left), (merged.ladder_right, state.ladder_right)):
        for rung in range(4):
            rows = sorted(map(tuple, np.concatenate(new[2 * rung : 2 * rung + 2])))
            assert rows == sorted(list(map(tuple, old[rung].numpy())) * uses)
    ladder = merged.inverse_temperatures.numpy()
    assert (ladder[0], ladder[-1], len(ladder)) == (0, 1, 8)
    assert np.all(np.diff(ladder) > 0)
    # They go on.
    sampler = ParallelTempering(num_chains, num_sweeps=2, num_temperatures=8)
    moved, _ = sampler.step(np.zeros(60), np.zeros(60), np.zeros((60, 60)), merged, (0, 3))
    assert moved.replica_at.shape == (8, num_chains)


@pytest.mark.parametrize("name", ["strong", "two modes"])
def test_ladders_move_to_equal_rates(name):
    sampler = ParallelTempering(NUM_CHAINS, num_sweeps=1, num_temperatures=RUNGS)
    state, _, machine = _settled(name)
    for step in range(100):
        state, _ = sampler.step(*machine.cast(np.float32), state, (5, step))
    ladder = state.inverse_temperatures.numpy()
    assert ladder[0] == 0
    assert ladder[-1] == 1
    assert np.all(np.diff(ladder) > 0)
    assert np.ptp(_acceptances(machine, np.linspace(0, 1, RUNGS))[0]) > 0.1
    assert np.ptp(_acceptances(machine, ladder.astype(np.float64))[0]) < 0.02
    # The distribution is right there too.
    state, _ = FAR.step(*machine.cast(np.float32), state, (5, 1000))
    np.testing.assert_array_equal(state.inverse_temperatures, ladder)
    assert min(_p_values(state, machine)) > 1e-4


def test_a_step_goes_part_of_the_way():
    machine = MACHINES["strong"].cast(np.float32)
    moving, kept = SMALL, ParallelTempering(50, 2, 4, adapt=False)
    state = moving.init(3, 3, (0, 1))
    after, _ = moving.step(*machine, state, (0, 2))
    still, _ = kept.step(*machine, state, (0, 2))
    np.testing.assert_array_equal(still.inverse_temperatures, state.inverse_temperatures)
    np.testing.assert_array_equal(still.rejection, after.rejection)
    np.testing.assert_array_equal(still.left, after.left)
    goal = equal_rejection_ladder(state.inverse_temperatures, after.rejection)
    expected = 0.8 * state.inverse_temperatures + 0.2 * goal
    np.testing.assert_allclose(after.inverse_temperatures, expected, rtol=1e-5)
    assert np.any(np.abs(expected - state.inverse_temperatures) > 1e-3)


# --------------------------------------------------------------------------- the interface of a sampler


def test_first_replicas_are_fair_bits_on_an_even_ladder():
    state = NEAR.init(4, 2, (0, 1), tf.float64)
    assert state.replica_left.shape == (RUNGS, NUM_CHAINS, 4)
    assert state.replica_right.shape == (RUNGS, NUM_CHAINS, 2)
    numbers = reference.state_numbers(np.concatenate([state.replica_left, state.replica_right], -1))
    assert reference.chi_square_p_value(numbers, np.ones(2**6)) > 1e-4
    np.testing.assert_allclose(state.inverse_temperatures, np.linspace(0, 1, RUNGS), rtol=1e-12)
    assert state.left.dtype == state.inverse_temperatures.dtype == tf.float64
    assert not np.any(state.round_trips)
    assert not np.any(state.was_hot)


def _equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_steps_are_pure_and_seeds_matter():
    state = SMALL.init(3, 3, (0, 1))
    copies = [np.array(each) for each in state]
    machine = MACHINES["mild"].cast(np.float32)
    one, info = SMALL.step(*machine, state, (5, 6))
    again, same_info = SMALL.step(*machine, state, tf.constant([5, 6]))
    assert _equal(one, again)
    assert _equal(info, same_info)
    assert _equal(state, copies)
    assert [each.shape for each in one] == [each.shape for each in state]
    assert [each.dtype for each in one] == [each.dtype for each in state]
    other, _ = SMALL.step(*machine, state, (5, 7))
    for name in ("replica_left", "replica_right", "replica_at", "rejection"):
        assert np.any(getattr(one, name) != getattr(other, name))
    assert np.any(state.replica_left != SMALL.init(3, 3, (0, 2)).replica_left)


def test_steps_work_inside_compiled_functions():
    state = SMALL.init(3, 3, (0, 1))
    machine = [tf.constant(each) for each in MACHINES["mild"].cast(np.float32)]
    expected, _ = SMALL.step(*machine, state, (5, 6))
    step = tf.function(lambda state, seed: SMALL.step(*machine, state, seed)[0], jit_compile=True)
    found = step(state, tf.constant([5, 6]))
    np.testing.assert_array_equal(found.replica_left, expected.replica_left)
    np.testing.assert_array_equal(found.replica_at, expected.replica_at)
    np.testing.assert_allclose(found.inverse_temperatures, expected.inverse_temperatures, rtol=1e-5)


def test_temperature_divides_the_parameters():
    state = SMALL.init(3, 3, (0, 1))
    machine = MACHINES["strong"]
    hot, _ = SMALL.step(*machine.cast(np.float32), state, (5, 6), temperature=2.0)
    halved, _ = SMALL.step(*reference.tempered(machine, 0.5).cast(np.float32), state, (5, 6))
    assert _equal(hot, halved)


def test_no_gradient_flows():
    parameters = [tf.constant(each, tf.float32) for each in MACHINES["mild"]]
    state = SMALL.init(3, 3, (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        moved, _ = SMALL.step(*parameters, state, (0, 0))
        total = tf.reduce_sum(moved.left) + tf.reduce_sum(moved.right)
    assert tape.gradient(total, parameters) == [None] * 3


def test_two_rungs_are_the_fewest(monkeypatch):
    program = parallel_tempering._exchange_sweeps.python_function
    monkeypatch.setattr(parallel_tempering, "_exchange_sweeps", program)
    sampler = ParallelTempering(num_chains=200, num_sweeps=5, num_temperatures=2)
    state, info = sampler.step(*MACHINES["mild"].cast(np.float32), sampler.init(3, 3, (0, 1)), (1, 1))
    assert info.acceptance.shape == (1,)
    np.testing.assert_array_equal(state.inverse_temperatures, [0, 1])
    assert state.round_trips.numpy().max() > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_chains", 0), ("num_sweeps", 0), ("num_temperatures", 1), ("num_temperatures", 2.5)],
)
def test_bad_numbers_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        ParallelTempering(**{name: value})


def test_wrong_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match="right_bias"):
        SMALL.step(np.zeros(3), np.zeros(4), np.zeros((3, 3)), SMALL.init(3, 3, (0, 1)), (0, 0))


def test_a_known_log_z_changes_nothing():
    machine = MACHINES["mild"].cast(np.float32)
    state = SMALL.init(3, 3, (0, 1))
    assert SMALL.with_log_partition(*machine, state, tf.constant(1.0)) is state

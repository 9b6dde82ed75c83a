"""Tests of the block Gibbs kernel: it leaves the joint distribution invariant, and converges to it."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import rbm
from dvae_tf.graphs import gibbs
from support import reference

NUM_CHAINS = 60_000
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture
def fresh_kernel(monkeypatch):
    """Compiles the kernel anew within the test, so that it uses patched parts."""
    kernel = tf.function(gibbs._run_sweeps.python_function, jit_compile=True)
    monkeypatch.setattr(gibbs, "_run_sweeps", kernel)


def _p_value_after(machine, dtype, num_sweeps=1, seed=(1, 2)):
    """p-value of the joint distribution after sweeps from exact draws."""
    start = reference.exact_draws(machine, NUM_CHAINS, seed=9)[:, : machine.num_left]
    parameters = rbm.as_rbm(*machine.cast(dtype))
    left, right = rbm.block_gibbs(parameters, tf.constant(start, dtype), num_sweeps, seed)
    assert left.dtype == right.dtype == dtype
    numbers = reference.state_numbers(np.concatenate([left, right], 1))
    return reference.chi_square_p_value(numbers, np.exp(reference.joint_log_probs(machine)[0]))


@each_dtype
@pytest.mark.parametrize("num_sweeps", [1, 3])
def test_sweeps_leave_the_joint_law_invariant(dtype, num_sweeps):
    machine = reference.random_machine(4, 4, seed=10)
    assert _p_value_after(machine, dtype, num_sweeps) > 1e-4


def test_sweeps_leave_machines_of_several_sizes_invariant():
    for size in ((2, 5), (5, 2), (1, 1), (3, 3)):
        assert _p_value_after(reference.random_machine(*size, seed=11), np.float32) > 1e-4


def _flipped(fields, bias):
    return -fields


def _biasless(fields, bias):
    return fields - bias


def _doubled(fields, bias):
    return 2.0 * fields


LEFT, RIGHT = 1, 0


@pytest.mark.parametrize(
    ("side", "wrong"), [(LEFT, _flipped), (LEFT, _biasless), (LEFT, _doubled), (RIGHT, _biasless)]
)
@pytest.mark.usefixtures("fresh_kernel")
def test_the_check_catches_a_wrong_conditional(monkeypatch, side, wrong):
    original = rbm.RBM.fields

    def fields(machine, number, states):
        found = original(machine, number, states)
        return wrong(found, machine.biases[number]) if number == side else found

    monkeypatch.setattr(rbm.RBM, "fields", fields)
    assert _p_value_after(reference.random_machine(4, 4, seed=10), np.float32) < 1e-6


@pytest.mark.usefixtures("fresh_kernel")
def test_the_check_catches_one_uniform_for_both_sides(monkeypatch):
    def same(shape, seed, dtype):
        uniform = tf.random.stateless_uniform(shape, seed, dtype=dtype)
        return uniform, uniform

    monkeypatch.setattr(gibbs, "uniform_pair", same)
    assert _p_value_after(reference.random_machine(4, 4, seed=10), np.float32) < 1e-6


@each_dtype
def test_chains_reach_the_law_from_anywhere(dtype):
    machine = reference.random_machine(4, 3, seed=12, stddev=0.7)
    start = tf.zeros([20_000, 4], dtype)
    left, right = rbm.block_gibbs(rbm.as_rbm(*machine.cast(dtype)), start, 30, (5, 6))
    numbers = reference.state_numbers(np.concatenate([left, right], 1))
    probs = np.exp(reference.joint_log_probs(machine)[0])
    assert reference.chi_square_p_value(numbers, probs) > 1e-4


def test_chains_are_independent_of_each_other():
    machine = reference.random_machine(3, 3, seed=13)
    left, right = rbm.block_gibbs(rbm.as_rbm(*machine.cast(np.float32)), tf.zeros([20_000, 3]), 5, (5, 6))
    left = left.numpy() - left.numpy().mean(0)
    correlation = (left[1:] * left[:-1]).mean(0) / left.var(0)
    assert np.abs(correlation).max() * np.sqrt(20_000) < 4.5


def test_sweeps_are_pure():
    machine = rbm.as_rbm(*reference.random_machine(3, 4, seed=14).cast(np.float32))
    start = tf.constant(np.random.default_rng(0).integers(0, 2, (50, 3)), tf.float32)
    before = start.numpy().copy()
    one, again = (rbm.block_gibbs(machine, start, 4, (7, 8)) for _ in range(2))
    np.testing.assert_array_equal(start, before)
    for side, repeated in zip(one, again, strict=True):
        np.testing.assert_array_equal(side, repeated)
    other = rbm.block_gibbs(machine, start, 4, (7, 9))
    assert np.any(one[0] != other[0])
    assert np.any(one[1] != other[1])


def test_number_of_sweeps_does_not_trace_again():
    machine = rbm.as_rbm(*reference.random_machine(3, 4, seed=14).cast(np.float32))
    start = tf.zeros([50, 3])
    rbm.block_gibbs(machine, start, 1, (0, 0))
    before = gibbs._run_sweeps.experimental_get_tracing_count()
    for num_sweeps in (2, 3, tf.constant(4)):
        rbm.block_gibbs(machine, start, num_sweeps, (1, num_sweeps))
    assert gibbs._run_sweeps.experimental_get_tracing_count() == before


def test_no_gradient_flows():
    parameters = [tf.constant(each, tf.float32) for each in reference.random_machine(2, 2, seed=0)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        left, right = rbm.block_gibbs(rbm.as_rbm(*parameters), tf.zeros([5, 2]), 1, (0, 0))
        total = tf.reduce_sum(left) + tf.reduce_sum(right)
    assert tape.gradient(total, parameters) == [None] * 3


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_uniform_states_are_fair_bits(dtype):
    left, right = rbm.uniform_states(30_000, 3, 2, (1, 1), dtype)
    assert left.shape == (30_000, 3)
    assert right.shape == (30_000, 2)
    assert left.dtype == right.dtype == dtype
    numbers = reference.state_numbers(np.concatenate([left, right], 1))
    assert reference.chi_square_p_value(numbers, np.ones(32)) > 1e-4


@pytest.mark.parametrize("clamped", [False, True])
def test_the_number_of_chains_stays_known_after_it_was_unknown_once(clamped):
    """A trace for any number of chains must not lose a static number of chains."""
    machine = rbm.as_rbm(np.zeros(3, np.float32), np.zeros(2, np.float32), np.zeros((3, 2), np.float32))

    def step(states):
        if clamped:
            return rbm.clamped_gibbs(machine, states, tf.ones_like(states) > 0, 1, (0, 1))
        return rbm.block_gibbs(machine, states, 1, (0, 1))

    width = 5 if clamped else 3
    free = tf.function(step).get_concrete_function(tf.TensorSpec([None, width]))
    assert [side.shape.as_list() for side in free.structured_outputs] == [[None, 3], [None, 2]]
    known = tf.function(step).get_concrete_function(tf.TensorSpec([4, width]))
    assert [side.shape.as_list() for side in known.structured_outputs] == [[4, 3], [4, 2]]


def test_counts_may_be_integers_of_numpy():
    parameters = rbm.as_rbm(*reference.random_machine(3, 4, seed=3).cast(np.float32))
    left, _ = rbm.uniform_states(np.int64(5), np.int32(3), np.array(4), (0, 1))
    np.testing.assert_array_equal(left, rbm.uniform_states(5, 3, 4, (0, 1))[0])
    for found, expected in zip(
        rbm.block_gibbs(parameters, left, np.int64(2), (0, 2)),
        rbm.block_gibbs(parameters, left, 2, (0, 2)),
        strict=True,
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"^num_sweeps: expected an integer of at least 1, got 2\.0"):
        rbm.block_gibbs(parameters, left, 2.0, (0, 2))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16], ids=lambda dtype: dtype.name)
def test_states_in_half_precision_are_refused(dtype):
    with pytest.raises(ValueError, match=f"^dtype: expected float32 or float64, got {dtype.name}$"):
        rbm.uniform_states(5, 3, 4, (0, 1), dtype)


def test_vectorized_maps_draw_the_same():
    """A map takes the operations out of the XLA program; the machine is too large to enumerate."""
    parameters = rbm.as_rbm(*reference.random_machine(21, 22, seed=3, stddev=0.3).cast(np.float32))
    left, _ = rbm.uniform_states(3, 21, 22, (0, 1))
    seeds = tf.constant([[1, 2], [3, 4]])
    found = tf.vectorized_map(lambda seed: rbm.block_gibbs(parameters, left, 2, seed), seeds, warn=False)
    for side, states in enumerate(found):
        for one, seed in zip(states, seeds, strict=True):
            np.testing.assert_array_equal(one, rbm.block_gibbs(parameters, left, 2, seed)[side])

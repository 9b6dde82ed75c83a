"""Tests of persistent Gibbs chains: the interface of a sampler, and the distribution they reach."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.samplers import ParallelTempering, PersistentGibbs, PopulationAnnealing
from support import reference


def _machine(dtype=np.float32):
    return reference.random_machine(4, 3, seed=20, stddev=0.8).cast(dtype)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_shapes_and_dtypes(dtype):
    sampler = PersistentGibbs(num_chains=7, num_sweeps=2)
    state = sampler.init(4, 3, (0, 1), dtype)
    for _ in range(2):
        assert state.left.shape == (7, 4)
        assert state.right.shape == (7, 3)
        assert state.left.dtype == state.right.dtype == dtype
        assert set(np.unique(state.left)) | set(np.unique(state.right)) <= {0.0, 1.0}
        before = type(state)
        state, info = sampler.step(*_machine(dtype.as_numpy_dtype), state, (0, 2))
        assert type(state) is before
    assert info.energy.shape == (7,)
    expected = reference.energy(_machine(np.float64), np.concatenate([*state], 1))
    np.testing.assert_allclose(info.energy, expected, rtol=1e-5, atol=1e-5)


def test_first_chains_are_fair_bits():
    state = PersistentGibbs(num_chains=20_000).init(4, 3, (0, 1))
    numbers = reference.state_numbers(np.concatenate([*state], 1))
    assert reference.chi_square_p_value(numbers, np.ones(2**7)) > 1e-4


def test_steps_are_pure():
    sampler = PersistentGibbs(num_chains=50, num_sweeps=3)
    state = sampler.init(4, 3, (0, 1))
    np.testing.assert_array_equal(state.left, sampler.init(4, 3, (0, 1)).left)
    copies = [side.numpy().copy() for side in state]
    one, one_info = sampler.step(*_machine(), state, (5, 6))
    again, again_info = sampler.step(*_machine(), state, (5, 6))
    for side, copy in zip(state, copies, strict=True):
        np.testing.assert_array_equal(side, copy)
    for side, repeated in zip(one, again, strict=True):
        np.testing.assert_array_equal(side, repeated)
    np.testing.assert_array_equal(one_info.energy, again_info.energy)


def test_seeds_matter():
    sampler = PersistentGibbs(num_chains=50, num_sweeps=3)
    state = sampler.init(4, 3, (0, 1))
    assert np.any(state.left != sampler.init(4, 3, (0, 2)).left)
    one, _ = sampler.step(*_machine(), state, (5, 6))
    other, _ = sampler.step(*_machine(), state, (5, 7))
    assert np.any(one.left != other.left)
    assert np.any(one.right != other.right)


def test_parameters_matter():
    sampler = PersistentGibbs(num_chains=200, num_sweeps=1)
    state = sampler.init(4, 3, (0, 1))
    for bias in (-50.0, 50.0):
        moved, _ = sampler.step(
            np.full(4, bias, np.float32),
            np.full(3, bias, np.float32),
            np.zeros((4, 3), np.float32),
            state,
            (0, 0),
        )
        for side in moved:
            np.testing.assert_array_equal(side, np.full(side.shape, float(bias > 0)))


def test_long_chains_reach_the_moments():
    machine = _machine()
    sampler = PersistentGibbs(num_chains=10_000, num_sweeps=10)
    state = sampler.init(4, 3, (0, 1))
    for step in range(4):
        state, _ = sampler.step(*machine, state, (step, 9))
    expected = reference.moments(_machine(np.float64))
    left, right = (side.numpy() for side in state)
    products = left[:, :, np.newaxis] * right[:, np.newaxis]
    for values, moment in zip((left, right, products), expected, strict=True):
        assert np.abs(reference.z_scores(values, moment)).max() < 4
    numbers = reference.state_numbers(np.concatenate([left, right], 1))
    probs = np.exp(reference.joint_log_probs(_machine(np.float64))[0])
    assert reference.chi_square_p_value(numbers, probs) > 1e-4


def test_chains_persist():
    """Strong couplings mix slowly: after a step the chains still depend on their start."""
    ones = np.ones(3, np.float32)
    machine = (-15 * ones, -15 * ones, 10 * np.ones((3, 3), np.float32))
    sampler = PersistentGibbs(num_chains=4, num_sweeps=5)
    state = sampler.init(3, 3, (0, 0))
    state = state._replace(left=tf.constant([[0.0] * 3, [0.0] * 3, [1.0] * 3, [1.0] * 3]))
    moved, _ = sampler.step(*machine, state, (1, 1))
    np.testing.assert_array_equal(moved.left, state.left)
    np.testing.assert_array_equal(moved.right, state.left)


def test_no_gradient_flows():
    parameters = [tf.constant(each) for each in _machine()]
    sampler = PersistentGibbs(num_chains=5, num_sweeps=1)
    state = sampler.init(4, 3, (0, 1))
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        state, _ = sampler.step(*parameters, state, (0, 0))
        total = tf.reduce_sum(state.left) + tf.reduce_sum(state.right)
    assert tape.gradient(total, parameters) == [None] * 3


def test_works_inside_compiled_functions():
    sampler = PersistentGibbs(num_chains=20, num_sweeps=3)
    state = sampler.init(4, 3, (0, 1))
    machine = [tf.constant(each) for each in _machine()]
    expected, _ = sampler.step(*machine, state, tf.constant([3, 4]))
    for jit_compile in (False, True):
        step = tf.function(lambda state, seed: sampler.step(*machine, state, seed), jit_compile=jit_compile)
        found, _ = step(state, tf.constant([3, 4]))
        np.testing.assert_array_equal(found.left, expected.left)
        np.testing.assert_array_equal(found.right, expected.right)


@pytest.mark.parametrize("name", ["num_chains", "num_sweeps"])
@pytest.mark.parametrize("value", [0, -1])
def test_bad_numbers_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        PersistentGibbs(**{name: value})


def test_wrong_shapes_are_refused_by_name():
    sampler = PersistentGibbs(num_chains=2, num_sweeps=1)
    state = sampler.init(4, 3, (0, 1))
    with pytest.raises(ValueError, match="right_bias"):
        sampler.step(np.zeros(4), np.zeros(4), np.zeros((4, 3)), state, (0, 0))


def test_a_sampler_is_frozen_and_comparable():
    sampler = PersistentGibbs(num_chains=12, num_sweeps=34)
    assert sampler == PersistentGibbs(12, 34)
    assert sampler != PersistentGibbs(12, 35)
    with pytest.raises(AttributeError):
        sampler.num_chains = 3


SAMPLERS = {
    PersistentGibbs: ("num_chains", "num_sweeps"),
    ParallelTempering: ("num_chains", "num_sweeps", "num_temperatures"),
    PopulationAnnealing: ("num_chains", "num_sweeps"),
}


@pytest.mark.parametrize("kind", SAMPLERS, ids=lambda kind: kind.__name__)
def test_settings_may_be_integers_of_numpy(kind):
    """They become integers of Python, which compare, hash and serialize."""
    for name in SAMPLERS[kind]:
        for value in (np.int64(10), np.uint8(10), np.array(10)):
            sampler = kind(**{name: value})
            assert sampler == kind(**{name: 10})
            assert hash(sampler) == hash(kind(**{name: 10}))
            assert type(getattr(sampler, name)) is int
        for value in (True, 10.0, np.float32(10), "10", None, 0, np.int64(0)):
            with pytest.raises(ValueError, match=f"^{name}: expected an integer of at least"):
                kind(**{name: value})


def test_threshold_may_be_a_number_of_numpy():
    sampler = PopulationAnnealing(threshold=np.float32(0.25))
    assert sampler == PopulationAnnealing(threshold=0.25)
    for value in (np.float32(1.5), "0.5", True, np.nan):
        with pytest.raises(ValueError, match="^threshold: expected a"):
            PopulationAnnealing(threshold=value)

"""Tests of sampling with some units given, against the enumerated conditional distribution."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.samplers import sample_clamped
from support import reference

NUM_CHAINS = 20_000
MACHINE = reference.random_machine(3, 3, seed=100)
LEFT = np.arange(6) < 3
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def _p_value(z, values, given, machine=MACHINE):
    """p-value of the free units of states [C, D], all with the same given values [D]."""
    states = reference.binary_states(6)
    probs = np.exp(reference.joint_log_probs(machine)[0]).ravel()
    probs = np.where((states[:, given] == values[given]).all(1), probs, 0)
    return reference.chi_square_p_value(reference.state_numbers(z), probs)


def _draws(values, given, num_sweeps, seed=(0, 1), dtype=np.float32, machine=MACHINE, **kwargs):
    """Draws [C, D] from given values [D] or [C, D]; the free units start at random."""
    start = np.random.default_rng(0).integers(0, 2, (NUM_CHAINS, 6))
    z = np.where(given, values, start).astype(dtype)
    found = sample_clamped(*machine.cast(dtype), z, given, num_sweeps, seed, **kwargs)
    assert found.dtype == dtype
    assert found.shape == z.shape
    found = found.numpy()
    assert set(np.unique(found)) <= {0.0, 1.0}
    np.testing.assert_array_equal(found[np.broadcast_to(given, z.shape)], z[np.broadcast_to(given, z.shape)])
    return found


@each_dtype
@pytest.mark.parametrize("given", [LEFT, ~LEFT], ids=["left", "right"])
def test_one_sweep_is_exact_with_one_side_given(given, dtype):
    for number in (0, 21, 42, 63):
        values = reference.binary_states(6)[number]
        assert _p_value(_draws(values, given, 1, (1, number), dtype), values, given) > 1e-4


def test_one_sweep_is_not_enough_otherwise():
    given = np.arange(6) == 0
    values = np.ones(6)
    assert _p_value(_draws(values, given, 1), values, given) < 1e-6


@pytest.mark.parametrize(
    "units", [[0], [5], [0, 4], [1, 2, 3], [0, 1, 2, 3, 5], []], ids=lambda units: f"given {units}"
)
def test_any_units_may_be_given(units):
    given = np.isin(np.arange(6), units)
    values = np.array([1, 0, 1, 1, 0, 1.0])
    for number in range(2):
        values = values if number == 0 else 1 - values
        assert _p_value(_draws(values, given, 30, (2, number)), values, given) > 1e-4


@each_dtype
def test_every_chain_may_have_its_own(dtype):
    rng = np.random.default_rng(1)
    masks = np.array([[1, 0, 0, 0, 1, 0], [0, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]], bool)
    kinds = rng.integers(0, 4, NUM_CHAINS)
    values = rng.integers(0, 2, (4, 6)).astype(np.float64)
    found = _draws(values[kinds], masks[kinds], 30, (3, 0), dtype)
    for kind in range(4):
        assert _p_value(found[kinds == kind], values[kind], masks[kind]) > 1e-4


def test_all_units_may_be_given():
    values = np.random.default_rng(2).integers(0, 2, (NUM_CHAINS, 6))
    np.testing.assert_array_equal(_draws(values, np.ones(6, bool), 3), values)


def test_temperature():
    values = np.ones(6)
    hot = _draws(values, LEFT, 1, temperature=2.0)
    assert _p_value(hot, values, LEFT, reference.tempered(MACHINE, 0.5)) > 1e-4
    assert _p_value(hot, values, LEFT) < 1e-6


def test_seeds():
    values = np.ones(6)
    one, again = (_draws(values, LEFT, 2, (5, 6)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != _draws(values, LEFT, 2, (5, 7)))


def test_no_gradient_flows():
    parameters = [tf.constant(each, tf.float32) for each in MACHINE]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(sample_clamped(*parameters, tf.zeros([5, 6]), LEFT, 1))
    assert tape.gradient(total, parameters) == [None] * 3


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"z": np.zeros((4, 5))}, "z"),
        ({"z": np.zeros(6)}, "z"),
        ({"given": np.ones(5, bool)}, "given"),
        ({"given": np.ones((3, 6), bool)}, "given"),
        ({"given": True}, "given"),
        ({"num_sweeps": 0}, "num_sweeps"),
        ({"seed": (1, 2, 3)}, "seed"),
        ({"temperature": 0.0}, "temperature"),
        ({"left_bias": np.zeros(4)}, "left_bias"),
    ],
)
def test_bad_arguments_are_refused_by_name(kwargs, name):
    arguments = MACHINE._asdict() | {"z": np.zeros((4, 6)), "given": LEFT, "num_sweeps": 1}
    with pytest.raises(ValueError, match=f"^{name}: "):
        sample_clamped(**(arguments | kwargs))

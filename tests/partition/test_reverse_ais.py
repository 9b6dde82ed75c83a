"""Tests of reverse annealed importance sampling: log Z from above, from exact draws."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import partition, rbm
from support import reference
from support.nests import tensors

# One shape for most tests, which then share a compiled program: the number of temperatures is dynamic.
NUM_CHAINS = 500


def _machine(seed=30, size=(5, 4), stddev=1.2):
    return reference.random_machine(*size, seed=seed, stddev=stddev)


def _draws(machine, seed, num_samples=NUM_CHAINS, temperature=1.0):
    machine = rbm.as_rbm(*machine, temperature)
    return rbm.exact.sample(machine, num_samples, tf.constant([9, seed]))[0]


def _random_bits(seed, num_samples=NUM_CHAINS):
    return np.random.default_rng(seed).integers(0, 2, (num_samples, 5))


def _reverse(machine, left=None, dtype=np.float32, **kwargs):
    kwargs = {"num_temperatures": 100, "seed": (0, 1)} | kwargs
    left = _draws(machine, 0) if left is None else left
    return partition.reverse_annealed_importance_sampling(*machine.cast(dtype), left, **kwargs)


def _base(machine, kind):
    return reference.means_by_left(machine) if kind == "fitted" else None


def _log_base(probs, num_units):
    """log Z_0 of a product distribution with the given means."""
    probs = np.full(num_units, 0.5) if probs is None else np.clip(probs, 0.01, 0.99)
    return -np.log1p(-probs).sum()


def _score(found, machine):
    """How many standard errors the estimate is from log Z."""
    error = float(found.log_partition) - reference.log_partition_by_left(machine)
    return error / float(found.standard_error)


# --------------------------------------------------------------------------- the value


@pytest.mark.parametrize("base", ["uniform", "fitted"])
@pytest.mark.parametrize(
    ("size", "dtype"),
    [((5, 4), np.float32), ((5, 4), np.float64), ((2, 7), np.float32), ((12, 12), np.float32)],
    ids=["5+4", "5+4-float64", "2+7", "12+12"],
)
def test_log_partition_within_its_standard_error(size, dtype, base):
    machine = _machine(size=size, stddev=1.2 if sum(size) < 20 else 0.7)
    probs = _base(machine, base)
    for seed in range(3):
        found = _reverse(machine, _draws(machine, seed), dtype, seed=(1, seed), base_probs=probs)
        assert found.converged
        assert abs(_score(found, machine)) < 4


def test_the_check_catches_states_that_are_no_draws():
    """From fair bits the estimate is meaningless."""
    machine = _machine(stddev=1.5)
    for seed in range(3):
        settings = {"num_temperatures": 10, "seed": (4, seed)}
        assert abs(_score(_reverse(machine, _draws(machine, seed), **settings), machine)) < 4
        assert abs(_score(_reverse(machine, _random_bits(seed, 4_000), **settings), machine)) > 4


@pytest.mark.parametrize("num_temperatures", [1, 3])
@pytest.mark.parametrize("base", ["uniform", "fitted"])
def test_weights_are_unbiased_with_few_temperatures(num_temperatures, base):
    """E[w] = Z_0 / Z whatever the number of temperatures."""
    machine = _machine(stddev=0.8)
    probs = _base(machine, base)
    found = _reverse(
        machine,
        _draws(machine, num_temperatures, 20_000),
        np.float64,
        num_temperatures=num_temperatures,
        base_probs=probs,
    )
    log_base = _log_base(probs, 9)
    weights = np.exp(found.details.log_weights.numpy())
    ratio = np.exp(log_base - reference.log_partition(machine))
    assert abs(reference.z_scores(weights, ratio)) < 4
    np.testing.assert_allclose(found.log_partition, log_base - np.log(weights.mean()), rtol=1e-9)


def test_bounds_from_both_sides():
    """Runs of 5 chains and 2 temperatures: forward below log Z on average, reverse above it."""
    machine = _machine(stddev=0.8)
    expected = reference.log_partition(machine)
    settings = {"num_temperatures": 2, "seed": (6, 1)}
    reverse = _reverse(machine, _draws(machine, 6, 20_000), np.float64, **settings)
    forward = partition.annealed_importance_sampling(*machine, num_chains=20_000, **settings)
    for found, sign in ((forward, 1), (reverse, -1)):
        runs = found.details.log_weights.numpy().reshape(-1, 5)
        estimates = _log_base(None, 9) + sign * (special.logsumexp(runs, 1) - np.log(5))
        assert sign * reference.z_scores(estimates, expected) < -10


def test_final_states_are_draws_of_the_base_once_weighted():
    machine = _machine(stddev=0.8)
    probs = np.linspace(0.2, 0.8, 9)
    found = _reverse(machine, _draws(machine, 7, 20_000), np.float64, num_temperatures=3, base_probs=probs)
    weights = special.softmax(found.details.log_weights.numpy())
    for values, mean in ((found.details.left, probs[:5]), (found.details.right, probs[5:])):
        difference = weights @ (values.numpy() - mean)
        error = np.sqrt(weights**2 @ (values.numpy() - mean) ** 2)
        assert np.abs(difference / error).max() < 4


def test_temperature():
    machine = _machine(stddev=1.5)
    expected = reference.log_partition(reference.tempered(machine, 1 / 1.6))
    found = _reverse(machine, _draws(machine, 3, temperature=1.6), temperature=1.6)
    assert abs(float(found.log_partition) - expected) < 4 * float(found.standard_error)
    assert abs(_score(found, machine)) > 100


# --------------------------------------------------------------------------- errors and verdict


def test_standard_error_is_that_of_the_delta_method():
    found = _reverse(_machine(), dtype=np.float64, num_temperatures=20)
    weights = np.exp(found.details.log_weights.numpy())
    expected = weights.std() / weights.mean() / np.sqrt(NUM_CHAINS)
    # 200 bootstrap replicates have a relative error of 1 / sqrt(400) = 5 %.
    np.testing.assert_allclose(found.standard_error, expected, rtol=0.25)
    ess = weights.sum() ** 2 / (weights**2).sum()
    np.testing.assert_allclose(found.effective_sample_size, ess, rtol=1e-9)


def test_states_of_chains_are_resampled_by_chain():
    """Chains that stand still have as many independent states as there are chains."""
    # The right side follows the left, and a single step weighs it.
    machine = reference.Machine(np.full(5, -3.0), np.full(4, -4.0), 8.0 * np.eye(5, 4))
    settings = {"dtype": np.float64, "num_temperatures": 1}
    once = _draws(machine, 3, 100)
    still = _reverse(machine, np.stack([once] * 5), **settings)
    apart = _reverse(machine, np.concatenate([once] * 5), **settings)
    # The order of the states is the same, and so are all random numbers.
    np.testing.assert_array_equal(still.details.log_weights, apart.details.log_weights)
    assert still.log_partition == apart.log_partition
    weights = np.exp(still.details.log_weights.numpy())
    means = weights.reshape(5, 100).mean(0)
    np.testing.assert_allclose(still.standard_error, means.std() / weights.mean() / 10, rtol=0.25)
    assert still.standard_error > 1.3 * apart.standard_error


def test_one_state_of_each_chain_is_as_without_chains():
    machine = _machine()
    left = _draws(machine, 4)
    one, other = _reverse(machine, left), _reverse(machine, left[tf.newaxis])
    assert (one.log_partition, one.standard_error) == (other.log_partition, other.standard_error)


def test_weights_that_are_worth_little_do_not_converge():
    machine = _machine(seed=31, size=(12, 12), stddev=3.0)
    found = _reverse(machine, num_temperatures=1)
    assert found.effective_sample_size < 0.1 * NUM_CHAINS
    assert not found.converged


# --------------------------------------------------------------------------- the interface


def test_shapes_and_dtypes():
    for dtype in (np.float32, np.float64):
        found = _reverse(_machine(), dtype=dtype)
        assert found.log_partition.shape == found.standard_error.shape == ()
        assert found.details.log_weights.shape == (NUM_CHAINS,)
        assert found.details.left.shape == (NUM_CHAINS, 5)
        assert found.details.right.shape == (NUM_CHAINS, 4)
        assert {each.dtype for each in tensors(found)} == {tf.as_dtype(dtype), tf.bool}


def test_arrays_tensors_and_integers_give_the_same():
    machine = reference.Machine(np.arange(-2, 3), np.arange(4), np.eye(5, 4, dtype=np.int64))
    left = _random_bits(0)
    expected = _reverse(machine, left.astype(np.float32))
    other = reference.Machine(*(tf.constant(each) for each in machine))
    as_integers = partition.reverse_annealed_importance_sampling(*machine, left, 100, (0, 1))
    as_tensors = partition.reverse_annealed_importance_sampling(*other, tf.constant(left == 1), 100, [0, 1])
    as_lists = partition.reverse_annealed_importance_sampling(
        *(each.tolist() for each in machine), left.tolist(), 100, tf.constant([0, 1])
    )
    for found in (as_integers, as_tensors, as_lists):
        assert found.log_partition.dtype == tf.float32
        np.testing.assert_array_equal(found.details.log_weights, expected.details.log_weights)


def test_seeds():
    machine = _machine()
    one, again, other = (_reverse(machine, seed=seed) for seed in ((5, 6), (5, 6), (5, 7)))
    for field, repeated in zip(tensors(one), tensors(again), strict=True):
        np.testing.assert_array_equal(field, repeated)
    assert one.log_partition != other.log_partition


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"num_temperatures": 0}, "num_temperatures"),
        ({"base_probs": np.full(8, 0.5)}, "base_probs"),
        ({"seed": (1, 2, 3)}, "seed"),
        ({"temperature": 0.0}, "temperature"),
        ({"left": np.zeros((1, 5))}, "left"),
        ({"left": np.zeros((7, 4))}, "left"),
        ({"left": np.zeros(5)}, "left"),
        ({"left": np.zeros((0, 5))}, "left"),
        ({"left": np.zeros((3, 1, 5))}, "left"),
        ({"left": np.zeros((0, 7, 5))}, "left"),
        ({"left": np.zeros((3, 7, 4))}, "left"),
        ({"left": np.zeros((2, 3, 7, 5))}, "left"),
    ],
)
def test_bad_arguments_are_refused_by_name(kwargs, name):
    with pytest.raises(ValueError, match=f"^{name}: "):
        _reverse(_machine(), **kwargs)


def test_wrong_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match="^right_bias: "):
        partition.reverse_annealed_importance_sampling(
            np.zeros(2), np.zeros(2), np.zeros((2, 3)), np.zeros((2, 2))
        )

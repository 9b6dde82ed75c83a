"""Tests of log Z from both sides, and of its verdict."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import models, partition, rbm
from dvae_tf.partition.estimate import _between
from support import reference
from support.nests import tensors

pytestmark = pytest.mark.slow

# Every annealed machine has 17 + 17 units, so each direction compiles once: large enough not to be
# enumerated by default, small enough that it can be.
_SIZE = (17, 17)
_NUM_CHAINS = 1000


def _machine(seed=50, size=_SIZE, stddev=0.4):
    return reference.random_machine(*size, seed=seed, stddev=stddev)


def _draws(machine, seed=1, num_samples=_NUM_CHAINS):
    machine = rbm.as_rbm(*machine.cast(np.float32))
    return rbm.exact.sample(machine, num_samples, tf.constant([9, seed]))[0].numpy()


def _estimate(machine, dtype=np.float32, **kwargs):
    return partition.estimate(*machine.cast(dtype), **{"num_temperatures": 200, "seed": (0, 1)} | kwargs)


def _error(found, expected):
    return float(found.log_partition) - expected


# --------------------------------------------------------------------------- enumeration


@pytest.mark.parametrize("size", [(5, 3), (3, 20), (20, 3), (16, 16)])
def test_small_machines_are_enumerated(size):
    machine = _machine(size=size)
    expected = reference.log_partition_by_left(machine if size[0] < 20 else _transposed(machine))
    found = _estimate(machine, np.float64)
    for value in (found.log_partition, found.lower, found.upper):
        np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert found.standard_error == found.gap == 0
    assert found.effective_sample_size is None
    assert found.converged
    assert (found.method, found.details) == ("exact", None)


def _transposed(machine):
    return reference.Machine(machine.right_bias, machine.left_bias, machine.weights.T)


def test_the_oracle_of_larger_machines():
    machine = _machine(size=(4, 6))
    expected = reference.log_partition(machine)
    np.testing.assert_allclose(reference.log_partition_by_left(machine), expected, rtol=1e-12)
    means = np.concatenate([*reference.moments(machine)[:2]])
    np.testing.assert_allclose(reference.means_by_left(machine), means, rtol=1e-10)


# --------------------------------------------------------------------------- from both sides


@pytest.fixture(scope="module", params=[0.4, 0.8], ids=["weak", "stronger"])
def easy(request):
    """A machine, log Z, and the estimate with its own draws."""
    machine = _machine(stddev=request.param)
    return machine, reference.log_partition_by_left(machine), _estimate(machine)


def test_easy_machines_converge_to_the_right_value(easy):
    _, expected, found = easy
    assert found.converged
    assert abs(_error(found, expected)) < 4 * float(found.standard_error)
    assert found.standard_error < 0.05
    assert found.lower <= expected <= found.upper


def test_what_an_estimate_consists_of(easy):
    machine, expected, found = easy
    np.testing.assert_allclose(
        found.lower, found.details.forward.log_partition - 2 * found.details.forward.standard_error
    )
    np.testing.assert_allclose(
        found.upper, found.details.reverse.log_partition + 2 * found.details.reverse.standard_error
    )
    gap = found.details.reverse.log_partition - found.details.forward.log_partition
    np.testing.assert_allclose(found.gap, gap, atol=1e-5)
    sides = (found.details.forward, found.details.reverse)
    assert found.effective_sample_size == min(side.effective_sample_size for side in sides)
    for side in sides:
        assert side.details.log_weights.shape == (_NUM_CHAINS,)
        assert abs(_error(side, expected)) < 4 * float(side.standard_error)
        # Combined they are more precise.
        assert found.standard_error < side.standard_error
    tempering = found.details.tempering
    assert tempering.converged
    assert abs(_error(tempering, expected)) < 4 * float(tempering.standard_error)


def test_given_draws_leave_tempering_out(easy):
    machine, expected, _ = easy
    found = _estimate(machine, left=_draws(machine))
    assert found.details.tempering is None
    assert found.converged
    assert abs(_error(found, expected)) < 4 * float(found.standard_error)
    assert found.lower <= expected <= found.upper


def test_hopeless_effort_does_not_converge(easy):
    """Two temperatures from fair bits, which are far from this machine."""
    machine, _, _ = easy
    strong = reference.Machine(*(3 * each for each in machine))
    assert not _estimate(strong, num_temperatures=2, left=_draws(strong)).converged


# --------------------------------------------------------------------------- two modes


@pytest.fixture(scope="module")
def planted():
    """Two modes of probabilities 0.79 and 0.21, 21 nats deep; log Z, and exact draws from each."""
    machine, pattern = reference.planted_machine(*_SIZE, coupling=0.15, field=0.02, seed=1)
    left = _draws(machine, num_samples=10 * _NUM_CHAINS)
    agreement = (left == pattern[:17]).sum(1)
    modes = left[agreement > 8], left[agreement <= 8]
    # Between the modes there is almost no probability.
    assert np.isin(agreement, (8, 9)).mean() < 1e-4
    assert 0.7 < len(modes[0]) / len(left) < 0.85
    return machine, reference.log_partition_by_left(machine), modes


@pytest.mark.parametrize("mode", [0, 1], ids=["major", "minor"])
@pytest.mark.parametrize("num_temperatures", [20, 200, 1000])
def test_draws_from_one_mode_do_not_converge(planted, mode, num_temperatures):
    """For any number of temperatures: forward chains start from fair bits and find both modes."""
    machine, expected, modes = planted
    left = modes[mode][:_NUM_CHAINS]
    found = _estimate(machine, num_temperatures=num_temperatures, left=left)
    assert not found.converged
    if num_temperatures > 20:
        # The reverse estimate is wrong by more than its errors, the forward one is not.
        assert abs(_error(found.details.reverse, expected)) > 4 * float(found.details.reverse.standard_error)
        assert abs(_error(found.details.forward, expected)) < 4 * float(found.details.forward.standard_error)


def test_draws_from_both_modes_converge(planted):
    machine, expected, _ = planted
    found = _estimate(machine, left=_draws(machine))
    assert found.converged
    assert abs(_error(found, expected)) < 4 * float(found.standard_error)
    assert found.lower <= expected <= found.upper


def test_its_own_draws_find_both_modes(planted):
    """The draws are right, so the interval contains log Z; a positive verdict must be right."""
    machine, expected, _ = planted
    for seed in range(3):
        found = _estimate(machine, seed=(2, seed))
        assert found.details.tempering.converged
        for side in (found.details.tempering, found.details.reverse):
            assert abs(_error(side, expected)) < 4 * float(side.standard_error)
        assert found.lower <= expected <= found.upper
        assert not found.converged or abs(_error(found, expected)) < 4 * float(found.standard_error)


def test_hopeless_effort_with_its_own_draws_does_not_converge(planted):
    assert not _estimate(planted[0], num_temperatures=2).converged


def test_modes_that_only_one_side_has_found_do_not_converge(planted):
    """A base fitted to one mode leads all forward chains into that mode."""
    machine, expected, modes = planted
    base = np.clip(modes[0].mean(0), 0.01, 0.99)
    path = {"num_temperatures": 200, "base_probs": np.concatenate([base, np.full(17, 0.5)])}
    forward = partition.annealed_importance_sampling(*machine.cast(np.float32), seed=(3, 1), **path)
    # The weights look good, but log Z is that of one mode.
    assert forward.converged
    assert _error(forward, expected) < -0.15
    reverse = partition.reverse_annealed_importance_sampling(
        *machine.cast(np.float32), _draws(machine), seed=(3, 2), **path
    )
    between = _between(partition.BothSides(forward, reverse, None), _NUM_CHAINS)
    assert not between.converged


# --------------------------------------------------------------------------- a trained machine

_TRAINED = pathlib.Path("results/binarized_mnist/2-layer-nonlin/dvaes_power-k1-100000-seed0")


@pytest.fixture(scope="module")
def trained():
    """A machine of 200 + 200 units, too large to enumerate, and its estimate."""
    folder = pathlib.Path(__file__).parents[2] / _TRAINED
    if not folder.is_dir():
        pytest.skip(f"{_TRAINED} is not there")
    machine = models.load(folder).prior.rbm
    assert (machine.num_left, machine.num_right) == (200, 200)
    return machine, partition.estimate(*machine, num_temperatures=3000, seed=(4, 1))


def _agree(one, other):
    error = np.hypot(one.standard_error, other.standard_error)
    return abs(one.log_partition - other.log_partition) < 4 * error


def _sides_meet(found):
    return abs(found.gap) < 0.1 and found.details.forward.converged and found.details.reverse.converged


def test_both_sides_of_a_trained_machine_meet(trained):
    _, found = trained
    assert _sides_meet(found)
    assert found.standard_error < 0.03
    assert _agree(found, found.details.tempering)


def test_a_trained_machine_converges(trained):
    assert trained[1].converged


def test_a_trained_machine_converges_from_draws_of_other_ladders(trained):
    machine, own = trained
    tempering = partition.bridge_sampling(*machine, num_samples=100, seed=(4, 2))
    assert tempering.converged
    left = tf.reshape(tempering.details.left[-10:], [-1, 200])
    found = partition.estimate(*machine, num_temperatures=3000, seed=(4, 3), left=left)
    assert found.converged
    assert _sides_meet(found)
    assert _agree(found, tempering)
    assert _agree(found, own)


# --------------------------------------------------------------------------- the interface


@pytest.mark.parametrize("temperature", [0.7, 1.6])
def test_temperature(temperature):
    machine = _machine(size=(4, 5), stddev=1.0)
    expected = reference.log_partition(reference.tempered(machine, 1 / temperature))
    found = partition.exact(*machine, temperature=temperature)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    found = _estimate(machine, np.float64, temperature=temperature)
    np.testing.assert_allclose(found.log_partition, expected, rtol=1e-12)
    machine = _machine()
    cooler = reference.tempered(machine, 1 / temperature)
    expected = reference.log_partition_by_left(cooler)
    found = _estimate(machine, left=_draws(cooler), temperature=temperature)
    assert found.converged
    forward = partition.annealed_importance_sampling(
        *machine.cast(np.float32), 200, _NUM_CHAINS, temperature=temperature
    )
    for side in (found, forward):
        assert abs(_error(side, expected)) < 4 * float(side.standard_error)


def test_arrays_tensors_and_integers_give_the_same():
    machine = reference.Machine(np.arange(-8, 9), np.ones(17, np.int64), np.eye(17, dtype=np.int64))
    left = np.random.default_rng(1).integers(0, 2, (_NUM_CHAINS, 17))
    expected = _estimate(machine, left=left.astype(np.float32)).log_partition
    tensors = [tf.constant(each) for each in machine]
    lists = [each.tolist() for each in machine]
    for same in (machine, tensors, lists):
        for states in (left, tf.constant(left == 1)):
            found = partition.estimate(*same, 200, seed=tf.constant([0, 1]), left=states)
            assert found.log_partition.dtype == tf.float32
            assert found.log_partition == expected
    small = reference.Machine(np.arange(3), np.arange(2), np.ones((3, 2), np.int64))
    expected = reference.log_partition(small)
    for same in (small, [tf.constant(each) for each in small], [each.tolist() for each in small]):
        np.testing.assert_allclose(partition.exact(*same), expected, rtol=1e-6)
        np.testing.assert_allclose(partition.estimate(*same).log_partition, expected, rtol=1e-6)


def test_float64():
    machine = _machine(size=(4, 3))
    left = _draws(machine, num_samples=50)
    found = _estimate(machine, np.float64, num_chains=50, left=left, max_exact_units=1)
    assert {each.dtype for each in tensors(found)} == {tf.float64, tf.bool}
    expected = reference.log_partition(machine)
    assert found.converged
    assert abs(_error(found, expected)) < 4 * float(found.standard_error)


def test_seeds():
    machine = _machine()
    settings = {"left": _draws(machine), "num_temperatures": 10}
    one, again, other = (_estimate(machine, seed=seed, **settings) for seed in ((5, 6), (5, 6), (5, 7)))
    assert one.log_partition == again.log_partition != other.log_partition
    # The two directions share no random numbers.
    correlation = np.corrcoef(
        one.details.forward.details.log_weights, one.details.reverse.details.log_weights
    )[0, 1]
    assert abs(correlation) * np.sqrt(_NUM_CHAINS) < 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_temperatures", 0),
        ("num_chains", 1),
        ("left", np.zeros((1, 17))),
        ("left", np.zeros((5, 16))),
        ("left", np.zeros((5, 1, 17))),
        ("left", np.zeros((0, 5, 17))),
        ("seed", (1, 2, 3)),
        ("temperature", -1.0),
    ],
)
def test_bad_arguments_are_refused_by_name(name, value):
    machine = _machine()
    with pytest.raises(ValueError, match=f"^{name}: "):
        _estimate(machine, **{"left": _draws(machine)} | {name: value})


def test_wrong_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match="^right_bias: "):
        partition.estimate(np.zeros(2), np.zeros(2), np.zeros((2, 3)))

"""Tests of Bennett's ratio, and of bridge sampling along the ladder of parallel tempering."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, special

from dvae_tf import partition
from dvae_tf.partition import bridge
from support import reference
from support.nests import tensors

# --------------------------------------------------------------------------- Bennett's ratio


def _solved(forward, reverse, with_numbers=True):
    """Bennett's equation by another solver; without M unless `with_numbers`."""
    offset = np.log(len(forward) / len(reverse)) if with_numbers else 0.0

    def excess(r):
        return special.expit(forward - r - offset).sum() - special.expit(reverse + r + offset).sum()

    return optimize.brentq(excess, -200, 200, xtol=1e-13)


# exp(-(x - m)^2 / (2 s^2)) has Z = s sqrt(2 pi): the ratio of two is that of their widths.
_MEAN, _WIDTH = 1.0, 1.7
_LOG_RATIO = np.log(_WIDTH)


def _gaussian_weights(num_forward, num_reverse, num_runs, seed):
    """Log weights [n_F, runs] and [n_R, runs] between N(0, 1) and N(m, s^2)."""
    rng = np.random.default_rng(seed)

    def log_weight(x):
        return x**2 / 2 - (x - _MEAN) ** 2 / (2 * _WIDTH**2)

    from_a = rng.normal(0, 1, (num_forward, num_runs))
    from_b = rng.normal(_MEAN, _WIDTH, (num_reverse, num_runs))
    return log_weight(from_a), -log_weight(from_b)


def _gaussian_scores(bennett, num_forward=400, num_reverse=80, num_runs=600):
    """(r - its value) / its standard error, of independent runs."""
    found = bennett(*_gaussian_weights(num_forward, num_reverse, num_runs, seed=3))
    return (np.asarray(found.log_ratio) - _LOG_RATIO) / np.sqrt(found.variance)


def _is_right(scores):
    """No score is far from 0, and their mean is close to 0 within 4 errors and a bias of 1 / n."""
    return abs(scores.mean()) < 4 / np.sqrt(len(scores)) + 0.1 and np.abs(scores).max() < 6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("num_forward", "num_reverse"), [(40, 40), (70, 9), (3, 50)])
def test_bennett_solves_its_equation(num_forward, num_reverse, dtype):
    rng = np.random.default_rng(1)
    # Columns with little and with much overlap, and with ratios far from 0.
    shift = np.array([-30.0, -1.0, 0.0, 2.0, 80.0])
    spread = np.array([8.0, 0.1, 1.0, 3.0, 1.0])
    forward = (shift + spread * rng.normal(size=(num_forward, 5))).astype(dtype)
    reverse = (-shift + spread * rng.normal(size=(num_reverse, 5))).astype(dtype)
    found = partition.bennett(tf.constant(forward), tf.constant(reverse))
    assert found.log_ratio.shape == found.variance.shape == (5,)
    assert found.log_ratio.dtype == found.variance.dtype == tf.as_dtype(dtype)
    columns = zip(forward.astype(np.float64).T, reverse.astype(np.float64).T, strict=True)
    expected = [_solved(*weights) for weights in columns]
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(found.log_ratio, expected, rtol=tolerance, atol=tolerance)
    single = partition.bennett(tf.constant(forward[:, 3]), tf.constant(reverse[:, 3]))
    assert single.log_ratio.shape == ()
    np.testing.assert_allclose(single.log_ratio, expected[3], rtol=tolerance)


@pytest.mark.parametrize(("num_forward", "num_reverse"), [(400, 400), (400, 80), (80, 400)])
def test_bennett_between_gaussians(num_forward, num_reverse):
    """The value, and the variance over independent runs."""
    scores = _gaussian_scores(partition.bennett, num_forward, num_reverse)
    assert _is_right(scores)
    # The variance of 600 runs has an error of 6 %.
    assert 0.75 < scores.var() < 1.25


def test_the_check_catches_a_wrong_sign_and_a_lost_number(monkeypatch):
    assert _is_right(_gaussian_scores(partition.bennett))
    assert not _is_right(_gaussian_scores(lambda f, r: partition.bennett(-f, -r)))
    assert not _is_right(_gaussian_scores(lambda f, r: partition.bennett(r, f)))
    weights = _gaussian_weights(400, 80, 1, seed=3)
    monkeypatch.setattr(tf.math, "log", tf.zeros_like)
    without = partition.bennett(*weights).log_ratio
    np.testing.assert_allclose(without, _solved(*weights, with_numbers=False), atol=1e-8)
    assert not _is_right(_gaussian_scores(partition.bennett))


def test_bennett_with_weights_that_all_agree():
    """r = w_F = -w_R, with variance 0."""
    found = partition.bennett(tf.fill([5], 3.0), tf.fill([8], -3.0))
    np.testing.assert_allclose(found.log_ratio, 3.0, rtol=1e-6)
    np.testing.assert_allclose(found.variance, 0.0, atol=1e-6)


def test_bennett_is_antisymmetric():
    forward, reverse = _gaussian_weights(30, 50, 4, seed=5)
    one, other = partition.bennett(forward, reverse), partition.bennett(reverse, forward)
    np.testing.assert_allclose(one.log_ratio, -other.log_ratio, atol=1e-10)
    np.testing.assert_allclose(one.variance, other.variance, rtol=1e-8)


# --------------------------------------------------------------------------- along a ladder

_LADDERS, _SAMPLES = 12, 60
_SETTINGS = {"num_temperatures": 5, "num_sweeps": 2, "num_burn_in": 20}
_SETTINGS |= {"num_chains": _LADDERS, "num_samples": _SAMPLES}


def _machine(seed=30, size=(5, 4), stddev=1.0):
    return reference.random_machine(*size, seed=seed, stddev=stddev)


def _bridge(machine, dtype=np.float32, **kwargs):
    return partition.bridge_sampling(*machine.cast(dtype), **_SETTINGS | {"seed": (0, 1)} | kwargs)


def _score(found, machine):
    error = float(found.log_partition) - reference.log_partition_by_left(machine)
    return error / float(found.standard_error)


@pytest.mark.parametrize(
    ("size", "stddev", "dtype"),
    [((5, 4), 1.0, np.float32), ((5, 4), 1.0, np.float64), ((12, 12), 0.5, np.float32)],
    ids=["5+4", "5+4-float64", "12+12"],
)
def test_log_partition_within_its_standard_error(size, stddev, dtype):
    for seed in range(4):
        machine = _machine(seed, size, stddev)
        assert abs(_score(_bridge(machine, dtype, seed=(1, seed)), machine)) < 4


def test_the_check_catches_a_wrong_sign(monkeypatch):
    """Also in the caller of Bennett's ratio; untraced, so that the wrong one runs."""
    machine = _machine(1)
    assert abs(_score(_bridge(machine, seed=(1, 1)), machine)) < 4
    original = partition.bennett
    monkeypatch.setattr(bridge, "bennett", lambda f, r: original(-f, -r))
    monkeypatch.setattr(bridge, "_along_ladder", bridge._along_ladder.python_function)
    assert abs(_score(_bridge(machine, seed=(1, 1)), machine)) > 4


def test_temperature():
    machine = _machine(stddev=1.5)
    cooler = reference.tempered(machine, 1 / 1.6)
    found = _bridge(machine, temperature=1.6)
    assert abs(_score(found, cooler)) < 4
    assert abs(_score(found, machine)) > 4


def test_what_a_converged_ladder_shows():
    machine = _machine()
    found = _bridge(machine, num_burn_in=50)
    assert found.converged
    ladder = found.details.inverse_temperatures.numpy()
    assert (ladder[0], ladder[-1]) == (0, 1)
    assert np.all(np.diff(ladder) > 0)
    # The ladder has adapted to equal rates.
    rates = found.details.exchange_rate.numpy()
    assert rates.shape == (4,)
    assert np.ptp(rates) < 0.1
    assert rates.min() > 0.5
    assert found.details.round_trips > _LADDERS
    assert found.details.left.shape == (_SAMPLES, _LADDERS, 5)
    expected = _LADDERS * _SAMPLES / found.details.autocorrelation_time.numpy()
    np.testing.assert_allclose(found.effective_sample_size, expected, rtol=1e-6)
    # Ladders are independent.
    means = found.details.left.numpy().mean(0)
    scores = reference.z_scores(means, reference.moments(machine).left)
    assert np.abs(scores).max() < 4


def test_a_ladder_that_does_not_exchange_has_not_converged():
    machine, _ = reference.planted_machine(12, 12, coupling=2.0, field=0.1, seed=1)
    found = _bridge(machine, exchange_rate=0)
    assert found.details.exchange_rate.numpy().min() < 0.1
    assert not found.converged


def test_a_ladder_without_round_trips_has_not_converged(monkeypatch):
    """Whatever R-hat is, which two samples do not determine."""
    monkeypatch.setattr(bridge, "_MAX_R_HAT", np.inf)
    found = _bridge(_machine(0, (12, 12), 2.0), num_samples=2)
    assert found.details.exchange_rate.numpy().min() > 0.1
    assert found.details.round_trips < _LADDERS
    assert not found.converged


def test_ladders_that_disagree_have_not_converged(monkeypatch):
    machine = _machine()
    found = _bridge(machine)
    assert found.converged
    monkeypatch.setattr(bridge, "_MAX_R_HAT", found.details.r_hat.numpy() - 1e-6)
    assert not _bridge(machine).converged


# --------------------------------------------------------------------------- the interface


def test_dtypes():
    for dtype in (np.float32, np.float64):
        found = _bridge(_machine(), dtype)
        assert {each.dtype for each in tensors(found)} == {tf.as_dtype(dtype), tf.bool, tf.int32}


def test_arrays_tensors_and_integers_give_the_same():
    machine = reference.Machine(np.arange(-2, 3), np.arange(4), np.eye(5, 4, dtype=np.int64))
    expected = _bridge(machine)
    tensors = reference.Machine(*(tf.constant(each) for each in machine))
    for same in (machine, tensors, [each.tolist() for each in machine]):
        found = partition.bridge_sampling(*same, **_SETTINGS, seed=[0, 1])
        assert found.log_partition.dtype == tf.float32
        assert found.log_partition == expected.log_partition


def test_seeds():
    one, again, other = (_bridge(_machine(), seed=seed) for seed in ((5, 6), (5, 6), (5, 7)))
    for field, repeated in zip(tensors(one), tensors(again), strict=True):
        np.testing.assert_array_equal(field, repeated)
    assert one.log_partition != other.log_partition


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_temperatures", 1),
        ("num_chains", 1),
        ("num_samples", 1),
        ("num_sweeps", 0),
        ("num_burn_in", -1),
        ("seed", (1, 2, 3)),
        ("temperature", -1.0),
    ],
)
def test_bad_arguments_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: "):
        _bridge(_machine(), **{name: value})


def test_wrong_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match="^left_bias: "):
        partition.bridge_sampling(np.zeros(3), np.zeros(3), np.zeros((2, 3)))

"""Tests of Bennett's ratio, and of bridge sampling along the ladder of parallel tempering."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize, special

from dvae_tf import partition, samplers
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
    return _gaussian_scores_of(bennett(*_gaussian_weights(num_forward, num_reverse, num_runs, seed=3)))


def _gaussian_scores_of(found):
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


def test_bennett_with_successive_draws_of_chains():
    """Ten draws of each of 80 chains, with correlation 1/2: the variance counts chains, not draws."""
    rng = np.random.default_rng(4)
    forward, _ = _gaussian_weights(400, 1, 600, seed=6)
    common, own = rng.normal(size=(1, 80, 600)), rng.normal(size=(10, 80, 600))
    x = (_MEAN + _WIDTH * (common + own) / np.sqrt(2)).reshape(800, 600)
    reverse = (x - _MEAN) ** 2 / (2 * _WIDTH**2) - x**2 / 2

    def scores(*num_chains):
        return _gaussian_scores_of(partition.bennett(forward, reverse, *num_chains))

    assert _is_right(scores(80))
    assert 0.75 < scores(80).var() < 1.25
    assert scores().var() > 1.5
    each = partition.bennett(forward, reverse, 800)
    np.testing.assert_allclose(each.variance, partition.bennett(forward, reverse).variance, rtol=1e-12)


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
_RATE = "exchange rate of neighboring rungs: expected at least 0.1, got "
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
    assert found.reasons[0].startswith(_RATE)


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


# --------------------------------------------------------------------------- ladders that adapt


def _independent_units(num_units=150):
    """A machine without couplings, whose energy varies too much for few rungs, and its log Z."""
    biases = np.random.default_rng(0).normal(0, 3, (2, num_units)).astype(np.float32)
    machine = reference.Machine(*biases, np.zeros((num_units, num_units)))
    return machine, np.logaddexp(0, biases.astype(np.float64)).sum()


@pytest.mark.slow
def test_rungs_are_added_until_neighbors_exchange_as_often_as_asked():
    machine, expected = _independent_units()
    few = _bridge(machine, num_temperatures=3, exchange_rate=0)
    assert len(few.details.inverse_temperatures) == 3
    assert not few.converged
    assert any(reason.startswith(_RATE) for reason in few.reasons)
    enough = _bridge(machine, num_temperatures=3, exchange_rate=0.25, num_sweeps=5)
    ladder = enough.details.inverse_temperatures.numpy()
    assert len(ladder) in (12, 24)
    assert (ladder[0], ladder[-1]) == (0, 1)
    assert np.all(np.diff(ladder) > 0)
    assert enough.details.exchange_rate.numpy().min() > 0.2
    assert enough.converged, enough.reasons
    assert enough.reasons == []
    assert abs(float(enough.log_partition) - expected) < 4 * float(enough.standard_error)


@pytest.mark.parametrize(
    ("rejection", "exchange_rate", "max_rungs", "factor"),
    [
        # A total rejection of 17.1 needs 22.4 rungs, one of 18.81 needs 95.05.
        (0.9, 0.2, 160, 2),
        (0.99, 0.8, 160, 8),
        (0.99, 0.8, 159, 4),
        (0.99, 0.8, 79, 2),
        (0.99, 0.8, 39, 1),
        (0.99, 0.8, 2, 1),
    ],
)
def test_the_number_of_rungs(rejection, exchange_rate, max_rungs, factor):
    """Divided among M - 1 pairs, a total rejection r gives a rate of 1 - r / (M - 1)."""
    state = samplers.ParallelTempering(num_chains=2, num_sweeps=1, num_temperatures=20).init(2, 2, 0)
    state = state._replace(rejection=tf.fill([19], rejection))
    assert bridge._more_rungs(state, exchange_rate, max_rungs) == factor


def _planted(num_units, coupling, field):
    """Two modes, and log Z as a sum over the numbers of units that agree with the pattern."""
    machine, pattern = reference.planted_machine(num_units, num_units, coupling, field, seed=1)
    agreeing = np.arange(num_units + 1)
    log_count = -np.log(num_units + 1) - special.betaln(agreeing + 1, num_units - agreeing + 1)
    excess = 2 * agreeing - num_units
    log_weights = coupling * np.outer(excess, excess) + field * (excess[:, np.newaxis] + excess)
    # Spins and bits differ by a constant; the energy of bits that are all 0 is 0.
    zeros = 1 - 2 * pattern
    left, right = (side.sum() for side in np.split(zeros, 2))
    constant = coupling * left * right + field * (left + right)
    log_z = special.logsumexp(log_count[:, np.newaxis] + log_count + log_weights) - constant
    return machine, pattern[:num_units], log_z


def test_log_z_of_planted_modes_by_another_sum():
    machine, _, expected = _planted(6, 0.3, 0.1)
    np.testing.assert_allclose(reference.log_partition(machine), expected, rtol=1e-6)


@pytest.mark.slow
def test_rungs_are_added_for_two_deep_modes():
    """Both are 500 nats deep, so that all visits to the other one lead through t = 0."""
    machine, pattern, expected = _planted(100, 0.1, 0.002)
    options = {"num_sweeps": 5, "num_burn_in": 50, "num_samples": 150, "num_chains": 30}
    few = _bridge(machine, exchange_rate=0, **options)
    assert not few.converged
    assert few.reasons[0].startswith(_RATE)
    found = _bridge(machine, **options)
    assert len(found.details.inverse_temperatures) > 5
    assert found.details.exchange_rate.numpy().min() > 0.15
    assert abs(float(found.log_partition) - expected) < 4 * float(found.standard_error)
    in_first_mode = (found.details.left.numpy() == pattern).mean(-1) > 0.5
    assert abs(in_first_mode.mean() - special.expit(4 * 0.002 * 100)) < 0.1


@pytest.mark.slow
def test_fifteen_rungs_are_too_few_for_two_deep_modes_of_a_large_machine():
    machine, pattern, expected = _planted(600, 0.014, 0.0003)
    options = {"num_temperatures": 15, "num_chains": 40, "num_sweeps": 10, "num_burn_in": 60}
    few = _bridge(machine, exchange_rate=0, num_samples=10, **options)
    assert few.reasons[0].startswith(_RATE)
    found = _bridge(machine, num_samples=60, **options)
    assert len(found.details.inverse_temperatures) == 30
    assert found.details.exchange_rate.numpy().min() > 0.2
    assert abs(float(found.log_partition) - expected) < 4 * float(found.standard_error)
    in_first_mode = (found.details.left.numpy() == pattern).mean(-1) > 0.5
    assert abs(in_first_mode.mean() - special.expit(4 * 0.0003 * 600)) < 0.2


def test_blocked_ladders_start_from_the_means_of_the_machine(monkeypatch):
    """Every ladder counts as blocked here; log Z is right from there, too."""
    monkeypatch.setattr(bridge, "_MIN_TRIPS_OF_BURN_IN", np.inf)
    machine = _machine(7, (12, 12), 1.0)
    found = _bridge(machine, exchange_rate=0.99, max_rungs=5, num_samples=200)
    probs = found.details.base_probs.numpy()
    means = np.clip(reference.means_by_left(machine), 0.01, 0.99)
    assert np.abs(probs - means).mean() < 0.15
    assert np.abs(probs - 0.5).mean() > 0.2
    assert abs(_score(found, machine)) < 4
    unblocked = _bridge(machine, num_samples=200)
    np.testing.assert_array_equal(unblocked.details.base_probs, 0.5)


def test_progress_changes_no_number(capsys):
    silent = _bridge(_machine())
    assert capsys.readouterr().out == ""
    shown = _bridge(_machine(), verbose=True)
    assert capsys.readouterr().out.splitlines() == [
        "parallel tempering, 5 rungs, burn-in: 20 steps in 0 s",
        f"parallel tempering, 5 rungs, samples: {_SAMPLES} steps in 0 s",
    ]
    for one, other in zip(tensors(silent), tensors(shown), strict=True):
        np.testing.assert_array_equal(one, other)


# --------------------------------------------------------------------------- the interface


def test_integers_of_numpy():
    integers = {name: np.int64(value) for name, value in _SETTINGS.items()}
    found = _bridge(_machine(), exchange_rate=np.float32(0.2), max_rungs=np.int32(160), **integers)
    assert found.log_partition == _bridge(_machine()).log_partition


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
        ("num_burn_in", 2.5),
        ("max_rungs", 1),
        ("exchange_rate", 1.0),
        ("exchange_rate", float("nan")),
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

"""Tests of log Z by enumeration and by annealed importance sampling."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from dvae_tf import partition
from dvae_tf.partition import ais
from support import reference
from support.nests import tensors

# One shape for most tests, which then share a compiled program: the number of temperatures is dynamic.
NUM_CHAINS = 500


def _machine(seed=30, size=(5, 4), stddev=1.2):
    return reference.random_machine(*size, seed=seed, stddev=stddev)


def _estimate(machine, dtype=np.float32, **kwargs):
    kwargs = {"num_temperatures": 100, "num_chains": NUM_CHAINS, "seed": (0, 1)} | kwargs
    return partition.annealed_importance_sampling(*machine.cast(dtype), **kwargs)


def _base(machine, kind):
    return np.concatenate([*reference.moments(machine)[:2]]) if kind == "fitted" else None


def _score(machine, **kwargs):
    """How many standard errors the estimate is from log Z."""
    found = _estimate(machine, **kwargs)
    error = float(found.log_partition) - reference.log_partition(machine)
    return error / float(found.standard_error)


# --------------------------------------------------------------------------- enumeration


def test_exact():
    for size in ((5, 3), (3, 5)):
        machine = _machine(size=size)
        found = partition.exact(*machine)
        assert found.shape == ()
        np.testing.assert_allclose(found, reference.log_partition(machine), rtol=1e-12)
        found = partition.exact(*machine.cast(np.float32))
        assert found.dtype == tf.float32
        np.testing.assert_allclose(found, reference.log_partition(machine), rtol=1e-5)


def test_exact_refuses_large_machines_and_wrong_shapes():
    with pytest.raises(ValueError, match="25"):
        partition.exact(np.zeros(26), np.zeros(26), np.zeros((26, 26)))
    with pytest.raises(ValueError, match="left_bias"):
        partition.exact(np.zeros(3), np.zeros(3), np.zeros((2, 3)))


# --------------------------------------------------------------------------- annealing


@pytest.mark.parametrize("base", ["uniform", "fitted"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_partition_within_its_standard_error(base, dtype):
    machine = _machine()
    for seed in range(3):
        score = _score(machine, dtype=dtype, seed=(1, seed), base_probs=_base(machine, base))
        assert abs(score) < 4


@pytest.mark.parametrize("size", [(2, 7), (7, 2)], ids=["2+7", "7+2"])
def test_uneven_machines(size):
    machine = _machine(size=size)
    for base in ("uniform", "fitted"):
        assert abs(_score(machine, base_probs=_base(machine, base))) < 4


def test_shapes_and_dtypes():
    for dtype in (np.float32, np.float64):
        found = _estimate(_machine(), dtype=dtype)
        assert found.log_partition.shape == found.standard_error.shape == ()
        assert found.effective_sample_size.shape == ()
        assert found.details.log_weights.shape == (NUM_CHAINS,)
        assert found.details.left.shape == (NUM_CHAINS, 5)
        assert found.details.right.shape == (NUM_CHAINS, 4)
        assert found.converged.dtype == tf.bool
        assert {each.dtype for each in tensors(found)} == {tf.as_dtype(dtype), tf.bool}
        assert set(np.unique(found.details.left)) | set(np.unique(found.details.right)) == {0.0, 1.0}


@pytest.mark.parametrize("num_temperatures", [1, 3])
@pytest.mark.parametrize("base", ["uniform", "fitted"])
def test_weights_are_unbiased_with_few_temperatures(num_temperatures, base):
    """E[w] = Z / Z_0 whatever the number of temperatures; Z_0 of the base is a product."""
    machine = _machine(stddev=0.8)
    probs = _base(machine, base)
    found = _estimate(
        machine, np.float64, num_temperatures=num_temperatures, num_chains=20_000, base_probs=probs
    )
    probs = np.full(9, 0.5) if probs is None else np.clip(probs, 0.01, 0.99)
    log_base = -np.log1p(-probs).sum()
    ratio = np.exp(reference.log_partition(machine) - log_base)
    weights = np.exp(found.details.log_weights.numpy())
    assert abs(reference.z_scores(weights, ratio)) < 4
    np.testing.assert_allclose(found.log_partition, log_base + np.log(weights.mean()), rtol=1e-9)


def test_one_temperature_is_importance_sampling_from_the_base():
    """Without couplings, from a base that equals the machine, all weights are 1."""
    bias = np.linspace(-2.0, 3.0, 9)
    machine = reference.Machine(bias[:5], bias[5:], np.zeros((5, 4)))
    found = _estimate(machine, np.float64, num_temperatures=1, base_probs=special.expit(bias))
    np.testing.assert_allclose(found.details.log_weights, np.zeros(NUM_CHAINS), atol=1e-12)
    np.testing.assert_allclose(found.log_partition, np.logaddexp(0, bias).sum(), rtol=1e-12)
    np.testing.assert_allclose(found.effective_sample_size, NUM_CHAINS, rtol=1e-9)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-9)


def test_final_states_are_draws_once_weighted():
    machine = _machine()
    found = _estimate(machine, np.float64, num_temperatures=10, num_chains=20_000)
    weights = special.softmax(found.details.log_weights.numpy())
    expected = reference.moments(machine)
    for values, moment in ((found.details.left, expected.left), (found.details.right, expected.right)):
        difference = weights @ (values.numpy() - moment)
        error = np.sqrt(weights**2 @ (values.numpy() - moment) ** 2)
        assert np.abs(difference / error).max() < 4


def test_standard_error_is_honest():
    """The variance of scores over independent runs is that of a t distribution."""
    machine = _machine(stddev=1.0)
    scores = [_score(machine, num_temperatures=20, seed=(2, seed)) for seed in range(60)]
    low, high = stats.chi2(60).ppf([1e-4, 1 - 1e-4]) / 60
    assert low < np.mean(np.square(scores)) < high


def test_standard_error_is_that_of_the_delta_method():
    found = _estimate(_machine(), np.float64, num_temperatures=20)
    weights = np.exp(found.details.log_weights.numpy())
    expected = weights.std() / weights.mean() / np.sqrt(NUM_CHAINS)
    # 200 bootstrap replicates have a relative error of 1 / sqrt(400) = 5 %.
    np.testing.assert_allclose(found.standard_error, expected, rtol=0.25)


def test_effective_sample_size():
    found = _estimate(_machine(), np.float64, num_temperatures=20)
    weights = np.exp(found.details.log_weights.numpy())
    expected = weights.sum() ** 2 / (weights**2).sum()
    np.testing.assert_allclose(found.effective_sample_size, expected, rtol=1e-9)
    assert 1 < expected < NUM_CHAINS
    finer = _estimate(_machine(), np.float64, num_temperatures=400)
    assert finer.effective_sample_size > found.effective_sample_size
    assert finer.standard_error < found.standard_error


def test_a_fitted_base_has_less_variance():
    machine = reference.Machine(np.full(5, 3.0), np.full(4, -3.0), 0.1 * _machine().weights)
    uniform = _estimate(machine, num_temperatures=20)
    fitted = _estimate(machine, num_temperatures=20, base_probs=_base(machine, "fitted"))
    assert fitted.standard_error < uniform.standard_error


def test_base_probs_of_0_and_1_are_clipped():
    machine = _machine()
    for base in (np.zeros(9), np.ones(9)):
        found = _estimate(machine, num_temperatures=400, base_probs=base)
        assert np.isfinite(found.details.log_weights).all()
        error = float(found.log_partition) - reference.log_partition(machine)
        assert abs(error) < 4 * float(found.standard_error) + 0.05


def test_seeds():
    one, again = (_estimate(_machine(), seed=(5, 6)) for _ in range(2))
    for field, repeated in zip(tensors(one), tensors(again), strict=True):
        np.testing.assert_array_equal(field, repeated)
    other = _estimate(_machine(), seed=(5, 7))
    assert one.log_partition != other.log_partition
    assert np.any(one.details.left != other.details.left)


def test_chains_are_independent():
    found = _estimate(_machine(), np.float64, num_chains=20_000, num_temperatures=5)
    log_weights = found.details.log_weights.numpy()
    correlation = np.corrcoef(log_weights[1:], log_weights[:-1])[0, 1]
    assert abs(correlation) * np.sqrt(20_000) < 4


def test_temperatures_and_seeds_do_not_trace_again():
    machine = _machine()
    _estimate(machine)
    before = ais._anneal.experimental_get_tracing_count()
    for seed in range(3):
        _estimate(machine, num_temperatures=10 + seed, seed=(3, seed))
    assert ais._anneal.experimental_get_tracing_count() == before


def test_the_check_catches_the_mean_of_the_logs(monkeypatch):
    """A known defect of other implementations: the mean of log weights instead of the log of their mean."""
    machine = _machine(stddev=1.5)
    settings = [{"num_temperatures": 10, "seed": (4, seed)} for seed in range(3)]
    assert all(abs(_score(machine, **each)) < 4 for each in settings)
    monkeypatch.setattr(ais, "log_mean_exp", lambda values, axis=0: tf.reduce_mean(values, axis))
    assert all(_score(machine, **each) < -4 for each in settings)


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"num_temperatures": 0}, "num_temperatures"),
        ({"num_chains": 1}, "num_chains"),
        ({"base_probs": np.full(8, 0.5)}, "base_probs"),
        ({"seed": (1, 2, 3)}, "seed"),
    ],
)
def test_bad_arguments_are_refused_by_name(kwargs, name):
    with pytest.raises(ValueError, match=name):
        _estimate(_machine(), **kwargs)


def test_wrong_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match="right_bias"):
        partition.annealed_importance_sampling(np.zeros(2), np.zeros(2), np.zeros((2, 3)))


@pytest.mark.slow
def test_vectorized_maps_estimate_the_same():
    machine = reference.random_machine(21, 22, seed=3, stddev=0.3).cast(np.float32)
    seeds = tf.constant([[1, 2], [3, 4]])

    def estimate(seed):
        return partition.annealed_importance_sampling(*machine, 4, 5, seed).log_partition

    found = tf.vectorized_map(estimate, seeds, warn=False)
    np.testing.assert_allclose(found, [estimate(seed) for seed in seeds], rtol=1e-5)

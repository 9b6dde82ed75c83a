"""Tests of the one result of all estimators, and of the method that `estimate` chooses."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import partition, rbm, samplers
from dvae_tf.partition.estimate import _between
from support import reference

SMALL = {"num_temperatures": 5, "num_chains": 10, "seed": (0, 1)}
LARGE = (17, 18)


def _machine(size=LARGE, stddev=0.3, dtype=np.float32):
    return reference.random_machine(*size, seed=5, stddev=stddev).cast(dtype)


def _left(machine):
    return np.random.default_rng(1).integers(0, 2, (10, len(machine.left_bias)))


def test_known_values_have_no_error():
    for value, method in ((tf.constant(2.5, tf.float64), "exact"), (0.0, "normalized")):
        found = partition.LogPartition.known(value, method)
        assert found.log_partition == found.lower == found.upper == value
        assert found.standard_error == found.gap == 0
        assert found.log_partition.dtype == found.lower.dtype == tf.convert_to_tensor(value).dtype
        assert (found.effective_sample_size, found.method, found.details) == (None, method, None)
        assert found.converged
    assert not partition.LogPartition.known(float("nan")).converged


@pytest.mark.parametrize(
    ("size", "stddev", "options", "method", "details"),
    [
        ((16, 30), 0.3, {}, "exact", type(None)),
        ((30, 16), 0.3, {"both_sides": False}, "exact", type(None)),
        (LARGE, 0.0, {}, "exact", type(None)),
        (LARGE, 0.0, {"both_sides": False}, "exact", type(None)),
        (LARGE, 0.3, {"both_sides": False}, "ais", partition.AnnealedChains),
        (LARGE, 0.3, {"left": "draws"}, "two-sided", partition.BothSides),
        ((3, 4), 0.3, {"max_exact_units": 2, "both_sides": False}, "ais", partition.AnnealedChains),
        (LARGE, 0.3, {"max_exact_units": 17}, "exact", type(None)),
    ],
)
def test_estimate_chooses_the_method(size, stddev, options, method, details):
    machine = _machine(size)
    machine = machine._replace(weights=machine.weights * np.float32(stddev > 0))
    if options.get("left"):
        options = options | {"left": _left(machine)}
    found = partition.estimate(*machine, **SMALL, **options)
    assert found.method == method
    assert isinstance(found.details, details)
    if method == "exact":
        assert found.standard_error == 0
        if size[0] > size[1]:
            machine = reference.Machine(machine.right_bias, machine.left_bias, machine.weights.T)
        expected = reference.log_partition_by_left(machine)
        np.testing.assert_allclose(found.log_partition, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_couplings_log_z_is_a_sum_over_units(dtype):
    rng = np.random.default_rng(3)
    left_bias, right_bias = rng.normal(0, 3, (2, 300)).astype(dtype)
    found = partition.estimate(left_bias, right_bias, np.zeros((300, 300), dtype))
    expected = np.logaddexp(0, np.concatenate([left_bias, right_bias]).astype(np.float64)).sum()
    assert found.method == "exact"
    assert found.log_partition.dtype == dtype
    np.testing.assert_allclose(found.log_partition, expected, rtol=1e-6 if dtype == np.float32 else 1e-13)


def test_a_single_coupling_is_not_overlooked():
    machine = _machine()
    weights = np.zeros_like(machine.weights)
    weights[3, 4] = 1e-3
    assert partition.estimate(*machine._replace(weights=weights), **SMALL, both_sides=False).method == "ais"


def test_one_side_is_annealed_importance_sampling():
    machine = _machine()
    base = np.linspace(0.2, 0.8, sum(LARGE))
    found = partition.estimate(*machine, **SMALL, both_sides=False, base_probs=base)
    expected = partition.annealed_importance_sampling(*machine, **SMALL, base_probs=base)
    assert found.log_partition == expected.log_partition
    np.testing.assert_array_equal(found.details.log_weights, expected.details.log_weights)


@pytest.mark.slow
def test_every_method_says_which_it_is_and_on_which_side_it_errs():
    machine = _machine((3, 4))
    tempered = {"num_temperatures": 3, "num_chains": 4, "num_samples": 3, "num_sweeps": 1, "num_burn_in": 1}
    forward = partition.annealed_importance_sampling(*machine, **SMALL)
    reverse = partition.reverse_annealed_importance_sampling(*machine, _left(machine), 5)
    bridge = partition.bridge_sampling(*machine, **tempered)
    population = partition.population_annealing(*machine, 3, 10, 1)
    two_sided = partition.estimate(*machine, **SMALL, left=_left(machine), max_exact_units=1)
    rows = [
        (forward, "ais", True, False, partition.AnnealedChains),
        (reverse, "reverse", False, True, partition.AnnealedChains),
        (bridge, "bridge", False, False, partition.TemperedLadders),
        (population, "population", True, False, samplers.AnnealedPopulations),
        (two_sided, "two-sided", True, True, partition.BothSides),
    ]
    for found, method, has_lower, has_upper, details in rows:
        assert isinstance(found, partition.LogPartition)
        assert found.method == method
        assert isinstance(found.details, details)
        assert (found.lower is not None, found.upper is not None) == (has_lower, has_upper)
        assert (found.gap is not None) == (has_lower and has_upper)
        if has_lower and not has_upper:
            np.testing.assert_allclose(found.lower, found.log_partition - 2 * found.standard_error, rtol=1e-6)
        if has_upper and not has_lower:
            np.testing.assert_allclose(found.upper, found.log_partition + 2 * found.standard_error, rtol=1e-6)


def test_a_result_leaves_a_function():
    found = tf.function(lambda: partition.annealed_importance_sampling(*_machine((3, 4)), **SMALL))()
    assert isinstance(found, partition.LogPartition)
    assert found.log_partition.shape == ()


# --------------------------------------------------------------------------- criteria


@functools.cache
def _sides():
    """The parts of an estimate; many temperatures and draws of a mild machine, so all criteria are met."""
    machine = _machine((4, 5), 0.3)
    left = rbm.exact.sample(rbm.as_rbm(*machine), 200, tf.constant([0, 1]))[0]
    forward, fair = (partition.annealed_importance_sampling(*machine, 50, 200, seed) for seed in (1, 2))
    reverse = partition.reverse_annealed_importance_sampling(*machine, left, 50, 3)
    tempering = partition.bridge_sampling(*machine, 3, 20, 60, 2, 20, seed=(0, 4))
    return partition.BothSides(forward, reverse, tempering, fair)


def _shifted(part, log_ratio):
    return part._replace(log_partition=part.log_partition + log_ratio)


def _failing(part, number):
    """A part of which one criterion is not met."""
    criteria = list(part.criteria)
    criteria[number] = criteria[number]._replace(value=criteria[number].value * float("nan"))
    return part._replace(criteria=tuple(criteria))


@pytest.mark.parametrize(
    ("changed", "reason", "advice"),
    [
        ({}, None, None),
        (
            {"forward": lambda part: _failing(part, 0)},
            "effective sample size of the forward chains",
            "num_temp",
        ),
        (
            {"reverse": lambda part: _failing(part, 0)},
            "effective sample size of the reverse chains",
            "num_temp",
        ),
        ({"reverse": lambda part: _shifted(part, 9)}, "difference of both sides", "num_temperatures"),
        ({"tempering": lambda part: _failing(part, 0)}, "exchange rate of neighboring rungs", "max_rungs"),
        ({"tempering": lambda part: _failing(part, 1)}, "R-hat of the energy", "num_samples"),
        ({"tempering": lambda part: _failing(part, 2)}, "round trips of a ladder", "num_samples"),
        ({"tempering": lambda part: _shifted(part, 9)}, "difference to bridge sampling", "num_samples"),
        ({"fair": lambda part: _shifted(part, 9)}, "excess of annealing from fair bits", "left"),
        ({"fair": lambda part: _shifted(part, -9)}, None, None),
        ({"tempering": lambda part: None, "fair": lambda part: None}, None, None),
    ],
)
@pytest.mark.slow
def test_every_criterion_of_two_sides_is_named_when_it_alone_fails(changed, reason, advice):
    sides = _sides()
    sides = sides._replace(**{name: change(getattr(sides, name)) for name, change in changed.items()})
    found = _between(sides, None)
    assert bool(found.converged) == (reason is None)
    if reason is None:
        assert found.reasons == []
    else:
        (only,) = found.reasons
        assert only.startswith(f"{reason}: expected at ")
        assert advice in only.split("; ")[1]


def test_several_criteria_that_fail_are_all_named():
    sides = _sides()
    sides = sides._replace(forward=_failing(sides.forward, 0), reverse=_shifted(sides.reverse, 9))
    assert len(_between(sides, None).reasons) == 2


def test_an_estimate_as_a_string():
    found = _between(_sides(), None)
    assert str(found) == (
        f"log Z = {found.log_partition:.3f} ± {found.standard_error:.3g} nats (two-sided), "
        f"lower {found.lower:.3f}, upper {found.upper:.3f}, converged"
    )
    poor = partition.annealed_importance_sampling(*_machine(stddev=3.0), 2, 100)
    head, reason = str(poor).splitlines()
    assert head.endswith(", not converged:")
    assert reason == (
        "- effective sample size of the forward chains: expected at least 10, "
        f"got {poor.effective_sample_size:.4g}; raise num_temperatures"
    )
    assert str(partition.LogPartition.known(2.5)) == "log Z = 2.500 nats (exact), converged"
    infinite = partition.LogPartition.known(float("inf"))
    assert infinite.reasons == [
        "absolute value of log Z: expected at most 3.403e+38, got inf; check the parameters"
    ]


def test_integers_of_numpy_are_integers():
    machine = _machine()
    options = {"num_temperatures": np.int64(5), "num_chains": np.int32(10), "seed": (0, 1)}
    for estimator in (partition.annealed_importance_sampling, partition.estimate):
        one_sided = {"both_sides": False} if estimator is partition.estimate else {}
        found = estimator(*machine, **options, **one_sided)
        assert found.log_partition == estimator(*machine, **SMALL, **one_sided).log_partition
    machine = _machine((3, 4))
    population = partition.population_annealing(*machine, np.int64(3), np.int64(10), np.int64(1))
    assert population.log_partition == partition.population_annealing(*machine, 3, 10, 1).log_partition


def test_progress_of_annealing_changes_no_number(capsys):
    machine = _machine()
    silent = partition.annealed_importance_sampling(*machine, 50, 10)
    assert capsys.readouterr().out == ""
    shown = partition.annealed_importance_sampling(*machine, 50, 10, verbose=True)
    assert capsys.readouterr().out == "annealing: 50 steps in 0 s\n"
    np.testing.assert_array_equal(silent.details.log_weights, shown.details.log_weights)

"""Every program in every precision and mode: eager, one graph for all batches, XLA."""

import numpy as np
import pytest
import tensorflow as tf

from conformance.cases import BOTH
from conformance.table import CASES

PROGRAMS = {
    f"{name}-{which}".rstrip("-"): program
    for name, case in CASES.items()
    for which, program in case.programs.items()
}


# Compilation takes long: one program of each kind, the others are marked slow.
COMPILED = (
    "kl.joint",
    "networks.Network-inference",
    "numerics.bernoulli_entropy",
    "objectives.importance_weighted_bound",
    "priors.BoltzmannPrior-density",
    "rbm.block_gibbs",
    "rbm.energy",
    "rbm.exact.log_partition",
    "smoothing.Power-density",
    "smoothing.Power-sample",
)
each_dtype = pytest.mark.parametrize(
    "dtype",
    [pytest.param(tf.float32, id="float32"), pytest.param(tf.float64, id="float64", marks=pytest.mark.slow)],
)


def programs(keep=lambda program: True, fast=None):
    """Parametrizes a test over programs."""

    def marks(name, program):
        return [pytest.mark.slow] if program.slow or (fast and name not in fast) else []

    kept = {name: program for name, program in PROGRAMS.items() if keep(program)}
    rows = [pytest.param(program, id=name, marks=marks(name, program)) for name, program in kept.items()]
    return pytest.mark.parametrize("program", rows)


def assert_near(found, expected, rtol):
    """Close relative to the size of the whole tensor, for entries may be differences of large numbers."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        if other.dtype.kind != "f":
            np.testing.assert_array_equal(one, other)
            continue
        finite = other[np.isfinite(other)]
        atol = rtol * np.abs(finite).max(initial=0.0)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=atol)


def tolerance(program, dtype):
    return program.rtol if dtype == tf.float32 else 1e-3 * program.rtol


def exact(program):
    return not program.draws


def drawing(program):
    return program.draws and program.xla


@programs()
def test_results_have_the_precision_of_what_was_given(program):
    results = {dtype: program.eager(dtype)(*program.given(3, dtype)) for dtype in program.dtypes}
    for dtype, values in results.items():
        assert {each.dtype for each in values if each.dtype.is_floating} <= {dtype}
        # log b(zeta) of a spike is infinite, and no result is NaN.
        assert not any(np.isnan(each).any() for each in values if each.dtype.is_floating)
    if not program.draws and len(results) == len(BOTH):
        single, double = (results[dtype] for dtype in BOTH)
        assert_near(single, [tf.cast(b, a.dtype) for a, b in zip(single, double, strict=True)], 1e-4)


@programs()
@each_dtype
def test_one_graph_serves_all_batches(program, dtype):
    if dtype not in program.dtypes:
        pytest.skip("of one precision")
    graph = program.compiled(dtype, False)
    for batch in program.batches if program.batched else (3,):
        given = program.given(batch, dtype)
        found, expected = graph(*given), program.eager(dtype)(*given)
        assert [each.shape for each in found] == [each.shape for each in expected]
        if not program.draws:
            assert_near(found, expected, tolerance(program, dtype))
    assert graph.experimental_get_tracing_count() == 1


@programs(exact, fast=COMPILED)
@each_dtype
def test_xla_gives_the_same(program, dtype):
    if dtype not in program.dtypes:
        pytest.skip("of one precision")
    given = program.given(3, dtype)
    assert_near(
        program.compiled(dtype, True)(*given), program.eager(dtype)(*given), tolerance(program, dtype)
    )


def assert_follows_from_the_seed(run, given):
    assert_near(run(*given), run(*given), 0.0)
    first, others = run(*given), [run(*given[:-1], given[-1] + shift) for shift in (1, 2, 3)]
    assert any(differ(first, other) for other in others)


def differ(first, second):
    return any(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(first, second, strict=True))


@programs(lambda program: program.draws)
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_draws_follow_from_the_seed(program, mode):
    dtype = program.dtypes[0]
    run = program.eager(dtype) if mode == "eager" else program.compiled(dtype, False)
    assert_follows_from_the_seed(run, program.given(3, dtype))


@programs(drawing, fast=COMPILED)
def test_draws_in_xla_follow_from_the_seed(program):
    dtype = program.dtypes[0]
    assert_follows_from_the_seed(program.compiled(dtype, True), program.given(3, dtype))

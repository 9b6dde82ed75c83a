"""Distributions go into a `tf.function` and come out of it."""

import pytest
import tensorflow as tf

from conformance.cases import Program
from conformance.table import CASES
from conformance.test_modes import assert_near

DISTRIBUTIONS = {name: case for name, case in CASES.items() if case.distribution}
each_distribution = pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, case in DISTRIBUTIONS.items()]
)


# TensorFlow compares arguments by their tensors and by plain values, which a graph is not.
CLOSED_OVER = "priors.GraphBoltzmannMachine"


def given(case, seed=0):
    *parameters, value = Program(None, (*case.parameters, case.value)).given(3, tf.float32, seed)
    return parameters, value


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name) for name, case in DISTRIBUTIONS.items() if name != CLOSED_OVER]
)
def test_goes_into_a_function_without_a_trace_for_every_one(case):
    density = tf.function(lambda q, value: q.log_prob(value), autograph=False)
    for seed in (0, 1):
        parameters, value = given(case, seed)
        q = case.distribution(*parameters)
        assert_near([density(q, value)], [q.log_prob(value)], 1e-5)
    assert density.experimental_get_tracing_count() == 1


def test_a_function_closes_over_a_machine_on_a_graph():
    case = DISTRIBUTIONS[CLOSED_OVER]
    parameters, value = given(case)
    q = case.distribution(*parameters)
    assert_near([tf.function(q.log_prob)(value)], [q.log_prob(value)], 1e-5)
    with pytest.raises(ValueError, match="Cannot generate a hashable key"):
        tf.function(lambda q, value: q.log_prob(value), autograph=False)(q, value)


@each_distribution
def test_comes_out_of_a_function(case):
    parameters, value = given(case)
    expected = case.distribution(*parameters)
    found = tf.function(case.distribution, autograph=False)(*parameters)
    assert type(found) is type(expected)
    assert (found.batch_shape, found.event_shape) == (expected.batch_shape, expected.event_shape)
    assert_near([found.log_prob(value)], [expected.log_prob(value)], 1e-5)
    assert_near([found.sample(2, seed=(0, 1))], [expected.sample(2, seed=(0, 1))], 1e-5)

"""Tests of the supports, conversions and checks that distributions share."""

import math

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import support


def test_outside():
    zeta = tf.constant([-math.inf, -0.1, 0.0, 0.5, 1.0, 1.1, math.inf, math.nan])
    for bounds, expected in (
        (support.UNIT_INTERVAL, [1, 1, 0, 0, 0, 1, 1, 0]),
        (support.REAL_LINE, [1, 0, 0, 0, 0, 0, 1, 0]),
    ):
        np.testing.assert_array_equal(support.outside(zeta, bounds), np.array(expected, bool))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_inside_unit_interval(dtype):
    edges = support.inside_unit_interval(tf.constant([-1.0, 0.0, 1.0, 2.0], dtype)).numpy()
    assert np.isfinite(np.log(edges)).all()
    assert np.isfinite(np.log1p(-edges)).all()
    assert np.isfinite([1 / edges, 1 / (1 - edges)]).all()
    # The nearest ones: the next float beyond is 1, or has no finite reciprocal.
    assert np.nextafter(edges[2], dtype.as_numpy_dtype(2)) == 1
    kept = tf.constant([1e-30, 0.25, 0.999], dtype)
    np.testing.assert_array_equal(support.inside_unit_interval(kept), kept)


def test_assertions_refuse_what_they_name():
    for checks in (
        lambda: support.support_assertions(tf.constant([0.5, 1.5]), support.UNIT_INTERVAL),
        lambda: support.support_assertions(tf.constant([math.nan]), support.REAL_LINE),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="zeta: expected numbers in"):
            checks()
    with pytest.raises(tf.errors.InvalidArgumentError, match="z: expected zeros and ones"):
        support.bit_assertions(tf.constant([0.0, 0.5]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="theta: expected numbers, got NaN"):
        support.number_assertions("theta", tf.constant([1.0, math.nan]))
    support.support_assertions(tf.constant([0.0, 1.0]), support.UNIT_INTERVAL)
    support.bit_assertions(tf.constant([0.0, 1.0]))
    support.number_assertions("theta", tf.constant([math.inf]))


def test_conversions():
    assert support.at_least_float32(np.arange(3)).dtype == tf.float32
    assert support.at_least_float32(tf.zeros([2], tf.bfloat16)).dtype == tf.float32
    assert support.at_least_float32(np.zeros(2)).dtype == tf.float64
    # By way of float32 it would be off by 1e-9.
    assert float(support.in_dtype(0.1, tf.float64)) == 0.1
    assert support.in_dtype(tf.constant(2.0), tf.float64).dtype == tf.float64


def test_line_onto():
    line = tf.constant([-3.0, 0.0, 5.0])
    np.testing.assert_array_equal(support.line_onto(support.REAL_LINE).forward(line), line)
    np.testing.assert_allclose(
        support.line_onto(support.UNIT_INTERVAL).forward(line), 1 / (1 + np.exp(-line))
    )


INTEGERS = [10, np.int64(10), np.uint8(10), np.array(10), tf.constant(10)]
NO_INTEGERS = [True, np.True_, 10.0, np.float32(10), np.array([10]), "10", None, tf.constant(10.0)]


@pytest.mark.parametrize("value", INTEGERS, ids=repr)
def test_as_count_takes_integers_of_every_kind(value):
    count = support.as_count("num_chains", value)
    assert type(count) is int
    assert count == 10


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
def test_as_count_refuses_what_is_no_integer(value):
    with pytest.raises(ValueError, match="^num_chains: expected an integer of at least 1, got "):
        support.as_count("num_chains", value)


def test_as_count_refuses_what_is_below_the_least():
    assert support.as_count("num_chains", np.int32(0), least=0) == 0
    for value, least in ((0, 1), (np.int64(-1), 0), (1, 2)):
        with pytest.raises(ValueError, match=f"num_chains: expected an integer of at least {least}, got"):
            support.as_count("num_chains", value, least)


def test_as_number_takes_numbers_of_every_kind():
    for value in (0.5, np.float32(0.5), np.float64(0.5), np.array(0.5), tf.constant(0.5)):
        number = support.as_number("beta", value)
        assert type(number) is float
        assert number == 0.5
    assert support.as_number("beta", np.int64(30)) == 30.0
    for value in (True, np.True_, "0.5", None, [0.5], np.array([0.5]), 1j, math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="^beta: expected a finite number, got "):
            support.as_number("beta", value)
    assert support.as_number("beta", np.nextafter(1, 2), above=1.0) > 1.0
    with pytest.raises(ValueError, match="^beta: expected a finite number above 1, got 1.0"):
        support.as_number("beta", 1.0, above=1.0)

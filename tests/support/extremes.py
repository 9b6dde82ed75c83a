"""Hypothesis strategies for extreme numbers, and the checks of every value there.

One example is a whole array: the ends of the range, always, and drawn numbers. A failure reports
which entries are wrong; the example is not shrunk, which would take minutes.
"""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

LOGITS = (-1e6, -1e3, -89.0, -17.0, -1e-6, 0.0, 1e-6, 17.0, 89.0, 1e3, 1e6)
NUM_DRAWN = 6


def property_test(few=3, many=60, **strategies):
    """Turns a check of drawn arguments into tests of few, many (slow) and ten times more (soak) examples."""

    def decorate(check):
        def test(num_examples, **fixed):
            @settings(max_examples=num_examples, derandomize=True, deadline=None, phases=[Phase.generate])
            @given(**strategies)
            def run(**drawn):
                check(**fixed, **drawn)

            run()

        fixed = [name for name in inspect.signature(check).parameters if name not in strategies]
        test.__signature__ = inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in ("num_examples", *fixed)]
        )
        test.__name__, test.__doc__ = check.__name__, check.__doc__
        test.__module__, test.pytestmark = check.__module__, list(getattr(check, "pytestmark", []))
        numbers = [
            pytest.param(few, id="few"),
            pytest.param(many, id="many", marks=pytest.mark.slow),
            pytest.param(10 * many, id="soak", marks=pytest.mark.soak),
        ]
        return pytest.mark.parametrize("num_examples", numbers)(test)

    return decorate


def logits(num_drawn=NUM_DRAWN):
    """An array of log-odds: the ends and critical points of the range, and drawn ones."""
    drawn = st.one_of(st.floats(-1e6, 1e6), st.floats(-30, 30))
    return st.lists(drawn, min_size=num_drawn, max_size=num_drawn).map(
        lambda more: np.array([*LOGITS, *more])
    )


def log_uniform(low, high):
    """A number between two positive ones, which are both tried early."""
    drawn = st.floats(np.log(low), np.log(high)).map(lambda x: float(np.clip(np.exp(x), low, high)))
    return st.one_of(st.sampled_from([low, high]), drawn)


def betas(smallest=0.0):
    """Sharpnesses over the supported range, by their distance from the smallest."""
    return log_uniform(1e-2, 1e3) if smallest == 0 else log_uniform(1e-6, 1e3).map(lambda x: smallest + x)


def unit_zetas(dtype, drawn):
    """zeta in [0, 1], sorted: the ends, their neighboring floats, drawn ones."""
    limits = np.finfo(dtype)
    ends = [0, limits.tiny, 4 * limits.tiny, 1e-30, limits.eps, 0.5, 1 - limits.eps, 1 - limits.epsneg, 1]
    return np.sort(np.concatenate([ends, drawn]).astype(dtype))


def real_zetas(dtype, drawn):
    """Real zeta, sorted: far ones, neighboring floats of the modes, drawn ones around (0, 1)."""
    limits = np.finfo(dtype)
    ends = [0, limits.tiny, 0.5, 1 - limits.epsneg, 1, 1 + limits.eps]
    far = [10.0**power for power in (0.5, 2, 4, 6)]
    stretched = 3 * (np.asarray(drawn) - 0.5) + 0.5
    return np.sort(np.concatenate([ends, far, np.negative(far), stretched]).astype(dtype))


def outside_unit(dtype):
    """Numbers outside of [0, 1], including the neighboring floats of the ends."""
    limits = np.finfo(dtype)
    return np.array([-limits.max, -1e6, -1.0, -limits.tiny, 1 + limits.eps, 2.0, 1e6, limits.max], dtype)


each_compilation = pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["graph", "xla"]
)
units = st.lists(st.floats(0, 1), min_size=NUM_DRAWN, max_size=NUM_DRAWN)
seeds = st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
batch_shapes = st.sampled_from([(), (0,), (1,), (2, 0), (1, 3)])


def value_and_gradients(function, *arguments):
    """The value of a function of tensors and its gradients, as arrays; 0 for unconnected arguments."""
    tensors = tuple(tf.convert_to_tensor(each) for each in arguments)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = function(*tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return value.numpy(), [each.numpy() for each in gradients]


def assert_finite(function, *arguments):
    """Checks that value and gradients are finite; returns the value."""
    value, gradients = value_and_gradients(function, *arguments)
    for number in (value, *gradients):
        assert np.isfinite(number).all(), (
            [np.asarray(each)[~np.isfinite(number)] for each in arguments]
            if all(np.shape(each) == np.shape(number) for each in arguments)
            else number
        )
    return value

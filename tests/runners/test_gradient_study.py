"""Relaxed objectives are biased by construction: the bias of their gradients goes to 0 as they sharpen."""

import itertools

import pytest

from support import exact_objective as exact
from support import gradient_bias

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", gradient_bias.SERIES)
def test_bias_goes_to_0(name, groups):
    sharpnesses, series = gradient_bias.SERIES[name]
    biases = [series(sharpness, groups) for sharpness in sharpnesses]
    # Each step is twice as sharp.
    for blunt, sharp in itertools.pairwise(biases):
        assert sharp < 0.75 * blunt
    assert biases[-1] < 0.2 * biases[0]


def test_bias_of_a_wrong_objective_stays():
    """Half of the KL term: not what it stands for, however sharp."""
    blunt, sharp = (
        gradient_bias.bias(
            gradient_bias.parameters(1),
            exact.concrete(temperature, 240),
            lambda moved, grid: 0.5 * exact.gumbolt(moved, grid),
            lambda moved: exact.discrete_elbo(moved, gradient_bias.X, 1),
            1,
        )
        for temperature in (1.0, 0.125)
    )
    assert sharp > 0.5 * blunt
    assert sharp > 0.1

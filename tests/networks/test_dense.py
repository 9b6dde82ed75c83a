"""The published network against a forward pass in float64 NumPy, its initial kernels, and its penalty."""

import numpy as np
import pytest

from dvae_tf.networks import Network

EPSILON = 1e-2


def network(input_sizes, hidden_units, **changes):
    made = Network(input_sizes, hidden_units, 3, seed=4, batch_norm_epsilon=EPSILON, **changes)
    made.build(None)
    return made


def numpy_forward(made, inputs, training):
    """Concatenates the inputs, then applies the layers one by one."""
    leading = np.broadcast_shapes(*(x.shape[:-1] for x in inputs))
    rows = np.concatenate([np.broadcast_to(x, (*leading, x.shape[-1])) for x in inputs], -1)
    kernels = np.concatenate([np.asarray(layer.kernel, np.float64) for layer in made.first], 0)
    hidden = rows.reshape(-1, rows.shape[-1]) @ kernels
    if not made.norms:
        hidden = hidden + np.asarray(made.first[-1].bias)
    for norm, layer in zip(made.norms, made.later, strict=True):
        mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
        if training:
            mean, variance = hidden.mean(0), hidden.var(0)
        hidden = (hidden - mean) / np.sqrt(variance + EPSILON)
        hidden = np.tanh(hidden * np.asarray(norm.gamma) + np.asarray(norm.beta))
        hidden = hidden @ np.asarray(layer.kernel, np.float64)
        if layer.use_bias:
            hidden = hidden + np.asarray(layer.bias)
    return hidden.reshape(*leading, 3)


def roughen(made, seed=0):
    rng = np.random.default_rng(seed)
    for variable in made.weights:
        if "variance" not in variable.path and "seed" not in variable.path:
            variable.assign(np.asarray(variable) + 0.3 * rng.normal(size=variable.shape))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("hidden_units", [(), (7,), (7, 5)])
@pytest.mark.parametrize("input_sizes", [(6,), (6, 4)])
def test_forward_pass_matches_numpy(input_sizes, hidden_units, training):
    made = network(input_sizes, hidden_units)
    roughen(made)
    rng = np.random.default_rng(1)
    inputs = [rng.normal(size=(8, 6)).astype(np.float32), rng.normal(size=(5, 8, 4)).astype(np.float32)]
    inputs = inputs[: len(input_sizes)]
    # Before the call, which updates the running statistics.
    expected = numpy_forward(made, inputs, training)
    found = made(*inputs, training=training)
    assert found.shape == (*(5,) * (len(inputs) - 1), 8, 3)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_kernels_have_variance_two_over_the_fan_in_of_all_inputs():
    made = network((300, 100), (500,))
    for layer in made.first:
        kernel = np.asarray(layer.kernel)
        # 500 x 100 draws or more: the relative error of a variance is below 1 %.
        assert kernel.var() == pytest.approx(2 / 400, rel=0.04)
    assert np.asarray(made.later[0].kernel).var() == pytest.approx(2 / 500, rel=0.15)


def test_initial_kernels_follow_from_the_seed():
    first, again = network((6,), (7,)), network((6,), (7,))
    other = Network((6,), (7,), 3, seed=5)
    other.build(None)
    kernels = [np.asarray(each.first[0].kernel) for each in (first, again, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0.01


def test_penalty_is_half_the_squared_kernels_and_scales():
    made = network((6, 4), (7, 5), weight_decay=0.2)
    roughen(made)
    penalized = [layer.kernel for layer in (*made.first, *made.later)] + [norm.gamma for norm in made.norms]
    expected = 0.1 * sum((np.asarray(each, np.float64) ** 2).sum() for each in penalized)
    assert float(sum(made.losses)) == pytest.approx(expected, rel=1e-5)
    assert network((6,), (7,), weight_decay=0.0).losses == []


@pytest.mark.parametrize("hidden_units", [(), (7,)])
def test_output_bias_is_where_the_output_starts(hidden_units):
    made = network((6,), hidden_units, output_bias=[1.0, -2.0, 0.5])
    outputs = made(np.zeros((2, 6), np.float32))
    np.testing.assert_allclose(outputs, [[1.0, -2.0, 0.5]] * 2, atol=1e-6)

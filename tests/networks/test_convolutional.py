"""Convolutional networks against TensorFlow's convolutions and a forward pass in float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.networks import GridNetwork, ImageDecoder, ImageFeatures, grid_of, places
from dvae_tf.networks.convolutional import ResidualBlock


@pytest.mark.parametrize(("channels", "filters"), [(3, 6), (5, 1)])
def test_a_convolution_and_its_gradient_are_those_of_tensorflow(channels, filters):
    rng = np.random.default_rng(0)
    hidden = tf.constant(rng.normal(size=(2, 5, 4, channels)))
    kernel = tf.constant(rng.normal(size=(3, 3, channels, filters)))
    weights = rng.normal(size=(2, 5, 4, filters))

    def with_gradients(convolution):
        with tf.GradientTape() as tape:
            tape.watch([hidden, kernel])
            found = convolution(hidden, kernel)
            total = tf.reduce_sum(weights * found)
        return found, *tape.gradient(total, [hidden, kernel])

    expected = with_gradients(lambda hidden, kernel: tf.nn.conv2d(hidden, kernel, 1, "SAME"))
    for one, other in zip(with_gradients(places.convolved), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "halvings", "grid"),
    [((28, 28), 2, (7, 7)), ((8, 8), 2, (2, 2)), ((48, 32, 3), 3, (6, 4)), ((9, 5), 1, (5, 3))],
)
def test_grid(shape, halvings, grid):
    assert grid_of(shape, halvings) == grid


@pytest.mark.parametrize("shape", [(4,), (4, 4, 1, 1), (4, 0), (4.0, 4)])
def test_a_shape_that_is_none_is_named(shape):
    with pytest.raises(ValueError, match="image_shape: expected"):
        grid_of(shape, 1)


def roughen(network, seed=0):
    network.build(None)
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        if "variance" not in variable.path:
            variable.assign(np.asarray(variable) + 0.3 * rng.normal(size=variable.shape))
    return network


def value(layer):
    """The kernel of a linear map, or of a convolution as one of nine places."""
    kernel = np.asarray(layer.kernel, np.float64)
    return kernel.reshape(-1, kernel.shape[-1])


def normed(norm, hidden):
    mean, variance = np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)
    return (hidden - mean) / np.sqrt(variance + norm.epsilon) * np.asarray(norm.gamma) + np.asarray(norm.beta)


def around(hidden):
    """The nine places around each, zero outside: one loop for each."""
    count, height, width, channels = hidden.shape
    found = np.zeros((count, height, width, 9, channels))
    for row in range(height):
        for column in range(width):
            for number in range(9):
                above, left = row + number // 3 - 1, column + number % 3 - 1
                if 0 <= above < height and 0 <= left < width:
                    found[:, row, column, number] = hidden[:, above, left]
    return found.reshape(count, height, width, -1)


def relu(hidden):
    return np.maximum(hidden, 0)


def block(made, hidden):
    change = around(relu(normed(made.first_norm, hidden))) @ value(made.first)
    change = around(relu(normed(made.second_norm, change))) @ value(made.second) + np.asarray(
        made.second.bias
    )
    return hidden + change


def joined(hidden):
    """Four places as one: the rows of the upper two, then of the lower two."""
    parts = [hidden[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    return np.concatenate(parts, -1)


def parted(hidden):
    count, height, width, channels = hidden.shape
    size = channels // 4
    found = np.zeros((count, 2 * height, 2 * width, size))
    for number in range(4):
        found[:, number // 2 :: 2, number % 2 :: 2] = hidden[..., number * size : (number + 1) * size]
    return found


def test_features_of_an_image():
    """Of 7 x 5 pixels, padded to 8 x 8."""
    made = roughen(ImageFeatures((7, 5), (3, 4), seed=1))
    x = np.random.default_rng(1).normal(size=(3, 35))
    hidden = np.zeros((3, 8, 8, 1))
    hidden[:, :7, :5] = x.reshape(3, 7, 5, 1)
    hidden = relu(normed(made.norms[0], around(joined(hidden)) @ value(made.halvings[0])))
    hidden = relu(normed(made.norms[1], joined(hidden) @ value(made.halvings[1])))
    expected = relu(normed(made.last_norm, block(made.block, hidden))).reshape(3, -1)
    found = made(x.astype(np.float32))
    assert found.shape == (3, made.num_outputs) == (3, 2 * 2 * 4)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def grid_of_given(made, given, units):
    """Bits and local variables on a grid of 2 x 3, after the convolution."""
    bits = given[:, :4] @ value(made.of_bits) + np.asarray(made.of_bits.bias)
    local = np.split(given[:, 4:], np.cumsum([6 * each for each in units])[:-1], 1) if units else []
    parts = [each.reshape(len(given), 2, 3, -1) for each in (bits, *local)]
    return around(np.concatenate(parts, -1)) @ value(made.joining)


@pytest.mark.parametrize("units", [(), (2,), (2, 1)])
def test_encoder_of_a_local_group(units):
    made = roughen(GridNetwork((2, 3), 4, units, 5, 2, seed=1, feature_channels=3))
    rng = np.random.default_rng(1)
    x, given = rng.normal(size=(4, 18)), rng.normal(size=(2, 4, 4 + 6 * sum(units)))
    hidden = grid_of_given(made, given.reshape(8, -1), units)
    features = around(x.reshape(4, 2, 3, 3)) @ value(made.of_features)
    hidden = relu(normed(made.norm, hidden + np.concatenate([features, features])))
    outputs = hidden @ value(made.output_map) + np.asarray(made.output_map.bias)
    expected = np.concatenate([outputs[..., :2].reshape(2, 4, -1), outputs[..., 2:].reshape(2, 4, -1)], -1)
    found = made(x.astype(np.float32), given.astype(np.float32))
    assert found.shape == (2, 4, 24)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "per_pixel", "by_pixel"),
    [((7, 5), 1, False), ((7, 5), 2, False), ((8, 6, 3), 2, False), ((8, 6, 3), 2, True)],
)
def test_decoder(shape, per_pixel, by_pixel):
    num_pixels = int(np.prod(shape))
    bias = np.linspace(-1, 1, num_pixels * per_pixel)
    made = roughen(ImageDecoder(shape, 4, (2,), (3, 4), seed=1, output_bias=bias, by_pixel=by_pixel))
    grid = grid_of(shape, 2)
    code = np.random.default_rng(1).normal(size=(5, 4 + 2 * grid[0] * grid[1]))
    bits = code[:, :4] @ value(made.of_bits) + np.asarray(made.of_bits.bias)
    parts = [each.reshape(5, *grid, -1) for each in (bits, code[:, 4:])]
    hidden = block(made.block, around(np.concatenate(parts, -1)) @ value(made.joining))
    hidden = parted(relu(normed(made.norms[0], hidden)) @ value(made.doublings[0]))
    hidden = parted(around(relu(normed(made.norms[1], hidden))) @ value(made.doublings[1]))
    pixels = hidden[:, : shape[0], : shape[1]]
    channels = shape[2] if len(shape) == 3 else 1
    # All first outputs of the pixels, then the second ones.
    rows = [
        pixels[..., number * channels : (number + 1) * channels].reshape(5, -1) for number in range(per_pixel)
    ]
    expected = pixels.reshape(5, -1) if by_pixel else np.concatenate(rows, 1)
    found = made(code.astype(np.float32))
    np.testing.assert_allclose(found, expected + np.asarray(made.output_bias), atol=1e-4)


def test_training_normalizes_by_the_batch_and_penalizes_kernels_and_scales():
    made = roughen(ResidualBlock(3, seed=1, weight_decay=0.2))
    hidden = tf.constant(np.random.default_rng(1).normal(size=(4, 2, 3, 3)), tf.float32)
    inside = made.first_norm(tf.reshape(hidden, [-1, 3]), training=True)
    np.testing.assert_allclose(tf.reduce_mean(inside, 0), made.first_norm.beta, atol=1e-5)
    assert np.abs(made(hidden, training=True) - made(hidden)).max() > 0.01
    decayed = [each for each in made.trainable_variables if each.name in ("kernel", "gamma")]
    expected = 0.1 * sum(float(np.sum(np.square(each))) for each in decayed)
    assert float(sum(made.losses)) == pytest.approx(expected, rel=1e-5)
    assert len(decayed) == 4


def test_initial_kernels_follow_from_the_seed_and_have_variance_two_over_the_fan_in():
    first, again, other = (ImageFeatures((28, 28), (64, 64), seed=seed) for seed in (1, 1, 2))
    for each in (first, again, other):
        each.build(None)
    np.testing.assert_array_equal(first.halvings[0].kernel, again.halvings[0].kernel)
    assert np.abs(np.asarray(first.halvings[0].kernel) - np.asarray(other.halvings[0].kernel)).max() > 0.01
    for layer, fan_in in ((first.halvings[1], 256), (first.block.first, 576), (first.block.second, 576)):
        assert np.var(layer.kernel) == pytest.approx(2 / fan_in, rel=0.05)
    assert np.abs(np.asarray(first.block.first.kernel) - np.asarray(first.block.second.kernel)).max() > 0.01

"""The layer of draws in models of Keras: values, gradients, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import smoothing
from support import reference
from support.smoothing_cases import CASES, each_case, parametrize

SEED = 3
# A mixture, one with weights and two outputs of the encoder, and one that is no mixture.
KINDS = (smoothing.Power, smoothing.ShiftedGaussian, smoothing.Concrete)


def _model(relaxation, **kwargs):
    """Bits in the middle of a functional model, from symbolic inputs; `ShiftedGaussian` takes two outputs."""
    x = keras.Input((6,))
    outputs = [keras.layers.Dense(4)(x) for _ in range(relaxation.outputs_per_unit)]
    zeta = smoothing.Sampling(relaxation, seed=SEED, name="zeta", **kwargs)(*outputs)
    return keras.Model(x, [zeta, keras.layers.Dense(6)(zeta)])


def _images(count=20):
    return np.random.default_rng(0).integers(0, 2, (count, 6)).astype(np.float32)


def test_draws_are_those_of_the_distribution():
    logits = tf.constant([[-1.0, 0.0, 2.0]])
    power = smoothing.Power(3.0)
    layer = smoothing.Sampling(power, seed=SEED)
    first, second = layer(logits), layer(logits)
    np.testing.assert_array_equal(first, power(logits).sample(seed=(SEED, 0)))
    np.testing.assert_array_equal(second, power(logits).sample(seed=(SEED, 1)))
    assert np.all(first != second)


@each_case
def test_draws_follow_the_cdf(case):
    layer = smoothing.Sampling(case.make(), seed=SEED)
    theta = case.sharp if "shift" not in case.names else (0.0, 0.25)
    zeta = layer(tf.fill([5_000, 1], 0.4)).numpy().ravel()
    assert reference.ks_distance(zeta, lambda x: case.cdf(theta, x, logits=0.4), between=case.resolved) < 2.2


@parametrize([case for case in CASES if case.layer in KINDS])
def test_trains_and_comes_back_from_a_file(case, tmp_path):
    """The loaded model goes on with the draws that would have followed, not with those of a new one."""
    model = _model(case.make())
    assert [tuple(each.shape) for each in model.outputs] == [(None, 4), (None, 6)]
    assert {each.dtype for each in model.outputs} == {"float32"}
    model.compile("adam", [None, "mse"], jit_compile=False)
    before = [np.array(each) for each in model.trainable_variables]
    model.fit(_images(), [_images()[:, :4], _images()], epochs=2, verbose=0)
    assert all(np.any(b != a) for b, a in zip(before, model.trainable_variables, strict=True))
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    again = _model(case.make())
    again(_images())
    again.load_weights(tmp_path / "a.weights.h5")
    expected = model(_images())
    for other in (loaded, again):
        for found, value in zip(other(_images()), expected, strict=True):
            np.testing.assert_array_equal(found, value)
    assert np.any(model(_images())[0] != expected[0])


def test_gradients_are_those_of_the_distribution():
    logits = tf.Variable([[-1.0, 0.5, 2.0]])
    layer = smoothing.Sampling(smoothing.Exponential(4.0, trainable_beta=True), seed=SEED)
    weights = [logits, *layer.trainable_variables]
    assert len(weights) == 2
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(logits))
    with tf.GradientTape() as other:
        expected = tf.reduce_sum(layer.relaxation(logits).sample(seed=(SEED, 0)))
    for found, value in zip(tape.gradient(total, weights), other.gradient(expected, weights), strict=True):
        np.testing.assert_array_equal(found, value)


def test_sequential_and_compute_output_shape():
    layer = smoothing.Sampling(smoothing.Power(30.0), seed=np.int64(SEED))
    assert layer.compute_output_shape((None, 5, 4)) == (None, 5, 4)
    model = keras.Sequential([keras.layers.Dense(4), layer, keras.layers.Dense(6)])
    model.compile("adam", "mse")
    assert np.isfinite(model.fit(_images(), _images(), verbose=0).history["loss"]).all()
    assert model.output_shape == (None, 6)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_precision_is_that_of_the_logits_and_at_least_float32(dtype):
    layer = smoothing.Sampling(smoothing.Power(30.0), seed=SEED)
    symbolic, found = layer(keras.Input((4,), dtype=dtype)), layer(tf.zeros([2, 4], dtype))
    assert symbolic.dtype == found.dtype.name == ("float64" if dtype == "float64" else "float32")


def test_without_a_seed_draws_differ_unless_keras_is_seeded():
    draws = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        draws.append(smoothing.Sampling(smoothing.Power(3.0))(tf.zeros([20])).numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.any(draws[0] != draws[2])


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="^relaxation: expected a relaxation such as .*, got 'power'"):
        smoothing.Sampling("power")
    with pytest.raises(ValueError, match="^seed: expected an integer of at least 0, got 0.5"):
        smoothing.Sampling(smoothing.Power(3.0), seed=0.5)

"""Every smoothing as a Keras layer: errors, weights, configuration, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import smoothing
from support.smoothing_cases import CASES, LOGITS, ShiftedGaussianCase, each_case, parametrize

# Smoothings with a sharpness that is a number or a weight.
WITH_NUMBER = [case for case in CASES if not isinstance(case, ShiftedGaussianCase)]
with_number = parametrize(WITH_NUMBER)


def _sharpness(case, q):
    """The parameter of a distribution that belongs to the layer."""
    return q.temperature if case.names == ("temperature",) else q.theta[-1]


@with_number
def test_bad_parameter_is_refused_by_name(case):
    for value in case.bad:
        with pytest.raises(ValueError, match=rf"{case.names[0]}.*{case.name}"):
            case.make((value,))


@with_number
def test_parameter_is_a_number_unless_asked(case):
    layer = case.make()
    q = layer(tf.zeros([2], tf.float64))
    assert layer.weights == []
    assert float(_sharpness(case, q)) == case.sharp[0]
    assert getattr(layer, case.names[0]) == case.sharp[0]


@each_case
def test_trainable_parameter_is_one_weight_and_learns(case):
    layer = case.make(case.thetas[1], trainable=True)
    logits = tf.zeros([500, 1])
    start = case.thetas[1] if case in WITH_NUMBER else (0.0, 0.25)
    np.testing.assert_allclose(_sharpness(case, layer(logits)), start[-1], rtol=1e-6)
    assert len(layer.trainable_variables) == len(layer.weights) == 1
    truth = (*start[:-1], 2 * start[-1])
    draws = case.distribution(logits, truth, tf.float32).sample(4, seed=(4, 4))
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build(layer.trainable_variables)

    @tf.function
    def update():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(layer(logits).log_prob(draws))
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
        return loss

    losses = [float(update()) for _ in range(60)]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(_sharpness(case, layer(logits)), truth[-1], rtol=0.15)


@each_case
def test_trainable_parameter_gets_the_gradient_of_samples(case):
    layer = case.make(case.thetas[1], trainable=True)
    with tf.GradientTape() as tape:
        zeta = layer(tf.ones([1000, 1])).sample(seed=(8, 1))
        mean = tf.reduce_mean(zeta**2)
    (gradient,) = tape.gradient(mean, layer.trainable_variables)
    assert np.all(np.isfinite(gradient) & (gradient != 0))


@with_number
def test_configuration_tells_a_number_from_a_weight(case):
    (name,), theta = case.names, case.thetas[1]
    for trainable in (False, True):
        config = case.make(theta, trainable=trainable).get_config()
        assert (config[name], config[f"trainable_{name}"]) == (theta[0], trainable)
        other = case.layer.from_config(config)
        assert len(other.trainable_variables) == trainable
        q = other(tf.constant(LOGITS))
        np.testing.assert_allclose(_sharpness(case, q), theta[0], rtol=1e-6)


@each_case
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.int32], ids=lambda dtype: dtype.name)
def test_low_precision_logits_are_raised_to_float32(case, dtype):
    logits = tf.cast([-2, 0, 3], dtype)
    q = case.make()(logits)
    assert q.dtype == tf.float32
    np.testing.assert_array_equal(q.logits, tf.cast(logits, tf.float32))


@each_case
def test_mixed_precision_policy_leaves_numbers_alone(case):
    theta = tuple(1.2345678 * each for each in case.thetas[1])
    logits = tf.constant([0.1234567, -3.7654321])
    layer = case.make(theta, trainable=True, dtype="mixed_bfloat16")
    full = case.make(theta, trainable=True)
    np.testing.assert_array_equal(layer(logits).logits, logits)
    np.testing.assert_array_equal(_sharpness(case, layer(logits)), _sharpness(case, full(logits)))


def test_every_public_smoothing_has_a_row():
    # A Gaussian code is no relaxation of bits.
    others = {smoothing.Relaxation, smoothing.Smoothing, smoothing.Normal}
    layers = {
        each
        for each in vars(smoothing).values()
        if isinstance(each, type) and issubclass(each, smoothing.Relaxation)
    }
    assert layers - others == {case.layer for case in CASES}
    assert {each.__name__ for each in layers} <= set(smoothing.__all__)

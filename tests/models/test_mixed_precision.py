"""Mixed precision: the networks compute in half precision, and train as in float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import data, models, training
from support.runs import differences, final
from support.tiny import NUM_PIXELS, all_bits, recipe, rough_model

X = all_bits(NUM_PIXELS).astype(np.float32)


@pytest.fixture
def set_policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def update(policy, optimizer=None, struct="tiny-2", num_replicas=1):
    """A compiled model, and the change of its trainable variables by one update."""
    settings = recipe(struct, k=2, num_replicas=num_replicas)
    model = models.DVAE(settings, X.mean(0), dtype=policy)
    model.compile(optimizer=optimizer or keras.optimizers.SGD(1.0))
    before = [np.asarray(variable) for variable in model.trainable_variables]
    model.update(tf.constant(X))
    changes = zip(model.trainable_variables, before, strict=True)
    return model, np.concatenate([np.ravel(np.asarray(variable) - value) for variable, value in changes])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.slow)])
def test_log_space_stays_in_float32(policy, set_policy):
    set_policy(policy)
    model = rough_model("tiny-2", k=2)
    assert model.decoder.first[0].compute_dtype == policy.removeprefix("mixed_")
    bound, log_likelihood, kl = model.relaxed_bound(X, (0, 1), training=True)
    assert bound.dtype == log_likelihood.dtype == kl.dtype == tf.float32
    assert {variable.dtype for variable in model.variables} <= {"float32", "int64"}
    mixed = np.asarray(model.log_likelihood(X, 500, 1, 0.0))
    set_policy("float32")
    full = np.asarray(rough_model("tiny-2", k=2).log_likelihood(X, 500, 1, 0.0))
    assert 0 < np.abs(mixed - full).max() < 1.0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_an_update_is_that_of_float32(policy):
    """Up to half precision: bfloat16 has 8 bits, float16 has 11."""
    _, expected = update("float32")
    _, found = update(policy)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 0 < error < (0.05 if policy == "mixed_bfloat16" else 0.005)


@pytest.mark.slow
def test_any_loss_scale_gives_the_same_update():
    """Of Keras's wrapper, or a constant of the optimizer, which needs no half precision."""
    _, expected = update("float32")
    for scaled in (
        keras.optimizers.SGD(1.0, loss_scale_factor=1024.0),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=512.0),
    ):
        np.testing.assert_allclose(update("float32", scaled)[1], expected, rtol=1e-5, atol=1e-7)


def test_a_gradient_that_overflows_is_skipped_and_counted():
    """The scale halves, the parameters stay, and the next step has other draws."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=2.0**60)
    model, change = update("mixed_float16", optimizer)
    assert model.optimizer is optimizer
    np.testing.assert_array_equal(change, 0.0)
    assert float(optimizer.dynamic_scale) == 2.0**59
    assert int(optimizer.iterations) == int(model.prior.num_updates) == 1
    first = model.replica_update(tf.constant(X)).report.objective
    optimizer.iterations.assign(0)
    assert float(model.replica_update(tf.constant(X)).report.objective) != float(first)


def test_each_accumulated_gradient_has_its_own_draws():
    model, _ = update("float32", keras.optimizers.SGD(0.0, gradient_accumulation_steps=3))
    reports = [float(model.update(tf.constant(X)).kl) for _ in range(3)]
    assert len(set(reports)) == 3
    assert int(model.optimizer.iterations) == 1


def test_values_of_another_device_include_the_loss_scale():
    model, _ = update("mixed_float16", keras.optimizers.Adam(1e-3))
    values = [tf.convert_to_tensor(variable) for variable in model.update_variables]
    expected = model.replica_update(tf.constant(X)).gradients
    names = [variable.name for variable in model.update_variables]
    scale, step = names.index("dynamic_scale"), names.index("iteration")

    def gradients():
        pairs = list(zip(model.update_variables, values, strict=True))
        return model.replica_update(tf.constant(X), values=pairs).gradients

    for found, one in zip(gradients(), expected, strict=True):
        np.testing.assert_array_equal(found, one)
    values[scale] *= 0.5
    for found, one in zip(gradients(), expected, strict=True):
        np.testing.assert_allclose(found, 0.5 * one, rtol=0.02, atol=2.0)
    values[step] += 1
    assert np.any([np.any(found != one) for found, one in zip(gradients(), expected, strict=True)])


class Stop(keras.callbacks.Callback):
    """Interrupts a run after its first validation."""

    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_run_in_float16(num_replicas, set_policy, tmp_path):
    """`training.train` reaches the likelihood of float32, and resumes to the last bit."""
    rng = np.random.default_rng(0)
    modes = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]])
    pixels = modes[rng.integers(0, 3, 900)] ^ (rng.random((900, NUM_PIXELS)) < 0.05)
    images = data.Images(*np.split(pixels.astype(np.float32), 3), (2, 3), "tiny", "a test")
    settings = recipe(
        num_train_iter=400,
        num_validations=2,
        train_batchsize=20,
        validation_iw_samples=20,
        eval_iw_samples=100,
        num_replicas=num_replicas,
    )

    def run(name, *callbacks):
        return training.train(settings, images, tmp_path / name, callbacks, verbose=False)

    full = run("float32")
    set_policy("mixed_float16")
    start = models.DVAE(settings, images.train.mean(0)).log_likelihood(images.test, 100)
    half = run("mixed_float16")
    assert full.test_nll < -np.mean(start) - 0.3
    assert half.test_nll == pytest.approx(full.test_nll, abs=0.1)
    with pytest.raises(KeyboardInterrupt):
        run("interrupted", Stop())
    run("interrupted")
    assert differences(final(tmp_path / "interrupted"), final(tmp_path / "mixed_float16")) == set()

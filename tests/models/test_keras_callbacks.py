"""Keras's callbacks and views, on a DVAE."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import models
from support.keras_files import assert_same_state, assert_same_variables
from support.tiny import NUM_PIXELS, all_bits, recipe

X = all_bits(NUM_PIXELS)[::3].astype(np.float32)


def new(**changes):
    settings = recipe(ais_chains=10, validation_ais_temperatures=5, validation_iw_samples=2, **changes)
    model = models.DVAE(settings, X.mean(0))
    # XLA compiles the same steps for longer than they run here; test_dvae.py has it.
    model.compile(optimizer=keras.optimizers.Adam(0.05), jit_compile=False)
    return model


def fit(model, *callbacks, epochs=4):
    return model.fit(
        X,
        batch_size=8,
        epochs=epochs,
        validation_data=(X[:7],),
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )


class Recorder(keras.callbacks.Callback):
    """All variables at the end of each epoch."""

    def __init__(self):
        super().__init__()
        self.variables = []

    def on_epoch_end(self, epoch, logs=None):
        self.variables.append([np.asarray(each) for each in self.model.variables])


@pytest.mark.slow
def test_model_checkpoint(tmp_path):
    """The best epoch by `val_nll`, as weights, as a whole model, and its weights put back into the model."""
    recorder = Recorder()
    best = {"monitor": "val_nll", "mode": "min", "save_best_only": True}
    model = new()
    history = fit(
        model,
        recorder,
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", **best),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.weights.h5", save_weights_only=True, **best),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
    ).history["val_nll"]
    number = int(np.argmin(history))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["best.keras", "best.weights.h5", *(f"{epoch}.keras" for epoch in (1, 2, 3, 4))]
    )
    whole, weights = keras.saving.load_model(tmp_path / "best.keras"), new()
    weights.load_weights(tmp_path / "best.weights.h5")
    assert_same_state(weights, whole)
    assert int(whole.optimizer.iterations) == 3 * (number + 1)
    for found, expected in zip(whole.variables, recorder.variables[number], strict=True):
        np.testing.assert_array_equal(found, expected, found.path)
    assert_same_state(keras.saving.load_model(tmp_path / "4.keras"), model)


def test_early_stopping_restores_the_best_weights():
    recorder = Recorder()
    model = new()
    stop = keras.callbacks.EarlyStopping(
        "val_nll", mode="min", patience=1, min_delta=1e3, restore_best_weights=True
    )
    history = fit(model, recorder, stop).history["val_nll"]
    assert len(history) == 2
    kept = recorder.variables[stop.best_epoch]
    for found, expected in zip(model.variables, kept, strict=True):
        np.testing.assert_array_equal(found, expected, found.path)
    assert int(model.prior.num_updates) == 3 * (stop.best_epoch + 1)


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_backup_and_restore(tmp_path):
    whole, broken, resumed = new(), new(), new()
    expected = fit(whole).history
    with pytest.raises(KeyboardInterrupt):
        fit(broken, keras.callbacks.BackupAndRestore(tmp_path / "backup"), Interruption())
    found = fit(resumed, keras.callbacks.BackupAndRestore(tmp_path / "backup")).history
    assert found == {name: values[2:] for name, values in expected.items()}
    assert_same_state(resumed, whole)
    with pytest.raises(AssertionError):
        assert_same_variables(broken.variables, whole.variables)


def test_tensorboard(tmp_path):
    model = new()
    fit(model, keras.callbacks.TensorBoard(tmp_path, histogram_freq=1, write_graph=True), epochs=2)

    def tags(part):
        (file,) = (tmp_path / part).glob("events.*")
        return {
            value.tag
            for event in tf.compat.v1.train.summary_iterator(str(file))
            for value in event.summary.value
        }

    assert {"epoch_objective", "epoch_log_likelihood", "epoch_kl", "epoch_chain_energy"} <= tags("train")
    assert "epoch_nll" in tags("validation")
    histograms = {tag for tag in tags("train") if tag.endswith("/histogram")}
    weights = {weight.path for layer in model.layers for weight in layer.weights}
    assert len(histograms) == len(weights) > 10
    assert any("prior/weights" in tag for tag in histograms)


def test_summary(capsys):
    model = new()
    model.summary(expand_nested=True)
    out = capsys.readouterr().out
    for name in ("posterior (Posterior)", "decoder (Network)", "prior (BoltzmannPrior)"):
        assert name in out
    trainable = sum(np.prod(variable.shape, dtype=int) for variable in model.trainable_variables)
    assert f"Trainable params: {trainable:,}" in out

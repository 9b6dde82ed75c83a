"""Statistics of batch norms averaged over batches."""

import keras
import numpy as np
import pytest

from dvae_tf import models
from support import tiny


@pytest.fixture(autouse=True)
def structures(monkeypatch):
    tiny.add_tiny_structures(monkeypatch)


BATCHES = np.random.default_rng(0).integers(0, 2, (7, 5, tiny.NUM_PIXELS)).astype(np.float32)


def test_statistics_of_the_encoder_are_the_average_over_batches():
    model = tiny.rough_model()
    before = {each.path: np.array(each) for each in model.variables}
    model.average_batch_norms(BATCHES)
    encoder = model.posterior.encoders[0]
    hidden = (BATCHES.astype(np.float64) - 0.4) @ np.asarray(encoder.first[0].kernel, np.float64)
    norm = encoder.norms[0]
    np.testing.assert_allclose(norm.moving_mean, hidden.mean(1).mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, hidden.var(1).mean(0), rtol=1e-4)
    changed = {path for path, value in before.items() if not np.array_equal(value, _value(model, path))}
    assert changed == {each.path for each in model.variables if "/moving_" in each.path}


def _value(model, path):
    return np.asarray(next(each for each in model.variables if each.path == path))


def test_average_of_equal_batches_is_where_running_statistics_end():
    """The encoder's, which see no noise: the running statistics of many steps on one batch."""
    model, other = tiny.rough_model(), tiny.rough_model()
    model.average_batch_norms(np.repeat(BATCHES[:1], 4, 0))
    # With a momentum of 0.8 the start has a weight of 1e-5.
    for _ in range(50):
        other.posterior.encoders[0](BATCHES[0] - other.mean_x, training=True)
    for found, expected in zip(
        model.posterior.encoders[0].norms[0].variables,
        other.posterior.encoders[0].norms[0].variables,
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_own_batch_norms_are_averaged_with_their_own_momentum():
    encoder = keras.Sequential(
        [keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dense(6)]
    )
    model = models.DVAE(tiny.recipe(), np.full(tiny.NUM_PIXELS, 0.4), encoder=encoder)
    model.average_batch_norms(BATCHES)
    hidden = (BATCHES.astype(np.float64) - 0.4) @ np.asarray(encoder.layers[0].kernel, np.float64)
    hidden = hidden + np.asarray(encoder.layers[0].bias)
    np.testing.assert_allclose(encoder.layers[1].moving_mean, hidden.mean(1).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batches", [BATCHES[0], BATCHES[:, :, 1:], BATCHES[:0]])
def test_wrong_batches_are_refused(batches):
    model = tiny.rough_model()
    with pytest.raises(ValueError, match="batches: expected shape"):
        model.average_batch_norms(batches)


def test_models_without_batch_norms_stay_as_they_are():
    model = tiny.rough_model("tiny-lin")
    model.average_batch_norms(BATCHES)


def test_frozen_batch_norms_keep_their_statistics():
    model = tiny.rough_model()
    model.decoder.norms[0].trainable = False
    before = [np.array(each) for each in model.decoder.norms[0].variables]
    model.average_batch_norms(BATCHES)
    for found, expected in zip(model.decoder.norms[0].variables, before, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.abs(model.posterior.encoders[0].norms[0].moving_mean).max() > 0

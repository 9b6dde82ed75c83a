"""Trainings that go wrong are noticed, and say at which step and by which quantity."""

import warnings

import keras
import numpy as np
import pytest

from dvae_tf import storage, training
from dvae_tf.models import StepReport
from dvae_tf.training import faults
from support import killed_run
from support.tiny import recipe
from support.training import tiny_images

GOOD = {
    "log_partition": 10.0,
    "log_partition_converged": 1.0,
    "ais_effective_sample_size": 900.0,
    "population_effective_sample_size": 50.0,
    "active_units": 3.0,
    "r_hat": 1.01,
    "autocorrelation_time": 1.2,
    "prior_beta": 30.0,
    "prior_beta_raised": 0.0,
}
BAD = {
    "log_partition_converged": (0.0, "log_partition", "has not converged"),
    "ais_effective_sample_size": (99.0, "ais_effective_sample_size", "99.0 of 1000, below 10 %"),
    "population_effective_sample_size": (9.0, "population_effective_sample_size", "9.0 of 100"),
    "active_units": (0.0, "active_units", "no unit"),
    "r_hat": (1.2, "r_hat", "R-hat 1.20"),
    "prior_beta_raised": (1.0, "prior_beta_raised", "beta to 30.0"),
}


@pytest.mark.parametrize("quantity", BAD)
def test_problems_are_named_by_their_quantity(quantity):
    value, name, words = BAD[quantity]
    assert faults.diagnose(GOOD, 1000, 100) == {}
    assert faults.diagnose({}, 1000, 100) == {}
    found = faults.diagnose(GOOD | {quantity: value}, 1000, 100)
    assert list(found) == [name]
    assert words in found[name]


def test_the_first_number_that_is_not_finite_is_found():
    reports = np.zeros([5, len(StepReport._fields)])
    assert faults.not_finite(reports, 100) is None
    reports[3, 2], reports[4, 0] = np.inf, np.nan
    assert faults.not_finite(reports, 100) == (103, "kl")


@pytest.mark.parametrize(
    ("first", "now", "expected"),
    [(-540, -90, False), (-540, -5900, False), (-540, -5950, True), (-0.1, -90, False), (-0.1, -101, True)],
)
def test_an_objective_explodes_at_ten_times_its_beginning(first, now, expected):
    assert faults.exploded(now, first) is expected


class Break(keras.callbacks.Callback):
    """Spoils the model at a validation."""

    def __init__(self, step, spoil):
        super().__init__()
        self.step, self.spoil = step, spoil

    def on_epoch_end(self, epoch, logs=None):
        if logs["step"] == self.step:
            self.spoil(self.model)


def decoder_bias(model):
    (bias,) = [each for each in model.trainable_variables if each.path.endswith("decoder/output/bias")]
    return bias


@pytest.mark.slow
def test_an_explosion_stops_the_run_within_a_hundred_steps(tmp_path):
    """The pixels' logits jump to where every bit is wrong by thousands of nats: finite, and lost."""

    def spoil(model):
        decoder_bias(model).assign(np.full(6, 1e4, np.float32))

    settings = recipe(**killed_run.SMALL)
    message = r"step 30: objective is -\d+\.\d and was -\d.*exploded; training stopped, .*000030"
    with pytest.raises(training.TrainingError, match=message):
        training.train(settings, tiny_images(100), tmp_path, callbacks=[Break(30, spoil)])
    checkpoint = storage.read_arrays(tmp_path / "checkpoint-000000030.npz")
    assert np.abs(checkpoint["state/dvae/decoder/output/bias"]).max() < 10


@pytest.mark.slow
def test_a_dead_code_is_noticed_at_the_next_validation_and_said_once(tmp_path):
    def spoil(model):
        """The encoder's weights vanish, and its learning with them."""
        for variable in model.trainable_variables:
            if "encoder" in variable.path:
                variable.assign(np.zeros(variable.shape, np.float32))

    settings = recipe(**{**killed_run.SMALL, "num_train_iter": 120, "num_validations": 4, "base_lr": 1e-9})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.train(settings, tiny_images(100), tmp_path, callbacks=[Break(30, spoil)])
    texts = [str(each.message) for each in caught if issubclass(each.category, training.TrainingWarning)]
    dead = [text for text in texts if "no unit" in text]
    assert len(dead) == 1
    assert dead[0].startswith("step 60:")

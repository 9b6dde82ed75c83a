"""A sampler of somebody else's in a whole model: each step draws once, a fault costs no step, runs resume."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import graphs, models, storage, training
from dvae_tf.samplers import External
from support.external import ExactDraws
from support.tiny import add_tiny_structures, recipe
from support.training import SMALL, tiny_images

SETTINGS = {**SMALL, "num_train_iter": 60, "num_validations": 2, "num_chains": 200}


@keras.saving.register_keras_serializable("test_external_sampler")
class Draws(ExactDraws):
    """Exact draws of the tiny machine at twice the inverse temperature, which fail at one call."""

    def __init__(self, fails_at=None):
        super().__init__(graphs.bipartite(3, 3), 2.0)
        self.fails_at = fails_at

    def __call__(self, biases, couplings, num_chains, seed):
        if len(self.calls) == self.fails_at:
            raise TimeoutError("the annealer is being calibrated")
        return super().__call__(biases, couplings, num_chains, seed)

    def get_config(self):
        return {"fails_at": self.fails_at}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Reports(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.reports = []

    def on_epoch_end(self, epoch, logs=None):
        self.reports.append(logs)


def newest_state(folder):
    arrays = storage.read_arrays(sorted(folder.glob("checkpoint-*.npz"))[-1])
    return {name: array for name, array in arrays.items() if "seconds" not in name}


@pytest.mark.slow
def test_a_fault_costs_no_step(tmp_path, monkeypatch):
    """A run whose sampler fails keeps all steps before, and resumes; given the seeds, to the bit."""
    add_tiny_structures(monkeypatch)
    settings, images = recipe("tiny", **SETTINGS), tiny_images()
    draws, watcher = Draws(), Reports()
    result = training.train(
        settings, images, tmp_path / "whole", [watcher], sampler=External(draws), verbose=False
    )
    assert len(draws.calls) == 60
    assert np.isfinite(result.test_nll)
    # As with the other samplers, diagnostics are those of the validations.
    for report in watcher.reports:
        assert abs(report["beta_eff"] - 2) < 4 * report["beta_eff_standard_error"]
        assert "r_hat" not in report
    folder = tmp_path / "run"
    with pytest.raises(
        training.TrainingError,
        match=r"step 40: the sampler failed \(sample: Draws raised TimeoutError: the annealer is being "
        r"calibrated\); training stopped, .*checkpoint-0*40\.npz is the last good checkpoint",
    ):
        training.train(settings, images, folder, sampler=External(Draws(40)), verbose=False)
    again = Draws()
    training.train(settings, images, folder, sampler=External(again), verbose=False)
    assert len(again.calls) == 20
    whole, resumed = newest_state(tmp_path / "whole"), newest_state(folder)
    assert whole.keys() == resumed.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(resumed[name], array, name)
    # A loaded model takes the sampler as well, and does not call it.
    model = models.load(folder, sampler=External(Draws(0)))
    assert model.prior.sampler.num_chains == 200
    assert np.all(np.isfinite(model.sample(3).images))


@pytest.mark.slow
def test_fit_draws_before_each_step(monkeypatch):
    add_tiny_structures(monkeypatch)
    images = tiny_images()
    settings = recipe("tiny", **SETTINGS, num_replicas=2)
    model = models.DVAE(settings, images.train.mean(0), sampler=External(draws := Draws()))
    assert model.prior.sampler.num_chains == 100
    model.compile()
    before = [np.array(each) for each in model.prior.trainable_variables]
    model.fit(images.train, batch_size=100, epochs=2, verbose=0)
    # Three steps an epoch, a call for each replica.
    assert len(draws.calls) == 12
    assert len({seed for *_, seed in draws.calls}) == 12
    for replica, (biases, couplings, seed) in enumerate(draws.calls[-2:]):
        state = model.prior.state(replica)
        z = np.concatenate([state.left, state.right], 1)
        np.testing.assert_array_equal(z, Draws()(biases, couplings, 100, seed))
    for each, old in zip(model.prior.trainable_variables, before, strict=True):
        assert np.any(np.array(each) != old)
    # The parameters of the last step are those after the step before.
    assert np.any(draws.calls[-1][1] != draws.calls[-3][1])
    model.fit(images.train[:100], batch_size=100, verbose=0)
    with pytest.raises(RuntimeError, match="outside of programs that are compiled by XLA"):
        tf.function(model.update, jit_compile=True)(images.train[:100])
    draws.fails_at = len(draws.calls)
    with pytest.raises(tf.errors.OpError, match="Draws raised TimeoutError"):
        model.fit(images.train, batch_size=100, verbose=0)
    again = models.DVAE.from_config(model.get_config())
    assert again.prior.sampler.sample.fails_at == draws.fails_at


def test_a_strategy_is_refused(tmp_path, monkeypatch):
    add_tiny_structures(monkeypatch)
    with pytest.raises(ValueError, match="strategy: expected None for a sampler that draws outside"):
        training.check_run(
            recipe("tiny", **SETTINGS),
            tiny_images(),
            strategy=tf.distribute.OneDeviceStrategy("/cpu:0"),
            sampler=External(Draws()),
        )

"""What TensorBoard reads of run folders."""

import numpy as np
import pytest
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

from dvae_tf import models
from dvae_tf.runs import Result, RunFolder
from dvae_tf.training import recording
from support.results import REQUIRED
from support.tiny import NUM_PIXELS, add_tiny_structures, recipe
from support.training import tiny_images

ERRORS = ("test_nll_standard_error", "test_nll_monte_carlo_error")


def hparams_dashboard(folder):
    """What the HParams dashboard shows of a folder: which hyperparameters differ, and sessions by name."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(folder))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request = api_pb2.GetExperimentRequest()
    experiment = get_experiment.Handler(context.RequestContext(), backend, "", request).run()
    request = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_UNKNOWN], slice_size=100
    )
    groups = list_session_groups.Handler(context.RequestContext(), backend, "", request).run()
    differing = {info.name for info in experiment.hparam_infos if info.differs}
    return differing, {
        session.name: (group, session) for group in groups.session_groups for session in group.sessions
    }


def values(group, session):
    hyperparameters = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in group.hparams.items()
    }
    return hyperparameters, {metric.name.tag: metric.value for metric in session.metric_values}


def test_hparams_lists_what_differs_and_the_results(tmp_path, monkeypatch):
    add_tiny_structures(monkeypatch)
    monkeypatch.setattr(recording, "_draw_pictures", lambda *_: None)
    nlls = {"sharp": 2.5, "concrete": 3.25}
    for name, changes in {
        "sharp": {"beta": 12.0},
        "concrete": {"baseline": "gumbolt", "patience": 3},
    }.items():
        model = models.DVAE(recipe(hidden=(8,), **changes), np.full(NUM_PIXELS, 0.4))
        model.compile()
        recorder = recording.Recorder(RunFolder(tmp_path / name), model, tiny_images())
        recorder.restore()
        recorder.scalars(40, {"val_nll": 3.0})
        if name == "sharp":
            result = Result.from_json(REQUIRED | {"test_nll": nlls[name], "best_step": 40})
            recorder.finish(result, np.full(250, nlls[name]))
    differing, sessions = hparams_dashboard(tmp_path)
    assert differing >= {"baseline", "adam_epsilon", "lr_steps"}
    assert not differing & {"seed", "k", "struct"}
    assert sessions.keys() == {"sharp/events/hparams", "concrete/events/hparams"}
    hyperparameters, metrics = values(*sessions["sharp/events/hparams"])
    assert hyperparameters["beta"] == 12
    assert hyperparameters["hidden"] == "[8]"
    assert hyperparameters["couplings"] is True
    assert "patience" not in hyperparameters
    errors = {name: pytest.approx(REQUIRED[name]) for name in ERRORS}
    assert metrics == {"test_nll": 2.5} | errors
    assert sessions["sharp/events/hparams"][1].status == api_pb2.STATUS_SUCCESS
    hyperparameters, metrics = values(*sessions["concrete/events/hparams"])
    assert hyperparameters["temperature"] == pytest.approx(1 / 7)
    assert hyperparameters["patience"] == 3
    assert "beta" not in hyperparameters
    assert "test_nll" not in metrics
    assert sessions["concrete/events/hparams"][1].status == api_pb2.STATUS_UNKNOWN

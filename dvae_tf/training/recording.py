"""What a run records in its folder: checkpoints, best weights, TensorBoard events, pictures, the result."""

import contextlib
import json
import os
import pathlib
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.hparams import api_pb2, summary

from .. import models, plots, storage
from ..config import Recipe
from ..data import Images
from ..models import DVAE
from ..models.variable_names import current_names, named_state, named_variables
from ..numerics import Tag, fold_in
from ..runs import Checkpoint, History, Result, RunFolder, read_history
from . import faults
from .devices import Devices
from .faults import TrainingWarning
from .progress import Progress

_EVENTS = "events"
# Hyperparameters and final metrics, apart from the other events: the HParams dashboard would list those too.
_SESSION = f"{_EVENTS}/hparams"
_NO_EVENTS = "the metrics for the HParams dashboard could not be written"
_NO_PICTURES = "the pictures could not be drawn (the same run, started again, draws them)"
_PICTURES = ("samples", "reconstructions", "learning_curve")
# Those of models with local variables.
_LOCAL_PICTURES = ("bits_held", "local_held")


class Recorder:
    """Reads and writes the run folder of a model in training.

    Attributes:
      history: the validations so far.
      progress: what else a checkpoint holds.
      devices: what the run has been trained on.
      best: variables of the model at the best validation so far, by path.
    """

    def __init__(self, folder: RunFolder, model: DVAE, images: Images, device: str | None = None) -> None:
        self.folder, self._model, self._images, self._device = folder, model, images, device
        self.history, self.progress, self.devices = History(), Progress(), Devices()
        self.best: dict[str, np.ndarray] = {}

    @property
    def step(self) -> int:
        """Number of steps taken."""
        return int(self._model.optimizer.iterations)

    @property
    def _state(self) -> dict[str, Any]:
        """The variables that determine the rest of the run, by name."""
        return named_state(self._model)

    def restore(self) -> None:
        """Restores the newest intact checkpoint, if there is one; warns of damaged ones."""
        checkpoint = self.folder.read_checkpoint(self._model.recipe)
        if checkpoint is not None:
            self._assign(checkpoint)
            self.folder.set_aside(checkpoint.damaged)
            for reason in checkpoint.damaged.values():
                warnings.warn(
                    f"{reason}; resuming from {checkpoint.file}, the newest intact one",
                    TrainingWarning,
                    stacklevel=2,
                )
            if self.best:
                self.folder.write_best(self.best)
        before, self.devices = self.devices, self.devices.then(self.step, self._device)
        if before.spans and before != self.devices:
            warnings.warn(
                f"step {self.step}: trained on {before} so far, and now on {self._device}; devices round "
                "differently, so the run does not end as it would have to the last bit",
                TrainingWarning,
                stacklevel=2,
            )
        self._model.stop_training = bool(self.progress.stopped)
        self._started = time.monotonic() - self.progress.seconds
        # Opened only now: a run that is refused leaves no trace.
        self._events = self._open_events(_EVENTS)
        self._session = self._open_events(_SESSION)
        with self._writing(self._session):
            hparams.hparams(_hyperparameters(self._model.recipe))

    def _open_events(self, name: str) -> tf.summary.SummaryWriter:
        if not self.folder.is_writer:
            return tf.summary.create_noop_writer()
        return tf.summary.create_file_writer(str(self.folder.path / name))

    def _assign(self, checkpoint: Checkpoint) -> None:
        """Assigns all of a checkpoint or nothing."""
        groups, file = checkpoint.groups, checkpoint.file
        history = History.from_arrays(groups.get("history", {}), file)
        progress = Progress.from_arrays(groups.get("progress", {}), file)
        devices = Devices.from_arrays(groups.get("devices", {}), file)
        variables, everything = named_variables(self._model), self._state
        best = current_names(groups.get("best", {}), variables)
        if history.step:
            storage.check_variables(variables, best, file)
        storage.assign_variables(everything, current_names(groups.get("state", {}), everything), file)
        self.history, self.progress, self.devices, self.best = history, progress, devices, best

    def checkpoint(self) -> pathlib.Path:
        """Writes a checkpoint and returns its path.

        Raises:
          TrainingError: if a variable is not finite.
        """
        state = storage.variable_arrays(self._state)
        for path, array in state.items():
            if not np.isfinite(array).all():
                raise faults.training_error(self.folder, self.step, path, "is not finite")
        self.progress.seconds = time.monotonic() - self._started
        self.progress.stopped = float(self._model.stop_training)
        groups = {
            "state": state,
            "best": self.best,
            "history": self.history.arrays(),
            "progress": self.progress.arrays(),
            "devices": self.devices.arrays(),
        }
        return self.folder.write_checkpoint(self.step, groups, self._model.recipe)

    def validation(self, step: int, report: dict[str, float]) -> bool:
        """Records a validation, with a checkpoint; returns whether it is the best so far."""
        self.history.append(step, time.monotonic() - self._started, report)
        is_best = self.history.best == len(self.history.step) - 1
        self.progress.clear()
        if is_best:
            self.best = storage.variable_arrays(named_variables(self._model))
        self.checkpoint()
        if is_best:
            self.folder.write_best(self.best)
        seed = fold_in((0, self._model.recipe.seed), Tag.PICTURES, step)
        samples = self._model.sample(50, seed, 100).images.numpy()
        self.scalars(step, report, plots.tile(samples, self._images.image_shape, 10))
        return is_best

    def scalars(self, step: int, report: dict[str, float], samples: np.ndarray | None = None) -> None:
        """Writes scalars, and a sheet of samples, as TensorBoard events.

        Raises:
          StorageError: if they cannot be written.
        """
        with self._writing(self._events):
            for name, value in report.items():
                tf.summary.scalar(name, value, step)
            if samples is not None:
                height, width, *channels = samples.shape
                tf.summary.image("samples", samples.reshape(1, height, width, *channels or [1]), step)

    @contextlib.contextmanager
    def _writing(self, events: tf.summary.SummaryWriter) -> Iterator[None]:
        """A context whose summaries become events."""
        try:
            with events.as_default():
                yield
            events.flush()
        except tf.errors.OpError as error:
            folder = self.folder.path / _EVENTS
            raise storage.StorageError(f"{folder}: cannot be written: {error.message}") from error

    def load_best(self) -> None:
        """Assigns the best weights to the model."""
        storage.assign_variables(named_variables(self._model), self.best, self.folder.best_weights)

    def finish(self, result: Result, image_nll: np.ndarray) -> None:
        """Writes the result, then events and pictures, whose faults do not cost the result."""
        self.folder.finish(result, image_nll)
        if self.folder.is_writer:
            with _faults_as_warnings(self.folder.path, _NO_EVENTS), self._writing(self._session):
                for name, value in _metrics(result).items():
                    tf.summary.scalar(name, value, result.best_step or 0)
                ended = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
                tf.summary.experimental.write_raw_pb(ended.SerializeToString(), 0)
            with _faults_as_warnings(self.folder.path, _NO_PICTURES):
                _draw_pictures(self.folder.path, self._model, self._images, self.history)


def _hyperparameters(recipe: Recipe) -> dict[str, bool | float | str]:
    """The fields of a recipe that have a value, as TensorBoard takes them: lists are texts."""
    return {
        name: json.dumps(value) if isinstance(value, list) else value
        for name, value in recipe.to_json().items()
        if value is not None
    }


def _metrics(result: Result) -> dict[str, float]:
    """What TensorBoard lists of a finished run."""
    return {
        "test_nll": result.test_nll,
        "test_nll_standard_error": result.test_nll_standard_error,
        "test_nll_monte_carlo_error": result.test_nll_monte_carlo_error,
    }


def draw_missing_pictures(
    folder: RunFolder, recipe: Recipe, images: Images, parts: Mapping[str, Any]
) -> None:
    """Draws the pictures of a finished run if one is missing and the folder can be written."""
    path = folder.path
    names = _PICTURES + (_LOCAL_PICTURES if recipe.structure.num_local_groups else ())
    is_complete = all((path / f"{name}.png").exists() for name in names)
    if is_complete or not folder.is_writer or not os.access(path, os.W_OK):
        return
    with _faults_as_warnings(path, _NO_PICTURES):
        history = read_history(path, recipe) or History()
        _draw_pictures(path, models.load(path, **parts), images, history)


def _draw_pictures(path: pathlib.Path, model: DVAE, images: Images, history: History) -> None:
    pictures = plots.run_pictures(model, images)
    pictures["learning_curve"] = plots.learning_curve_png(model.recipe, history)
    for name, content in pictures.items():
        storage.write_bytes(path / f"{name}.png", content)


@contextlib.contextmanager
def _faults_as_warnings(path: pathlib.Path, what: str) -> Iterator[None]:
    """Turns whatever fails after the result has been written into a warning that says what it is."""
    try:
        yield
    except Exception as error:
        warnings.warn(
            f"{path}: {what}: {error}. The result is complete",
            TrainingWarning,
            stacklevel=3,
        )

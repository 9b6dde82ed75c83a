"""One run: from the newest checkpoint of a folder to the measured result."""

import contextlib
import dataclasses
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import models
from ..config import LIKELIHOODS, Recipe
from ..data import Images, check
from ..models import DVAE, StepReport
from ..models.systems import graph_digest
from ..runs import Inputs, Result, RunFolder, provenance
from ..samplers import SamplerError
from . import faults, interruption, measuring
from .distribution import (
    WORKER_LOST,
    check_replicas,
    check_sampler,
    has_workers,
    is_first_worker,
    stop_requested,
)
from .faults import TrainingWarning
from .inputs import check_mean_image, inputs_of
from .loop import STEPS_PER_CALL, TrainingLoop
from .progress_bar import ProgressBar
from .recording import Recorder, draw_missing_pictures


def train(
    recipe: Recipe,
    images: Images,
    log_dir: str | os.PathLike[str],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: bool = True,
    strategy: tf.distribute.Strategy | None = None,
    init_from: str | os.PathLike[str] | None = None,
    **parts: Any,
) -> Result:
    """Trains a model, tests its best weights by validation, and leaves a run folder.

    A folder with an unfinished run of the same recipe, images and parts is resumed, to the last bit as if it
    had not been interrupted, if the states of a `samplers.External` follow from its seed; a folder with a
    finished run returns its result, also if it is read-only.

    Args:
      recipe: what to train, and how.
      images: the dataset.
      log_dir: the run folder; created if it does not exist.
      callbacks: Keras callbacks. A batch is a call of the compiled loop, of at most 50 steps, and its number
        is that of the steps taken; an epoch ends with each validation, whose scalars are its logs (`val_nll`,
        `step`, …), so `keras.callbacks.EarlyStopping("val_nll", mode="min")` stops. The test calls
        `on_test_begin`, `on_test_batch_end` with the number of images done, and `on_test_end`.
      verbose: whether to show progress on the terminal (`ProgressBar`).
      strategy: devices to train on, as many as `num_replicas` of the recipe; None computes all replicas in
        this process, with the same result but for rounding. The model is made outside of its scope. With
        several workers each calls this function, and the first one writes.
      init_from: a run folder, or the name of a pretrained model, whose weights and chains training starts
        from: the schedule is that of a new run, without the warm-up of the KL terms. It sets the field of the
        recipe, so the run folder says where the run began. None leaves the field as it is.
      **parts: your own `encoder`, `decoder`, `likelihood`, `relaxation`, `prior` or `sampler` for
        `models.DVAE`.

    Returns:
      The measured result, as `result.json` holds it.

    Raises:
      DataError: if the images are not what the likelihood takes: bits, or levels in [0, 1].
      ValueError: if the images do not fit the recipe, or the folder belongs to another configuration, to
        other images, or to other parts.
      PermissionError: if the folder is not writable, or another process is training in it.
      TrainingError: if the objective or a weight is no longer finite, the objective explodes, or a sampler of
        your own fails (`samplers.External`), once a checkpoint is written.
      StorageError: if checkpoints of the folder are damaged or foreign, or a file cannot be written.
      Interrupted: after SIGTERM or SIGINT to any worker, once a checkpoint is written. A second signal is not
        deferred.
    """
    if init_from is not None:
        recipe = dataclasses.replace(recipe, init_from=os.fspath(init_from))
    check_run(recipe, images, strategy=strategy, **parts)
    folder, inputs = _checked_folder(recipe, images, log_dir, strategy, parts)
    if (result := folder.result) is not None:
        draw_missing_pictures(folder, recipe, images, parts)
        return result
    model = DVAE(recipe, images.train.mean(0), image_shape=images.image_shape, **parts)
    if recipe.init_from is not None and not folder.checkpoints():
        models.start_from(model, recipe.init_from)
    model.compile()
    progress_bar = ProgressBar()
    followers = [progress_bar, *callbacks] if verbose else list(callbacks)
    with folder.lock(), interruption.watch() as request:
        folder.bind(recipe, inputs)
        if (result := folder.result) is not None:
            return result  # another process has finished it meanwhile
        run = _Run(images, folder, model, followers, request, strategy)
        try:
            return run()
        finally:
            progress_bar.close()


def check_run(
    recipe: Recipe,
    images: Images,
    log_dir: str | os.PathLike[str] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    **parts: Any,
) -> None:
    """Makes the checks that `train` makes before it builds the model; None leaves out the folder.

    Writes nothing.

    Raises:
      DataError: as `train`.
      ValueError: as `train`.
      PermissionError: as `train`.
      StorageError: if the configuration, the inputs or the result of the folder is damaged.
    """
    own = parts.get("likelihood")
    pixels = LIKELIHOODS[recipe.likelihood].pixels if own is None else getattr(own, "pixels", None)
    check(images, pixels)
    measuring.check_images(recipe, images, pixels)
    check_replicas(recipe, strategy)
    check_sampler(parts.get("sampler") or getattr(parts.get("prior"), "sampler", None), strategy)
    if recipe.init_from is not None:
        models.weights_file(recipe.init_from, "init_from")
    if log_dir is not None:
        _checked_folder(recipe, images, log_dir, strategy, parts)


def _checked_folder(
    recipe: Recipe,
    images: Images,
    log_dir: str | os.PathLike[str],
    strategy: tf.distribute.Strategy | None,
    parts: Mapping[str, Any],
) -> tuple[RunFolder, Inputs]:
    """The folder of a run, once it is found to belong to it, and the inputs of the run."""
    folder = RunFolder(log_dir, is_first_worker(strategy))
    try:
        graph = graph_digest(recipe, [name for name, part in parts.items() if part is not None])
    except (FileNotFoundError, ValueError):
        # A finished run only gives its result back.
        if folder.result is None:
            raise
        graph = None
    inputs = inputs_of(images, parts, graph)
    folder.check(recipe, inputs)
    check_mean_image(folder, images)
    return folder, inputs


class _Run:
    """The control flow of one run in this process."""

    def __init__(
        self,
        images: Images,
        folder: RunFolder,
        model: DVAE,
        callbacks: list[keras.callbacks.Callback],
        request: interruption.Request,
        strategy: tf.distribute.Strategy | None,
    ) -> None:
        self.recipe, self.images, self.model = model.recipe, images, model
        self.request, self.strategy = request, strategy
        recipe = self.recipe
        self.callbacks = keras.callbacks.CallbackList(
            callbacks,
            model=model,
            epochs=recipe.num_validations,
            steps=recipe.validation_interval,
            verbose=0,
        )
        # Taken now: the checkout may change during a long run.
        self.origin = provenance.describe()
        self.recorder = Recorder(folder, model, images, self.origin["device"])
        self.diagnosed: frozenset[str] = frozenset()
        self.loop = TrainingLoop(model, images, strategy)

    def __call__(self) -> Result:
        self.recorder.restore()
        self.train()
        return self.test()

    def train(self) -> None:
        recipe, model, history = self.recipe, self.model, self.recorder.history
        step = self.recorder.step
        self.callbacks.on_train_begin({"step": step})
        epoch_begun = False
        while step < recipe.num_train_iter and not model.stop_training and not self._out_of_patience:
            if not epoch_begun:
                self.callbacks.on_epoch_begin(len(history.step))
                epoch_begun = True
            self._stop_if_requested(step)
            self.callbacks.on_train_batch_begin(step)
            reports = self._call(step, self._next_stop(step))
            self.recorder.progress.add(reports)
            step += len(reports)
            report = dict(zip(StepReport._fields, reports.mean(0).tolist(), strict=True))
            if recipe.num_tracking_chains and step % self._live_interval == 0:
                live = measuring.live_values(model, self.images.validation, step)
                self.recorder.scalars(step, live)
                report |= live
            self.callbacks.on_train_batch_end(step, report)
            if step % recipe.validation_interval == 0 or step == recipe.num_train_iter:
                self._validate(step)
                epoch_begun = False
        self.callbacks.on_train_end()

    @property
    def _live_interval(self) -> int:
        return max(self.recipe.validation_interval // measuring.LIVE_VALUES, 1)

    def _next_stop(self, step: int) -> int:
        """Where the next call of the loop ends: no later than the next event at a fixed step."""
        intervals = [self.recipe.validation_interval]
        if self.recipe.num_tracking_chains:
            intervals.append(self._live_interval)
        fixed = ((step // interval + 1) * interval for interval in intervals)
        steps = min(STEPS_PER_CALL, self.loop.steps_per_call)
        return min(step + steps, self.recipe.num_train_iter, *fixed)

    @property
    def _out_of_patience(self) -> bool:
        """Whether as many validations as the recipe's patience have brought no improvement."""
        history, patience = self.recorder.history, self.recipe.patience
        best = history.best
        return best is not None and patience is not None and len(history.step) - 1 - best >= patience

    def _call(self, step: int, stop: int) -> np.ndarray:
        """Takes steps [step, stop); returns their reports, [steps, fields]."""
        with self._other_workers(step):
            reports = self._reports(step, stop)
        progress = self.recorder.progress
        if step == 0:
            progress.first_objective = reports[0, 0]
        if (bad := faults.not_finite(reports, step)) is not None:
            raise faults.training_error(self.recorder.folder, *bad, "is not finite")
        for number, objective in enumerate(reports[:, 0], step):
            if faults.exploded(objective, progress.first_objective):
                fault = f"is {objective:.1f} and was {progress.first_objective:.1f} at first: exploded"
                raise faults.training_error(self.recorder.folder, number, "objective", fault)
        return reports

    def _reports(self, step: int, stop: int) -> np.ndarray:
        """Takes steps [step, stop); a sampler of the user's own that fails costs none of those before."""
        try:
            return self.loop(step, stop)
        except SamplerError as error:
            self.recorder.checkpoint()
            fault = f"failed ({error})"
            raise faults.training_error(self.recorder.folder, step, "the sampler", fault) from error

    def _validate(self, step: int) -> None:
        model, progress = self.model, self.recorder.progress
        means = dict(zip(StepReport._fields, (progress.sums / progress.count).tolist(), strict=True))
        self.loop.average_batch_norms()
        report = measuring.validate(model, self.images.validation, step, means)
        if not np.isfinite(report["val_nll"]):
            raise faults.training_error(self.recorder.folder, step, "the validation NLL", "is not finite")
        is_best = self.recorder.validation(step, report)
        self._warn(step, report)
        epoch = len(self.recorder.history.step) - 1
        self.callbacks.on_epoch_end(epoch, report | {"step": step, "is_best": is_best})
        if model.stop_training:
            # The state of a callback is not stored, but its decision is.
            self.recorder.checkpoint()

    def _warn(self, step: int, report: dict[str, float]) -> None:
        """Warns of every problem once for as long as it lasts."""
        num_chains = self.recipe.num_chains // self.recipe.num_replicas
        found = faults.diagnose(report, self.recipe.ais_chains, num_chains)
        for name in found.keys() - self.diagnosed:
            warnings.warn(f"step {step}: {found[name]}", TrainingWarning, stacklevel=2)
        self.diagnosed = frozenset(found)

    def test(self) -> Result:
        """Measures the best weights, and records the result."""
        recorder, history = self.recorder, self.recorder.history
        steps, best = recorder.step, history.best or 0
        recorder.load_best()
        started = time.monotonic()
        self.callbacks.on_test_begin()
        measured = measuring.measure_test(self.model, self.images.test, self._tested)
        self.callbacks.on_test_end({"test_nll": measured.nll})
        result = measuring.result_of(
            self.model,
            measured,
            num_steps=steps,
            best_step=int(history.step[best]),
            best_val_nll=history.val_nll[best],
            log_partition_tracking_error=measuring.tracking_error(self.model, history),
            data_source=self.images.source,
            seconds=history.seconds[-1],
            test_seconds=time.monotonic() - started,
            **self.origin | {"device": str(recorder.devices) if recorder.devices.spans else None},
        )
        recorder.finish(result, measured.image_nll)
        return result

    def _tested(self, done: int, total: int) -> None:
        self.callbacks.on_test_batch_end(done, {"num_images": total})
        if self.request.signal is not None:
            raise self.request.interrupted(f"after {done} of {total} test images; the training is complete")

    def _stop_if_requested(self, step: int) -> None:
        with self._other_workers(step):
            requested = stop_requested(self.strategy, self.request)
        if requested:
            file = self.recorder.checkpoint()
            raise self.request.interrupted(f"after step {step}; {file} holds everything")

    @contextlib.contextmanager
    def _other_workers(self, step: int) -> Iterator[None]:
        """Turns the failure of another worker into a `TrainingError`."""
        try:
            yield
        except WORKER_LOST as error:
            if not has_workers(self.strategy):
                raise
            fault = f"is gone, or cannot be reached ({type(error).__name__}); start all workers again"
            raise faults.training_error(self.recorder.folder, step, "another worker", fault) from error

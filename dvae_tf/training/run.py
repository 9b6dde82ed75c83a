"""One run: from the folder's newest checkpoint to the measured result."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import evaluation, plots, provenance, storage
from ..config import Recipe
from ..data import Images, check
from ..models import DVAE, StepReport
from ..numerics import Tag, fold_in
from ..run_folder import Checkpoint, RunFolder
from . import faults, interruption
from .distribution import WORKER_LOST, anyone_asked, has_workers, is_first_worker
from .faults import TrainingError
from .history import History, Progress
from .interruption import Interrupted
from .loop import STEPS_PER_CALL, TrainingLoop
from .monitor import Monitor
from .result import result_record

# Where log Z is tracked: live values between two validations, of so many images and samples.
_LIVE_VALUES = 5
_LIVE_IMAGES = 1_000
_LIVE_SAMPLES = 10


def train(
    recipe: Recipe,
    images: Images,
    log_dir: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    monitor: Monitor | None = None,
    strategy: tf.distribute.Strategy | None = None,
    **parts: Any,
) -> dict[str, Any]:
    """Trains a model, tests the best one by validation, and leaves a run folder.

    A folder with an unfinished run of the same recipe goes on; one with a finished run returns its
    result.

    Args:
      recipe: what to train, and how.
      images: what on.
      log_dir: the run folder; made where it does not exist.
      callbacks: Keras callbacks; a validation is their epoch, with `val_nll` among its logs, so
        `keras.callbacks.EarlyStopping("val_nll", mode="min")` stops.
      monitor: is told of the progress.
      strategy: whose devices take part, as many as the recipe's `num_replicas`; without one, this process
        works out the shares of all replicas itself, to the same result but for rounding. The model is made
        outside of its scope. With several workers all call this; the first one writes.
      **parts: the user's own `encoder`, `decoder`, `likelihood` of `models.DVAE`.

    Returns:
      The content of `result.json`.

    Raises:
      DataError: if the images are not binary images (with the library's own pixel likelihood).
      ValueError: if the images do not fit the recipe, or the folder belongs to another one.
      PermissionError: if the folder cannot be written, or another process is training in it.
      TrainingError: if the objective or a weight stops being finite, or the objective explodes.
      StorageError: if the folder's checkpoints are damaged or of something else, or a file cannot be written.
      Interrupted: after SIGTERM or SIGINT, to any worker, when a checkpoint is written. A second signal does
        not wait.
    """
    if "likelihood" not in parts:
        check(images)
    _check_images(recipe, images, "likelihood" in parts)
    folder = RunFolder(log_dir, is_first_worker(strategy))
    folder.claim(recipe)
    if folder.result is not None:
        return folder.result
    model = DVAE(recipe, images.train.mean(0), **parts)
    model.compile()
    monitor = monitor or Monitor()
    with folder.hold(), interruption.watch() as request:
        run = _Run(recipe, images, folder, model, callbacks, monitor, request, strategy)
        try:
            run.restore()
            run.train()
            return run.test()
        finally:
            monitor.close()


class _Run:
    """One run in this process."""

    def __init__(
        self,
        recipe: Recipe,
        images: Images,
        folder: RunFolder,
        model: DVAE,
        callbacks: Sequence[keras.callbacks.Callback],
        monitor: Monitor,
        request: interruption.Request,
        strategy: tf.distribute.Strategy | None,
    ) -> None:
        self.recipe, self.images, self.folder, self.model = recipe, images, folder, model
        self.monitor, self.request, self.strategy = monitor, request, strategy
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=model)
        self.history, self.progress = History(), Progress()
        # The model's variables at the best validation.
        self.best: dict[str, np.ndarray] = {}
        self.doubted: frozenset[str] = frozenset()
        self.loop = TrainingLoop(model, images, strategy)
        # Now: the checkout may change while a long run goes on.
        self.origin = provenance.describe()

    @property
    def step(self) -> int:
        return int(self.model.optimizer.iterations)

    @property
    def state(self) -> list[Any]:
        """The variables that determine the rest of the run."""
        return [*self.model.weights, *self.model.optimizer.variables]

    def restore(self) -> None:
        """Goes back to the newest intact checkpoint, if there is one; says what was damaged."""
        checkpoint = self.folder.read_checkpoint(self.recipe)
        if checkpoint is not None:
            self._assign(checkpoint)
            self.folder.set_aside(checkpoint.damaged)
            for reason in checkpoint.damaged.values():
                self.monitor.warning(f"{reason}; going on from {checkpoint.file}, the newest intact one")
            if self.best:
                self.folder.write_best(self.best)
        self.model.stop_training = bool(self.progress.stopped)
        self.started = time.monotonic() - self.progress.seconds
        # Not before: a run that is refused leaves no trace.
        self.events = (
            tf.summary.create_file_writer(str(self.folder.path / "events"))
            if self.folder.is_writer
            else tf.summary.create_noop_writer()
        )

    def _assign(self, checkpoint: Checkpoint) -> None:
        """All or nothing."""
        groups, file = checkpoint.groups, checkpoint.file
        history = History.from_arrays(groups.get("history", {}), file)
        progress = Progress.from_arrays(groups.get("progress", {}), file)
        state, best = groups.get("state", {}), groups.get("best", {})
        if history.step:
            storage.check_variables(self.model.variables, best, file)
        storage.assign_variables(self.state, state, file)
        self.history, self.progress, self.best = history, progress, best

    def checkpoint(self) -> str:
        """Writes one; returns its path."""
        state = storage.variable_arrays(self.state)
        for path, array in state.items():
            if not np.isfinite(array).all():
                raise TrainingError(self._stopped(self.step, path, "is not finite"))
        self.progress.seconds = time.monotonic() - self.started
        self.progress.stopped = float(self.model.stop_training)
        groups = {
            "state": state,
            "best": self.best,
            "history": self.history.arrays(),
            "progress": self.progress.arrays(),
        }
        return str(self.folder.write_checkpoint(self.step, groups, self.recipe))

    def train(self) -> None:
        recipe = self.recipe
        self.monitor.start(recipe, self.model, self.step)
        self.callbacks.on_train_begin()
        step = self.step
        while step < recipe.num_train_iter and not self.model.stop_training and not self._out_of_patience:
            self._leave_if_asked(step)
            reports = self._call(step, self._next_stop(step))
            self.progress.add(reports)
            step += len(reports)
            report = dict(zip(StepReport._fields, reports.mean(0).tolist(), strict=True))
            self.monitor.steps(step, report)
            self.callbacks.on_train_batch_end(step, report)
            if recipe.num_witnesses and step % self._live_interval == 0:
                self._live(step)
            if step % recipe.validation_interval == 0 or step == recipe.num_train_iter:
                self._validate(step)
        self.callbacks.on_train_end()

    @property
    def _live_interval(self) -> int:
        return max(self.recipe.validation_interval // _LIVE_VALUES, 1)

    def _next_stop(self, step: int) -> int:
        """Where the next call ends: it does not run past anything that happens at a fixed step."""
        intervals = [self.recipe.validation_interval]
        if self.recipe.num_witnesses:
            intervals.append(self._live_interval)
        fixed = ((step // interval + 1) * interval for interval in intervals)
        return min(step + STEPS_PER_CALL, self.recipe.num_train_iter, *fixed)

    def _leave_if_asked(self, step: int) -> None:
        with self._other_workers(step):
            asked = anyone_asked(self.strategy, self.request)
        if asked:
            file = self.checkpoint()
            raise self._interrupted(f"after step {step}; {file} holds everything")

    @contextlib.contextmanager
    def _other_workers(self, step: int) -> Iterator[None]:
        """What they take part in fails when one dies."""
        try:
            yield
        except WORKER_LOST as error:
            if not has_workers(self.strategy):
                raise
            fault = f"is gone, or cannot be reached ({type(error).__name__}); start all workers again"
            raise TrainingError(self._stopped(step, "another worker", fault)) from error

    def _interrupted(self, words: str) -> Interrupted:
        asked = self.request.signal
        assert asked is not None
        return Interrupted(f"{asked.name} {words}. Start the same run again to go on.", asked)

    @property
    def _out_of_patience(self) -> bool:
        """Whether the last validations of as many as the recipe allows have all been worse than the best."""
        best, patience = self.history.best, self.recipe.patience
        return best is not None and patience is not None and len(self.history.step) - 1 - best >= patience

    def _live(self, step: int) -> None:
        """Where log Z runs along: the NLL of some validation images, without annealing."""
        log_z = self.model.prior.track()
        if log_z is None:
            return
        seed = fold_in((0, self.recipe.seed), Tag.LIVE, step)
        images = self.images.validation[:_LIVE_IMAGES]
        batch_size = min(self.recipe.eval_batchsize, len(images))
        nlls = evaluation.image_nll(self.model, images, _LIVE_SAMPLES, seed, batch_size)
        report = {
            "live_val_nll": float(nlls.nll.mean()),
            "live_log_partition": float(log_z),
        }
        self._write_events(step, report)
        self.monitor.live(step, report)

    def _call(self, step: int, stop: int) -> np.ndarray:
        """Runs steps [step, stop); returns their reports, [steps, fields]."""
        with self._other_workers(step):
            reports = self.loop(step, stop)
        if step == 0:
            self.progress.first_objective = reports[0, 0]
        if (bad := faults.not_finite(reports, step)) is not None:
            raise TrainingError(self._stopped(*bad, "is not finite"))
        for number, objective in enumerate(reports[:, 0], step):
            if faults.exploded(objective, self.progress.first_objective):
                fault = f"is {objective:.1f} and was {self.progress.first_objective:.1f} at first: exploded"
                raise TrainingError(self._stopped(number, "objective", fault))
        return reports

    def _stopped(self, step: int, quantity: str, fault: str) -> str:
        checkpoints = self.folder.checkpoints()
        left = (
            f"{checkpoints[-1][1]} is the last good checkpoint"
            if checkpoints
            else "there was no checkpoint yet"
        )
        return f"step {step}: {quantity} {fault}; training stopped, {left}"

    def _validate(self, step: int) -> None:
        recipe, model, progress = self.recipe, self.model, self.progress
        report = dict(zip(StepReport._fields, (progress.sums / progress.count).tolist(), strict=True))
        seed = fold_in((0, recipe.seed), Tag.VALIDATION, step)
        model.prior.track()
        log_z_before = float(model.prior.log_partition)
        # Before families are founded anew.
        diagnostics = model.prior.diagnostics()
        estimate = model.anchor_log_partition(seed)
        nlls = evaluation.image_nll(
            model, self.images.validation, recipe.validation_iw_samples, seed, recipe.eval_batchsize
        )
        nll = float(nlls.nll.mean())
        if not np.isfinite(nll):
            raise TrainingError(self._stopped(step, "the validation NLL", "is not finite"))
        kl_weight = float(model.kl_weight(step))
        # The steps since the last validation used its log Z; on average they stood half way to this one.
        drift = (estimate.log_partition - log_z_before) / 2
        report = report | {
            "objective": report["objective"] - kl_weight * drift,
            "val_nll": nll,
            "log_partition": estimate.log_partition,
            "log_partition_standard_error": estimate.standard_error,
            "log_partition_converged": float(estimate.converged),
            "log_partition_before": log_z_before,
            "learning_rate": float(model.optimizer.learning_rate),
            "kl_weight": kl_weight,
            "active_units": float(evaluation.active_units(model, self.images.validation, seed).sum()),
            **diagnostics,
        }
        if estimate.effective_sample_size is not None:
            report["ais_effective_sample_size"] = estimate.effective_sample_size
        history = self.history
        history.step.append(step)
        history.objective.append(report["objective"])
        history.val_nll.append(nll)
        history.log_partition.append(report["log_partition"])
        history.log_partition_before.append(log_z_before)
        history.seconds.append(time.monotonic() - self.started)
        is_best = history.best == len(history.step) - 1
        progress.clear()
        if is_best:
            self.best = storage.variable_arrays(model.variables)
        self.checkpoint()
        if is_best:
            self.folder.write_best(self.best)
        samples = model.sample(50, fold_in((0, recipe.seed), Tag.PICTURES, step), 100)
        self._write_events(step, report, plots.tile(samples.images.numpy(), self.images.image_shape, 10))
        self.monitor.validation(step, report, is_best)
        self._warn(step, report)
        self.callbacks.on_epoch_end(len(history.step) - 1, report)
        if model.stop_training:
            # A callback's own state is not ours to keep, its word is.
            self.checkpoint()

    def _warn(self, step: int, report: dict[str, float]) -> None:
        """Says what gives to doubt, once for as long as it lasts."""
        found = faults.doubts(
            report, self.recipe.ais_chains, self.recipe.num_chains // self.recipe.num_replicas
        )
        for name in found.keys() - self.doubted:
            self.monitor.warning(f"step {step}: {found[name]}")
        self.doubted = frozenset(found)

    def _write_events(self, step: int, report: dict[str, float], samples: np.ndarray | None = None) -> None:
        try:
            with self.events.as_default():
                for name, value in report.items():
                    tf.summary.scalar(name, value, step)
                if samples is not None:
                    tf.summary.image("samples", samples[np.newaxis, :, :, np.newaxis], step)
            self.events.flush()
        except tf.errors.OpError as error:
            folder = self.folder.path / "events"
            raise storage.StorageError(f"{folder}: cannot be written: {error.message}") from error

    def test(self) -> dict[str, Any]:
        """Measures the best weights, draws the pictures, writes the result."""
        recipe, model = self.recipe, self.model
        steps = self.step
        seconds = self.history.seconds[-1]
        storage.assign_variables(model.variables, self.best, self.folder.best_weights)
        seed = fold_in((0, recipe.seed), Tag.TEST)
        started = time.monotonic()
        measured = evaluation.evaluate(
            model,
            self.images.test,
            recipe.eval_iw_samples,
            seed,
            recipe.eval_batchsize,
            recipe.ais_temperatures,
            self._tested,
        )
        best = self.history.best or 0
        result = result_record(recipe, measured, self.origin) | {
            "num_steps": steps,
            "best_step": int(self.history.step[best]),
            "best_val_nll": self.history.val_nll[best],
            "log_partition_tracking_error": self._tracking_error(),
            "data_source": self.images.source,
            "seconds": seconds,
            "test_seconds": time.monotonic() - started,
        }
        if self.folder.is_writer:
            plots.write_run_pictures(self.folder.path, model, self.images, self.history, recipe.published)
        self.folder.finish(result)
        return result

    def _tested(self, done: int, total: int) -> None:
        self.monitor.test(done, total)
        if self.request.signal is not None:
            raise self._interrupted(f"after {done} of {total} test images; the training is complete")

    def _tracking_error(self) -> float | None:
        """How far the tracked log Z was from the measured one at most, just before it was anchored; nats."""
        if not getattr(self.model.prior, "num_witnesses", 0):
            return None
        pairs = zip(self.history.log_partition_before, self.history.log_partition, strict=True)
        return max(abs(before - measured) for before, measured in pairs)


def _check_images(recipe: Recipe, images: Images, own_likelihood: bool) -> None:
    if images.name != recipe.dataset:
        raise ValueError(f"images: expected {recipe.dataset}, the recipe's; got {images.name}")
    if recipe.train_batchsize > len(images.train):
        raise ValueError(
            f"train_batchsize: expected at most the {len(images.train)} training images, "
            f"got {recipe.train_batchsize}"
        )
    if not (recipe.dynamic_binarization or own_likelihood or images.is_binary):
        raise ValueError(
            "dynamic_binarization: expected True for training images that are grey levels, got False"
        )

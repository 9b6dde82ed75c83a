"""Training: many steps in one compiled loop, validation, checkpoints, and the measured result.

The next state is a function of the variables, the seed and the step alone, so a run that is started
again goes on from its newest checkpoint as if it had never stopped.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from . import evaluation, plots, provenance, storage
from .config import Recipe
from .data import Images, batch_indices, check
from .models import DVAE, StepReport, load_weights, save_weights
from .numerics import Tag, fold_in
from .run_folder import RunFolder

# Steps of one call of the compiled loop; results do not depend on it.
STEPS_PER_CALL = 50
# Where log Z is tracked: live values between two validations, of so many images and samples.
_LIVE_VALUES = 5
_LIVE_IMAGES = 1_000
_LIVE_SAMPLES = 10


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, and what is left."""


@dataclasses.dataclass
class History:
    """The validations so far: parallel lists, one entry each; nats."""

    step: list[float] = dataclasses.field(default_factory=list)
    objective: list[float] = dataclasses.field(default_factory=list)
    val_nll: list[float] = dataclasses.field(default_factory=list)
    log_partition: list[float] = dataclasses.field(default_factory=list)
    # Just before it was measured: tracked, or as measured last.
    log_partition_before: list[float] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> Self:
        """The history that a checkpoint holds; lists that it does not hold are empty.

        Raises:
          StorageError: if they are not lists of numbers, all of one length; the message names the source.
        """
        found = {
            field.name: arrays[f"history/{field.name}"]
            for field in dataclasses.fields(cls)
            if f"history/{field.name}" in arrays
        }
        shapes = {name: (array.dtype.kind, *array.shape) for name, array in found.items()}
        if len(set(shapes.values())) > 1 or any(
            len(shape) != 2 or shape[0] != "f" for shape in shapes.values()
        ):
            raise storage.StorageError(f"{source}: history: expected lists of one length, got {shapes}")
        return cls(**{name: array.tolist() for name, array in found.items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {
            f"history/{name}": np.asarray(values, np.float64)
            for name, values in dataclasses.asdict(self).items()
        }

    @property
    def best(self) -> int | None:
        """The index of the lowest validation NLL."""
        return int(np.argmin(self.val_nll)) if self.val_nll else None


class Monitor:
    """What a training tells whoever watches; silent here."""

    def start(self, recipe: Recipe, model: DVAE, step: int) -> None:
        """Training begins, or goes on from `step`."""

    def steps(self, step: int, report: dict[str, float]) -> None:
        """Some more steps are done."""

    def live(self, step: int, report: dict[str, float]) -> None:
        """A quick look between validations, where log Z is tracked: `live_val_nll`."""

    def validation(self, step: int, report: dict[str, float], is_best: bool) -> None:
        """A validation is done."""

    def test(self, done: int, total: int) -> None:
        """So many test images are measured."""

    def close(self) -> None:
        """Nothing more comes: the run is complete, or has failed, or was interrupted."""


def train(
    recipe: Recipe,
    images: Images,
    log_dir: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    monitor: Monitor | None = None,
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
      **parts: the user's own `encoder`, `decoder`, `likelihood` of `models.DVAE`.

    Returns:
      The content of `result.json`.

    Raises:
      DataError: if the images are not binary images (with the library's own pixel likelihood).
      ValueError: if the images do not fit the recipe, or the folder belongs to another one.
      PermissionError: if the folder cannot be written.
      TrainingError: if the objective or a weight stops being finite.
    """
    if "likelihood" not in parts:
        check(images)
    _check_images(recipe, images, "likelihood" in parts)
    folder = RunFolder(log_dir)
    folder.claim(recipe)
    if folder.result is not None:
        return folder.result
    model = DVAE(recipe, images.train.mean(0), **parts)
    model.compile()
    monitor = monitor or Monitor()
    run = _Run(recipe, images, folder, model, callbacks, monitor)
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
    ) -> None:
        self.recipe, self.images, self.folder, self.model = recipe, images, folder, model
        self.monitor = monitor
        self.callbacks = keras.callbacks.CallbackList(list(callbacks), model=model)
        self.history = History()
        self.events = tf.summary.create_file_writer(str(folder.path / "events"))
        self.loop = TrainingLoop(model, images)
        self.started = time.monotonic()
        # Now: the checkout may change while a long run goes on.
        self.origin = provenance.describe()

    @property
    def step(self) -> int:
        return int(self.model.optimizer.iterations)

    @property
    def state(self) -> list[Any]:
        """Everything that determines the rest of the run, but the history."""
        return [*self.model.weights, *self.model.optimizer.variables]

    def restore(self) -> None:
        checkpoints = self.folder.checkpoints()
        if not checkpoints:
            return
        _, file = checkpoints[-1]
        arrays = storage.read_arrays(file)
        self.history = History.from_arrays(arrays, file)
        if not self.history.seconds:
            raise storage.StorageError(f"{file}: expected a checkpoint, got no history")
        for name in self.history.arrays():
            arrays.pop(name, None)
        storage.assign_variables(self.state, arrays, file)
        self.started -= self.history.seconds[-1]

    def checkpoint(self) -> None:
        arrays = storage.variable_arrays(self.state)
        for path, array in arrays.items():
            if not np.isfinite(array).all():
                raise TrainingError(self._stopped(self.step, path, "is not finite"))
        self.folder.write_checkpoint(self.step, arrays | self.history.arrays())

    def train(self) -> None:
        recipe, interval = self.recipe, self.recipe.validation_interval
        self.monitor.start(recipe, self.model, self.step)
        self.callbacks.on_train_begin()
        sums, count = np.zeros(len(StepReport._fields)), 0
        step = self.step
        while step < recipe.num_train_iter and not self.model.stop_training and not self._out_of_patience:
            stop = min(step + STEPS_PER_CALL, (step // interval + 1) * interval)
            reports = self._call(step, min(stop, recipe.num_train_iter))
            sums, count = sums + reports.sum(0), count + len(reports)
            step += len(reports)
            report = dict(zip(StepReport._fields, reports.mean(0).tolist(), strict=True))
            self.monitor.steps(step, report)
            self.callbacks.on_train_batch_end(step, report)
            self._live(step - len(reports), step)
            if step % interval == 0 or step == recipe.num_train_iter:
                self._validate(step, dict(zip(StepReport._fields, sums / count, strict=True)))
                sums, count = np.zeros(len(StepReport._fields)), 0
        self.callbacks.on_train_end()

    @property
    def _out_of_patience(self) -> bool:
        """Whether the last validations of as many as the recipe allows have all been worse than the best."""
        best, patience = self.history.best, self.recipe.patience
        return best is not None and patience is not None and len(self.history.step) - 1 - best >= patience

    def _live(self, before: int, step: int) -> None:
        """Where log Z runs along: the NLL of some validation images, without annealing."""
        interval = max(self.recipe.validation_interval // _LIVE_VALUES, 1)
        if before // interval == step // interval:
            return
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
        with self.events.as_default():
            for name, value in report.items():
                tf.summary.scalar(name, value, step)
        self.monitor.live(step, report)

    def _call(self, step: int, stop: int) -> np.ndarray:
        """Runs steps [step, stop); returns their reports, [steps, fields]."""
        reports = self.loop(step, stop)
        bad = np.flatnonzero(~np.isfinite(reports).all(1))
        if len(bad):
            first = reports[bad[0]]
            name = StepReport._fields[int(np.flatnonzero(~np.isfinite(first))[0])]
            raise TrainingError(self._stopped(step + int(bad[0]), name, "is not finite"))
        return reports

    def _stopped(self, step: int, quantity: str, fault: str) -> str:
        checkpoints = self.folder.checkpoints()
        left = (
            f"{checkpoints[-1][1]} is the last good checkpoint"
            if checkpoints
            else "there was no checkpoint yet"
        )
        return f"step {step}: {quantity} {fault}; training stopped, {left}"

    def _validate(self, step: int, report: dict[str, float]) -> None:
        recipe, model = self.recipe, self.model
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
        if is_best:
            save_weights(model, self.folder.best_weights)
        self.checkpoint()
        self._write_events(step, report)
        self.monitor.validation(step, report, is_best)
        self.callbacks.on_epoch_end(len(history.step) - 1, report)

    def _write_events(self, step: int, report: dict[str, float]) -> None:
        with self.events.as_default():
            for name, value in report.items():
                tf.summary.scalar(name, value, step)
            samples = self.model.sample(50, fold_in((0, self.recipe.seed), Tag.PICTURES, step), 100)
            grid = plots.tile(samples.images.numpy(), self.images.image_shape, 10)
            tf.summary.image("samples", grid[np.newaxis, :, :, np.newaxis], step)
        self.events.flush()

    def test(self) -> dict[str, Any]:
        """Measures the best weights, draws the pictures, writes the result."""
        recipe, model = self.recipe, self.model
        steps = self.step
        seconds = self.history.seconds[-1]
        load_weights(model, self.folder.best_weights)
        seed = fold_in((0, recipe.seed), Tag.TEST)
        started = time.monotonic()
        measured = evaluation.evaluate(
            model,
            self.images.test,
            recipe.eval_iw_samples,
            seed,
            recipe.eval_batchsize,
            recipe.ais_temperatures,
            self.monitor.test,
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
        plots.write_run_pictures(self.folder.path, model, self.images, self.history, recipe.published)
        self.folder.finish(result)
        return result

    def _tracking_error(self) -> float | None:
        """How far the tracked log Z was from the measured one at most, just before it was anchored; nats."""
        if not getattr(self.model.prior, "num_witnesses", 0):
            return None
        pairs = zip(self.history.log_partition_before, self.history.log_partition, strict=True)
        return max(abs(before - measured) for before, measured in pairs)


class TrainingLoop:
    """The training steps of a model on a dataset; what a step draws follows from its number."""

    def __init__(self, model: DVAE, images: Images) -> None:
        self._recipe = model.recipe
        self._loop = compiled_loop(model)
        self._num_images = len(images.train)
        # Bits take a quarter of the memory.
        self._images = tf.constant(images.train, tf.uint8 if images.is_binary else tf.float32)

    def __call__(self, step: int, stop: int) -> np.ndarray:
        """Takes steps [step, stop), at most `STEPS_PER_CALL`, in one program.

        Returns:
          The fields of `StepReport` for each, float64 [steps, fields].
        """
        count, size = stop - step, self._recipe.train_batchsize
        # Of one length, so that the program is compiled once.
        indices = np.zeros((STEPS_PER_CALL, size), np.int32)
        indices[:count] = batch_indices(self._recipe.seed, step, count, self._num_images, size)
        reports = self._loop(self._images, tf.constant(indices), tf.constant(count))
        return reports.numpy()[:count].astype(np.float64)


def compiled_loop(model: DVAE) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Many training steps as one XLA program.

    Returns:
      A function of the training images [N, X], the image numbers of each step [S, B] and the number of
      steps to take (at most S), that gives the reports of the steps, [S, fields of `StepReport`].
    """

    @tf.function(jit_compile=True)
    def loop(images: tf.Tensor, indices: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        def one(index: tf.Tensor, reports: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x = tf.cast(tf.gather(images, indices[index]), tf.float32)
            report = tf.stack(list(model.update(x)))
            return index + 1, tf.tensor_scatter_nd_update(reports, [[index]], [report])

        empty = tf.zeros([tf.shape(indices)[0], len(StepReport._fields)])
        return tf.while_loop(lambda index, _: index < num_steps, one, (0, empty))[1]

    return loop


def result_record(recipe: Recipe, measured: evaluation.Evaluation, origin: dict[str, Any]) -> dict[str, Any]:
    """The part of `result.json` that says what was measured, of what, by what (`provenance`)."""
    return {
        "dataset": recipe.dataset,
        "struct": recipe.struct,
        "baseline": recipe.baseline,
        "k": recipe.k,
        "beta": recipe.beta,
        "temperature": recipe.temperature,
        "couplings": recipe.couplings,
        "seed": recipe.seed,
        "sampler": recipe.sampler,
        "num_chains": recipe.num_chains,
        "num_sweeps": recipe.num_sweeps,
        "num_train_iter": recipe.num_train_iter,
        "test_nll": measured.nll,
        "test_nll_standard_error": measured.standard_error,
        "test_nll_monte_carlo_error": measured.monte_carlo_error,
        "eval_iw_samples": measured.num_importance_samples,
        "num_test_images": measured.num_images,
        "log_partition": measured.log_partition,
        "log_partition_standard_error": measured.log_partition_standard_error,
        "log_partition_effective_sample_size": measured.log_partition_effective_sample_size,
        "log_partition_method": measured.log_partition_method,
        "log_partition_converged": measured.log_partition_converged,
        "test_nll_bracket": list(measured.nll_bracket),
        "active_units": measured.active_units,
        "num_units": recipe.structure.num_units,
        "published_nll": recipe.published.mean if recipe.published else None,
    } | origin


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

import json
import os
import pathlib
import shutil
from typing import NamedTuple

import keras
import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

from dvae_tf import data, evaluation, models, plots, runs, storage, training
from dvae_tf.runs import RunFolder, provenance
from dvae_tf.training import recording
from dvae_tf.training.devices import Devices
from support.tiny import NUM_PIXELS, add_tiny_structures, all_bits, exact_log_likelihood, recipe, rough_model
from support.training import SMALL, tiny_images


def newest_state(log_dir):
    file = sorted(pathlib.Path(log_dir).glob("checkpoint-*.npz"))[-1]
    clocks = ("history/seconds", "progress/seconds")
    return {name: array for name, array in storage.read_arrays(file).items() if name not in clocks}


class StopAt(keras.callbacks.Callback):
    """Interrupts the run at the first validation from a step on."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_epoch_end(self, epoch, logs=None):
        if logs["step"] >= self.step:
            raise KeyboardInterrupt


def same(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


class Watcher(keras.callbacks.Callback):
    """Remembers the live values, the validations, and the names of all events."""

    def __init__(self):
        super().__init__()
        self.live_steps, self.reports = [], []

    def on_train_batch_end(self, batch, logs=None):
        if "live_val_nll" in logs:
            assert logs["live_val_nll"] > 0
            self.live_steps.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        self.reports.append(logs)


class Finished(NamedTuple):
    folder: pathlib.Path
    result: runs.Result
    watcher: Watcher


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run of SMALL on the tiny images, which tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        add_tiny_structures(patch)
        folder, watcher = tmp_path_factory.mktemp("finished"), Watcher()
        result = training.train(recipe("tiny", **SMALL), tiny_images(), folder, callbacks=[watcher])
    return Finished(folder, result, watcher)


@pytest.mark.slow
def test_patience_ends_a_run_that_no_longer_improves(tmp_path, monkeypatch):
    """Validation after 30, 60, 90 steps, each worse than the last: with a patience of 2 the third ends it."""
    measure, measured = evaluation.image_nll, []

    def ever_worse(*arguments):
        found = measure(*arguments)
        measured.append(found)
        return found._replace(nll=found.nll + 100 * len(measured))

    monkeypatch.setattr(evaluation, "image_nll", ever_worse)
    settings, images = recipe("tiny", **SMALL, patience=2), tiny_images()
    with pytest.raises(KeyboardInterrupt):
        training.train(settings, images, tmp_path, callbacks=[StopAt(60)])
    result = training.train(settings, images, tmp_path)
    assert result.num_steps == 90
    assert result.best_step == 30


def test_gray_levels_need_a_recipe_that_binarizes(tmp_path):
    images = tiny_images()
    with pytest.raises(ValueError, match="dynamic_binarization: expected True"):
        training.train(recipe("tiny", **SMALL), images._replace(train=0.5 * images.train), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_results_do_not_depend_on_the_steps_per_call(finished, tmp_path, monkeypatch):
    settings, images = recipe("tiny", **SMALL), tiny_images()
    monkeypatch.setattr(training.run, "STEPS_PER_CALL", 7)
    training.train(settings, images, tmp_path / "seven")
    assert same(newest_state(finished.folder), newest_state(tmp_path / "seven"))


def test_the_run_folder_holds_what_it_promises(finished):
    settings, images = recipe("tiny", **SMALL), tiny_images()
    tmp_path, result = finished.folder, finished.result
    written = json.loads((tmp_path / "result.json").read_text())
    assert runs.Result.from_json(written) == result
    keys = (
        "dataset struct baseline k seed sampler num_chains num_sweeps num_train_iter test_nll "
        "test_nll_standard_error eval_iw_samples num_test_images log_partition "
        "log_partition_standard_error seconds versions git_commit cpu"
    )
    assert set(keys.split()) <= set(written)
    nll = runs.read_image_nll(tmp_path)
    assert nll.shape == images.test.shape[:1]
    assert nll.mean() == pytest.approx(result.test_nll)
    for name in ("samples.png", "reconstructions.png", "learning_curve.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "events").glob("events.out.tfevents.*"))
    assert not list(tmp_path.glob(".*partial"))
    assert len(list(tmp_path.glob("checkpoint-*.npz"))) == 2
    # A finished run is returned, not run again; one with other flags is refused by name.
    assert training.train(settings, images, tmp_path) == result
    for changes in ({"num_train_iter": 240}, {"num_chains": 21}):
        ((name, value),) = changes.items()
        with pytest.raises(ValueError, match=f"{name}: folder has .*, requested {value}"):
            training.train(recipe("tiny", **{**SMALL, **changes}), images, tmp_path)


def gaussian(logits):
    return tfd.Independent(tfd.Normal(logits, 1.0), 1)


OTHERS = {
    "train": (
        lambda images: images._replace(train=images.train[::-1].copy(), source="b.npy"),
        {},
        r"train images: folder has those of a test \(SHA-256 .*requested others, of b.npy",
    ),
    "test": (
        lambda images: images._replace(test=1 - images.test),
        {},
        "test images: folder has those of a test",
    ),
    "shape": (lambda images: images._replace(image_shape=(1, 6)), {}, r"image_shape: folder has \(2, 3\)"),
    "likelihood": (
        lambda images: images,
        {"likelihood": gaussian},
        "likelihood: folder has that of the library",
    ),
    "encoder": (lambda images: images, {"encoder": keras.layers.Dense(6)}, "encoder: folder has that of the"),
}


@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize("other", OTHERS)
def test_a_folder_is_that_of_its_images_and_parts(other, is_finished, finished, tmp_path):
    """A run of others is neither returned nor resumed."""
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    if not is_finished:
        (folder / "result.json").unlink()
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    change, parts, message = OTHERS[other]
    settings, images = recipe("tiny", **SMALL), tiny_images()
    for start in (training.train, training.check_run):
        with pytest.raises(ValueError, match=f"log_dir: {folder} belongs to a run of other .*{message}"):
            start(settings, change(images), folder, **parts)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    # The same images from another place are its own.
    training.check_run(settings, images._replace(source="a copy"), folder)


def test_a_folder_of_an_earlier_version_opens_and_knows_its_mean_image(finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    (folder / "inputs.json").unlink()
    settings, images = recipe("tiny", **SMALL), tiny_images()
    assert training.train(settings, images, folder) == finished.result
    for other in (
        images._replace(train=1 - images.train),
        images._replace(test=images.test[1:]),
    ):
        with pytest.raises(
            ValueError, match=f"{folder} belongs to a run of other images than those of a test"
        ):
            training.train(settings, other, folder)
    (folder / "result.json").unlink()
    training.check_run(settings, images, folder)
    with pytest.raises(ValueError, match="belongs to a run of other images"):
        training.check_run(settings, images._replace(train=1 - images.train), folder)
    assert not (folder / "inputs.json").exists()


def test_a_result_without_its_configuration_is_nobodys(finished, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    for file in (*folder.glob("checkpoint*"), folder / "config.json"):
        file.unlink()
    with pytest.raises(ValueError, match="holds a run, but no config.json"):
        training.train(recipe("tiny", **SMALL), tiny_images(), folder)


def test_a_finished_run_is_returned_without_a_write(finished, monkeypatch):
    """Its folder may be read-only, on a medium or of another user."""
    (finished.folder / "samples.png").rename(finished.folder / "moved.png")
    for owner, name in ((RunFolder, "lock"), (storage, "write_bytes"), (pathlib.Path, "mkdir")):
        monkeypatch.setattr(owner, name, None)
    monkeypatch.setattr(recording.os, "access", lambda path, mode: mode != os.W_OK)
    found = training.train(recipe("tiny", **SMALL), tiny_images(), finished.folder)
    assert found == finished.result
    (finished.folder / "moved.png").rename(finished.folder / "samples.png")


def test_pictures_that_cannot_be_drawn_cost_a_warning_and_are_drawn_later(finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished.folder, tmp_path / "run")
    for name in ("result.json", "samples.png", "learning_curve.png"):
        (folder / name).unlink()
    settings, images = recipe("tiny", **SMALL), tiny_images()
    with monkeypatch.context() as patch:
        patch.setattr(plots, "run_pictures", None)
        with pytest.warns(training.TrainingWarning, match="the pictures could not be drawn .*not callable"):
            result = training.train(settings, images, folder)
    assert result.test_nll == finished.result.test_nll
    assert runs.read_result(folder) == result
    assert not (folder / "samples.png").exists()
    assert training.train(settings, images, folder) == result
    for name in ("samples.png", "learning_curve.png"):
        assert (folder / name).read_bytes() == (finished.folder / name).read_bytes()


@pytest.mark.slow
def test_log_z_is_tracked_with_population_annealing(tmp_path):
    settings = recipe("tiny", **{**SMALL, "sampler": "pa", "num_chains": 200})
    watcher = Watcher()
    result = training.train(settings, tiny_images(), tmp_path, callbacks=[watcher])
    # Five looks from one validation to the next, every 30 steps.
    assert watcher.live_steps == [*range(6, 121, 6)]
    errors = [abs(each["log_partition_before"] - each["log_partition"]) for each in watcher.reports]
    assert result.log_partition_tracking_error == pytest.approx(max(errors))
    # log Z itself moves by nats.
    assert 0 < max(errors) < 0.1
    for name in ("r_hat", "autocorrelation_time", "population_families"):
        assert all(np.isfinite(each[name]) for each in watcher.reports)


def test_log_z_is_not_tracked_by_default(finished):
    assert finished.result.log_partition_tracking_error is None
    assert finished.watcher.live_steps == []


def test_the_best_weights_are_the_ones_tested(finished):
    tmp_path, result, images = finished.folder, finished.result, tiny_images()
    model = models.load(tmp_path)
    measured = evaluation.evaluate(model, images.test, 2000, (0, 5), 50, 500)
    assert measured.nll == pytest.approx(result.test_nll, abs=0.15)
    history = newest_state(tmp_path)
    best = int(np.argmin(history["history/val_nll"]))
    assert result.best_step == history["history/step"][best]


@pytest.mark.slow
def test_callbacks_are_kerass_and_can_stop(tmp_path):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["val_nll"]))

    stop = keras.callbacks.EarlyStopping("val_nll", mode="min", patience=0, min_delta=1e3)
    settings = recipe("tiny", **SMALL)
    result = training.train(settings, tiny_images(), tmp_path, callbacks=[Watch(), stop])
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert result.num_steps == 60
    assert result.num_train_iter == 120


@pytest.mark.slow
def test_a_number_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if logs["step"] == 60:
                variable = self.model.trainable_variables[0]
                variable.assign(np.full(variable.shape, np.nan, np.float32))

    settings, images = recipe("tiny", **SMALL), tiny_images()
    with pytest.raises(training.TrainingError, match="step 60: .*not finite.*checkpoint-000000060"):
        training.train(settings, images, tmp_path, callbacks=[Poison()])
    assert all(
        np.isfinite(array).all() for array in newest_state(tmp_path).values() if array.dtype.kind == "f"
    )
    assert not (tmp_path / "result.json").exists()
    # The run can be resumed from the last good checkpoint.
    assert np.isfinite(training.train(settings, images, tmp_path).test_nll)


def test_bad_folders_are_refused_before_anything_is_written(tmp_path):
    settings, images = recipe("tiny", **SMALL), tiny_images()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(PermissionError, match="log_dir"):
        training.train(settings, images, tmp_path / "file")
    with pytest.raises(PermissionError, match="log_dir"):
        training.train(settings, images, tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text("{")
    with pytest.raises(storage.StorageError, match="config.json"):
        training.train(settings, images, tmp_path / "odd")
    gray = images._replace(test=images.test * 0.5)
    with pytest.raises(data.DataError, match="test"):
        training.train(settings, gray, tmp_path / "new")
    with pytest.raises(ValueError, match="images: expected tiny"):
        training.train(settings, images._replace(name="other"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_training_is_traced_once():
    model = rough_model("tiny")
    model.compile()
    loop = training.compiled_loop(model)
    images = tiny_images().train
    for count in (50, 3, 20):
        indices = data.batch_indices(0, 0, 50, len(images), 10)
        reports = loop(images.astype(np.uint8), np.asarray(indices), np.int32(count))
        assert np.all(np.asarray(reports)[count:] == 0)
    assert loop.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_learns_another_model_to_a_tenth_of_a_nat(tmp_path):
    """KL(teacher || student) in full, by enumeration of all images; its optimum is 0."""
    teacher = rough_model("tiny", seed=3, scale=1.5)
    x = all_bits(NUM_PIXELS)
    log_p = exact_log_likelihood(teacher, x)
    assert np.exp(log_p).sum() == pytest.approx(1)
    entropy = -(np.exp(log_p) * log_p).sum()
    rng = np.random.default_rng(0)
    drawn = x[rng.choice(len(x), 22_000, p=np.exp(log_p) / np.exp(log_p).sum())].astype(np.float32)
    images = data.Images(drawn[:20_000], drawn[20_000:21_000], drawn[21_000:], (2, 3), "tiny", "a test")
    settings = recipe(
        "tiny",
        k=5,
        **{**SMALL, "num_train_iter": 4000, "train_batchsize": 100, "num_chains": 100, "num_sweeps": 5},
    )
    training.train(settings, images, tmp_path)
    student = models.load(tmp_path)
    kl = (np.exp(log_p) * (log_p - exact_log_likelihood(student, x))).sum()
    independent = x.T @ np.exp(log_p)
    floor = -(independent * np.log(independent) + (1 - independent) * np.log1p(-independent)).sum() - entropy
    assert kl < 0.1 < floor  # independent pixels would be far worse: there was something to learn


def test_a_run_continued_on_another_device_says_so(tmp_path, monkeypatch):
    settings = recipe(**SMALL)
    half = settings.num_train_iter // 2

    def train_on(device, **kwargs):
        monkeypatch.setattr(provenance, "device", lambda: device)
        return training.train(settings, tiny_images(), tmp_path / "run", verbose=False, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        train_on("a card, driver 1", callbacks=[StopAt(half)])
    stopped = sorted((tmp_path / "run").glob("checkpoint-*.npz"))[-1]
    step = int(stopped.stem.rpartition("-")[2])
    assert half <= step < settings.num_train_iter
    with pytest.warns(
        training.TrainingWarning, match="trained on a card, driver 1 so far, and now on a processor"
    ):
        result = train_on("a processor, 2 cores")
    assert result.device == f"a card, driver 1; from step {step} on a processor, 2 cores"


def test_devices_of_a_checkpoint(tmp_path):
    first = Devices().then(0, "a").then(5, "a").then(1000, None)
    assert first.spans == ((0, "a"),)
    later = first.then(1000, "b").then(2000, "a")
    assert str(later) == "a; from step 1,000 on b; from step 2,000 on a"
    assert Devices.from_arrays(later.arrays(), tmp_path) == later
    # Checkpoints of earlier versions have none.
    assert Devices.from_arrays({}, tmp_path) == Devices()
    for broken in (b"", b"{", b"[1]", b'{"a": 1}'):
        with pytest.raises(storage.StorageError, match="devices: expected pairs"):
            Devices.from_arrays({"names": np.frombuffer(broken, np.uint8)}, tmp_path)

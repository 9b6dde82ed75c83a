"""Run folders from strangers: what they claim, where their links lead, what they hold."""

import os
import pathlib
import random
import shutil
import time
import tracemalloc

import numpy as np
import pytest

from dvae_tf import data, models, runs, storage, training
from dvae_tf.runs import History, RunFolder
from fuzz import mutations
from support import tiny

# Mutations write archives with a name that occurs twice.
pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")
CELL = {"struct": "tiny-lin", "baseline": "dvaes_power", "num_chains": 5}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run folder with a configuration, weights and a checkpoint."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        tiny.add_tiny_structures(patch)
        model = models.DVAE(tiny.recipe(**CELL), np.full(tiny.NUM_PIXELS, 0.5))
        storage.write_json(folder / "config.json", model.recipe.to_json())
        models.save_weights(model, folder / "best.npz")
        groups = {"history": History([1.0], *[[2.0]] * 5).arrays()}
        RunFolder(folder).write_checkpoint(1, groups, model.recipe)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def change(path, **changes):
    if path.suffix == ".json":
        storage.write_json(path, storage.read_json(path) | changes)
    else:
        storage.write_arrays(path, storage.read_arrays(path) | changes)


def read_history(folder):
    return runs.read_history(folder, tiny.recipe(**CELL))


def test_the_folder_is_loaded(folder):
    assert models.load(folder).recipe == tiny.recipe(**CELL)
    assert read_history(folder).val_nll == [2.0]


# --- Claims ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"num_chains": 2**31 - 1}, "num_chains 2147483647"),
        ("config.json", {"num_tracking_chains": 10**9}, "num_tracking_chains 1000000000"),
        ("best.npz", {"dvae/mean_x": np.zeros(2**22, np.float32)}, "4194304 pixels"),
        (
            "best.npz",
            {"dvae/mean_x": np.zeros((2, 3), np.float32)},
            r"expected float32\(pixels,\), got",
        ),
        ("best.npz", {"dvae/mean_x": np.array([None], "S9")}, "best.npz"),
        ("best.npz", {"dvae/mean_x": np.zeros(6, complex)}, "got complex128"),
    ],
)
def test_models_beyond_their_weights_are_not_built(folder, file, changes, message, monkeypatch):
    change(folder / file, **changes)
    monkeypatch.setattr(models.weights, "DVAE", None)
    tracemalloc.start()
    with pytest.raises(storage.StorageError, match=message) as error:
        models.load(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "best.npz" in str(error.value)
    # The archive of four million pixels is that large itself, and read once.
    assert peak < 64 << 20


def test_configurations_that_are_none_are_refused_by_name(folder):
    for content in ("[]", "3", "null", "[" * 100_000, '{"dataset": []}', "\udcff", '{"k": 1}'):
        (folder / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
        for read in (models.load, lambda path: RunFolder(path).check(tiny.recipe(**CELL), None)):
            with pytest.raises(storage.StorageError, match="config.json: "):
                read(folder)
    (folder / "config.json").write_bytes(b" " * (2**24 + 1))
    with pytest.raises(storage.StorageError, match="config.json: .* has 16,777,217 bytes"):
        models.load(folder)


def test_a_configuration_without_a_model_is_refused_by_name(folder):
    change(folder / "config.json", beta=1e-300)
    with pytest.raises(storage.StorageError, match=r"config.json: no model can be built from it: beta"):
        models.load(folder)


def test_a_run_does_not_go_on_without_its_history(folder):
    change(folder / "config.json", train_batchsize=2)
    RunFolder(folder).write_checkpoint(1, {}, tiny.recipe(**CELL, train_batchsize=2))
    bits = np.eye(tiny.NUM_PIXELS, dtype=np.float32)
    bits = np.concatenate([bits, 1 - bits])  # the mean image of the folder's weights
    images = data.Images(bits, bits, bits, (2, 3), "tiny", "a test")
    with pytest.raises(storage.StorageError, match="checkpoint-000000001.npz: history: expected"):
        training.train(tiny.recipe(**CELL, train_batchsize=2), images, str(folder))


@pytest.mark.parametrize(
    "changes",
    [
        {"history/step": np.zeros(())},
        {"history/step": np.zeros(2)},
        {"history/val_nll": np.zeros((1, 1))},
        {"history/seconds": np.zeros(1, bool)},
        {"history/seconds": np.zeros(1, complex)},
    ],
    ids=str,
)
def test_histories_are_lists_of_one_length(folder, changes):
    change(folder / "checkpoint-000000001.npz", **changes)
    with pytest.raises(storage.StorageError, match="checkpoint-000000001.npz: history"):
        read_history(folder)


def test_a_pipe_is_not_waited_for(folder):
    for name in ("config.json", "best.npz"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
    started = time.monotonic()
    for read in (storage.read_json, storage.read_arrays):
        with pytest.raises(storage.StorageError, match="not a regular file"):
            read(folder / "best.npz")
    with pytest.raises(storage.StorageError, match="config.json"):
        models.load(folder)
    assert time.monotonic() - started < 30


# --- Links -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["config.json", "best.npz", "weights.npz", "checkpoint-000000001.npz"])
@pytest.mark.parametrize("how", ["absolute", "relative", "through a folder"])
def test_links_do_not_lead_out(folder, name, how):
    if name == "weights.npz":
        (folder / "best.npz").rename(folder / name)
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / name).rename(outside / name)
    if how == "through a folder":
        (folder / "inner").symlink_to(outside)
    target = {"absolute": outside, "relative": pathlib.Path("../outside")}.get(how, pathlib.Path("inner"))
    (folder / name).symlink_to(target / name)
    read = read_history if "checkpoint" in name else models.load
    with pytest.raises(storage.StorageError, match=f"{name}: expected a file of the folder, got a link to"):
        read(folder)


def test_links_inside_and_to_the_folder_are_followed(folder, tmp_path):
    (folder / "best.npz").rename(folder / "kept.npz")
    (folder / "best.npz").symlink_to("kept.npz")
    (tmp_path / "link").symlink_to(folder)
    assert models.load(tmp_path / "link").recipe == tiny.recipe(**CELL)


def test_a_link_in_a_circle_is_refused(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("config.json")
    with pytest.raises(storage.StorageError, match="config.json"):
        models.load(folder)


def test_nothing_is_written_through_a_link(folder):
    victim = folder.parent / "victim"
    victim.write_text("mine")
    for name in ("config.json", ".config.json.partial", "checkpoint-000000002.npz", ".best.npz.partial"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(victim)
    storage.write_json(folder / "config.json", {})
    storage.write_arrays(folder / "best.npz", {"a": np.zeros(1)})
    storage.write_arrays(folder / "checkpoint-000000002.npz", {"a": np.zeros(1)})
    assert victim.read_text() == "mine"
    assert not (folder / "config.json").is_symlink()


# --- Damage ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "aware"),
    [("config.json", mutations.JSON), ("best.npz", mutations.NPZ)],
    ids=["config", "weights"],
)
def test_damaged_folders(folder, file, aware):
    valid, refused = (folder / file).read_bytes(), 0
    for number in range(100):
        content = mutations.mutate(random.Random(f"{file} {number}"), [valid], aware)
        (folder / file).write_bytes(content)
        message = ""
        try:
            model = models.load(folder)
        except storage.StorageError as error:
            message = str(error)
        if message:
            refused += 1
            assert str(folder) in message, number
            assert len(message.replace(str(folder / file), "").split()) >= 3
        else:
            assert model.recipe.dataset
            assert model.mean_x.shape == (tiny.NUM_PIXELS,)
    assert refused > 50

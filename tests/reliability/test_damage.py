"""Damaged and foreign checkpoints: the newest intact one, or a refusal that leaves no trace."""

import numpy as np
import pytest

from dvae_tf import models, runs, storage, training
from dvae_tf.models.variable_names import named_state, named_variables
from dvae_tf.training.progress import Progress
from support import killed_run
from support.runs import bound, content
from support.tiny import recipe
from support.training import tiny_images

GROUPS = {"state": {"a/b": np.arange(300.0)}, "history": {"step": np.ones(1)}}


@pytest.fixture
def folder(tmp_path):
    """A run folder with checkpoints of steps 30 and 60."""
    settings = recipe()
    run = bound(tmp_path / "run", settings, tiny_images(100))
    for step in (30, 60):
        run.write_checkpoint(step, {**GROUPS, "progress": {"step": np.array(step)}}, settings)
    return run


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def cut_to_nothing(file):
    file.write_bytes(b"")


def flip(position):
    def damage(file):
        changed = bytearray(file.read_bytes())
        changed[int(position * (len(changed) - 1))] ^= 0x10
        file.write_bytes(bytes(changed))

    return damage


def become_a_folder(file):
    file.unlink()
    file.mkdir()


def be_extended(file):
    file.write_bytes(file.read_bytes() + b"\0" * 10)


def lose_its_comment(file):
    """As NumPy would have written it: an archive without a digest."""
    with np.load(file) as archive:
        arrays = dict(archive)
    np.savez(file, **arrays)


DAMAGE = {
    "cut": cut,
    "empty": cut_to_nothing,
    **{f"flip at {position}": flip(position) for position in (0.0, 0.1, 0.5, 0.9, 0.97, 1.0)},
    "folder": become_a_folder,
    "extended": be_extended,
    "no digest": lose_its_comment,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_newest_intact_checkpoint_is_taken(damage, folder):
    newest = folder.path / "checkpoint-000000060.npz"
    assert folder.read_checkpoint(recipe()).groups["progress"]["step"] == 60
    DAMAGE[damage](newest)
    before = content(folder)
    found = folder.read_checkpoint(recipe())
    assert found.groups["progress"]["step"] == 30
    assert list(found.damaged) == [newest]
    assert str(newest) in found.damaged[newest]
    assert content(folder) == before


@pytest.mark.parametrize("damage", DAMAGE)
def test_with_none_intact_the_run_is_refused_and_nothing_changes(damage, folder):
    for _, file in folder.checkpoints():
        DAMAGE[damage](file)
    before = content(folder)
    with pytest.raises(storage.StorageError, match="no checkpoint is intact.*000060.*000030"):
        folder.read_checkpoint(recipe())
    assert content(folder) == before


def test_a_missing_newest_and_what_killed_writes_left_do_not_matter(folder):
    (folder.path / "checkpoint-000000060.npz").unlink()
    left = folder.path / ".checkpoint-000000090.npz.partial"
    left.write_bytes(b"half")
    found = folder.read_checkpoint(recipe())
    assert found.groups["progress"]["step"] == 30
    assert not found.damaged
    folder.set_aside(found.damaged)
    assert not left.exists()


@pytest.mark.parametrize("foreign", ["configuration", "format", "link", "no recipe"])
def test_foreign_checkpoints_are_refused(foreign, folder, tmp_path, monkeypatch):
    """They are whole, so somebody put them there: no silent way back to an older one."""
    newest = folder.path / "checkpoint-000000060.npz"
    if foreign == "configuration":
        folder.write_checkpoint(60, GROUPS, recipe(num_chains=21))
        message = "another configuration.*num_chains: folder has 21, requested 20"
    elif foreign == "format":
        with monkeypatch.context() as patch:
            patch.setattr(storage.files, "FORMAT", 2)
            folder.write_checkpoint(60, GROUPS, recipe())
        message = "expected format 1, got 2"
    elif foreign == "link":
        newest.rename(tmp_path / "elsewhere.npz")
        newest.symlink_to(tmp_path / "elsewhere.npz")
        message = "expected a file of the folder, got a link to .*elsewhere.npz"
    else:
        storage.write_arrays(newest, {"state/a": np.ones(3)})
        message = "expected a recipe inside"
    before = content(folder)
    with pytest.raises(storage.StorageError, match=message) as caught:
        folder.read_checkpoint(recipe())
    assert str(newest) in str(caught.value)
    assert content(folder) == before


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape", "best"])
def test_variables_that_are_not_the_models_are_refused(change, tmp_path):
    settings = recipe(**killed_run.SMALL)
    images = tiny_images(100)
    run = bound(tmp_path, settings, images)
    model = models.DVAE(settings, images.train.mean(0))
    model.compile()
    state = storage.variable_arrays(named_state(model))
    best = storage.variable_arrays(named_variables(model))
    if change == "missing":
        del state["prior/weights"]
        message = r"missing variables \['prior/weights'\]"
    elif change == "unexpected":
        state["prior/more"] = np.ones(2)
        message = r"unexpected variables \['prior/more'\]"
    elif change == "shape":
        state["prior/weights"] = np.ones([4, 3], np.float32)
        message = r"prior/weights expected float32\(3, 3\), got float32\(4, 3\)"
    else:
        best = {}
        message = "missing variables"
    history = runs.History(*[[30.0]] * 6).arrays()
    groups = {"state": state, "best": best, "history": history, "progress": Progress().arrays()}
    run.write_checkpoint(30, groups, settings)
    before = content(run)
    with pytest.raises(storage.StorageError, match=message):
        training.train(settings, images, tmp_path)
    assert content(run) == before

"""Full disks and read-only folders: the last good state survives, and the message names the file."""

import re

import pytest

from dvae_tf import storage
from dvae_tf.runs import RunFolder
from support import killed_run, runs
from support.tiny import recipe

FULL = "cannot be written: .*File too large"
CLOSED = "cannot be written: .*(Permission denied|Read-only)"
# Where it happens, what happens, what else is said of the run; the file and the reason of the message.
CASES = {
    "checkpoint": (
        ("steps", 38),
        {"limit": 1000},
        {},
        "checkpoint-000000060.npz: " + FULL,
    ),
    "best weights": (("write", 1), {"limit": 1000}, {}, "best.npz: " + FULL),
    "events": (("steps", 38), {"limit": 1000}, {"num_tracking_chains": 5}, "events: " + FULL),
    "result": (("test", 60), {"limit": 500}, {}, "test_image_nll.npz: " + FULL),
    "read-only": (
        ("steps", 38),
        {"read_only": True},
        {},
        "checkpoint-000000060.npz: " + CLOSED,
    ),
    "read-only test": (
        ("test", 60),
        {"read_only": True},
        {},
        "test_image_nll.npz: " + CLOSED,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_last_good_state_survives_and_the_file_is_named(case, tmp_path):
    kill, fate, options, message = CASES[case]
    folder = tmp_path / "run"
    code, said = runs.train(folder, kill=kill, **fate, **options)
    assert code == 1
    assert re.search(f"StorageError: {re.escape(str(folder))}/{message}", said), said
    assert not (folder / "result.json").exists()
    assert not [file for file in folder.iterdir() if file.name.endswith(".partial")]
    found = RunFolder(folder).read_checkpoint(recipe(**{**killed_run.SMALL, **options}))
    last = {"steps": kill[1] // 30 * 30, "write": 30 * kill[1], "test": 90}[kill[0]]
    assert last == (found.groups["state"]["adam/iteration"] if found else 0)
    if found:
        assert not found.damaged
        if case != "best weights":
            storage.read_arrays(folder / "best.npz")
    # With free space again the run resumes.
    code, said = runs.train(folder, **options)
    assert code == 0, said
    assert storage.read_json(folder / "result.json")["num_steps"] == 90


@pytest.mark.slow
def test_pictures_that_find_no_room_are_a_warning_and_drawn_by_the_next_call(tmp_path):
    folder = tmp_path / "run"
    code, said = runs.train(folder, kill=("test", 60), limit=3000)
    assert code == 0, said
    assert re.search("TrainingWarning: .*the pictures could not be drawn .*png: " + FULL, said), said
    written = (folder / "result.json").read_bytes()
    assert not (folder / "learning_curve.png").exists()
    code, said = runs.train(folder)
    assert (code, said) == (0, "")
    for name in ("samples.png", "reconstructions.png", "learning_curve.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert (folder / "result.json").read_bytes() == written


@pytest.mark.parametrize("number", [28, 30], ids=["full", "read-only"])
@pytest.mark.parametrize("moment", ["open", "fsync"])
def test_a_write_is_whole_or_not_at_all(number, moment, tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    storage.write_json(path, {"a": 1})

    def fail(*_):
        raise OSError(number, "no room")

    owner = storage.files if moment == "open" else storage.files.os
    monkeypatch.setattr(owner, moment, fail, raising=False)
    with pytest.raises(storage.StorageError, match="result.json: cannot be written: no room"):
        storage.write_json(path, {"a": 2})
    monkeypatch.undo()
    assert storage.read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]

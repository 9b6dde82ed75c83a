import pathlib
import zipfile

import keras
import numpy as np
import pytest

from dvae_tf import storage


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty", "missing", "pickle", "bomb"])
def test_damaged_archives_are_named(damage, tmp_path, monkeypatch):
    path = tmp_path / "weights.npz"
    storage.write_arrays(path, {"a": np.random.default_rng(0).normal(size=1000)})
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0xFF
    path.write_bytes({"cut": content[:500], "text": b"hello", "empty": b""}.get(damage, bytes(content)))
    if damage == "missing":
        path.unlink()
    if damage == "pickle":
        np.savez(path, a=np.array([{"any": "object"}], dtype=object))
    if damage == "bomb":
        monkeypatch.setattr(storage.files, "MAX_BYTES", 100)
    with pytest.raises(storage.StorageError, match="weights.npz"):
        storage.read_arrays(path)


def test_variables_are_restored_all_or_none(tmp_path):
    first, second = (keras.Variable(np.ones(3, np.float32), name=name) for name in ("first", "second"))
    path = tmp_path / "file"
    named = {"first": first, "second": second}
    arrays = storage.variable_arrays(named)
    for wrong, message in (
        ({"first": arrays["first"]}, "missing variables .*second"),
        ({**arrays, "third": arrays["first"]}, "unexpected variables .*third"),
        ({**arrays, "second": np.ones(4, np.float32)}, "second expected"),
        ({**arrays, "second": np.ones(3)}, "second expected"),
    ):
        changed = {name: array * 0 for name, array in wrong.items()}
        with pytest.raises(storage.StorageError, match=message):
            storage.assign_variables(named, changed, path)
        assert np.all(np.asarray(first) == 1)


def test_a_tilde_is_the_users_home_unless_it_is_a_folder_here(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    for given, path in (
        ("~", "/home/me"),
        ("~/runs/a", "/home/me/runs/a"),
        (pathlib.Path("~/runs"), "/home/me/runs"),
        ("runs/~", "runs/~"),
        ("./~/runs", f"{tmp_path}/~/runs"),
        ("/~", "/~"),
        ("", "."),
    ):
        assert storage.as_path(given) == pathlib.Path(path)
        assert storage.as_path(storage.as_path(given)) == pathlib.Path(path)


def test_archives_hold_no_code(tmp_path):
    path = tmp_path / "weights.npz"
    storage.write_arrays(path, {"a/b": np.ones(2)})
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a/b.npy"]

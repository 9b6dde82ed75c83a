"""Thousands of damaged files: each is loaded, or refused by name and reason; nothing dies, hangs or grows."""

import collections
import contextlib
import json
import os
import pathlib
import pickle
import random
import select
import signal
import subprocess
import sys

import numpy as np
import pytest

from dvae_tf import data, storage
from fuzz import mutations, seeds

ROOT = pathlib.Path(__file__).parents[2]
# Seconds for one file: of CPU time, and by the clock on a busy machine.
_SECONDS, _PATIENCE = 5, 120
# More than any of the small files has to take, parsed.
_MEMORY = 128 << 20

# Files of one process: TFDS keeps some kilobytes of every builder.
_FILES = 5_000

# kind -> the name of the file, seeds, mutations that know the format, files of the fast test and of the slow.
KINDS = {
    "npy": ("images.npy", seeds.npy, mutations.NPY, 50, 2000),
    "npz": ("images.npz", seeds.npz, mutations.NPZ, 40, 1500),
    "npz key": ("several.npz", seeds.npz, mutations.NPZ, 20, 500),
    "checkpoint": ("checkpoint-000000100.npz", seeds.checkpoints, mutations.NPZ, 40, 1500),
    "checkpoint behind": ("best.npz", seeds.archives, mutations.NPZ, 40, 2000),
    "config": ("config.json", seeds.configs, mutations.JSON, 60, 2000),
    "result": ("result.json", seeds.results, mutations.JSON, 20, 500),
    "omniglot": ("chardata.mat", seeds.mat, mutations.MAT, 20, 1000),
    "caltech": ("caltech101_silhouettes_28_split1.mat", seeds.mat, mutations.MAT, 20, 1000),
    "amat": ("binarized_mnist_test.amat", seeds.amat, (), 20, 1000),
    "mat behind": ("chardata.mat", seeds.mat, mutations.MAT, 60, 1000),
}
# None of the small files is the published one.
REFUSED = ("omniglot", "caltech", "amat")
# SciPy's parser in C dies of some, and does not come back from others. It is there for the published files,
# whose digests come first.
MORTAL = "mat behind"


class Worker:
    """The process that reads; started again whenever it dies, which is counted."""

    def __init__(self):
        self.deaths = 0
        self._process, self._files = None, 0

    def read(self, kind, path):
        """The worker's answer; `died` or `hung` where there is none."""
        self._files += 1
        if self._files % _FILES == 0:
            self.close()
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            )
        asked = {"kind": kind, "path": str(path), "seconds": _SECONDS}
        self._process.stdin.write((json.dumps(asked) + "\n").encode())
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], _PATIENCE)[0]:
            self.close()
            return {"outcome": "hung", "why": "", "peak": 0}
        if line := self._process.stdout.readline():
            return json.loads(line)
        code = self._process.wait()
        self.close()
        if code == -signal.SIGPROF:
            return {"outcome": "hung", "why": "", "peak": 0}
        self.deaths += 1
        return {"outcome": "died", "why": f"exit code {code}", "peak": 0}

    def close(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process = None


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    worker.close()


def campaign(worker, kind, count, folder):
    """Outcomes of `count` damaged files; fails with those that are neither loaded nor refused."""
    name, make_seeds, aware, _, _ = KINDS[kind]
    valid, path = make_seeds(), folder / name
    outcomes, bad = collections.Counter(), []
    for number in range(count):
        content = mutations.mutate(random.Random(f"{kind} {number}"), valid, aware)
        path.write_bytes(content)
        answer = worker.read(kind, path)
        outcomes[answer["outcome"]] += 1
        if answer["outcome"] in ("died", "hung") and kind == MORTAL:
            # The loader refuses this very file before it is parsed.
            answer = worker.read("omniglot", path)
            assert answer["outcome"] == "refused"
        if answer["outcome"] not in ("loaded", "refused") or answer["peak"] > _MEMORY:
            bad.append(f"{kind} {number}: {answer}")
    print(f"{kind}: {count} files, {dict(outcomes)}, {worker.deaths} deaths so far")
    assert not bad, "\n".join([f"{len(bad)} of {count}", *bad[:5]])
    return outcomes


# Mutations write archives with a name that occurs twice.
pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


def check_campaign(worker, kind, count, folder, record_property):
    before = worker.deaths
    outcomes = campaign(worker, kind, count, folder)
    deaths = worker.deaths - before
    record_property("deaths", deaths)
    assert outcomes["refused"] > count / 4, outcomes
    assert outcomes["died"] == deaths
    assert deaths <= (count / 20 if kind == MORTAL else 0)
    if kind in REFUSED:
        assert outcomes["refused"] == count


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in REFUSED])
def test_valid_files_are_loaded(worker, kind, tmp_path):
    name, make_seeds, *_ = KINDS[kind]
    loaded = 0
    for content in make_seeds():
        (tmp_path / name).write_bytes(content)
        loaded += worker.read(kind, tmp_path / name)["outcome"] == "loaded"
    # Images are alone in their file, or chosen of several: never both.
    assert loaded >= 1 if kind.startswith("npz") else loaded == len(make_seeds())


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(worker, kind, tmp_path, record_property):
    check_campaign(worker, kind, KINDS[kind][3], tmp_path, record_property)


@pytest.mark.parametrize(
    "times", [pytest.param(1, marks=pytest.mark.slow), pytest.param(10, marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(worker, kind, times, tmp_path, record_property):
    check_campaign(worker, kind, times * KINDS[kind][4], tmp_path, record_property)


def test_as_many_as_were_asked_for():
    assert sum(fast for *_, fast, _ in KINDS.values()) >= 200
    assert sum(slow for *_, slow in KINDS.values()) >= 10_000


# --- Controls: the checks notice ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("nameless", "does not name the file"),
        ("reasonless", "gives no reason"),
        ("undocumented", "KeyError"),
        ("hoards", "MemoryError"),
    ],
)
def test_a_loader_that_breaks_its_promise_fails(worker, kind, why, tmp_path):
    answer = worker.read(kind, tmp_path / "file")
    assert answer["outcome"] == "failed"
    assert why in answer["why"]


@pytest.mark.slow
def test_deaths_hangs_and_memory_are_noticed(tmp_path, monkeypatch):
    worker = Worker()
    with contextlib.closing(worker):
        assert worker.read("dies", tmp_path / "file")["outcome"] == "died"
        assert worker.deaths == 1
        # It has been started again.
        assert worker.read("nameless", tmp_path / "file")["outcome"] == "failed"
        assert worker.read("swells", tmp_path / "file")["peak"] > _MEMORY
        for kind, limit in (("hangs", "_PATIENCE"), ("spins", "_SECONDS")):
            with monkeypatch.context() as patch:
                patch.setattr(sys.modules[__name__], limit, 0.5)
                assert worker.read(kind, tmp_path / "file")["outcome"] == "hung"
        assert worker.deaths == 1


class _Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self.path,)


def test_nothing_is_unpickled(worker, tmp_path):
    mark = tmp_path / "mark"
    bomb = np.array([_Bomb(mark)], object)
    np.save(tmp_path / "images.npy", bomb, allow_pickle=True)
    np.savez(tmp_path / "images.npz", a=bomb)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(_Bomb(mark)))
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(_Bomb(mark)))
    for read, error, names in (
        (data.read_array, data.DataError, ("images.npy", "images.npz", "pickle.npz", "pickle.npy")),
        (storage.read_arrays, storage.StorageError, ("images.npz", "pickle.npz")),
    ):
        for name in names:
            with pytest.raises(error, match=name):
                read(tmp_path / name)
    for kind in ("npz", "checkpoint", "checkpoint behind"):
        assert worker.read(kind, tmp_path / "images.npz")["outcome"] == "refused"
    assert not mark.exists()
    # It would have gone off.
    worker.read("unpickles", tmp_path / "images.npy")
    assert mark.exists()


@pytest.mark.parametrize("how", ["link", "pipe", "folder"])
@pytest.mark.parametrize("kind", REFUSED)
def test_manual_dir_holds_what_it_may(worker, kind, how, tmp_path):
    """A user's links are followed, as data are large; the digest decides. What has no end is not read."""
    folder = tmp_path / "manual"
    folder.mkdir()
    path = folder / KINDS[kind][0]
    (tmp_path / "secret").write_text("a secret")
    if how == "link":
        path.symlink_to(tmp_path / "secret")
    elif how == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    answer = worker.read(kind, path)
    assert answer["outcome"] == "refused"
    if how == "link":
        assert f"{path}: expected the published file" in answer["why"]
    else:
        assert f"expected the published files in {folder}, got no {path.name}" in answer["why"]
    assert "a secret" not in answer["why"]

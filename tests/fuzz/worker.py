"""Reads files by the loaders of the library, in a process whose memory is limited: one answer for each line.

    {"kind": "npy", "path": ..., "seconds": 5}
    {"outcome": "loaded" or "refused" or "failed", "why": ..., "peak": bytes}

A loader may load what keeps its promise, or refuse by its documented error, with the file's name and the
reason.
"""

import json
import os
import pathlib
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable

import numpy as np
import scipy.io  # noqa: F401  (before memory is limited)
import tensorflow_datasets  # noqa: F401

from dvae_tf import config, runs, storage
from dvae_tf.data import DataError, check, from_arrays, load, mat_files, read_array
from fuzz import seeds

# Beyond what the process has when it starts.
MEMORY = 256 << 20
# Limit on an archive, far above all valid files of the tests.
_MAX_BYTES = 16 << 20


def _images(path: pathlib.Path) -> None:
    array = read_array(path)
    check(from_arrays(array, array, array, source=str(path)))


def _one_of_several(path: pathlib.Path) -> None:
    array = read_array(f"{path}:a")
    check(from_arrays(array, array, source=str(path)))


def _numbers(arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        assert ".." not in name.split("/"), name
        assert array.dtype.kind in "biufc", array.dtype
        np.abs(array).sum()


def _behind_the_digest(path: pathlib.Path) -> None:
    """As `storage.read_arrays` parses what its digest has let through."""
    try:
        _numbers(storage.read_npz(path.read_bytes(), _MAX_BYTES))
    except storage.ArchiveError as error:
        raise storage.StorageError(f"{path}: expected an archive of arrays: {error}") from error


def _recipe(path: pathlib.Path) -> None:
    recipe = runs.read_recipe(path.parent)
    assert config.Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert recipe.system
    assert recipe.structure
    assert recipe.validation_interval >= 1
    assert not set("/\\\0") & set(recipe.dataset), recipe.dataset


def _result(path: pathlib.Path) -> None:
    assert isinstance(runs.read_result(path.parent).test_nll, int | float)


def _published(name: str) -> Callable[[pathlib.Path], None]:
    """A dataset, prepared from files that have to be the published ones."""

    def loader(path: pathlib.Path) -> None:
        for other in ("train", "valid", "test"):
            (path.parent / f"binarized_mnist_{other}.amat").touch()
        folder = path.parent / "prepared"
        try:
            load(name, data_dir=folder, manual_dir=path.parent)
        finally:
            assert not folder.exists()

    return loader


def _mat(path: pathlib.Path) -> None:
    for array in mat_files.read(path, seeds.MAT_SHAPES).values():
        assert array.ndim == 2
        assert array.dtype.kind in "biuf"


# Negative controls: these must fail.


def _nameless(path: pathlib.Path) -> None:
    raise DataError("the file is damaged in some way")


def _reasonless(path: pathlib.Path) -> None:
    raise DataError(f"{path}")


def _undocumented(path: pathlib.Path) -> None:
    raise KeyError(str(path))


def _unpickles(path: pathlib.Path) -> None:
    np.load(path, allow_pickle=True)


def _dies(path: pathlib.Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _hangs(path: pathlib.Path) -> None:
    time.sleep(600)


def _spins(path: pathlib.Path) -> None:
    while True:
        pass


def _hoards(path: pathlib.Path) -> None:
    bytearray(4 * MEMORY)


def _swells(path: pathlib.Path) -> None:
    size = len(b"1" * (MEMORY * 3 // 4))
    raise DataError(f"{path} has {size} bytes")


# kind -> the loader, and its documented error.
LOADERS: dict[str, tuple[Callable[[pathlib.Path], None], type[Exception]]] = {
    "npy": (_images, DataError),
    "npz": (_images, DataError),
    "npz key": (_one_of_several, DataError),
    "checkpoint": (lambda path: _numbers(storage.read_arrays(path)), storage.StorageError),
    "checkpoint behind": (_behind_the_digest, storage.StorageError),
    "config": (_recipe, storage.StorageError),
    "result": (_result, storage.StorageError),
    "omniglot": (_published("omniglot"), DataError),
    "caltech": (_published("caltech101_silhouettes"), DataError),
    "amat": (_published("binarized_mnist"), DataError),
    "mat behind": (_mat, DataError),
    "nameless": (_nameless, DataError),
    "reasonless": (_reasonless, DataError),
    "undocumented": (_undocumented, DataError),
    "unpickles": (_unpickles, DataError),
    "dies": (_dies, DataError),
    "hangs": (_hangs, DataError),
    "spins": (_spins, DataError),
    "hoards": (_hoards, DataError),
    "swells": (_swells, DataError),
}


def read(kind: str, path: pathlib.Path) -> tuple[str, str]:
    """The outcome, and why."""
    loader, documented = LOADERS[kind]
    try:
        loader(path)
    except documented as error:
        message = str(error)
        # In one or, as of files that are missing, apart.
        if path.name not in message or str(path.parent) not in message:
            return "failed", f"the error does not name the file: {error}"
        reason = message.replace(str(path), "").replace(path.name, "").replace(str(path.parent), "")
        if len(reason.split()) < 3:
            return "failed", f"the error gives no reason: {error}"
        return "refused", message
    except BaseException:
        return "failed", traceback.format_exc()
    return "loaded", ""


def _status(field: str) -> int:
    """A line of the process's status, in bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def main() -> None:
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _status("VmSize") + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    storage.MAX_BYTES = _MAX_BYTES
    for line in sys.stdin:
        asked = json.loads(line)
        # The high-water mark of the memory starts anew.
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        # Ends the process when the seconds of its CPU are over.
        signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
        outcome, why = read(asked["kind"], pathlib.Path(asked["path"]))
        signal.setitimer(signal.ITIMER_PROF, 0)
        peak = _status("VmHWM") - before
        print(json.dumps({"outcome": outcome, "why": why[-2000:], "peak": peak}), flush=True)


if __name__ == "__main__":
    main()

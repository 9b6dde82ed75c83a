"""Trainings in processes of their own, and what they leave."""

import json

import numpy as np

from dvae_tf import storage
from dvae_tf.runs import RunFolder
from dvae_tf.training.inputs import inputs_of
from support import programs

# Fields of the result that depend on the clock.
CLOCKS = ("seconds", "test_seconds")


def train(folder, timeout=240, **options):
    """Runs `killed_run` with these options; its exit code and what it said."""
    code, _, err = programs.call("support.killed_run", str(folder), json.dumps(options), timeout=timeout)
    return code, err


def newest(folder):
    """The arrays of the newest checkpoint, but the clocks."""
    arrays = storage.read_arrays(sorted(folder.glob("checkpoint-*.npz"))[-1])
    return {name: array for name, array in arrays.items() if not name.endswith("/seconds")}


def final(folder):
    """Everything that a finished run leaves, but the clocks: state, history, best weights, result."""
    arrays = newest(folder)
    arrays |= {f"file/{name}": array for name, array in storage.read_arrays(folder / "best.npz").items()}
    result = storage.read_json(folder / "result.json")
    return arrays | {f"result/{name}": result[name] for name in result.keys() - set(CLOCKS)}


def bound(path, settings, images):
    """The folder of a run with this recipe and these images that has not begun."""
    folder = RunFolder(path)
    with folder.lock():
        folder.bind(settings, inputs_of(images, {}))
    return folder


def content(folder):
    """Name -> bytes of every file below a run folder."""
    return {file.name: file.read_bytes() for file in folder.path.rglob("*") if file.is_file()}


def differences(first, second):
    """The names under which two runs differ, in the last bit or more."""
    assert first.keys() == second.keys()
    return {name for name in first if not np.array_equal(first[name], second[name])}

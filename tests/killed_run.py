"""A training in a process of its own that kills itself where it is told to; run by the tests of reliability.

    python killed_run.py FOLDER JSON

The JSON gives the fields of the recipe and `kill`: [where, number], `where` one of "steps" (after so many
steps), "write" (in the middle of the so-manyth write of a checkpoint), "test" (once so many test images are
measured); or null. With `signal` it is sent that signal there instead of SIGKILL.
"""

import json
import os
import pathlib
import signal
import sys

import numpy as np
import pytest
from tiny import add_tiny_structures, recipe

from dvae_tf import data, storage, training

SMALL = {
    "num_train_iter": 90,
    "num_validations": 3,
    "train_batchsize": 20,
    "ais_chains": 20,
    "ais_temperatures": 20,
    "validation_ais_temperatures": 10,
    "validation_iw_samples": 5,
    "eval_iw_samples": 10,
    "eval_batchsize": 50,
}


def tiny_images(count=100, is_binary=True):
    rng = np.random.default_rng(0)
    modes = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]])
    chosen = modes[rng.integers(0, 3, 3 * count)]
    x = (chosen ^ (rng.random(chosen.shape) < 0.05)).astype(np.float32)
    train = x[:count] if is_binary else np.clip(x[:count], 0.1, 0.8)
    return data.Images(train, x[count : 2 * count], x[2 * count :], (2, 3), "tiny", "a test")


class Killer(training.Monitor):
    """Kills the process, or sends it a signal, at a place of the run."""

    def __init__(self, where, number, kind):
        self.where, self.number, self.kind, self.writes = where, number, kind, 0
        self.replace = os.replace
        if where == "write":
            storage.os.replace = self.cut

    def reached(self, where, number):
        if where == self.where and number >= self.number:
            self.where = None
            os.kill(os.getpid(), self.kind)

    def cut(self, partial, path):
        if "checkpoint" in str(path):
            self.writes += 1
            if self.writes == self.number:
                os.truncate(partial, os.path.getsize(partial) // 2)
            self.reached("write", self.writes)
        self.replace(partial, path)

    def steps(self, step, report):
        self.reached("steps", step)

    def test(self, done, total):
        self.reached("test", done)


def main(folder, options):
    options = json.loads(options)
    kill, kind = options.pop("kill", None), options.pop("signal", signal.SIGKILL)
    # Compiled once for all the processes of a test.
    cache = pathlib.Path(folder).parent / "xla"
    os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={cache}"
    with pytest.MonkeyPatch.context() as patch:
        add_tiny_structures(patch)
        settings = recipe(**{**SMALL, **options})
        images = tiny_images(is_binary=not settings.dynamic_binarization)
        training.loop.STEPS_PER_CALL = training.run.STEPS_PER_CALL = 7
        try:
            training.train(settings, images, folder, monitor=Killer(*kill, kind) if kill else None)
        except training.Interrupted as interrupted:
            sys.exit(f"{interrupted.signal.name}: {interrupted}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A training in its own process that kills itself at a given point; run by the tests of reliability.

    python -m support.killed_run FOLDER JSON

The JSON gives the fields of the recipe, `strategy`, and `kill`: [where, number], or null. `where` is "steps"
(after so many steps), "write" (in the middle of the so-manyth write of a checkpoint), or "test" (once so many
test images are measured). Instead of SIGKILL there comes `signal`, or with `limit` no file may grow beyond so
many bytes, or with `read_only` no file can be written any more.
"""

import functools
import json
import os
import pathlib
import resource
import signal
import sys

import keras
import pytest

from dvae_tf import storage, training
from runners import devices
from support.tiny import add_tiny_structures, recipe
from support.training import tiny_images

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


def be_killed(number=signal.SIGKILL):
    os.kill(os.getpid(), number)


def limit_files(num_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def write_no_more(_):
    # Root may write what is read-only.
    if os.geteuid() == 0:
        os.seteuid(65534)
    else:
        pathlib.Path(sys.argv[1]).chmod(0o500)
        pathlib.Path(sys.argv[1], "events").chmod(0o500)


FATES = {"signal": be_killed, "limit": limit_files, "read_only": write_no_more}


class Killer(keras.callbacks.Callback):
    """Has the process meet its fate at a place of the run."""

    def __init__(self, where, number, fate):
        super().__init__()
        self.where, self.number, self.fate, self.writes = where, number, fate, 0
        self.replace = os.replace
        if where == "write":
            storage.files.os.replace = self.cut

    def reached(self, where, number):
        if where == self.where and number >= self.number:
            self.where = None
            self.fate()

    def cut(self, partial, path):
        if "checkpoint" in str(path):
            self.writes += 1
            if self.writes == self.number and self.fate.func is be_killed:
                os.truncate(partial, os.path.getsize(partial) // 2)
            self.reached("write", self.writes)
        self.replace(partial, path)

    def on_train_batch_end(self, batch, logs=None):
        self.reached("steps", batch)

    def on_test_batch_end(self, batch, logs=None):
        self.reached("test", batch)


def main(folder, options):
    options = json.loads(options)
    kill, fate = options.pop("kill", None), functools.partial(be_killed)
    strategy = devices.make_strategy(options.pop("strategy", "none"), options.get("num_replicas", 1))
    for name in FATES.keys() & options.keys():
        fate = functools.partial(FATES[name], options.pop(name))
    if fate.func is not be_killed:
        # The programs that are kept for other processes could not be written either.
        os.environ["TF_XLA_FLAGS"] = ""
    with pytest.MonkeyPatch.context() as patch:
        add_tiny_structures(patch)
        settings = recipe(**{**SMALL, **options})
        images = tiny_images(100, is_binary=not settings.dynamic_binarization)
        patch.setattr(training.run, "STEPS_PER_CALL", 7)
        try:
            callbacks = [Killer(*kill, fate)] if kill else []
            training.train(settings, images, folder, callbacks, verbose=False, strategy=strategy)
        except (training.Interrupted, training.TrainingError, storage.StorageError) as error:
            sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The folder of a run: its configuration, inputs, checkpoints, best weights and result.

A checkpoint holds everything that determines the rest of the run, and the recipe that it belongs to.
"""

import contextlib
import json
import os
import pathlib
import re
import warnings
from collections.abc import Collection, Iterator
from typing import NamedTuple

import filelock
import numpy as np

from .. import storage
from ..config import Recipe
from .files import BEST_FILE, CONFIG_FILE, IMAGE_NLL_FILE, RESULT_FILE, file_in, read_recipe
from .history import History
from .inputs import Inputs, read_inputs, write_inputs
from .result import Result, read_result, write_result

_CHECKPOINTS_KEPT = 2
_LOCK = ".lock"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.npz")
_RECIPE = "recipe"
_IMAGE_NLL = "nll"

# Group -> name -> array.
Groups = dict[str, dict[str, np.ndarray]]


class Checkpoint(NamedTuple):
    """A checkpoint that was read and belongs to the run.

    Attributes:
      file: its path.
      groups: the arrays that `write_checkpoint` was given.
      damaged: newer checkpoints that cannot be read, each with the reason.
    """

    file: pathlib.Path
    groups: Groups
    damaged: dict[pathlib.Path, str]


class RunFolder:
    """The files of a run under one path; nothing is written before `lock`.

    Args:
      path: the folder.
      is_writer: whether this process writes; one of the workers of a distributed run does.
    """

    def __init__(self, path: str | os.PathLike[str], is_writer: bool = True) -> None:
        self.path = storage.as_path(path)
        self.is_writer = is_writer

    def check(self, recipe: Recipe, inputs: Inputs) -> None:
        """Checks that a run may start, resume or be returned here. Writes nothing.

        What a folder does not hold is not compared: a new one has neither configuration nor inputs, one of
        version 0.2 or earlier has no inputs.

        Raises:
          ValueError: if it belongs to a run of another configuration, of other images, or with other parts of
            the user's own; the message names every difference.
          StorageError: if its configuration, inputs or result cannot be read.
          PermissionError: if it holds no result and cannot be written, or another process is training in it.
        """
        self._check_owner(recipe, inputs)
        if self.is_writer and self.result is None:
            there = next(each for each in (self.path, *self.path.absolute().parents) if each.exists())
            if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
                raise PermissionError(f"log_dir: cannot write to {self.path}: {there} is no writable folder")
            if (self.path / _LOCK).exists():
                self._acquire().release()

    def _check_owner(self, recipe: Recipe, inputs: Inputs) -> None:
        if not (self.path / CONFIG_FILE).exists():
            if any(self.path.glob("checkpoint-*.npz")) or (self.path / RESULT_FILE).exists():
                raise ValueError(f"log_dir: {self.path} holds a run, but no {CONFIG_FILE}")
            return
        if differences := config_differences(read_recipe(self.path), recipe):
            raise ValueError(
                f"log_dir: {self.path} belongs to a run of another configuration; "
                "choose another folder (with init_from to start from its weights), or resume it with its own "
                f"flags. {'; '.join(differences)}"
            )
        found = read_inputs(self.path)
        if found is not None and (differences := found.differences(inputs)):
            raise ValueError(
                f"log_dir: {self.path} belongs to a run of other images or parts; "
                f"choose another folder, or resume it with its own. {'; '.join(differences)}"
            )

    def bind(self, recipe: Recipe, inputs: Inputs) -> None:
        """Binds the folder to a run: writes its configuration and inputs, or checks those that are there.

        It must be locked (`lock`), so that another process cannot bind it at the same moment.

        Raises:
          ValueError: as `check`.
          StorageError: if its configuration or inputs cannot be read.
          PermissionError: if it cannot be written.
        """
        self._check_owner(recipe, inputs)
        if not self.is_writer or (self.path / CONFIG_FILE).exists():
            return
        try:
            write_inputs(self.path, inputs)
            # Last, because it is what makes the folder that of a run.
            storage.write_json(self.path / CONFIG_FILE, recipe.to_json())
        except storage.StorageError as error:
            raise PermissionError(f"log_dir: cannot write to {self.path}: {error}") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Makes the folder, and locks it for this process until the context, or the process, ends.

        Raises:
          PermissionError: if another process has locked it, or it is not writable.
        """
        if not self.is_writer:
            yield
            return
        lock = self._acquire()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # some systems cannot remove an open file
                (self.path / _LOCK).unlink()
            lock.release()

    def _acquire(self) -> filelock.BaseFileLock:
        lock = filelock.FileLock(self.path / _LOCK)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise PermissionError(f"log_dir: another process is training in {self.path}") from error
        except OSError as error:
            raise PermissionError(f"log_dir: cannot write to {self.path}: {error}") from error
        return lock

    @property
    def result(self) -> Result | None:
        """The result that `finish` wrote; None for an unfinished run.

        Raises:
          StorageError: if the file is damaged.
        """
        return read_result(self.path) if (self.path / RESULT_FILE).exists() else None

    @property
    def best_weights(self) -> pathlib.Path:
        """Path of the weights with the best validation NLL so far."""
        return self.path / BEST_FILE

    def checkpoints(self) -> list[tuple[int, pathlib.Path]]:
        """(step, file) of every checkpoint, oldest first.

        Raises:
          StorageError: if one is a link that leads outside of the folder.
        """
        matches = (_CHECKPOINT.fullmatch(file.name) for file in self.path.glob("*.npz"))
        return sorted((int(match[1]), file_in(self.path, match[0])) for match in matches if match)

    def write_checkpoint(self, step: int, groups: Groups, recipe: Recipe) -> pathlib.Path:
        """Writes the state after `step` steps, then removes all but the newest two.

        Raises:
          StorageError: if it cannot be written; then the earlier ones are still there.
        """
        file = self.path / f"checkpoint-{step:09d}.npz"
        if not self.is_writer:
            return file
        arrays = {_RECIPE: np.frombuffer(json.dumps(recipe.to_json()).encode(), np.uint8)}
        for group, members in groups.items():
            arrays |= {f"{group}/{name}": array for name, array in members.items()}
        storage.write_arrays(file, arrays)
        for _, old in self.checkpoints()[:-_CHECKPOINTS_KEPT]:
            old.unlink(missing_ok=True)
        return file

    def read_checkpoint(self, recipe: Recipe) -> Checkpoint | None:
        """Reads the newest checkpoint that is not damaged; None if there are no checkpoints. Changes nothing.

        Raises:
          StorageError: if all are damaged, or the newest readable one is of another configuration, of
            another format, or a link that leaves the folder.
        """
        damaged: dict[pathlib.Path, str] = {}
        for _, file in reversed(self.checkpoints()):
            try:
                arrays = storage.read_arrays(file)
            except storage.DamagedFileError as error:
                damaged[file] = str(error)
                continue
            self._check_recipe(file, arrays.pop(_RECIPE, None), recipe)
            groups: Groups = {}
            for name, array in arrays.items():
                group, _, member = name.partition("/")
                groups.setdefault(group, {})[member] = array
            return Checkpoint(file, groups, damaged)
        if damaged:
            raise storage.StorageError(
                f"{self.path}: no checkpoint is intact, and nothing was changed; choose another folder. "
                f"{'; '.join(damaged.values())}"
            )
        return None

    def _check_recipe(self, file: pathlib.Path, written: np.ndarray | None, recipe: Recipe) -> None:
        try:
            found = Recipe.from_json(json.loads(b"" if written is None else written.tobytes()))
        except ValueError as error:
            raise storage.StorageError(f"{file}: expected a recipe inside: {error}") from error
        if differences := config_differences(found, recipe):
            raise storage.StorageError(
                f"{file}: belongs to a run of another configuration. {'; '.join(differences)}"
            )

    def write_best(self, arrays: dict[str, np.ndarray]) -> None:
        """Writes the weights with the best validation NLL so far."""
        if self.is_writer:
            storage.write_arrays(self.best_weights, arrays)

    def set_aside(self, files: Collection[pathlib.Path]) -> None:
        """Renames damaged checkpoints to `….damaged`, and removes partial files of interrupted writes."""
        if not self.is_writer:
            return
        for file in files:
            os.replace(file, file.with_name(f"{file.name}.damaged"))
        for partial in self.path.glob(".*.partial"):
            partial.unlink(missing_ok=True)

    def finish(self, result: Result, image_nll: np.ndarray) -> None:
        """Writes the NLL of every test image, then `result.json`: the run is complete."""
        if not self.is_writer:
            return
        storage.write_arrays(self.path / IMAGE_NLL_FILE, {_IMAGE_NLL: image_nll})
        write_result(self.path, result)


def read_history(folder: pathlib.Path, recipe: Recipe) -> History | None:
    """The history of a run, from its newest intact checkpoint; None if there is no checkpoint.

    Raises:
      StorageError: as `RunFolder.read_checkpoint`.
    """
    checkpoint = RunFolder(folder).read_checkpoint(recipe)
    if checkpoint is None:
        return None
    for reason in checkpoint.damaged.values():
        warnings.warn(f"{reason}; using {checkpoint.file}", UserWarning, stacklevel=2)
    return History.from_arrays(checkpoint.groups.get("history", {}), checkpoint.file)


def read_image_nll(folder: pathlib.Path) -> np.ndarray:
    """The NLL of every test image of a finished run, float64 [N], nats.

    Raises:
      StorageError: if the file is missing or damaged; the message names it.
    """
    path = file_in(folder, IMAGE_NLL_FILE)
    nll = storage.read_arrays(path).get(_IMAGE_NLL)
    if nll is None or nll.dtype != np.float64 or nll.ndim != 1:
        raise storage.StorageError(f"{path}: expected a float64 list {_IMAGE_NLL!r}")
    return nll


def config_differences(old: Recipe, new: Recipe, ignored: Collection[str] = ()) -> list[str]:
    """The fields in which the recipe of a folder differs from the requested one, in words."""
    found, requested = old.to_json(), new.to_json()
    return [
        f"{name}: folder has {found[name]!r}, requested {requested[name]!r}"
        for name in sorted(found)
        if name not in ignored and found[name] != requested[name]
    ]

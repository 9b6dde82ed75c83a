"""The folder of a run: its configuration, checkpoints, best weights and result.

A checkpoint holds all that the rest of the run follows from, and the recipe it belongs to.
"""

import contextlib
import json
import os
import pathlib
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import filelock
import numpy as np

from . import storage
from .config import Recipe
from .models.store import BEST_FILE
from .run_files import CONFIG_FILE, RESULT_FILE, file_in, read_recipe, read_result

_CHECKPOINTS_KEPT = 2
_LOCK = ".lock"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.npz")
_RECIPE = "recipe"

# Name -> name -> array.
Groups = dict[str, dict[str, np.ndarray]]


class Checkpoint(NamedTuple):
    """One that was read and belongs to the run.

    Attributes:
      file: where it is.
      groups: what `write_checkpoint` was given.
      damaged: newer ones that cannot be read, each with the reason.
    """

    file: pathlib.Path
    groups: Groups
    damaged: dict[pathlib.Path, str]


class RunFolder:
    """A run's files under one path; nothing is written before `claim`.

    Args:
      path: the folder.
      is_writer: whether this process writes; of several workers on one run, one does.
    """

    def __init__(self, path: str | os.PathLike[str], is_writer: bool = True) -> None:
        self.path = pathlib.Path(path)
        self.is_writer = is_writer

    def claim(self, recipe: Recipe) -> None:
        """Makes the folder this recipe's, or checks that it is.

        Raises:
          ValueError: if it belongs to another configuration; the message names every difference.
          StorageError: if its configuration cannot be read.
          PermissionError: if it cannot be written.
        """
        config = self.path / CONFIG_FILE
        if config.exists():
            differences = config_differences(read_recipe(self.path), recipe)
            if differences:
                raise ValueError(
                    f"log_dir: {self.path} belongs to a run of another configuration; "
                    f"choose another folder, or go on with its own flags. {'; '.join(differences)}"
                )
        if not self.is_writer:
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if config.exists():
                storage.write_bytes(self.path / ".writable", b"")
                (self.path / ".writable").unlink()
            elif any(self.path.glob("checkpoint-*.npz")):
                raise ValueError(f"log_dir: {self.path} holds checkpoints but no {CONFIG_FILE}")
            else:
                storage.write_json(config, recipe.to_json())
        except (OSError, storage.StorageError) as error:
            raise PermissionError(f"log_dir: cannot write to {self.path}: {error}") from error

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps the folder for this process; the hold ends with the context, and with the process.

        Raises:
          PermissionError: if another process holds it, or it cannot be written.
        """
        if not self.is_writer:
            yield
            return
        lock = filelock.FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise PermissionError(f"log_dir: another process is training in {self.path}") from error
        except OSError as error:
            raise PermissionError(f"log_dir: cannot write to {self.path}: {error}") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # where a file that is open cannot be removed, it stays
                (self.path / _LOCK).unlink()
            lock.release()

    @property
    def result(self) -> dict[str, Any] | None:
        """What `finish` wrote; None for an unfinished run.

        Raises:
          StorageError: if the file is damaged.
        """
        return read_result(self.path) if (self.path / RESULT_FILE).exists() else None

    @property
    def best_weights(self) -> pathlib.Path:
        """The weights with the best validation score so far."""
        return self.path / BEST_FILE

    def checkpoints(self) -> list[tuple[int, pathlib.Path]]:
        """(step, file) of every checkpoint, oldest first.

        Raises:
          StorageError: if one is a link that leads out.
        """
        matches = (_CHECKPOINT.fullmatch(file.name) for file in self.path.glob("*.npz"))
        return sorted((int(match[1]), file_in(self.path, match[0])) for match in matches if match)

    def write_checkpoint(self, step: int, groups: Groups, recipe: Recipe) -> pathlib.Path:
        """Writes the state after `step` steps, then drops all but the newest two.

        Raises:
          StorageError: if it cannot be written; then the ones before are still there.
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
        """The newest checkpoint that is not damaged; None where there is none at all. Changes nothing.

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
            there = Recipe.from_json(json.loads(b"" if written is None else written.tobytes()))
        except ValueError as error:
            raise storage.StorageError(f"{file}: expected a recipe inside: {error}") from error
        if differences := config_differences(there, recipe):
            raise storage.StorageError(
                f"{file}: belongs to a run of another configuration. {'; '.join(differences)}"
            )

    def write_best(self, arrays: dict[str, np.ndarray]) -> None:
        """Writes the weights with the best validation score so far."""
        if self.is_writer:
            storage.write_arrays(self.best_weights, arrays)

    def set_aside(self, files: Collection[pathlib.Path]) -> None:
        """Renames damaged checkpoints to `….damaged`, and removes what a killed write left behind."""
        if not self.is_writer:
            return
        for file in files:
            os.replace(file, file.with_name(f"{file.name}.damaged"))
        for partial in self.path.glob(".*.partial"):
            partial.unlink(missing_ok=True)

    def finish(self, result: dict[str, Any]) -> None:
        """Writes `result.json`: the run is complete."""
        if not self.is_writer:
            return
        storage.write_json(self.path / RESULT_FILE, result)


def config_differences(old: Recipe, new: Recipe, ignored: Collection[str] = ()) -> list[str]:
    """The fields in which a folder's recipe differs from one asked for, in words."""
    there, asked = old.to_json(), new.to_json()
    return [
        f"{name}: folder has {there[name]!r}, asked for {asked[name]!r}"
        for name in sorted(there)
        if name not in ignored and there[name] != asked[name]
    ]

"""The folder of a run: its configuration, checkpoints, best weights and result."""

import os
import pathlib
import re
from collections.abc import Collection
from typing import Any

import numpy as np

from . import storage
from .config import Recipe
from .models.store import BEST_FILE
from .run_files import CONFIG_FILE, RESULT_FILE, file_in, read_recipe, read_result

_CHECKPOINTS_KEPT = 2
_CHECKPOINT = re.compile(r"checkpoint-(\d+)\.npz")


class RunFolder:
    """A run's files under one path; nothing is written before `claim`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = pathlib.Path(path)

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
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if config.exists():
                storage.write_bytes(self.path / ".writable", b"")
                (self.path / ".writable").unlink()
            elif any(self.path.glob("checkpoint-*.npz")):
                raise ValueError(f"log_dir: {self.path} holds checkpoints but no {CONFIG_FILE}")
            else:
                storage.write_json(config, recipe.to_json())
        except (PermissionError, NotADirectoryError, FileExistsError, OSError) as error:
            raise PermissionError(f"log_dir: cannot write to {self.path}: {error}") from error

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

    def write_checkpoint(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        """Writes the state after `step` steps, then drops all but the newest two."""
        storage.write_arrays(self.path / f"checkpoint-{step:09d}.npz", arrays)
        for _, file in self.checkpoints()[:-_CHECKPOINTS_KEPT]:
            file.unlink()

    def finish(self, result: dict[str, Any]) -> None:
        """Writes `result.json`: the run is complete."""
        storage.write_json(self.path / RESULT_FILE, result)


def config_differences(old: Recipe, new: Recipe, ignored: Collection[str] = ()) -> list[str]:
    """The fields in which a folder's recipe differs from one asked for, in words."""
    there, asked = old.to_json(), new.to_json()
    return [
        f"{name}: folder has {there[name]!r}, asked for {asked[name]!r}"
        for name in sorted(there)
        if name not in ignored and there[name] != asked[name]
    ]

"""The files of a run folder that others read: found inside it, and checked for what they hold."""

import os
import pathlib
from collections.abc import Sequence
from typing import Any

from . import storage
from .config import Recipe

CONFIG_FILE = "config.json"
RESULT_FILE = "result.json"


def file_in(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The path of a file of a folder, there or not.

    Raises:
      StorageError: if it is a link that leads out: folders are handed on, and who made one does not choose
        which files of whoever opens it are read.
    """
    path = folder / name
    target = pathlib.Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(folder)):
        raise storage.StorageError(f"{path}: expected a file of the folder, got a link to {target}")
    return path


def read_recipe(folder: pathlib.Path) -> Recipe:
    """The recipe of a run folder, from its `config.json`.

    Raises:
      StorageError: if the file is missing or damaged, or holds no recipe; the message names it.
    """
    path = file_in(folder, CONFIG_FILE)
    values = storage.read_json(path)
    try:
        return Recipe.from_json(values)
    except ValueError as error:
        raise storage.StorageError(f"{path}: {error}") from error


def read_result(folder: pathlib.Path, numbers: Sequence[str] = ("test_nll",)) -> dict[str, Any]:
    """What a run has measured, from its `result.json`, with these fields and others.

    Raises:
      StorageError: if the file is missing or damaged, or holds no result; the message names it.
    """
    path = file_in(folder, RESULT_FILE)
    result = storage.read_json(path)
    if not isinstance(result, dict):
        raise storage.StorageError(f"{path}: expected a result, got {type(result).__name__}")
    if bad := [name for name in numbers if not _is_number(result.get(name))]:
        raise storage.StorageError(f"{path}: expected numbers for {bad}")
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

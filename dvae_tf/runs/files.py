"""The files of a run folder: their names, and reading them safely."""

import os
import pathlib

from .. import storage
from ..config import Recipe

CONFIG_FILE = "config.json"
INPUTS_FILE = "inputs.json"
RESULT_FILE = "result.json"
# The best weights by validation: of a run, and of a committed result.
BEST_FILE = "best.npz"
WEIGHTS_FILE = "weights.npz"
# Negative log-likelihood of every test image.
IMAGE_NLL_FILE = "test_image_nll.npz"


def file_in(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The path of a file inside of a folder, whether or not it exists.

    Raises:
      StorageError: if it is a link that leads outside: run folders are passed on, and a folder's author must
        not choose which files of its reader are opened.
    """
    path = storage.as_path(folder) / name
    target = pathlib.Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(path.parent)):
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

"""Trained models on disk: a folder with `config.json` and the weights."""

import pathlib
from typing import Any

import numpy as np

from .. import storage
from ..config import Recipe
from .dvae import DVAE
from .pretrained import pretrained_folder

CONFIG_FILE = "config.json"
BEST_FILE = "best.npz"
WEIGHTS_FILE = "weights.npz"


def save_weights(model: DVAE, path: str | pathlib.Path) -> None:
    """Writes all variables of the model (weights, batch-norm means, chains, log Z) as one archive."""
    storage.write_arrays(pathlib.Path(path), storage.variable_arrays(model.variables))


def load_weights(model: DVAE, path: str | pathlib.Path) -> None:
    """Reads what `save_weights` wrote.

    Raises:
      StorageError: if the file is damaged or belongs to another model; then nothing has changed.
    """
    path = pathlib.Path(path)
    storage.assign_variables(model.variables, storage.read_arrays(path), path)


def load(log_dir: str | pathlib.Path, **parts: Any) -> DVAE:
    """Rebuilds a trained model from a run folder, a folder of committed results, or a short name.

    Args:
      log_dir: holds `config.json`, and `best.npz` (a run's best by validation) or `weights.npz`; or a key
        of `PRETRAINED`, if there is no folder of that name here.
      **parts: the `encoder`, `decoder` and `likelihood` that the model was built with, if its own.

    Raises:
      FileNotFoundError: if there are no weights.
      StorageError: if a file is damaged or the weights are those of another model.
    """
    folder = pathlib.Path(log_dir)
    if not folder.is_dir():
        folder = pretrained_folder(str(log_dir)) or folder
    recipe = Recipe.from_json(storage.read_json(folder / CONFIG_FILE))
    found = [folder / name for name in (BEST_FILE, WEIGHTS_FILE) if (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(f"log_dir: {folder} holds neither {BEST_FILE} nor {WEIGHTS_FILE}")
    arrays = storage.read_arrays(found[0])
    mean_x = arrays.get("dvae/mean_x", np.zeros(1, np.float32))
    model = DVAE(recipe, mean_x, **parts)
    storage.assign_variables(model.variables, arrays, found[0])
    return model

"""Weights of trained models on disk, and models rebuilt from run folders."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import storage
from ..config import Recipe
from ..runs import BEST_FILE, CONFIG_FILE, WEIGHTS_FILE, file_in, read_recipe
from .dvae import DVAE
from .pretrained import PRETRAINED, pretrained_folder

_MEAN_X = "dvae/mean_x"
# A model of so few numbers may be made whatever its archive holds.
_HARMLESS = 10_000


# Parts of the paths of variables that versions before 0.2 named otherwise: old -> new.
_RENAMED = {"witness_": "tracking_", "num_witnessed": "num_tracked"}


def current_names(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by the paths that their variables have today; files of earlier versions use older ones."""
    renamed = {}
    for path, array in arrays.items():
        folder, slash, name = path.rpartition("/")
        for old, new in _RENAMED.items():
            name = new + name.removeprefix(old) if name.startswith(old) else name
        renamed[folder + slash + name] = array
    return renamed


def save_weights(model: DVAE, path: str | pathlib.Path) -> None:
    """Writes all variables of the model (weights, batch-norm means, chains, log Z) as one archive."""
    storage.write_arrays(storage.as_path(path), storage.variable_arrays(model.variables))


def load_weights(model: DVAE, path: str | pathlib.Path) -> None:
    """Reads weights that `save_weights` wrote.

    Raises:
      StorageError: if the file is damaged or of another model; then nothing has changed.
    """
    path = storage.as_path(path)
    storage.assign_variables(model.variables, current_names(storage.read_arrays(path)), path)


def load(log_dir: str | pathlib.Path, **parts: Any) -> DVAE:
    """Rebuilds a trained model from a run folder, a folder of committed results, or a short name.

    Args:
      log_dir: a folder with `config.json` and `best.npz` (the best weights of a run by validation) or
        `weights.npz`; or a key of `PRETRAINED`, if there is no such folder.
      **parts: the `encoder`, `decoder` and `likelihood` that the model was built with, if any.

    Raises:
      FileNotFoundError: if there are no weights.
      StorageError: if a file is damaged or a link that leads outside of the folder, or the weights belong
        to another model; the message names the file.
      ValueError: if `parts` do not fit.
    """
    folder = storage.as_path(log_dir)
    if not folder.is_dir():
        folder = pretrained_folder(str(log_dir)) or folder
    if not folder.exists():
        names = ", ".join(PRETRAINED)
        raise FileNotFoundError(f"log_dir: expected a run folder, or one of {names}; got {log_dir}")
    recipe = read_recipe(folder)
    found = [path for name in (BEST_FILE, WEIGHTS_FILE) if (path := file_in(folder, name)).is_file()]
    if not found:
        raise FileNotFoundError(f"log_dir: {folder} holds neither {BEST_FILE} nor {WEIGHTS_FILE}")
    arrays = current_names(storage.read_arrays(found[0]))
    mean_x = arrays.get(_MEAN_X, np.zeros(1, np.float32))
    _check_sizes(recipe, mean_x, arrays, found[0], "encoder" in parts and "decoder" in parts)
    try:
        model = DVAE(recipe, mean_x, **parts)
    except ValueError as error:
        if parts:
            raise
        raise storage.StorageError(
            f"{folder / CONFIG_FILE}: no model can be built from it: {error}"
        ) from error
    storage.assign_variables(model.variables, arrays, found[0])
    return model


def _check_sizes(
    recipe: Recipe,
    mean_x: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    path: pathlib.Path,
    own_networks: bool,
) -> None:
    """Refuses a configuration whose model would be far larger than its weights, before building it."""
    if mean_x.ndim != 1 or mean_x.dtype != np.float32:
        raise storage.StorageError(
            f"{path}: {_MEAN_X} expected float32(pixels,), got {mean_x.dtype}{mean_x.shape}"
        )
    there = sum(array.size for array in arrays.values())
    # A model has at least one number for each chain, and for each weight of its narrowest hidden layer.
    width = 0 if own_networks else min(recipe.structure.hidden_units or (recipe.structure.units_per_group,))
    for what, count in (
        (f"{len(mean_x)} pixels", len(mean_x) * width),
        (f"num_chains {recipe.num_chains}", recipe.num_chains),
        (f"num_tracking_chains {recipe.num_tracking_chains}", recipe.num_tracking_chains),
    ):
        # A directed prior has no chains, and may have few weights.
        if count > max(there, _HARMLESS):
            raise storage.StorageError(f"{path}: expected more than {there} numbers for {what}")

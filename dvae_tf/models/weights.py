"""Weights of trained models on disk, and models rebuilt from run folders."""

import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import storage
from ..config import Recipe
from ..runs import BEST_FILE, CONFIG_FILE, WEIGHTS_FILE, file_in, read_inputs, read_recipe
from .dvae import DVAE
from .pretrained import PRETRAINED, pretrained_folder
from .systems import graph_digest
from .variable_names import current_names, named_variables

_MEAN_X = "dvae/mean_x"
# The variables of the sampler, and of these its states, [..., chains, units].
_SAMPLER = "prior/sampler_"
_CHAINS = (f"{_SAMPLER}left", f"{_SAMPLER}right")
# A model of so few numbers may be made whatever its archive holds.
_HARMLESS = 10_000


def save_weights(model: DVAE, path: str | pathlib.Path) -> None:
    """Writes all variables of the model (weights, batch-norm means, chains, log Z) as one archive."""
    storage.write_arrays(storage.as_path(path), storage.variable_arrays(named_variables(model)))


def load_weights(model: DVAE, path: str | pathlib.Path) -> None:
    """Reads weights that `save_weights` wrote.

    Raises:
      StorageError: if the file is damaged or of another model; then nothing has changed.
    """
    _assign(model, storage.read_arrays(path := storage.as_path(path)), path)


def _assign(model: DVAE, arrays: Mapping[str, np.ndarray], path: pathlib.Path) -> None:
    variables = named_variables(model)
    storage.assign_variables(variables, current_names(arrays, variables), path)


def load(log_dir: str | pathlib.Path, **parts: Any) -> DVAE:
    """Rebuilds a trained model from a run folder, a folder of committed results, or a short name.

    Compiled and trained further, it does not repeat the warm-up of the KL terms.

    Args:
      log_dir: a folder with `config.json` and `best.npz` (the best weights of a run by validation) or
        `weights.npz`; or a key of `PRETRAINED`, if there is no such folder.
      **parts: your own parts that the model was built with, if any, as `DVAE` takes them.

    Raises:
      FileNotFoundError: if there are no weights.
      StorageError: if a file is damaged or a link that leads outside of the folder, the weights belong to
        another model, or a file of edges has changed; the message names the file.
      ValueError: if `parts` do not fit, or the model was trained with parts that are not given.
    """
    folder = _folder(log_dir, "log_dir")
    recipe = read_recipe(folder)
    file = weights_file(log_dir, "log_dir")
    inputs = read_inputs(folder)
    if inputs is not None and (missing := sorted(set(inputs.parts) - set(parts))):
        given = ", ".join(f"{part}=…" for part in missing)
        raise ValueError(
            f"log_dir: {folder} was trained with your own {' and '.join(missing)}; "
            f"load it with dvae_tf.models.load({str(log_dir)!r}, {given})"
        )
    arrays = storage.read_arrays(file)
    mean_x = arrays.get(_MEAN_X, np.zeros(1, np.float32))
    _check_sizes(recipe, mean_x, arrays, file, "encoder" in parts and "decoder" in parts)
    try:
        image_shape = None if inputs is None else inputs.image_shape
        model = DVAE(recipe, mean_x, image_shape=image_shape, kl_warmup=False, **parts)
    except ValueError as error:
        if parts:
            raise
        raise storage.StorageError(
            f"{folder / CONFIG_FILE}: no model can be built from it: {error}"
        ) from error
    if inputs is not None:
        try:
            inputs.check_graph(graph_digest(recipe, model.own_parts))
        except ValueError as error:
            raise storage.StorageError(f"{recipe.graph}: {error}") from error
    _assign(model, arrays, file)
    return model


def start_from(model: DVAE, source: str | pathlib.Path) -> None:
    """Assigns the weights of a trained model to one of the same parts, and takes over its chains.

    If only the number of persistent chains differs, they are repeated, or the first ones taken. A sampler of
    another kind starts from its own first states.

    Args:
      model: a new model.
      source: a folder or a name, as `load` takes it.

    Raises:
      FileNotFoundError: if there are no weights.
      StorageError: if a file is damaged.
      ValueError: if the weights do not fit the model; then nothing has changed.
    """
    file = weights_file(source, "init_from")
    if (inputs := read_inputs(_folder(source, "init_from"))) is not None:
        try:
            inputs.check_graph(graph_digest(model.recipe, model.own_parts))
        except ValueError as error:
            raise ValueError(f"init_from: {error}") from error
    variables = named_variables(model)
    arrays = current_names(storage.read_arrays(file), variables)
    of_samplers = [{name for name in names if name.startswith(_SAMPLER)} for names in (variables, arrays)]
    if of_samplers[0] != of_samplers[1]:
        variables, arrays = (
            {name: value for name, value in each.items() if not name.startswith(_SAMPLER)}
            for each in (variables, arrays)
        )
    for name, variable in variables.items():
        array, shape = arrays.get(name), tuple(variable.shape)
        if name in _CHAINS and array is not None and array.shape[-1:] == shape[-1:]:
            arrays[name] = np.resize(array, shape)
    try:
        storage.check_variables(variables, arrays, file)
    except storage.StorageError as error:
        raise ValueError(f"init_from: expected the weights of a model of the same parts: {error}") from error
    storage.assign_variables(variables, arrays, file)


def _folder(source: str | pathlib.Path, argument: str) -> pathlib.Path:
    """The folder of weights that a path or a short name stands for."""
    folder = storage.as_path(source)
    if not folder.is_dir():
        folder = pretrained_folder(str(source)) or folder
    if not folder.exists():
        names = ", ".join(PRETRAINED)
        raise FileNotFoundError(f"{argument}: expected a run folder, or one of {names}; got {source}")
    return folder


def weights_file(source: str | pathlib.Path, argument: str) -> pathlib.Path:
    """The weights of a folder or a short name, as `load` takes it.

    Raises:
      FileNotFoundError: if there are none; the message names the argument.
    """
    folder = _folder(source, argument)
    for name in (BEST_FILE, WEIGHTS_FILE):
        if (file := file_in(folder, name)).is_file():
            return file
    raise FileNotFoundError(f"{argument}: {folder} holds neither {BEST_FILE} nor {WEIGHTS_FILE}")


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
    # A model has at least one number for each unit and chain, and for each weight of its decoder.
    structure = recipe.structure
    widths = [structure.num_units, *structure.hidden_units, len(mean_x)]
    weights = 0 if own_networks else sum(first * second for first, second in itertools.pairwise(widths))
    if structure.channels:
        # The products of the finer grids' channels, and a bias for every pixel.
        weights = sum(first * second for first, second in itertools.pairwise(structure.channels)) + len(
            mean_x
        )
    for what, count in (
        (f"{len(mean_x)} pixels, {structure}", weights),
        (f"{structure}", structure.num_units + sum(structure.channels)),
        (f"{structure}", structure.num_local_groups * structure.local_units),
        (f"num_chains {recipe.num_chains}", recipe.num_chains),
        (f"num_tracking_chains {recipe.num_tracking_chains}", recipe.num_tracking_chains),
    ):
        # A directed prior has no chains, and may have few weights.
        if count > max(there, _HARMLESS):
            raise storage.StorageError(f"{path}: expected more than {there} numbers for {what}")

"""The folder of a table's cell, and what sets a recipe apart from the published one.

In the papers' tables a folder is <dataset>/<struct>/<baseline>-k<k>-<iterations>-seed<seed>. The name
includes deviations from the tables' cells: `-nW` if the couplings are not the baseline's, the warm-up of
local variables if it is not the usual part of a run, as in `gumbolt-local-warmup-0.3`, the schedule if it is
not the published one, the graph of a machine that is not restricted, and the sampler with its size if it is
another one, as in `dvaes_power-pa1000x40`.
"""

import hashlib
import json
import pathlib
import re
from typing import Any

from dvae_tf import config
from dvae_tf.config import Recipe

# The negative phase of the tables' cells.
_SAMPLER = ("pcd", 100, 20)

# Fields that the defaults of others follow from.
PRIMARY = ("dataset", "struct", "baseline", "k", "sampler", "likelihood", "schedule", "graph")
# Those of them that have a default.
WITH_DEFAULT = ("sampler", "likelihood", "schedule", "graph")
SIZES = ("num_groups", "units", "hidden")
# Names longer than this are shortened: file systems allow 255 bytes.
_LONGEST = 200


def cell_folder(recipe: Recipe) -> pathlib.Path:
    """The folder of a recipe's result, relative to the folder of all results."""
    name = recipe.baseline
    if recipe.couplings != recipe.system.recipe.get("couplings", True):
        name += "-nW"
    if recipe.local_kl_warmup_fraction != Recipe.local_kl_warmup_fraction:
        name += f"-local-warmup-{recipe.local_kl_warmup_fraction:g}"
    if recipe.schedule != Recipe.schedule:
        name += f"-{recipe.schedule}"
    if recipe.graph != Recipe.graph:
        name += f"-{_name_of(recipe.graph)}"
    if (recipe.sampler, recipe.num_chains, recipe.num_sweeps) != _SAMPLER:
        name += f"-{recipe.sampler}{recipe.num_chains}x{recipe.num_sweeps}"
    return (
        pathlib.Path(recipe.dataset)
        / recipe.struct
        / f"{name}-k{recipe.k}-{recipe.num_train_iter}-seed{recipe.seed}"
    )


def own_folder(recipe: Recipe) -> pathlib.Path:
    """The folder of a cell of your own table: the name holds every field that differs from its default."""
    parts = [recipe.baseline, f"k{recipe.k}", str(recipe.num_train_iter)]
    parts += [
        _name_of(getattr(recipe, name))
        for name in WITH_DEFAULT
        if getattr(recipe, name) != getattr(Recipe, name)
    ]
    parts += [
        f"{name}={_name_of(value)}"
        for name, value in deviations(recipe).items()
        if name not in ("num_train_iter", "seed")
    ]
    name = "-".join(parts)
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}-{_digest(name)}"
    return pathlib.Path(recipe.dataset) / recipe.struct / f"{name}-seed{recipe.seed}"


def deviations(recipe: Recipe) -> dict[str, Any]:
    """The fields whose values do not follow from `PRIMARY`, as JSON values."""
    has_usual_sizes = recipe.struct in config.STRUCTURES or recipe.struct == recipe.structure.name
    implied: dict[str, Any] = {name: getattr(recipe, name) for name in (*WITH_DEFAULT, *SIZES)}
    if recipe.dataset not in config.DATASETS:
        implied["dynamic_binarization"] = recipe.dynamic_binarization
    usual = config.recipe(recipe.dataset, recipe.struct, recipe.baseline, recipe.k, **implied).to_json()
    return {
        name: value
        for name, value in recipe.to_json().items()
        if name not in PRIMARY and (value != usual[name] or (name in SIZES and not has_usual_sizes))
    }


def _name_of(value: Any) -> str:
    """A value as a part of a file's name, another one for every value."""
    if isinstance(value, list) and all(isinstance(item, int) for item in value):
        return "-".join(map(str, value)) or "none"
    text = value if isinstance(value, str) else json.dumps(value)
    name = re.sub(r"[^\w.+-]+", "-", text)
    return name if name == text else f"{name.strip('-')[-40:]}-{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]

"""Where the cell of a table lives: <dataset>/<struct>/<baseline>-k<k>-<iterations>-seed<seed>."""

import pathlib

from dvae_tf.config import Recipe


def cell_folder(recipe: Recipe) -> pathlib.Path:
    """The folder of a recipe's result, relative to where results are collected."""
    as_published = recipe.couplings == recipe.system.recipe.get("couplings", True)
    name = recipe.baseline if as_published else f"{recipe.baseline}-nW"
    return (
        pathlib.Path(recipe.dataset)
        / recipe.struct
        / f"{name}-k{recipe.k}-{recipe.num_train_iter}-seed{recipe.seed}"
    )

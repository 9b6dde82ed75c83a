"""The folder of a table's cell: <dataset>/<struct>/<baseline>-k<k>-<iterations>-seed<seed>.

The name includes deviations from the tables' cells: `-nW` if the couplings are not the baseline's, and the
sampler with its size if it is another one, as in `dvaes_power-pa1000x40`.
"""

import pathlib

from dvae_tf.config import Recipe

# The negative phase of the tables' cells.
_SAMPLER = ("pcd", 100, 20)


def cell_folder(recipe: Recipe) -> pathlib.Path:
    """The folder of a recipe's result, relative to the folder of all results."""
    name = recipe.baseline
    if recipe.couplings != recipe.system.recipe.get("couplings", True):
        name += "-nW"
    if (recipe.sampler, recipe.num_chains, recipe.num_sweeps) != _SAMPLER:
        name += f"-{recipe.sampler}{recipe.num_chains}x{recipe.num_sweeps}"
    return (
        pathlib.Path(recipe.dataset)
        / recipe.struct
        / f"{name}-k{recipe.k}-{recipe.num_train_iter}-seed{recipe.seed}"
    )

"""What `--help` of each program that users need must show."""

import ast
import pathlib
import re

RUNNERS = pathlib.Path(__file__).parents[2] / "runners"
_RECIPE = ("log_dir", "struct", "baseline", "k", "beta", "num_train_iter", "num_chains", "seed", "dry_run")
_DATA = ("data_dir", "manual_dir")
# Module -> some of the flags that it defines, itself or through `runners.recipe_flags`.
PROGRAMS = {
    "demo": _RECIPE,
    "digits": (*_RECIPE, *_DATA),
    "binarized_mnist": (*_RECIPE, *_DATA),
    "mnist": (*_RECIPE, *_DATA),
    "omniglot": (*_RECIPE, *_DATA),
    "cifar10": (*_RECIPE, *_DATA),
    "caltech101_silhouettes": (*_RECIPE, *_DATA),
    "custom": (*_RECIPE, "train", "test", "validation", "image_shape", "name"),
    "evaluate": ("log_dir", *_DATA, "test", "split", "eval_iw_samples", "ais_temperatures", "seed"),
    "export": ("log_dir", "out", "iw_samples", "num_sweeps", "ais_temperatures", "seed"),
    "report": ("log_dir", "out", "test", *_DATA),
    "table": (
        *("axis", "dataset", "reference", "train", "test", "runs_dir", "out", "notrain"),
        *("scale", "structs", "baselines", "ks", "seeds", "results_dir", "num_train_iter", *_DATA),
    ),
}
# Flags of absl, which `--help` leaves to `--helpfull`.
_FOREIGN = ("verbosity", "pdb_post_mortem", "only_check_args")


def check(module: str, text: str) -> None:
    """Checks what `--help` of a program wrote."""
    description = ast.get_docstring(ast.parse((RUNNERS / f"{module}.py").read_text()))
    assert text.strip().startswith(description), text[:500]
    shown = set(re.findall(r"^  --(?:\[no\])?(\w+):", text, re.M))
    assert shown >= set(PROGRAMS[module]), set(PROGRAMS[module]) - shown
    assert not shown & set(_FOREIGN), shown

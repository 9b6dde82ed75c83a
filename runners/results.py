"""Writes a page of all committed results: for each the command, our number, the paper's, and its time."""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from dvae_tf import config, storage
from dvae_tf.run_files import RESULT_FILE, read_recipe, read_result

from . import common
from .cost import readable

# What a training runner calls by another name, or sets itself.
_NOT_FLAGS = {"dataset", "dynamic_binarization"}
_INTRODUCTION = """# Which run gives which number

Written by `python -m runners.results --out=docs/results.md` from `results/`. Test NLL in nats per image, of
the discrete model; the error beside it is that of the number for these very images (importance samples and
log Z), not over images or seeds. The papers trained for 1,000,000 iterations. Times are those of the training
on the machine named in each `result.json`, mostly two runs at a time on two cores; validations are in it.
OMNIGLOT was read from a file that is not the published one, so its numbers compare with each other only.
"""

# What the page cannot do without.
_NUMBERS = (
    "test_nll",
    "test_nll_monte_carlo_error",
    "log_partition",
    "log_partition_standard_error",
    "seconds",
)


def main() -> None:
    """Entry point."""
    flags.DEFINE_string("results_dir", "results", "Where results are collected.")
    flags.DEFINE_string("out", None, "Where to write the page, Markdown; printed if not given.")
    common.start(_write)


def _write(_: Sequence[str]) -> None:
    page = results_page(pathlib.Path(flags.FLAGS.results_dir))
    if flags.FLAGS.out:
        storage.write_bytes(pathlib.Path(flags.FLAGS.out), page.encode())
    else:
        print(page, end="")


def results_page(results_dir: pathlib.Path) -> str:
    """The page, one section for each dataset and structure.

    Raises:
      FileNotFoundError: if there are no results.
    """
    files = sorted(results_dir.glob(f"*/*/*/{RESULT_FILE}"))
    if not files:
        raise FileNotFoundError(f"results_dir: expected folders with {RESULT_FILE} under {results_dir}")
    sections: dict[str, list[str]] = {}
    for file in files:
        recipe = read_recipe(file.parent)
        row = _row(recipe, read_result(file.parent, _NUMBERS))
        sections.setdefault(f"{recipe.dataset}, {recipe.struct}", []).append(row)
    head = "| test NLL | paper | log Z | time | command |\n| --- | --- | --- | --- | --- |"
    return "\n".join(
        [
            _INTRODUCTION,
            *(f"## {name}\n\n{head}\n" + "\n".join(rows) + "\n" for name, rows in sections.items()),
        ]
    )


def _row(recipe: config.Recipe, result: dict[str, Any]) -> str:
    published = "" if recipe.published is None else f"{recipe.published.mean:.2f}"
    log_z = f"{result['log_partition']:.2f} ± {result['log_partition_standard_error']:.3f}"
    # The first results did not say.
    if not result.get("log_partition_converged", True):
        log_z += " (not converged)"
    nll = f"{result['test_nll']:.2f} ± {result['test_nll_monte_carlo_error']:.3f}"
    return f"| {nll} | {published} | {log_z} | {readable(result['seconds'])} | `{command(recipe)}` |"


def command(recipe: config.Recipe) -> str:
    """What trains a recipe, but for the folders; only what is not the default of its baseline."""
    names = ("struct", "baseline", "k", "num_train_iter")
    usual = config.recipe(recipe.dataset, recipe.struct, recipe.baseline, recipe.k, sampler=recipe.sampler)
    flagged = [f"--{name}={getattr(recipe, name)}" for name in names]
    if recipe.sampler != config.Recipe.sampler:
        flagged.append(f"--sampler={recipe.sampler}")
    for name, value in recipe.to_json().items():
        if name not in (*names, "sampler", *_NOT_FLAGS) and value != usual.to_json()[name]:
            flagged.append(f"--{name}={value}")
    return f"python -m runners.{recipe.dataset} {' '.join(flagged)}"


if __name__ == "__main__":
    main()

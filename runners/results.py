"""Writes a page of all committed results: NLL, published one, log Z, time, device and command."""

import pathlib
from collections.abc import Sequence
from typing import Any

from absl import flags

from dvae_tf import config, storage
from dvae_tf.runs import RESULT_FILE, Result, read_inputs, read_recipe, read_result
from dvae_tf.training import readable_seconds

from . import common, show
from .cells import SIZES, WITH_DEFAULT, deviations

# Fields of a recipe that are not flags of a training program.
_NOT_FLAGS = {"dataset", "dynamic_binarization"}
_INTRODUCTION = """# All results

Written by `python -m runners.results --out=docs/results.md` from `results/`. The test NLL is that of the
discrete model, in nats per image; its error is the Monte Carlo error for these very images (importance
samples and log Z), not an error over images or seeds. The papers trained for 1,000,000 iterations. Times are
of training with its validations on the device named, mostly two runs at a time on two cores. OMNIGLOT was
read from a file that is not the published one, so its numbers compare only with each other.
"""


def main() -> None:
    """Entry point."""
    flags.DEFINE_string("results_dir", "results", "The folder of all results.")
    flags.DEFINE_string("out", None, "A Markdown file to write; by default the page is printed.")
    common.start(_write, __doc__)


def _write(_: Sequence[str]) -> None:
    page = results_page(storage.as_path(flags.FLAGS.results_dir))
    if flags.FLAGS.out:
        storage.write_bytes(storage.as_path(flags.FLAGS.out), page.encode())
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
        inputs = read_inputs(file.parent)
        parts = [] if inputs is None else sorted(inputs.parts)
        row = _row(recipe, read_result(file.parent), parts)
        sections.setdefault(f"{recipe.dataset}, {recipe.struct}", []).append(row)
    head = "| test NLL | paper | log Z | time | device | command |\n| --- | --- | --- | --- | --- | --- |"
    return "\n".join(
        [
            _INTRODUCTION,
            *(f"## {name}\n\n{head}\n" + "\n".join(rows) + "\n" for name, rows in sections.items()),
        ]
    )


def _row(recipe: config.Recipe, result: Result, parts: Sequence[str]) -> str:
    published = "" if recipe.published is None else f"{recipe.published.mean:.2f}"
    nll = f"{result.test_nll:.2f} ± {result.test_nll_monte_carlo_error:.3f}"
    nll += show.bits_text(result.test_bits_per_dim)
    time = "not recorded" if result.seconds is None else readable_seconds(result.seconds)
    log_z = show.log_partition_text(result)
    # Results of version 0.2 and earlier name the processor alone, on which all of them were computed.
    device = result.device or result.cpu or "not recorded"
    own = f", with its own {', '.join(parts)}" if parts else ""
    return f"| {nll} | {published} | {log_z} | {time} | {device} | `{command(recipe)}`{own} |"


def command(recipe: config.Recipe) -> str:
    """The command that trains a recipe, without folders and files, listing what differs from the defaults."""
    flagged = {name: getattr(recipe, name) for name in ("struct", "baseline", "k", "num_train_iter")}
    if recipe.struct not in config.STRUCTURES:
        flagged |= {name: getattr(recipe, name) for name in SIZES}
    flagged |= {
        name: getattr(recipe, name)
        for name in WITH_DEFAULT
        if getattr(recipe, name) != getattr(config.Recipe, name)
    }
    flagged |= {name: value for name, value in deviations(recipe).items() if name not in flagged}
    program = recipe.dataset
    if recipe.dataset not in config.DATASETS:
        program, flagged = "custom", {"name": recipe.dataset} | flagged
    return f"python -m runners.{program} " + " ".join(
        f"--{name}={_flag_value(value)}" for name, value in flagged.items() if name not in _NOT_FLAGS
    )


def _flag_value(value: Any) -> str:
    """A value as a flag takes it: lists with commas, pairs with colons."""
    if not isinstance(value, list | tuple):
        return str(value)
    return ",".join(
        ":".join(map(str, each)) if isinstance(each, list | tuple) else str(each) for each in value
    )


if __name__ == "__main__":
    main()

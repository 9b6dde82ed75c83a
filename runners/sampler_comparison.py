"""Trains one cell with several samplers of the negative phase for the same wall time, and compares them.

A more expensive sampler takes fewer steps: its speed is measured first (the fastest of several calls, to
exclude other load), and the schedule is scaled to the steps that fit. `--out` collects the rows, so samplers
can run in sequence or in several processes; finished runs are not repeated.
"""

import re
import time
from collections.abc import Sequence
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import config, data, storage, training
from dvae_tf.models import DVAE
from dvae_tf.runs import provenance, read_recipe

from . import common, recipe_flags

# Number of timed calls of the training loop, and the number of steps of which the schedule is a multiple.
_CALLS, _ROUND = 20, 1_000
_PATTERN = re.compile(r"(?P<sampler>[a-z]+):(?P<num_chains>\d+)x(?P<num_sweeps>\d+)")


def main() -> None:
    """Entry point."""
    flags.DEFINE_list(
        "samplers",
        ["pcd:100x20", "pcd:1000x40", "pa:100x20", "pa:1000x40", "pt:10x20"],
        "Samplers as name:chains x sweeps; `pt` has 20 temperatures per chain.",
    )
    flags.DEFINE_float("minutes", 20.0, "Training time of each, without validations and test.")
    flags.DEFINE_string("dataset", "binarized_mnist", f"One of {', '.join(config.DATASETS)}.")
    flags.DEFINE_string("struct", "2-layer-nonlin", f"One of {', '.join(config.STRUCTURES)}.")
    flags.DEFINE_string("baseline", "dvaes_power", f"One of {', '.join(config.BASELINES)}.")
    flags.DEFINE_integer("k", 1, "Number of importance samples of the training bound.")
    flags.DEFINE_integer("seed", 0, "The seed of all random numbers.")
    recipe_flags.define_data_flags()
    flags.DEFINE_string("runs_dir", "runs/samplers", "The folder of the runs.")
    flags.DEFINE_string("out", None, "A JSON file for the table; its rows of other samplers are kept.")
    common.start(_compare, __doc__)


def _compare(_: Sequence[str]) -> None:
    values = flags.FLAGS
    console = Console()
    samplers = {name: _parse(name) for name in values.samplers}
    images = recipe_flags.load_images(values.dataset)
    out = storage.as_path(values.out) if values.out else None
    rows: dict[str, Any] = {}
    for name, sampler in samplers.items():
        rows[name] = _row(console, name, sampler, images)
        if out is not None:
            # Read again, because another process may have written to it.
            others = storage.read_json(out)["rows"] if out.exists() else {}
            rows = others | rows
            storage.write_json(out, {"rows": rows} | provenance.describe())
    console.print(_table(rows))


def _parse(text: str) -> dict[str, Any]:
    found = _PATTERN.fullmatch(text)
    if found is None or found["sampler"] not in config.SAMPLERS:
        known = ", ".join(config.SAMPLERS)
        raise ValueError(f"samplers: expected name:chains x sweeps like pcd:100x20, of {known}; got {text!r}")
    return {
        "sampler": found["sampler"],
        "num_chains": int(found["num_chains"]),
        "num_sweeps": int(found["num_sweeps"]),
    }


def _row(console: Console, name: str, sampler: dict[str, Any], images: data.Images) -> dict[str, Any]:
    values = flags.FLAGS

    def cell(**changes: Any) -> config.Recipe:
        changes |= sampler | {"seed": values.seed, "num_validations": 10, "eval_iw_samples": 500}
        return config.recipe(values.dataset, values.struct, values.baseline, values.k, **changes)

    folder = storage.as_path(values.runs_dir) / f"{name.replace(':', '-')}-seed{values.seed}"
    console.rule(name)
    if (folder / "config.json").exists():
        # A run that was started before keeps its schedule.
        recipe = read_recipe(folder)
    else:
        seconds = _seconds_per_step(cell(), images)
        steps = int(60 * values.minutes / seconds / _ROUND) * _ROUND or _ROUND
        console.print(f"{1e3 * seconds:.1f} ms a step: {steps:,} steps in {values.minutes:g} minutes")
        recipe = cell(num_train_iter=steps)
    result = training.train(recipe, images, folder).to_json()
    return {
        key: result[key]
        for key in (
            "num_train_iter",
            "test_nll",
            "test_nll_standard_error",
            "test_nll_monte_carlo_error",
            "best_val_nll",
            "log_partition",
            "log_partition_standard_error",
            "log_partition_converged",
            "log_partition_tracking_error",
            "active_units",
            "seconds",
            "git_commit",
        )
    } | {"recipe": recipe.to_json()}


def _seconds_per_step(recipe: config.Recipe, images: data.Images) -> float:
    """Measures the compiled training loop alone, without its compilation."""
    model = DVAE(recipe, images.train.mean(0))
    model.compile()
    loop = training.TrainingLoop(model, images)
    steps, seconds = training.STEPS_PER_CALL, []
    # The first call compiles.
    for call in range(1 + _CALLS):
        start = time.perf_counter()
        loop(call * steps, (call + 1) * steps)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / steps


def _table(rows: dict[str, Any]) -> Table:
    table = Table("sampler", "steps", "test NLL", "log Z", "tracking error", "minutes with validations")
    for name, row in rows.items():
        tracking = row["log_partition_tracking_error"]
        table.add_row(
            name,
            f"{row['num_train_iter']:,}",
            f"{row['test_nll']:.2f}",
            f"{row['log_partition']:.2f} ± {row['log_partition_standard_error']:.3f}",
            "-" if tracking is None else f"{tracking:.2f}",
            f"{row['seconds'] / 60:.1f}",
        )
    return table


if __name__ == "__main__":
    main()

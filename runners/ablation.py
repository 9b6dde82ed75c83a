"""Measures what each change of a schedule is worth: the published schedule, then one change more in each row.

The changes of `config.SCHEDULES` are added in their order; every row is trained from scratch, and measured by
its validation NLL (the smallest of a run). Runs lie in --runs_dir and resume; --out writes the figures as
JSON, --table as Markdown.
"""

import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import config, storage, training
from dvae_tf.data import Images
from dvae_tf.runs import Result, provenance

from . import axes, common, recipe_flags, show
from .cells import own_folder

# For log Z of the test; only validation NLLs are compared.
_TEMPERATURES = 1_000
_COLUMNS = ("system", "schedule", "validation NLL", "change")


class Row(NamedTuple):
    """The changes so far, and the result of every seed."""

    name: str
    baseline: str
    results: Sequence[Result]

    @property
    def val_nll(self) -> float:
        """The mean over seeds of the validation NLL, nats."""
        return statistics.fmean(float(result.best_val_nll or 0.0) for result in self.results)


def main() -> None:
    """Entry point."""
    flags.DEFINE_enum("dataset", "binarized_mnist", list(config.DATASETS), "The dataset.")
    flags.DEFINE_list("baselines", ["gumbolt", "dvaes_power", "dvaepp_power"], "The systems.")
    flags.DEFINE_list("seeds", ["0"], "The seeds.")
    flags.DEFINE_string("runs_dir", "runs/ablation", "The folder of the runs.")
    flags.DEFINE_string("out", None, "A JSON file to which the figures are written.")
    flags.DEFINE_string("table", None, "A file to which the table is written as Markdown.")
    recipe_flags.define_data_flags()
    recipe_flags.define_flags(struct="1-layer-nonlin", num_train_iter=10_000)
    flags.FLAGS.set_default("num_validations", 2)
    flags.FLAGS.set_default("schedule", "best")
    # The choices are made by validation; the test images are looked at with few samples only.
    flags.FLAGS.set_default("eval_iw_samples", 100)
    common.start(_ablate, __doc__)


def stages(schedule: str, baseline: str, num_groups: int = 1) -> list[tuple[str, dict[str, Any]]]:
    """The changes of a schedule one after another: the name of each, and all fields up to it."""
    found: list[tuple[str, dict[str, Any]]] = [("published", {})]
    for name, change in config.changes_of(schedule, config.SYSTEMS[baseline], num_groups=num_groups).items():
        found.append((f"+ {name}", found[-1][1] | dict(change.fields)))
    return found


def _ablate(_: Sequence[str]) -> None:
    values, console = flags.FLAGS, Console()
    seeds = axes.parse([f"seed={','.join(values.seeds)}"])["seed"]
    images = recipe_flags.load_images(values.dataset, values.likelihood)
    num_groups = _recipe(images.name, values.baselines[0]).structure.num_groups
    rows = [
        Row(name, baseline, [_trained(images, baseline, seed, fields) for seed in seeds])
        for baseline in values.baselines
        for name, fields in stages(values.schedule, baseline, num_groups)
    ]
    lines = _lines(rows)
    table = Table(*_COLUMNS)
    for line in lines:
        table.add_row(*line)
    console.print(table)
    if values.out:
        storage.write_json(storage.as_path(values.out), _record(rows))
    if values.table:
        storage.write_bytes(storage.as_path(values.table), show.markdown_table(_COLUMNS, lines).encode())


def _recipe(dataset: str, baseline: str, **fields: Any) -> config.Recipe:
    """The published recipe of the flags, with changes."""
    return recipe_flags.recipe_from_flags(
        dataset, baseline=baseline, schedule="published", ais_temperatures=_TEMPERATURES, **fields
    )


def _trained(images: Images, baseline: str, seed: int, fields: Mapping[str, Any]) -> Result:
    recipe = _recipe(images.name, baseline, seed=seed, **fields)
    folder = pathlib.Path(flags.FLAGS.runs_dir) / own_folder(recipe)
    result = training.train(recipe, images, folder)
    common.release_models()
    return result


def _record(rows: Sequence[Row]) -> dict[str, Any]:
    """The figures as JSON values."""
    values = flags.FLAGS
    names = ("dataset", "struct", "num_train_iter", "seeds")
    return {
        **{name: getattr(values, name) for name in names},
        "validation_nll": {
            baseline: {row.name: row.val_nll for row in rows if row.baseline == baseline}
            for baseline in values.baselines
        },
        **provenance.describe(),
    }


def _lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The cells of the table, a line for each row."""
    lines: list[tuple[str, ...]] = []
    before: Row | None = None
    for row in rows:
        is_first = before is None or before.baseline != row.baseline
        change = "" if is_first or before is None else f"{row.val_nll - before.val_nll:+.2f}"
        name = row.baseline if is_first else ""
        lines.append((name, row.name, f"{row.val_nll:.2f}", change))
        before = row
    return lines


if __name__ == "__main__":
    main()

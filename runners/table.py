"""Trains the cells of a table and prints it: a table of the papers, or one of your own.

`--axis=field=value,value,…`, once or several times, makes a table of your own: a cell for every combination
of the values, of any field of the recipe, with `--dataset` or with your own images in `--train` and `--test`.
The other flags are those of the training programs. Cells that differ in the seed only are put together as
mean ± standard deviation, and all are compared by paired differences.

Otherwise it is a table of the papers, at a `--scale`, in their layout: the best value of a row is bold,
published values follow in parentheses, and with several `--seeds` a cell is the mean ± standard deviation.

Each cell is a run folder in `--runs_dir`. Cells that have a result are not trained again, in the papers'
tables also those with a result in `--results_dir`; a table that was interrupted goes on where it was.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import config, storage, training
from dvae_tf.runs import RESULT_FILE, Result, config_differences, read_recipe, read_result

from . import common, comparison, custom, recipe_flags, show, sweep
from .cells import cell_folder


@dataclasses.dataclass(frozen=True)
class Scale:
    """The cells of a table and the length of their training.

    `ks` applies to every baseline that is not in `other_ks`.
    """

    dataset: str
    structs: tuple[str, ...]
    ks: tuple[int, ...]
    changes: dict[str, Any]
    other_ks: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)


SCALES = {
    # Small images and codes with an exact log Z: minutes for every system. Their gradients are small compared
    # with the published epsilon of Adam, which calls for a higher learning rate.
    "mini": Scale(
        "digits",
        ("2-layer-small",),
        (1, 5, 25),
        {"num_train_iter": 2_000, "base_lr": 1e-2, "num_validations": 10, "eval_iw_samples": 1_000},
    ),
    # The second row of the papers at a twentieth of its length. Few validations, which would otherwise take
    # longer than the training.
    "mnist": Scale(
        "binarized_mnist",
        ("1-layer-nonlin",),
        (1,),
        {"num_train_iter": 50_000, "num_validations": 10, "eval_iw_samples": 500},
        {"gumbolt_nw": (1, 20)},
    ),
}


def main() -> None:
    """Entry point."""
    flags.DEFINE_multi_string(
        "axis", [], "A field of the recipe and its values, as beta=5,10,20; may be given several times."
    )
    flags.DEFINE_string("dataset", None, f"One of {', '.join(config.DATASETS)}, for a table of your own.")
    flags.DEFINE_enum(
        "reference", "first", comparison.REFERENCES, "What differences of a table of your own are from."
    )
    flags.DEFINE_enum("scale", "mini", list(SCALES), "Which table of the papers to print.")
    flags.DEFINE_list("structs", None, "The structures; by default those of the scale.")
    relaxed = [name for name in config.BASELINES if config.SYSTEMS[name].estimator == "reparameterized"]
    flags.DEFINE_list("baselines", relaxed, "The systems; by default the relaxed ones.")
    flags.DEFINE_list(
        "ks", None, "Numbers of importance samples of the training bound; by default those of the scale."
    )
    flags.DEFINE_list("seeds", ["0"], "The seeds; several give mean ± standard deviation.")
    flags.DEFINE_string("runs_dir", "runs/table", "The folder of the runs.")
    flags.DEFINE_string("results_dir", "results", "Another folder in which finished results are looked up.")
    recipe_flags.define_data_flags()
    custom.define_image_flags()
    recipe_flags.define_flags(struct="2-layer-small", num_train_iter=10_000)
    # Not `train`, which names the training images.
    flags.DEFINE_bool("notrain", False, "Leaves missing cells out instead of training them.")
    flags.DEFINE_string("out", None, "A file to which the table is written as Markdown.")
    common.start(_table, __doc__)


# Flags of the training programs that the papers' tables take.
_OF_SCALES = ("num_train_iter", "num_validations", "data_dir", "manual_dir")


def _table(_: Sequence[str]) -> None:
    values = flags.FLAGS
    if values.axis or values.dataset is not None or values.train or values.test:
        sweep.run()
        return
    for module in (recipe_flags, custom):
        for flag in values.flags_by_module_dict()[module.__name__]:
            if flag.present and flag.name not in _OF_SCALES:
                raise ValueError(
                    f"{flag.name}: expected none in a table of the papers; a table of your own has "
                    f"--dataset, or --train and --test; got {flag.value!r}"
                )
    console = Console()
    scale = SCALES[values.scale]
    recipes = _recipes(scale)
    missing = [recipe for recipe in recipes if _result(recipe) is None]
    console.print(f"{len(recipes)} cells, {len(missing)} of them to be trained")
    if missing and not values.notrain:
        _train(console, scale.dataset, missing)
    columns, rows = _cells(recipes)
    # Wide enough for every column: a wrapped table is hard to read.
    wide = Console(width=max(console.width, 24 + 16 * len(columns)))
    wide.print(_rich_table(scale, columns, rows))
    if values.out:
        storage.write_bytes(storage.as_path(values.out), _markdown(columns, rows).encode())


def _recipes(scale: Scale) -> list[config.Recipe]:
    values = flags.FLAGS
    names = ("num_train_iter", "num_validations")
    changes = scale.changes | {name: getattr(values, name) for name in names if values[name].present}
    return [
        config.recipe(scale.dataset, struct, baseline, k, seed=_integer("seeds", seed), **changes)
        for struct in values.structs or scale.structs
        for baseline in values.baselines
        for k in _ks(scale, baseline)
        for seed in values.seeds
    ]


def _ks(scale: Scale, baseline: str) -> Sequence[int]:
    if flags.FLAGS.ks:
        return [_integer("ks", k) for k in flags.FLAGS.ks]
    return scale.other_ks.get(baseline, scale.ks)


def _integer(flag: str, text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"{flag}: expected integers, got {text!r}")
    return int(text)


# Fields in which a result may differ from its cell: how it was measured.
_PRECISION = ("batch_norm_batches", "eval_batchsize", "eval_iw_samples", "ais_temperatures", "ais_chains")


def _result(recipe: config.Recipe) -> Result | None:
    for parent in (flags.FLAGS.runs_dir, flags.FLAGS.results_dir):
        folder = storage.as_path(parent) / cell_folder(recipe)
        if (folder / RESULT_FILE).is_file():
            found = read_recipe(folder)
            if differences := config_differences(found, recipe, _PRECISION):
                raise ValueError(f"{folder}: holds another run than this cell. {'; '.join(differences)}")
            return read_result(folder)
    return None


def _train(console: Console, dataset: str, recipes: Sequence[config.Recipe]) -> None:
    values = flags.FLAGS
    images = recipe_flags.load_images(dataset)
    for index, recipe in enumerate(recipes, 1):
        folder = storage.as_path(values.runs_dir) / cell_folder(recipe)
        console.rule(f"{index} of {len(recipes)}: {cell_folder(recipe)}")
        result = training.train(recipe, images, str(folder))
        console.print(f"test NLL {result.test_nll:.2f}, {result.seconds:.0f} s")
        common.release_models()


# (text, mean, published value) of a cell.
_Cell = tuple[str, float, str]


def _cells(
    recipes: Sequence[config.Recipe],
) -> tuple[list[str], dict[tuple[str, int], dict[str, _Cell]]]:
    """The baselines that have a cell, and the cells by (struct, K)."""
    found: dict[tuple[str, int, str], list[float]] = {}
    published: dict[tuple[str, int, str], str] = {}
    for recipe in recipes:
        result = _result(recipe)
        if result is None:
            continue
        key = recipe.struct, recipe.k, recipe.baseline
        found.setdefault(key, []).append(result.test_nll)
        published[key] = "" if recipe.published is None else f"{recipe.published.mean:.2f}"
    rows: dict[tuple[str, int], dict[str, _Cell]] = {}
    for (struct, k, baseline), nlls in sorted(found.items(), key=lambda item: item[0][:2]):
        mean = statistics.fmean(nlls)
        text = f"{mean:.2f}" + (f" ± {statistics.stdev(nlls):.2f}" if len(nlls) > 1 else "")
        rows.setdefault((struct, k), {})[baseline] = (text, mean, published[struct, k, baseline])
    columns = [name for name in config.BASELINES if any(name in row for row in rows.values())]
    return columns, rows


def _row(row: dict[str, _Cell], columns: Sequence[str], bold: str) -> list[str]:
    """The cells of a row as text, the lowest NLL (to the printed digit) in bold."""
    best = min(round(mean, 2) for _, mean, _ in row.values())
    cells = []
    for name in columns:
        text, mean, published = row.get(name, ("", math.inf, ""))
        text = bold.format(text) if round(mean, 2) == best else text
        cells.append(f"{text} ({published})" if published else text)
    return cells


def _rich_table(scale: Scale, columns: Sequence[str], rows: dict[tuple[str, int], dict[str, _Cell]]) -> Table:
    table = Table("struct", "K", *columns, title=f"{scale.dataset}: test NLL in nats (published)")
    for (struct, k), row in rows.items():
        table.add_row(struct, str(k), *_row(row, columns, "[bold]{}[/bold]"))
    return table


def _markdown(columns: Sequence[str], rows: dict[tuple[str, int], dict[str, _Cell]]) -> str:
    lines = [[f"`{struct}`", str(k), *_row(row, columns, "**{}**")] for (struct, k), row in rows.items()]
    return show.markdown_table(["struct", "K", *(f"`{name}`" for name in columns)], lines)


if __name__ == "__main__":
    main()

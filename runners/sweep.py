"""Tables of your own: a cell for every combination of the axes' values, each in a run folder of its own."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from absl import flags
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvae_tf import config, data, storage, training
from dvae_tf.runs import RESULT_FILE

from . import axes, common, comparison, custom, devices, recipe_flags, show
from .cells import own_folder

# Short forms of axes.
_SHORT = {"structs": "struct", "baselines": "baseline", "ks": "k", "seeds": "seed"}


class Cell(NamedTuple):
    """A recipe, its folder, and the values of the axes in words."""

    recipe: config.Recipe
    folder: pathlib.Path
    label: str

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds a result."""
        return (self.folder / RESULT_FILE).is_file()


def run() -> None:
    """Trains the cells that have no result and prints a comparison of all.

    Raises:
      ValueError: if an axis, a recipe, the images or a folder is not as expected, before anything is trained.
      TrainingError: at the end, if cells failed.
    """
    values, console = flags.FLAGS, Console()
    # Before any other use of TensorFlow.
    num_replicas = devices.num_replicas(values.strategy, values.num_replicas)
    strategy = None if values.dry_run else devices.make_strategy(values.strategy, num_replicas)
    cells = _cells()
    if not values.notrain:
        for cell in cells:
            training.check_run(cell.recipe, _images(cell.recipe), cell.folder, strategy)
    missing = [cell for cell in cells if not cell.is_finished]
    console.print(f"{len(cells)} cells, {len(missing)} of them to be trained")
    if values.dry_run:
        for cell in cells:
            state = "finished" if cell.is_finished else "to train"
            console.print(f"{state}: {cell.folder}", soft_wrap=True, highlight=False)
        return
    failures = {} if values.notrain else _train(console, missing, strategy)
    finished = [cell for cell in cells if cell.is_finished]
    if finished:
        rows = comparison.rows([comparison.read_run(cell.folder) for cell in finished], values.reference)
        # Wide enough for every column: a wrapped table is hard to read.
        Console(width=max(console.width, 120)).print(_rich_table(rows))
        if values.out:
            storage.write_bytes(storage.as_path(values.out), _markdown(rows).encode())
    for cell in cells:
        if cell not in finished:
            reason = failures.get(cell.folder, "not trained")
            console.print(f"{cell.folder}: {reason}", soft_wrap=True, highlight=False)
    if failures:
        raise training.TrainingError(f"{len(failures)} of {len(cells)} cells failed")


def _cells() -> list[Cell]:
    """All cells, in the order of the axes."""
    values = flags.FLAGS
    short = [
        f"{field}={','.join(getattr(values, name))}"
        for name, field in _SHORT.items()
        if flags.FLAGS[name].present
    ]
    found = axes.parse([*short, *values.axis])
    own = bool(values.train or values.test)
    if own == ("dataset" in found or values.dataset is not None):
        raise ValueError(
            f"dataset: expected one of {', '.join(config.DATASETS)}, or --train and --test with images of "
            f"your own; got {'both' if own else 'neither'}"
        )
    for name in ("log_dir", "scale", "results_dir"):
        if flags.FLAGS[name].present:
            raise ValueError(f"{name}: expected none with axes, got {getattr(values, name)!r}")
    cells: dict[config.Recipe, Cell] = {}
    for changes in axes.combinations(found):
        recipe = _recipe(own, **changes)
        label = ", ".join(f"{name}={comparison.text(value)}" for name, value in changes.items())
        if recipe in cells:
            raise ValueError(
                f"axis: expected different recipes, got one for {cells[recipe].label} and {label}"
            )
        cells[recipe] = Cell(recipe, storage.as_path(values.runs_dir) / own_folder(recipe), label)
    return [*cells.values()]


def _recipe(own: bool, **changes: Any) -> config.Recipe:
    """The recipe that the flags describe, with the values of the axes."""
    values = flags.FLAGS
    dataset = changes.pop("dataset", values.name if own else values.dataset)
    if own:
        _, dynamic_binarization = _own_images(changes.get("likelihood", values.likelihood))
        changes = {"dynamic_binarization": dynamic_binarization} | changes
    return recipe_flags.recipe_from_flags(dataset, **changes)


def _images(recipe: config.Recipe) -> data.Images:
    values = flags.FLAGS
    if values.train or values.test:
        return _own_images(recipe.likelihood)[0]
    return _library_images(recipe.dataset, recipe.likelihood)


# Read once.
_own_images = functools.cache(custom.read_images)
_library_images = functools.cache(recipe_flags.load_images)


def _train(
    console: Console, cells: Sequence[Cell], strategy: tf.distribute.Strategy | None
) -> dict[pathlib.Path, str]:
    """Trains cells one after another; returns what went wrong in those that failed, by their folders."""
    failures = {}
    for index, (recipe, folder, label) in enumerate(cells, 1):
        console.rule(escape(f"{index} of {len(cells)}: {label or folder.name}"))
        try:
            result = training.train(recipe, _images(recipe), folder, strategy=strategy)
        except training.TrainingError as error:
            # The others may be well: a learning rate of a sweep may be too high.
            failures[folder] = str(error)
            console.print(f"failed: {error}", highlight=False)
        else:
            bits = show.bits_text(result.test_bits_per_dim)
            console.print(f"test NLL {result.test_nll:.2f}{bits}, {result.seconds or 0:.0f} s")
        common.release_models()
    return failures


def _rich_table(rows: Sequence[comparison.Row]) -> Table:
    table = Table("", "runs", *comparison.COLUMNS, caption=comparison.CAPTION, caption_justify="left")
    for row in rows:
        table.add_row(row.letter, *map(escape, (row.label, *row.cells)))
    return table


def _markdown(rows: Sequence[comparison.Row]) -> str:
    columns = ("", "runs", *comparison.COLUMNS)
    lines = [(row.letter, row.label, *row.cells) for row in rows]
    return show.markdown_table(columns, [[each.replace("|", "¦") for each in line] for line in lines])

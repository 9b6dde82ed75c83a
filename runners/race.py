"""Validation NLL against minutes of training: schedules or systems side by side, from their run folders.

Runs of one recipe, but for the seed, share a color, with a line for each seed. The time is that of training
with its validations, so runs compare only if one machine was equally free for all of them. --out writes the
picture, --json the figures.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import plots, storage
from dvae_tf.runs import History, provenance, read_history

from . import common, comparison, show


def main() -> None:
    """Entry point."""
    flags.DEFINE_list("log_dir", [], "Folders of finished runs.", allow_override=True)
    flags.DEFINE_string("out", "runs/race.png", "The picture to write.")
    flags.DEFINE_string("json", None, "A JSON file to which the figures are written.")
    common.start(_race, __doc__)


def _race(_: Sequence[str]) -> None:
    values = flags.FLAGS
    folders = [storage.as_path(folder) for folder in values.log_dir]
    if not folders:
        raise ValueError("log_dir: expected folders of finished runs, got none")
    among = comparison.groups([comparison.read_run(folder) for folder in folders])
    curves = [(group.label, [_history(run) for run in group.runs]) for group in among]
    storage.write_bytes(storage.as_path(values.out), plots.race_png(curves))
    Console().print(_table(among, curves))
    if values.json:
        storage.write_json(storage.as_path(values.json), _record(among, curves))


def _history(run: comparison.Run) -> History:
    found = read_history(run.folder, run.recipe)
    if found is None:
        raise FileNotFoundError(f"log_dir: expected a run folder with checkpoints, got {run.folder}")
    return found


def _table(among: Sequence[comparison.Group], curves: Sequence[tuple[str, list[History]]]) -> Table:
    table = Table("runs", "seeds", "minutes", "test NLL", "log Z")
    for group, (_, histories) in zip(among, curves, strict=True):
        minutes = [f"{history.seconds[-1] / 60:.0f}" for history in histories]
        table.add_row(
            group.label,
            ", ".join(str(run.recipe.seed) for run in group.runs),
            ", ".join(minutes),
            ", ".join(f"{run.result.test_nll:.2f}" for run in group.runs),
            ", ".join(show.log_partition_text(run.result) for run in group.runs),
        )
    return table


def _record(among: Sequence[comparison.Group], curves: Sequence[tuple[str, list[History]]]) -> dict[str, Any]:
    """The figures as JSON values."""
    return {
        "runs": [
            {
                "label": group.label,
                "recipe": run.recipe.to_json(),
                "minutes": [second / 60 for second in history.seconds],
                "step": history.step,
                "val_nll": history.val_nll,
                "test_nll": run.result.test_nll,
                "log_partition_converged": run.result.log_partition_converged,
            }
            for group, (_, histories) in zip(among, curves, strict=True)
            for run, history in zip(group.runs, histories, strict=True)
        ],
        **provenance.describe(),
    }


if __name__ == "__main__":
    main()

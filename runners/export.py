"""Exports a trained run as a SavedModel that needs only TensorFlow.

log Z, on which `log_likelihood` depends, is first estimated again, from both sides unless it is exact.
"""

from collections.abc import Sequence

from absl import flags
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dvae_tf import export, models

from . import common


def main() -> None:
    """Entry point."""
    flags.DEFINE_string(
        "log_dir", None, "A run folder, or a folder of results with weights.", allow_override=True
    )
    flags.DEFINE_string("out", None, "The folder to write, which must not exist.")
    flags.DEFINE_integer("iw_samples", 1000, "Number of importance samples of `log_likelihood`, K.")
    flags.DEFINE_integer("num_sweeps", 1000, "Number of Gibbs sweeps of `sample`, from the stored chains.")
    flags.DEFINE_integer(
        "ais_temperatures",
        10_000,
        "Number of temperatures of the estimate of log Z; 0 keeps the stored value.",
    )
    flags.DEFINE_integer("seed", 0, "The seed of the estimate of log Z.")
    common.start(_export, __doc__)


def _export(_: Sequence[str]) -> None:
    values = flags.FLAGS
    console = Console()
    for name in ("log_dir", "out"):
        if not getattr(values, name):
            raise ValueError(f"{name}: expected a folder, got none")
    model = models.load(values.log_dir)
    if values.ais_temperatures:
        found = model.measure_log_partition((0, values.seed), values.ais_temperatures, both_sides=True)
        verdict = "" if found.converged else ", not converged"
        console.print(f"log Z {found.log_partition:.3f} ± {found.standard_error:.3f}{verdict}")
    path = export.save(model, values.out, values.iw_samples, values.num_sweeps)
    table = Table("signature", "takes", "gives", title=str(path))
    for name, (takes, gives) in export.signatures(path).items():
        table.add_row(name, escape(takes), escape(gives))
    console.print(table)


if __name__ == "__main__":
    main()

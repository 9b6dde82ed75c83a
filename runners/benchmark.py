"""Measures speed and memory, relative to a reference measured in the same run.

The reference is the bare matrix products of 40 block Gibbs sweeps of 1000 chains of a 200+200 machine in one
XLA program, a lower bound for any sampler of that machine. Timings vary between machines; quote the ratios.
"""

from collections.abc import Sequence

from absl import flags
from rich.console import Console

from dvae_tf import storage
from dvae_tf.runs import provenance

from . import benchmark_graphs, benchmark_samplers, benchmark_training, common

_SUITES = {"training": benchmark_training, "samplers": benchmark_samplers, "graphs": benchmark_graphs}


def main() -> None:
    """Entry point."""
    flags.DEFINE_enum("suite", "training", list(_SUITES), "The suite to run.")
    flags.DEFINE_integer("rounds", 20, "Number of calls of each program; programs are interleaved.")
    flags.DEFINE_string("out", None, "A JSON file to which the figures are written.")
    for suite in _SUITES.values():
        suite.define_flags()
    common.start(_benchmark, __doc__)


def _benchmark(_: Sequence[str]) -> None:
    console = Console()
    figures = _SUITES[flags.FLAGS.suite].run(console, flags.FLAGS.rounds) | provenance.describe()
    console.print(f"Processor: {figures['cpu']}")
    if flags.FLAGS.out:
        storage.write_json(storage.as_path(flags.FLAGS.out), figures)


if __name__ == "__main__":
    main()

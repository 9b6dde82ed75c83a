"""The sampler suite: negative phase, log Z and scaling, compared with bare products and with a peer.

The peer is the PyTorch package `rbms` in an environment of its own, whose interpreter `--rbms_python` names.
Without it the rows of the peer are omitted with a message.
"""

import itertools
import pathlib
import resource
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import matplotlib.figure
import numpy as np
import tensorflow as tf
from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import partition, plots, rbm, storage
from dvae_tf.numerics import split, uniform_pair

from .peers import Peer
from .timing import UNITS, Timing, bare_products, benchmark_machine, in_turn, table

_CHAINS, _SWEEPS, _TEMPERATURES = 1000, 40, 1000
_SIZES = (50, 100, 200, 500, 1000, 2000)
_GROWTH_CHAINS = (10, 100, 1000, 10_000)
# Approximate number of spin updates of one timed call of the scaling table.
_GROWTH_WORK = 2e7


def define_flags() -> None:
    """Defines the flags of this suite."""
    flags.DEFINE_string(
        "rbms_python", None, "The Python interpreter of an environment with `rbms`; by default omitted."
    )
    flags.DEFINE_integer(
        "ais_rounds", 5, "Number of estimates of log Z of each kind; their spread is the error."
    )
    flags.DEFINE_string("plot", None, "A PNG file to which the scaling with size is drawn.")


def run(console: Console, rounds: int) -> dict[str, Any]:
    """Measures, prints, and returns the figures."""
    values = flags.FLAGS
    machine = benchmark_machine()
    with tempfile.TemporaryDirectory() as folder:
        peer = None
        if values.rbms_python:
            file = pathlib.Path(folder) / "machine.npz"
            np.savez(file, **{name: value.numpy() for name, value in machine._asdict().items()})
            peer = Peer("rbms_python", values.rbms_python, "peer_rbms.py", file=str(file), chains=_CHAINS)
        else:
            console.print("rbms: skipped; set --rbms_python to the interpreter of an environment that has it")
        sampling = _negative_phase(machine, peer, rounds)
        console.print(table(f"Negative phase, {_CHAINS} chains x {_SWEEPS} sweeps, 200+200 units", sampling))
        annealing = _annealing(machine, peer, values.ais_rounds)
        console.print(_annealing_table(annealing))
        if peer is not None:
            peer.close()
    growth = _growth()
    console.print(_growth_table(growth))
    if values.plot:
        _growth_plot(growth, storage.as_path(values.plot))
    return {
        "negative_phase": {name: timing._asdict() for name, timing in sampling.items()},
        "annealing": annealing,
        "annealing_memory": _annealing_memory(machine),
        "nanoseconds_per_spin_update": growth,
    }


def _negative_phase(machine: rbm.RBM, peer: Peer | None, rounds: int) -> dict[str, Timing]:
    left, _ = rbm.uniform_states(_CHAINS, UNITS, UNITS, (0, 2))

    @tf.function(jit_compile=True)
    def random_numbers(seed: tf.Tensor) -> tf.Tensor:
        def one(index: tf.Tensor, total: tf.Tensor, seed: tf.Tensor) -> tuple:
            now, seed = split(seed)
            first, second = uniform_pair([_CHAINS, UNITS], now, tf.float32)
            return index + 1, total + tf.cast(first < second, tf.float32), seed

        return tf.while_loop(lambda index, *_: index < _SWEEPS, one, (0, tf.zeros([_CHAINS, UNITS]), seed))[1]

    programs: dict[str, Callable[[], Any]] = {
        "bare products": bare_products(machine, _CHAINS, _SWEEPS),
        "random numbers alone": lambda: random_numbers(tf.constant((0, 3))),
        "block Gibbs": lambda: rbm.block_gibbs(machine, left, _SWEEPS, (0, 3)),
    }
    if peer is not None:
        programs["rbms"] = lambda: peer.ask(task="gibbs", sweeps=_SWEEPS)
    return in_turn(programs, rounds)


def _annealing(machine: rbm.RBM, peer: Peer | None, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of one estimate of log Z, the spread of estimates, and the products of as many sweeps."""
    found: dict[str, list[float]] = {}

    def ours(seed: int) -> float:
        estimate = partition.annealed_importance_sampling(*machine, _TEMPERATURES, _CHAINS, seed=(1, seed))
        return float(estimate.log_partition)

    def remembering(name: str, estimate: Callable[[int], float]) -> Callable[[], float]:
        seeds = itertools.count()

        def one() -> float:
            found.setdefault(name, []).append(estimate(next(seeds)))
            return found[name][-1]

        return one

    programs: dict[str, Callable[[], Any]] = {
        "bare products": bare_products(machine, _CHAINS, _TEMPERATURES),
        "AIS": remembering("AIS", ours),
    }
    if peer is not None:

        def theirs(seed: int) -> float:
            return peer.ask(task="ais", seed=seed, chains=_CHAINS, temperatures=_TEMPERATURES)

        programs["rbms"] = remembering("rbms", theirs)
    timings = in_turn(programs, rounds)
    return {
        name: {"seconds": timing.median / 1e3, "minimum_seconds": timing.minimum / 1e3}
        | ({"log_partition": statistics.fmean(found[name])} if name in found else {})
        | ({"standard_deviation": statistics.stdev(found[name])} if name in found else {})
        for name, timing in timings.items()
    }


def _annealing_table(annealing: dict[str, dict[str, float]]) -> Table:
    shown = Table(
        "", "seconds", "log Z", "standard deviation", "s x variance, ratio", title="AIS, 1000 x 1000, 200+200"
    )
    ours = annealing["AIS"]
    for name, figures in annealing.items():
        cells = [f"{figures['seconds']:.2f}"]
        if "log_partition" in figures:
            cost = figures["seconds"] * figures["standard_deviation"] ** 2
            reference = ours["seconds"] * ours["standard_deviation"] ** 2
            cells += [f"{figures['log_partition']:.3f}", f"{figures['standard_deviation']:.4f}"]
            cells.append(f"{cost / reference:.1f}")
        shown.add_row(name, *cells)
    return shown


def _annealing_memory(machine: rbm.RBM) -> dict[str, float]:
    """Peak memory after estimates with few and with many temperatures, megabytes."""
    peaks = {}
    for temperatures in (100, 10_000):
        partition.annealed_importance_sampling(*machine, temperatures, _CHAINS)
        peaks[str(temperatures)] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return peaks


def _growth() -> dict[str, dict[str, float]]:
    """Nanoseconds per spin update: units of a side -> chains -> time."""
    found: dict[str, dict[str, float]] = {}
    for size in _SIZES:
        machine = rbm.as_rbm(
            np.zeros(size, np.float32),
            np.zeros(size, np.float32),
            np.random.default_rng(0).normal(0, size**-0.5, (size, size)).astype(np.float32),
        )
        for chains in _GROWTH_CHAINS:
            left, _ = rbm.uniform_states(chains, size, size, (0, 2))
            updates = 2 * size * chains
            sweeps = max(1, min(1000, round(_GROWTH_WORK / updates)))
            timing = in_turn(
                {"": lambda m=machine, x=left, n=sweeps: rbm.block_gibbs(m, x, n, (0, 3))},  # type: ignore[misc]
                3,
            )[""]
            found.setdefault(str(size), {})[str(chains)] = 1e6 * timing.minimum / (updates * sweeps)
    return found


def _growth_table(growth: dict[str, dict[str, float]]) -> Table:
    shown = Table("units", *(f"{n:,} chains" for n in _GROWTH_CHAINS), title="ns per spin update")
    for size, row in growth.items():
        shown.add_row(f"{size}+{size}", *(f"{row[str(chains)]:.2f}" for chains in _GROWTH_CHAINS))
    return shown


@plots.own_style()
def _growth_plot(growth: dict[str, dict[str, float]], file: pathlib.Path) -> None:
    figure = matplotlib.figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for chains in _GROWTH_CHAINS:
        times = [row[str(chains)] for row in growth.values()]
        axes.loglog([int(size) for size in growth], times, marker="o", label=f"{chains:,} chains")
    axes.set_xlabel("units of each side")
    axes.set_ylabel("nanoseconds per spin update")
    axes.legend()
    figure.savefig(file, dpi=120)

"""The suite of machines on graphs: sweeps on annealers' graphs, sparse and dense, and the restricted case.

The peer is `BlockSampler` of the PyTorch package `dwave-pytorch-plugin`, in an environment of its own, whose
interpreter `--dwave_python` names. Without it its rows are omitted with a message.
"""

import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import graphs, partition, rbm
from dvae_tf.graphs.gibbs import sweep
from dvae_tf.graphs.machine import by_colors
from dvae_tf.graphs.sparse import by_neighbors
from dvae_tf.numerics import split

from .peers import Peer
from .timing import UNITS, Timing, benchmark_machine, in_turn, table

_FAMILIES = ("chimera", "pegasus", "zephyr")
_NUM_UNITS, _CHAINS, _SWEEPS, _TEMPERATURES = 2 * UNITS, 1000, 40, 100
# Numbers of neighbors of bipartite graphs whose units all have as many.
_DEGREES = (4, 8, 16, 24, 32)
_FORMS = {"by neighbors": by_neighbors, "dense": by_colors}


def define_flags() -> None:
    """Defines the flags of this suite."""
    flags.DEFINE_string(
        "dwave_python",
        None,
        "The Python interpreter of an environment with `dwave-pytorch-plugin`; by default omitted.",
    )


def run(console: Console, rounds: int) -> dict[str, Any]:
    """Measures, prints, and returns the figures."""
    python = flags.FLAGS.dwave_python
    if not python:
        console.print("BlockSampler: skipped; set --dwave_python to an interpreter that has it")
    sweeps = {}
    for family in _FAMILIES:
        graph = graphs.fitted(family, _NUM_UNITS)
        sweeps[family] = _sweeps(graph, python, rounds)
        title = f"{_CHAINS} chains x {_SWEEPS} sweeps, {family}, {_NUM_UNITS} units, {graph.num_edges} edges"
        console.print(table(title, sweeps[family]))
    restricted = _restricted(rounds)
    for name, timings in restricted.items():
        console.print(table(f"{name}, {UNITS}+{UNITS} units", timings))
    by_degree = {degree: _by_form(degree, rounds) for degree in _DEGREES}
    console.print(_degree_table(by_degree))
    return {
        "sweeps": {family: _figures(timings) for family, timings in sweeps.items()},
        "restricted": {name: _figures(timings) for name, timings in restricted.items()},
        "by_degree": {str(degree): _figures(timings) for degree, timings in by_degree.items()},
    }


def _figures(timings: dict[str, Timing]) -> dict[str, dict[str, float]]:
    return {name: timing._asdict() for name, timing in timings.items()}


def _parameters(graph: graphs.Graph) -> tuple[tf.Tensor, tf.Tensor]:
    """Biases 0 and couplings of variance 1 / neighbors."""
    scale = np.sqrt(graph.num_units / (2 * graph.num_edges))
    couplings = scale * tf.random.stateless_normal([graph.num_edges], (0, 1))
    return tf.zeros([graph.num_units]), couplings


def _sweeps(graph: graphs.Graph, python: str | None, rounds: int) -> dict[str, Timing]:
    parameters = _parameters(graph)
    start = tf.zeros([_CHAINS, graph.num_units])
    programs: dict[str, Callable[[], Any]] = {
        "block Gibbs": lambda: graphs.block_gibbs(graph, *parameters, start, _SWEEPS, (0, 3)),
        "dense": _sweeps_by_form(by_colors, graph, *parameters),
    }
    if not python:
        return in_turn(programs, rounds)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "machine.npz"
        constant = _write_spins(file, graph, *parameters)
        peer = Peer("dwave_python", python, "peer_dwave.py", file=str(file), chains=_CHAINS, sweeps=_SWEEPS)
    try:
        energies = graphs.energy(graph, *parameters, programs["block Gibbs"]())
        ours, theirs = float(tf.reduce_mean(energies)), peer.ask(task="gibbs") + constant
        # The standard error of the difference between two means over as many chains.
        error = float(tf.math.reduce_std(energies)) * (2 / _CHAINS) ** 0.5
        if abs(ours - theirs) > 5 * error:
            raise ValueError(f"dwave_python: expected a mean energy of {ours:.1f}, as here, got {theirs:.1f}")
        return in_turn(programs | {"BlockSampler": lambda: peer.ask(task="gibbs")}, rounds)
    finally:
        peer.close()


def _write_spins(file: pathlib.Path, graph: graphs.Graph, biases: tf.Tensor, couplings: tf.Tensor) -> float:
    """Writes the machine in spins, E(s) = h . s + sum_ij J_ij s_i s_j; returns E(z) - E(s)."""
    model = graphs.to_bqm(graph, biases, couplings, vartype="SPIN")
    edges = graph.edges.tolist()
    np.savez(
        file,
        edges=graph.edges,
        color_of=graph.color_of,
        fields=[model.linear[unit] for unit in range(graph.num_units)],
        couplings=[model.quadratic[first, second] for first, second in edges],
    )
    return float(model.offset)


def _sweeps_by_form(
    form: Callable[..., Any], graph: graphs.Graph, biases: tf.Tensor, couplings: tf.Tensor
) -> Callable[[], tf.Tensor]:
    """A program of the sweeps of a machine in a form."""

    @tf.function(jit_compile=True)
    def sweeps(biases: tf.Tensor, couplings: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        machine = form(graph, biases, couplings)

        def one(index: tf.Tensor, states: list[tf.Tensor], seed: tf.Tensor) -> tuple:
            now, seed = split(seed)
            return index + 1, sweep(machine, states, now), seed

        start = (0, machine.split(tf.zeros([_CHAINS, graph.num_units])), seed)
        return machine.join(tf.while_loop(lambda index, *_: index < _SWEEPS, one, start)[1])

    return lambda: sweeps(biases, couplings, tf.constant((0, 3)))


def _restricted(rounds: int) -> dict[str, dict[str, Timing]]:
    """A complete bipartite graph beside the restricted machine."""
    machine = benchmark_machine()
    graph, biases, couplings = rbm.to_graph(*machine)
    left, right = rbm.uniform_states(_CHAINS, UNITS, UNITS, (0, 2))
    z = tf.concat([left, right], 1)

    def estimate(first: Any, second: Any, third: Any) -> tf.Tensor:
        found = partition.annealed_importance_sampling(first, second, third, _TEMPERATURES, _CHAINS, (0, 4))
        return found.log_partition

    return {
        f"Block Gibbs, {_CHAINS} chains x {_SWEEPS} sweeps": in_turn(
            {
                "restricted": lambda: rbm.block_gibbs(machine, left, _SWEEPS, (0, 3)),
                "bipartite graph": lambda: graphs.block_gibbs(graph, biases, couplings, z, _SWEEPS, (0, 3)),
            },
            rounds,
        ),
        f"AIS, {_CHAINS} chains x {_TEMPERATURES} temperatures": in_turn(
            {
                "restricted": lambda: estimate(*machine),
                "bipartite graph": lambda: estimate(graph, biases, couplings),
            },
            rounds,
        ),
    }


def _by_form(degree: int, rounds: int) -> dict[str, Timing]:
    """Sweeps of a bipartite graph of 400 units that have equally many neighbors, in both forms."""
    numbers = np.arange(UNITS)
    edges = [(i, UNITS + j) for i in numbers for j in (i + np.arange(degree)) % UNITS]
    graph = graphs.from_edges(_NUM_UNITS, edges)
    parameters = _parameters(graph)
    return in_turn({name: _sweeps_by_form(form, graph, *parameters) for name, form in _FORMS.items()}, rounds)


def _degree_table(by_degree: dict[int, dict[str, Timing]]) -> Table:
    shown = Table(
        "neighbors", *(f"{name}, ms" for name in _FORMS), "ratio", title=f"Sweeps, {_NUM_UNITS} units"
    )
    for degree, timings in by_degree.items():
        medians = [timings[name].median for name in _FORMS]
        shown.add_row(str(degree), *(f"{ms:.1f}" for ms in medians), f"{medians[1] / medians[0]:.2f}")
    return shown

"""Shared by the benchmarks: interleaved timing, tables of ratios, the bare products of Gibbs sweeps."""

import pathlib
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from rich.table import Table

from dvae_tf import rbm

# Units of each side of the machine that is benchmarked.
UNITS = 200


class Timing(NamedTuple):
    """Milliseconds of one call (or one training step): median and minimum over the rounds."""

    median: float
    minimum: float


def in_turn(programs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
    """Times programs round by round, so that a slow period of the machine affects all of them.

    A call has ended when all devices have: results are not copied to the host.
    """
    wait = tf.test.experimental.sync_devices
    for program in programs.values():
        program()
    wait()
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            program()
            wait()
            seconds[name].append(time.perf_counter() - start)
    return {
        name: Timing(1e3 * statistics.median(values), 1e3 * min(values)) for name, values in seconds.items()
    }


def table(title: str, timings: dict[str, Timing]) -> Table:
    """A table of timings; the first row is the reference of the ratios."""
    shown = Table("", "median ms", "min ms", "ratio of medians", "ratio of minima", title=title)
    reference = next(iter(timings.values()))
    for name, timing in timings.items():
        shown.add_row(
            name,
            f"{timing.median:.2f}",
            f"{timing.minimum:.2f}",
            f"{timing.median / reference.median:.3f}",
            f"{timing.minimum / reference.minimum:.3f}",
        )
    return shown


def benchmark_machine() -> rbm.RBM:
    """A machine of 200 + 200 units with couplings N(0, 0.1^2)."""
    biases = tf.zeros([UNITS])
    weights = 0.1 * tf.random.stateless_normal([UNITS, UNITS], (0, 1))
    return rbm.as_rbm(biases, biases, weights)


def bare_products(machine: rbm.RBM, chains: int, sweeps: int) -> Callable[[], tf.Tensor]:
    """A program that computes only the matrix products of the sweeps."""
    start, _ = rbm.uniform_states(chains, UNITS, UNITS, (0, 2))

    @tf.function(jit_compile=True)
    def products(left: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        def one(index: tf.Tensor, left: tf.Tensor) -> tuple:
            right = tf.matmul(left, weights)
            # The factor keeps the numbers finite; it fuses into the product's output.
            return index + 1, 0.05 * tf.matmul(right, weights, transpose_b=True)

        return tf.while_loop(lambda index, _: index < sweeps, one, (0, left))[1]

    return lambda: products(start, machine.weights)


def resident_megabytes() -> float:
    """The memory in use by this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20

"""Speed and memory, each figure beside a reference that is measured in the same run, in turn.

The reference is the bare matrix products of 40 block Gibbs sweeps of 1000 chains of a 200+200 machine, in
one XLA program: nothing that samples it can be faster. Machines are noisy, so quote the ratios.
"""

import pathlib
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import config, data, models, provenance, rbm, storage, training
from dvae_tf.numerics import fold_in

from . import common

_UNITS = 200
_STEPS = 50


class Timing(NamedTuple):
    """Milliseconds of one call (or one training step): median and minimum over the rounds."""

    median: float
    minimum: float


def main() -> None:
    """Entry point."""
    flags.DEFINE_integer("rounds", 20, "Calls of each program; programs take turns.")
    flags.DEFINE_integer("memory_steps", 20_000, "Training steps of the memory check; 0 skips it.")
    flags.DEFINE_string("out", None, "Where to write the figures as JSON.")
    common.start(_benchmark)


def _benchmark(_: Sequence[str]) -> None:
    console = Console()
    rounds = flags.FLAGS.rounds
    sampling = _negative_phase(rounds)
    steps = _training_step(rounds)
    console.print(_table("Negative phase, 1000 chains x 40 sweeps, 200+200 units", sampling))
    title = "Training step, 2-layer-nonlin, K = 1, batch 100, 100 chains x 20 sweeps"
    console.print(_table(title, steps))
    figures: dict[str, Any] = {
        "negative_phase": {name: timing._asdict() for name, timing in sampling.items()},
        "training_step": {name: timing._asdict() for name, timing in steps.items()},
    }
    if flags.FLAGS.memory_steps:
        figures["memory"] = _memory(flags.FLAGS.memory_steps)
        for name, value in figures["memory"].items():
            console.print(f"{name}: {value:,.2f}")
    figures |= provenance.describe()
    console.print(f"Processor: {figures['cpu']}")
    if flags.FLAGS.out:
        storage.write_json(pathlib.Path(flags.FLAGS.out), figures)


def _in_turn(programs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Timing]:
    """Times programs round by round, so that a slow spell of the machine hits all of them."""
    for program in programs.values():
        program()
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            tf.nest.map_structure(lambda tensor: tensor.numpy(), program())
            seconds[name].append(time.perf_counter() - start)
    return {
        name: Timing(1e3 * statistics.median(values), 1e3 * min(values)) for name, values in seconds.items()
    }


def _table(title: str, timings: dict[str, Timing]) -> Table:
    """The first row is the reference of the ratios."""
    table = Table("", "median ms", "min ms", "ratio of medians", "ratio of minima", title=title)
    reference = next(iter(timings.values()))
    for name, timing in timings.items():
        table.add_row(
            name,
            f"{timing.median:.2f}",
            f"{timing.minimum:.2f}",
            f"{timing.median / reference.median:.3f}",
            f"{timing.minimum / reference.minimum:.3f}",
        )
    return table


def _machine() -> rbm.RBM:
    biases = tf.zeros([_UNITS])
    weights = 0.1 * tf.random.stateless_normal([_UNITS, _UNITS], (0, 1))
    return rbm.as_rbm(biases, biases, weights)


def _products(machine: rbm.RBM, chains: int, sweeps: int) -> Callable[[], tf.Tensor]:
    """The matrix products of the sweeps and nothing else."""
    start, _ = rbm.uniform_states(chains, _UNITS, _UNITS, (0, 2))

    @tf.function(jit_compile=True)
    def products(left: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        def one(index: tf.Tensor, left: tf.Tensor) -> tuple:
            right = tf.matmul(left, weights)
            # The factor keeps the numbers finite; it fuses into the product's output.
            return index + 1, 0.05 * tf.matmul(right, weights, transpose_b=True)

        return tf.while_loop(lambda index, _: index < sweeps, one, (0, left))[1]

    return lambda: products(start, machine.weights)


def _negative_phase(rounds: int) -> dict[str, Timing]:
    machine = _machine()
    left, _ = rbm.uniform_states(1000, _UNITS, _UNITS, (0, 2))
    return _in_turn(
        {
            "bare products": _products(machine, 1000, 40),
            "block Gibbs": lambda: rbm.block_gibbs(machine, left, 40, (0, 3)),
        },
        rounds,
    )


def _training_step(rounds: int) -> dict[str, Timing]:
    """The whole step and its parts, each compiled alone over many steps, beside the floors."""
    recipe = config.recipe("binarized_mnist", "2-layer-nonlin", "dvaes_power", 1)
    images = _random_images(5_000)
    model = models.DVAE(recipe, images.mean(0))
    model.compile()
    on_device = tf.constant(images, tf.uint8)
    batches = data.batch_indices(0, 0, _STEPS, len(images), recipe.train_batchsize)
    indices, count = tf.constant(batches), tf.constant(_STEPS)

    def many(one: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Callable[[], tf.Tensor]:
        @tf.function(jit_compile=True)
        def loop(on_device: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
            def body(index: tf.Tensor, total: tf.Tensor) -> tuple:
                x = tf.cast(tf.gather(on_device, indices[index]), tf.float32)
                return index + 1, total + one(index, x)

            return tf.while_loop(lambda index, _: index < _STEPS, body, (0, 0.0))[1]

        return lambda: loop(on_device, indices)

    def bound(index: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(model.relaxed_bound(x, fold_in((0, 0), index), training=True)[0])

    def gradients(index: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.add_n([-bound(index, x), *model.losses])
        found = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        return tf.add_n([tf.reduce_sum(each) for each in found])

    def optimizer(index: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        del x
        variables = model.trainable_variables
        scale = 1e-6 * tf.cast(index, tf.float32)
        model.optimizer.apply([scale * variable.value for variable in variables], variables)
        return scale

    def prior(index: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        zeta = tf.concat([x[:, :_UNITS], x[:, _UNITS : 2 * _UNITS]], 1) * 0.9 + 0.05
        return tf.reduce_sum(model.prior().log_prob(zeta)) * tf.cast(index, tf.float32)

    def sampler(index: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        del index, x
        return model.prior.advance()

    loop = training.compiled_loop(model)
    machine = _machine()
    per_step = {
        "whole step": lambda: loop(on_device, indices, count),
        "sampler": many(sampler),
        "bound and its gradient": many(gradients),
        "  of it the relaxed prior, forward": many(prior),
        "  floor: the networks' products": many(_network_products(model)),
        "optimizer": many(optimizer),
    }
    references = {
        "products, 1000 chains x 40 sweeps": _products(machine, 1000, 40),
        "  floor: the sampler's products": _products(machine, 100, 20),
    }
    timings = _in_turn(per_step | references, rounds)
    for name in per_step:
        timings[name] = Timing(*(value / _STEPS for value in timings[name]))
    return {name: timings[name] for name in _ORDER}


_ORDER = (
    "products, 1000 chains x 40 sweeps",
    "whole step",
    "sampler",
    "  floor: the sampler's products",
    "bound and its gradient",
    "  floor: the networks' products",
    "  of it the relaxed prior, forward",
    "optimizer",
)


def _network_products(model: models.DVAE) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The products of the networks' forward and backward passes: three for each kernel."""
    kernels = [variable.value for variable in model.trainable_variables if variable.path.endswith("kernel")]

    def products(index: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        total = tf.cast(index, tf.float32)
        for kernel in kernels:
            rows = tf.pad(x, [[0, 0], [0, max(0, kernel.shape[0] - x.shape[1])]])
            rows = rows[:, : kernel.shape[0]] + total * 1e-9
            out = tf.matmul(rows, kernel)
            back = tf.matmul(out, kernel, transpose_b=True)
            outer = tf.matmul(rows, out, transpose_a=True)
            total += tf.reduce_max(out) + tf.reduce_max(back) + tf.reduce_max(outer)
        return total

    return products


def _random_images(count: int) -> np.ndarray:
    """Binary noise of MNIST's shape and density: speed does not depend on what is drawn."""
    rng = np.random.default_rng(np.random.SeedSequence(0))
    return (rng.random((count, 784)) < 0.13).astype(np.float32)


def _memory(num_steps: int) -> dict[str, float]:
    """Peak memory of training on 50,000 images, and its growth over the steps after the first."""
    recipe = config.recipe("binarized_mnist", "2-layer-nonlin", "dvaes_power", 1)
    images = _random_images(50_000)
    model = models.DVAE(recipe, images.mean(0))
    model.compile()
    loop = training.compiled_loop(model)
    on_device = tf.constant(images, tf.uint8)
    sizes = []
    for step in range(0, num_steps, _STEPS):
        batches = data.batch_indices(0, step, _STEPS, len(images), recipe.train_batchsize)
        loop(on_device, tf.constant(batches), tf.constant(_STEPS))
        if step % (num_steps // 20) == 0:
            sizes.append(_resident_megabytes())
    return {
        "steps": num_steps,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "resident_megabytes_after_a_tenth": sizes[len(sizes) // 10],
        "resident_megabytes_at_the_end": _resident_megabytes(),
    }


def _resident_megabytes() -> float:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()

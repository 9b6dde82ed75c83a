"""The training suite: the negative phase, the training step with its parts and lower bounds, and memory."""

import resource
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags
from rich.console import Console

from dvae_tf import config, data, models, rbm, training
from dvae_tf.numerics import fold_in

from .timing import UNITS, Timing, bare_products, benchmark_machine, in_turn, resident_megabytes, table

_STEPS = 50


def define_flags() -> None:
    """Defines the flags of this suite."""
    flags.DEFINE_integer("memory_steps", 20_000, "Training steps of the memory check; 0 skips it.")


def run(console: Console, rounds: int) -> dict[str, Any]:
    """Measures, prints, and returns the figures."""
    sampling = _negative_phase(rounds)
    steps = _training_step(rounds)
    console.print(table("Negative phase, 1000 chains x 40 sweeps, 200+200 units", sampling))
    title = "Training step, 2-layer-nonlin, K = 1, batch 100, 100 chains x 20 sweeps"
    console.print(table(title, steps))
    figures: dict[str, Any] = {
        "negative_phase": {name: timing._asdict() for name, timing in sampling.items()},
        "training_step": {name: timing._asdict() for name, timing in steps.items()},
    }
    if flags.FLAGS.memory_steps:
        figures["memory"] = _memory(flags.FLAGS.memory_steps)
        for name, value in figures["memory"].items():
            console.print(f"{name}: {value:,.2f}")
    return figures


def _negative_phase(rounds: int) -> dict[str, Timing]:
    machine = benchmark_machine()
    left, _ = rbm.uniform_states(1000, UNITS, UNITS, (0, 2))
    return in_turn(
        {
            "bare products": bare_products(machine, 1000, 40),
            "block Gibbs": lambda: rbm.block_gibbs(machine, left, 40, (0, 3)),
        },
        rounds,
    )


def _training_step(rounds: int) -> dict[str, Timing]:
    """The whole step and its parts, each compiled alone over many steps, and the lower bounds."""
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
        zeta = tf.concat([x[:, :UNITS], x[:, UNITS : 2 * UNITS]], 1) * 0.9 + 0.05
        return tf.reduce_sum(model.prior().log_prob(zeta)) * tf.cast(index, tf.float32)

    def sampler(index: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        del index, x
        return model.prior.advance_chains()

    loop = training.compiled_loop(model)
    machine = benchmark_machine()
    per_step = {
        "whole step": lambda: loop(on_device, indices, count),
        "sampler": many(sampler),
        "bound and its gradient": many(gradients),
        "  of it the relaxed prior, forward": many(prior),
        "  floor: the networks' products": many(_network_products(model)),
        "optimizer": many(optimizer),
    }
    references = {
        "products, 1000 chains x 40 sweeps": bare_products(machine, 1000, 40),
        "  floor: the sampler's products": bare_products(machine, 100, 20),
    }
    timings = in_turn(per_step | references, rounds)
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
    """Binary noise of MNIST's shape and density; speed does not depend on the content."""
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
            sizes.append(resident_megabytes())
    return {
        "steps": num_steps,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "resident_megabytes_after_a_tenth": sizes[len(sizes) // 10],
        "resident_megabytes_at_the_end": resident_megabytes(),
    }

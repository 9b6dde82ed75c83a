"""Draws figures of the DVAE# and GumBolt papers, and writes their numbers as JSON.

smoothings   DVAE# Fig. 1: inverse CDFs at q = 1/2 and their gradients in q, for every smoothing.
mean_field   DVAE# Fig. 2a: the mean field's KL divergence after each iteration, for one zeta.
training     DVAE# Fig. 2b, 2c: that divergence, and the gradient's variance, along training.
gumbolt      GumBolt Fig. 2b: the relaxed and the discrete objective along training, K = 20.

Training is short by default; `--full` trains as long as the papers did.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib.figure
import numpy as np
import tensorflow as tf
from absl import flags
from rich.console import Console

from dvae_tf import (
    config,
    data,
    evaluation,
    models,
    plots,
    priors,
    rbm,
    smoothing,
    storage,
    training,
)
from dvae_tf.numerics import Tag, bernoulli_entropy, draw_bits, fold_in, log_mean_exp, uniform
from dvae_tf.runs import provenance

from . import common, recipe_flags

_FRACTIONS = tuple(np.linspace(0, 1, 12))


def main() -> None:
    """Entry point."""
    flags.DEFINE_list("figures", list(FIGURES), f"The figures to draw: any of {', '.join(FIGURES)}.")
    flags.DEFINE_string("out", "figures", "The folder for pictures and numbers.")
    flags.DEFINE_bool("full", False, "Train as long as the papers did; a day or more on two cores.")
    flags.DEFINE_string("dataset", "binarized_mnist", f"One of {', '.join(config.DATASETS)}.")
    flags.DEFINE_string("struct", "2-layer-nonlin", f"One of {', '.join(config.STRUCTURES)}.")
    flags.DEFINE_integer(
        "num_train_iter", None, "Number of iterations of each training; by default that of the figure."
    )
    flags.DEFINE_string(
        "model",
        None,
        "A trained model for mean_field: a run folder or a short name; by default one is trained.",
    )
    recipe_flags.define_data_flags()
    flags.DEFINE_integer("seed", 0, "The seed of all random numbers.")
    common.start(_draw, __doc__)


def _draw(_: Sequence[str]) -> None:
    values = flags.FLAGS
    if unknown := sorted(set(values.figures) - set(FIGURES)):
        raise ValueError(f"figures: expected any of {', '.join(FIGURES)}; got {', '.join(unknown)}")
    folder = storage.as_path(values.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name in values.figures:
        with plots.own_style():
            numbers, figure = FIGURES[name](Console())
            picture = plots.figure_png(figure)
        storage.write_bytes(folder / f"{name}.png", picture)
        storage.write_json(folder / f"{name}.json", numbers | provenance.describe())
        print(folder / f"{name}.png")


_Drawn = tuple[dict[str, Any], matplotlib.figure.Figure]


# DVAE# Fig. 1.


def _curves() -> dict[str, dict[str, smoothing.Relaxation]]:
    """Smoothing -> its curves by label, sharpest last."""
    by_beta = {
        "exponential": (smoothing.Exponential, (8.0, 10.0, 12.0)),
        "uniform+exponential": (smoothing.UniformExponential, (8.0, 10.0, 20.0)),
        "power": (smoothing.Power, (20.0, 30.0, 40.0)),
        "spike-and-exponential": (smoothing.SpikeExponential, (3.0, 5.0, 8.0)),
        "logistic": (smoothing.Logistic, (8.0, 12.0, 20.0)),
        "Gaussian": (smoothing.Gaussian, (10.0, 25.0, 40.0)),
    }
    curves: dict[str, dict[str, smoothing.Relaxation]] = {
        name: {f"β = {beta:g}": layer(beta) for beta in betas} for name, (layer, betas) in by_beta.items()
    }
    return curves | {"Concrete": {f"τ = 1/{n}": smoothing.Concrete(1 / n) for n in (2, 4, 7)}}


def _smoothings(console: Console) -> _Drawn:
    del console
    curves_of = _curves()
    rho = tf.constant(np.linspace(0.002, 0.998, 499), tf.float32)
    figure = matplotlib.figure.Figure(figsize=(3 * len(curves_of), 5.5), layout="constrained")
    axes = figure.subplots(2, len(curves_of), sharex=True)
    numbers: dict[str, Any] = {"rho": rho.numpy().tolist()}
    for column, (name, curves) in enumerate(curves_of.items()):
        for label, relaxation in curves.items():
            zeta, gradient = _inverse_cdf(relaxation, rho)
            axes[0, column].plot(rho, zeta, label=label)
            axes[1, column].plot(rho, gradient, label=label)
            numbers.setdefault(name, {})[label] = {
                "zeta": zeta.tolist(),
                "gradient": gradient.tolist(),
                "gradient_mean": float(gradient.mean()),
                "gradient_standard_deviation": float(gradient.std()),
            }
        axes[0, column].set_title(name)
        axes[0, column].legend(fontsize=8)
        axes[1, column].set_xlabel("ρ")
    axes[0, 0].set_ylabel("ζ")
    axes[1, 0].set_ylabel("∂ζ/∂q")
    figure.suptitle("Inverse CDFs of q(ζ) at q = 1/2, and their gradients in q (DVAE# paper, Fig. 1)")
    return numbers, figure


def _inverse_cdf(relaxation: smoothing.Relaxation, rho: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """zeta(rho) at q = 1/2, and d zeta / d q = (d zeta / d logit) / (q (1 - q))."""
    logits = tf.zeros_like(rho)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        zeta = relaxation(logits).quantile(rho)
    return zeta.numpy(), 4 * tape.gradient(zeta, logits).numpy()


# Training, shared by the other figures.


def _recipe(baseline: str, short: int, full: int, **changes: Any) -> config.Recipe:
    values = flags.FLAGS
    steps = values.num_train_iter or (full if values.full else short)
    changes = {"num_train_iter": steps, "seed": values.seed} | changes
    return config.recipe(values.dataset, values.struct, baseline, changes.pop("k", 1), **changes)


def _along_training(
    console: Console, recipe: config.Recipe, images: data.Images, fractions: Sequence[float]
) -> Iterator[tuple[int, models.DVAE]]:
    """Yields the model at fractions of its training."""
    model = models.DVAE(recipe, images.train.mean(0))
    model.compile()
    loop = training.TrainingLoop(model, images)
    step = 0
    for stop in sorted({max(1, round(fraction * recipe.num_train_iter)) for fraction in fractions}):
        while step < stop:
            step += len(loop(step, min(step + training.STEPS_PER_CALL, stop)))
        console.print(f"{recipe.baseline}, beta {recipe.beta}, K {recipe.k}: step {step:,}")
        yield step, model


# DVAE# Fig. 2a and 2b: KL(m || p^) of the mean field m and the machine p^ that it approximates.

_KL_SAMPLES = 5_000
# Enough iterations for m to converge.
_MANY_ITERATIONS = 30


class _Augmented:
    """The machines p^(z) ~ exp(-E(z) + b(zeta) . z) of DVAE# Eq. 6, one for each zeta [Z, D]."""

    def __init__(self, relaxation: priors.OverlappingRelaxation, zeta: tf.Tensor) -> None:
        self.machine = relaxation.boltzmann.rbm
        self.ratio = relaxation.smoothing.log_density_ratio(zeta, *relaxation.smoothing.theta)

    def mean_field(self, num_iterations: int) -> tf.Tensor:
        """The log-odds of m, [Z, D]."""
        sides = rbm.split_sides(self.ratio, self.machine.num_left)
        return tf.concat(priors.mean_field(self.machine, *sides, num_iterations), -1)

    def log_unnormalized(self, z: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
        """-E(z) + b . z, multilinear."""
        sides = rbm.split_sides(z, self.machine.num_left)
        return tf.reduce_sum(z * ratio, -1) - rbm.energy(self.machine, *sides)

    def log_partition(self, seed: tf.Tensor) -> tf.Tensor:
        """log Z^ = log E_m[p~ / m] by importance sampling from m, accurate if m is close to p^: [Z]."""
        logits = self.mean_field(_MANY_ITERATIONS)
        found = []
        for index, (logit, ratio) in enumerate(zip(logits, self.ratio, strict=True)):
            rho = uniform([_KL_SAMPLES, len(logit)], fold_in(seed, index), logit.dtype)
            z = draw_bits(tf.math.sigmoid(logit), rho)
            log_m = tf.reduce_sum(z * logit - tf.math.softplus(logit), -1)
            found.append(log_mean_exp(self.log_unnormalized(z, ratio) - log_m, axis=0))
        return tf.stack(found)

    def bound(self, num_iterations: int) -> tf.Tensor:
        """H(m) - E^(m): log Z^ less KL(m || p^), [Z]."""
        logits = self.mean_field(num_iterations)
        entropy = tf.reduce_sum(bernoulli_entropy(logits), -1)
        return self.log_unnormalized(tf.math.sigmoid(logits), self.ratio) + entropy


def _zetas(model: models.DVAE, x: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
    """zeta ~ q(zeta | x), one per image: [B, D]."""
    return model.posterior(tf.constant(x) - model.mean_x, num_samples=1, seed=seed).sample[0]


def _relaxation(model: models.DVAE) -> priors.OverlappingRelaxation:
    found = model.prior()
    if not isinstance(found, priors.OverlappingRelaxation):
        raise TypeError(f"expected an overlapping relaxation, got {found}")
    return found


def _mean_field(console: Console) -> _Drawn:
    images = recipe_flags.load_images(flags.FLAGS.dataset)
    if flags.FLAGS.model:
        model = models.load(flags.FLAGS.model)
        recipe, step = model.recipe, model.recipe.num_train_iter
    else:
        recipe = _recipe("dvaes_power", 3_000, 1_000_000)
        *_, (step, model) = _along_training(console, recipe, images, [1.0])
    seed = fold_in((0, recipe.seed), Tag.PICTURES)
    zeta = _zetas(model, images.test[:100], seed)
    iterations = list(range(1, 9))
    augmented = _Augmented(_relaxation(model), zeta)
    log_z = augmented.log_partition(seed)
    kls = np.array([(log_z - augmented.bound(n)).numpy() for n in iterations])
    figure = matplotlib.figure.Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(iterations, np.maximum(kls, 1e-5)[:, 1:], c="gray", lw=0.3, alpha=0.5)
    axes.semilogy(iterations, np.maximum(kls, 1e-5)[:, 0], marker="o", label="the first test image")
    axes.semilogy(iterations, kls.mean(1), marker="s", label="mean of 100 images")
    axes.set_xlabel("mean-field iterations")
    axes.set_ylabel("KL (nats)")
    axes.set_title("Mean field of one ζ (DVAE# paper, Fig. 2a)")
    axes.legend(fontsize=8)
    return {
        "iterations": iterations,
        "kl_first": kls[:, 0].tolist(),
        "kl_mean": kls.mean(1).tolist(),
        "recipe": recipe.to_json(),
        "step": step,
    }, figure


# DVAE# Fig. 2c: the gradient's variance.

_GRADIENT_IMAGES, _GRADIENT_DRAWS = 10, 100


def _gradient_variance(model: models.DVAE) -> Callable[[np.ndarray, int], float]:
    """Variance over draws of the bound's derivative in the logits of q, mean over units and images.

    With a single image in the batch, the derivative in an encoder's output bias is that in its logits.

    Returns:
      A function of images [B, X] and the step, which gives the weight of the KL.
    """
    biases = [variable.value for variable in model.posterior.trainable_variables if "bias" in variable.path]

    @tf.function(jit_compile=True)
    def derivatives(image: tf.Tensor, seeds: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        def one(seed: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                bound = tf.reduce_sum(model.relaxed_bound(image, seed, model.kl_weight(step))[0])
            return tf.concat(tape.gradient(bound, biases), 0)

        return tf.map_fn(one, seeds, fn_output_signature=tf.float32)

    def variance(x: np.ndarray, step: int) -> float:
        seeds = tf.random.split(fold_in((0, model.recipe.seed), Tag.PICTURES, step), _GRADIENT_DRAWS)
        images = x[:_GRADIENT_IMAGES, np.newaxis]
        found = [derivatives(image, seeds, tf.constant(step)).numpy() for image in images]
        return float(np.var(found, axis=1, ddof=1).mean())

    return variance


# Baseline and beta; 10 and 30 gave the best results in the paper.
_SETTINGS = {
    "exponential, β = 8": ("dvaes_exp", 8.0),
    "exponential, β = 10": ("dvaes_exp", 10.0),
    "power, β = 20": ("dvaes_power", 20.0),
    "power, β = 30": ("dvaes_power", 30.0),
}


def _training(console: Console) -> _Drawn:
    images = recipe_flags.load_images(flags.FLAGS.dataset)
    size = {"train_batchsize": 1_000} if flags.FLAGS.full else {}
    figure = matplotlib.figure.Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
    numbers: dict[str, Any] = {}
    for name, (baseline, beta) in _SETTINGS.items():
        recipe = _recipe(baseline, 3_000, 100_000, beta=beta, **size)
        found: dict[str, list[float]] = {"step": [], "kl": [], "gradient_variance": []}
        variance = None
        for step, model in _along_training(console, recipe, images, _FRACTIONS):
            variance = variance or _gradient_variance(model)
            seed = fold_in((0, recipe.seed), Tag.PICTURES, step)
            zeta = _zetas(model, images.validation[:100], seed)
            augmented = _Augmented(_relaxation(model), zeta)
            kl = augmented.log_partition(seed) - augmented.bound(recipe.num_mean_field_iterations)
            found["step"].append(step)
            found["kl"].append(float(tf.reduce_mean(kl)))
            found["gradient_variance"].append(variance(images.validation, step))
        axes[0].semilogy(found["step"], np.maximum(found["kl"], 1e-5), marker=".", label=name)
        axes[1].semilogy(found["step"], found["gradient_variance"], marker=".", label=name)
        numbers[name] = found | {"recipe": recipe.to_json()}
    axes[0].set_title("KL of the mean field (DVAE# paper, Fig. 2b)")
    axes[1].set_title("variance of the bound's gradient in a logit (Fig. 2c)")
    for each, label in zip(axes, ("nats", "nats²"), strict=True):
        each.set_xlabel("iterations")
        each.set_ylabel(label)
        each.legend(fontsize=8)
    return numbers, figure


# GumBolt Fig. 2b.

_OBJECTIVE_IMAGES, _OBJECTIVE_SAMPLES = 500, 20


def _gumbolt(console: Console) -> _Drawn:
    images = recipe_flags.load_images(flags.FLAGS.dataset)
    recipe = _recipe("gumbolt", 3_000, 1_000_000, k=_OBJECTIVE_SAMPLES)
    chosen = {
        "training": data.binarize_once(images.train[:_OBJECTIVE_IMAGES], recipe.seed),
        "validation": images.validation[:_OBJECTIVE_IMAGES],
    }
    found: dict[str, list[float]] = {"step": []}
    for step, model in _along_training(console, recipe, images, _FRACTIONS):
        seed = fold_in((0, recipe.seed), Tag.PICTURES, step)
        model.measure_log_partition(seed)
        found["step"].append(step)
        for split, x in chosen.items():
            relaxed = tf.reduce_mean(model.relaxed_bound(tf.constant(x), seed)[0])
            discrete = evaluation.image_nll(model, x, _OBJECTIVE_SAMPLES, seed, 100).nll.mean()
            found.setdefault(f"{split}, GumBolt", []).append(-float(relaxed))
            found.setdefault(f"{split}, discrete", []).append(float(discrete))
    figure = matplotlib.figure.Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, curve in found.items():
        if name != "step":
            axes.plot(found["step"], curve, marker=".", label=name, ls="--" if "discrete" in name else "-")
    axes.set_ylim(top=np.quantile(found["validation, discrete"], 0.8))
    axes.set_xlabel("iterations")
    axes.set_ylabel("negative objective, nats")
    axes.set_title(f"GumBolt, K = {_OBJECTIVE_SAMPLES} (GumBolt paper, Fig. 2b)")
    axes.legend(fontsize=8)
    return found | {"recipe": recipe.to_json()}, figure


FIGURES: dict[str, Callable[[Console], _Drawn]] = {
    "smoothings": _smoothings,
    "mean_field": _mean_field,
    "training": _training,
    "gumbolt": _gumbolt,
}


if __name__ == "__main__":
    main()

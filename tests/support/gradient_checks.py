"""Gradients of the library against exact ones: models of a few units, means over many draws, z-scores."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dvae_tf import config, models, priors
from runners import exact_model as exact

NUM_PIXELS = 3
X = np.array([1.0, 0.0, 1.0])
BATCH, CALLS = 2_000, 120
# The largest of forty z-scores exceeds 4.2 once in a thousand.
LARGEST = 4.5


class Built(NamedTuple):
    """The model with parameters far from their start, these in float64, and the variables by name."""

    model: models.DVAE
    parameters: exact.Parameters
    named: dict


def add_structures(monkeypatch: Any) -> None:
    """Linear networks of two and four units, in one group and in two; log Z exact."""
    for units in (2, 4):
        for groups in (1, 2):
            structure = config.Structure(groups, units // groups, ())
            monkeypatch.setitem(config.STRUCTURES, f"{groups}-{units}", structure)
        # With local groups of one variable.
        for local in (1, 2):
            structure = config.Structure(1, units, (), (), local, 1)
            monkeypatch.setitem(config.STRUCTURES, f"1-{units}-local{local}", structure)
        structure = config.Structure(2, units // 2, (), (), 2, 1)
        monkeypatch.setitem(config.STRUCTURES, f"2-{units}-local2", structure)
    for row in ("1-lin", "2-nonlin"):
        monkeypatch.setitem(config.BETA, ("three", row), config.BETA["mnist", "1-lin"])
    monkeypatch.setitem(config.DATASETS, "three", config.DatasetFacts(False, betas="three"))

    def exactly(layer: priors.BoltzmannPrior, state: Any = None) -> priors.BoltzmannMachine:
        # Enumerated here: estimators that differentiate twice would differentiate the enumeration.
        log_partition = priors.BoltzmannMachine(*layer.rbm).log_partition
        return priors.BoltzmannMachine(*layer.rbm, log_partition=log_partition)

    monkeypatch.setattr(priors.BoltzmannPrior, "binary", exactly)


def build(
    baseline: str,
    units: int,
    num_groups: int,
    k: int = 1,
    prior: priors.Prior | None = None,
    num_local: int = 0,
    **changes: Any,
) -> Built:
    """A model of linear networks, `units` in all groups together; no name for a control variate's weights."""
    recipe = config.recipe(
        "three",
        f"{num_groups}-{units}" + (f"-local{num_local}" if num_local else ""),
        baseline,
        k,
        num_chains=2,
        num_sweeps=1,
        num_mean_field_iterations=60,
        **changes,
    )
    model = models.DVAE(recipe, np.full(NUM_PIXELS, 0.5), prior=prior)
    rng = np.random.default_rng(3)
    named = {}
    for variable in model.trainable_variables:
        value = np.asarray(variable) * 0 + 0.8 * rng.normal(size=variable.shape)
        if variable.path.endswith("/s"):
            value = 1.0 + 0.3 * rng.normal(size=variable.shape)
        variable.assign(value.astype(np.float32))
        if "control_variate" not in variable.path:
            named[_name(variable, model)] = variable
    parameters = {name: np.asarray(variable, np.float64) for name, variable in named.items()}
    if "left_bias" in parameters:
        parameters.setdefault("weights", np.asarray(model.prior.rbm.weights, np.float64))
    return Built(model, parameters, named)


def _name(variable: Any, model: models.DVAE) -> str:
    """The name in `exact_model` of a variable of the library."""
    owner, last = variable.path.split("/")[-2:]
    if last == "s":
        scales = [relaxation.s for relaxation in model.posterior.relaxations]
        return f"scale_{next(i for i, s in enumerate(scales) if s is variable)}"
    if owner == "prior":
        return last
    network = next(
        part
        for part in variable.path.split("/")
        if part.startswith(("encoder", "decoder", "prior_", "local_"))
    )
    if last == "bias":
        return f"{network}/bias"
    if "encoder" in network:
        return f"{network}/{'x' if owner == 'input_0' else 'before'}"
    return f"{network}/kernel"


def centered(parameters: exact.Parameters) -> exact.Parameters:
    """Parameters whose first encoder layer takes x itself: its bias has the centering."""
    moved = dict(parameters)
    for name, kernel in parameters.items():
        if "encoder" in name and name.endswith("/x"):
            bias = name.replace("/x", "/bias")
            moved[bias] = parameters[bias] - 0.5 * kernel.sum(0)
    return moved


def mean_gradients(
    model: models.DVAE, named: dict, calls: int = CALLS, **options: Any
) -> dict[str, np.ndarray]:
    """Batch means of the gradient of the training objective, [calls, ...] for each parameter.

    `options` are further arguments of `DVAE.relaxed_bound`.
    """
    x = tf.tile(tf.constant(X[np.newaxis], tf.float32), [BATCH, 1])
    names = list(named)

    @tf.function(jit_compile=True)
    def one(seed):
        with tf.GradientTape() as tape:
            bound, _, _ = model.relaxed_bound(x, seed, **options)
            objective = tf.reduce_mean(bound)
        values = [named[name].value for name in names]
        return tape.gradient(objective, values)

    drawn = [one(tf.constant([7, call])) for call in range(calls)]
    return {name: np.stack([np.asarray(each[i]) for each in drawn]) for i, name in enumerate(names)}


def largest_z_score(gradients: dict[str, np.ndarray], expected: exact.Parameters) -> float:
    """Over all parameters; those whose gradient does not vary must agree to rounding."""
    worst = 0.0
    for name, drawn in gradients.items():
        mean = drawn.mean(0, dtype=np.float64)
        error = drawn.std(0, ddof=1, dtype=np.float64) / np.sqrt(len(drawn))
        # Rounding of float32 sums, and of central differences.
        floor = 1e-5 * (1 + np.abs(expected[name]))
        assert np.isfinite(expected[name]).all()
        assert np.isfinite(drawn).all()
        worst = max(worst, float((np.abs(mean - expected[name]) / np.hypot(error, floor)).max()))
    return worst

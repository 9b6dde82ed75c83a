"""Gradients of a bound in the encoder's log-odds, by every method, for `gradient_study`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import config, models, objectives, rbm
from dvae_tf.networks import Network
from dvae_tf.numerics import fold_in

from . import exact_model as exact

# Evaluations of the decoder for one gradient.
BUDGET = 4
# Rows (images x draws) of one call of a compiled gradient.
_ROWS = 1_000
# Steps in which the control variate of REBAR adapts to the model.
_TUNING_STEPS = 300


class Method(NamedTuple):
    """A gradient of a bound.

    Attributes:
      label: in tables.
      family: methods that differ in sharpness alone have the same.
      baseline: a system.
      bound: "elbo", or "importance_weighted" over all samples.
      changes: fields of its recipe.
    """

    label: str
    family: str
    baseline: str
    bound: str = "elbo"
    changes: Mapping[str, Any] = MappingProxyType({})

    def fits(self, num_groups: int) -> bool:
        """Whether it can be had for a code of so many groups."""
        facts = config.ESTIMATORS[config.SYSTEMS[self.baseline].estimator]
        return num_groups == 1 or not facts.one_group

    def samples(self, num_groups: int) -> tuple[int, int]:
        """K, and the evaluations of the decoder that it costs, at most the budget."""
        if self.baseline == "disarm":
            # A pair for each group in turn.
            k = BUDGET if num_groups == 1 else 2
            return k, (1 + num_groups) * k // 2
        if self.baseline == "rebar":
            return 1, 3
        return BUDGET, BUDGET


_WEIGHTED = "importance_weighted"
METHODS = (
    Method("overlapping, power, β = 15", "overlapping, power", "dvaes_power", changes={"beta": 15.0}),
    Method("overlapping, power, β = 30", "overlapping, power", "dvaes_power", changes={"beta": 30.0}),
    Method(
        "overlapping, exponential, β = 10", "overlapping, exponential", "dvaes_exp", changes={"beta": 10.0}
    ),
    Method("DVAE++, power, β = 30", "DVAE++, power", "dvaepp_power", changes={"beta": 30.0}),
    Method("DVAE++, exponential, β = 10", "DVAE++, exponential", "dvaepp_exp", changes={"beta": 10.0}),
    Method("DVAE, β = 4", "DVAE", "dvae_spike_exp", changes={"beta": 4.0}),
    Method("GumBolt, τ = 1/4", "GumBolt", "gumbolt", changes={"temperature": 1 / 4}),
    Method("GumBolt, τ = 1/7", "GumBolt", "gumbolt", changes={"temperature": 1 / 7}),
    Method("GumBolt, τ = 1/16", "GumBolt", "gumbolt", changes={"temperature": 1 / 16}),
    Method("RLOO", "RLOO", "rloo"),
    Method("DisARM", "DisARM", "disarm"),
    Method("REBAR", "REBAR", "rebar"),
    Method("overlapping, power, β = 30", "overlapping, power", "dvaes_power", _WEIGHTED, {"beta": 30.0}),
    Method(
        "the same, doubly reparameterized",
        "doubly reparameterized",
        "dvaes_power",
        _WEIGHTED,
        {"beta": 30.0, "doubly_reparameterized": True},
    ),
    Method("GumBolt, τ = 1/7", "GumBolt", "gumbolt", _WEIGHTED, {"temperature": 1 / 7}),
    Method("VIMCO", "VIMCO", "vimco", _WEIGHTED),
)


class Weights(NamedTuple):
    """What all methods share: the parts of a model, without a relaxation.

    Attributes:
      recipe: its sizes are those of all methods.
      mean_x: [X].
      encoders: one layer for each group.
      decoder: from codes to the parameters of the pixels.
      machine: the parameters of the prior.
      log_partition: its log Z, nats.
    """

    recipe: config.Recipe
    mean_x: np.ndarray
    encoders: tuple[keras.layers.Layer, ...]
    decoder: keras.layers.Layer
    machine: rbm.RBM
    log_partition: Any


def trained_weights(name: str) -> Weights:
    """The parts of a trained model.

    Raises:
      ValueError: if its prior is no Boltzmann machine, or its encoders return more than log-odds.
    """
    model = models.load(name)
    if not hasattr(model.prior, "rbm"):
        raise ValueError(f"model: expected one with a Boltzmann prior, got {model.recipe.baseline}")
    if any(relaxation.outputs_per_unit > 1 for relaxation in model.posterior.relaxations):
        raise ValueError(f"model: expected encoders of log-odds alone, got those of {model.recipe.baseline}")
    prior = model.prior
    return Weights(
        model.recipe,
        np.asarray(model.mean_x),
        model.posterior.encoders,
        model.decoder,
        prior.rbm,
        tf.convert_to_tensor(prior.log_partition),
    )


def exact_weights(parameters: exact.Parameters, num_groups: int) -> Weights:
    """The exact model, as the library has it."""
    num_pixels = len(parameters["decoder/bias"])
    recipe = config.recipe(
        "exact",
        "exact",
        "gumbolt",
        1,
        dynamic_binarization=False,
        num_groups=num_groups,
        units=2 // num_groups,
        hidden=(),
    )
    units = recipe.structure.units_per_group

    def network(sizes: list[int], num_outputs: int, name: str, kernels: list[str]) -> Network:
        layer = Network(sizes, (), num_outputs, seed=0, name=name)
        layer.build((None, sizes[0]))
        for part, kernel in zip(layer.first, kernels, strict=True):
            part.kernel.assign(parameters[f"{name}/{kernel}"])
        layer.first[-1].bias.assign(parameters[f"{name}/bias"])
        return layer

    encoders = tuple(
        network(
            [num_pixels, group * units][: 1 + bool(group)],
            units,
            f"encoder_{group}",
            ["x", "before"][: 1 + bool(group)],
        )
        for group in range(num_groups)
    )
    left_bias, right_bias, couplings = (
        parameters[name].astype(np.float32) for name in ("left_bias", "right_bias", "weights")
    )
    machine = rbm.as_rbm(left_bias, right_bias, couplings)
    return Weights(
        recipe,
        # The encoder of the oracle takes x as it is.
        np.zeros(num_pixels, np.float32),
        encoders,
        network([2], num_pixels, "decoder", ["kernel"]),
        machine,
        rbm.exact.log_partition(machine),
    )


class _Shifted(keras.layers.Layer):
    """An encoder whose log-odds have an offset for each row, initially 0."""

    def __init__(self, encoder: keras.layers.Layer, rows: int, units: int) -> None:
        super().__init__(name=f"shifted_{encoder.name}")
        self.encoder = encoder
        self.offset = self.add_weight(name="offset", shape=(rows, units), initializer="zeros")
        self.built = True

    def call(self, x: tf.Tensor, *before: tf.Tensor, training: bool = False) -> tf.Tensor:
        outputs = self.encoder(x, *before, training=training)
        # The model is first traced with an unknown number of rows.
        return outputs + self.offset if outputs.shape[-2] == self.offset.shape[0] else outputs


class Moments(NamedTuple):
    """Mean and variance of one gradient, [B, D] each, from a number of draws; float64."""

    mean: np.ndarray
    variance: np.ndarray
    num_draws: int

    @property
    def noise(self) -> float:
        """The root of the total variance of an image's gradient, its mean square over images."""
        return float(np.sqrt(self.variance.sum() / len(self.variance)))


class Gradient:
    """A compiled gradient in the log-odds of every unit, of several independent draws at once.

    Args:
      weights: of the model.
      method: the bound and its estimator.
      x: [B, X], images.
    """

    def __init__(self, weights: Weights, method: Method, x: np.ndarray) -> None:
        known, units = weights.recipe, weights.recipe.structure.units_per_group
        self.k, self.evaluations = method.samples(known.structure.num_groups)
        self._repeats = max(1, _ROWS // len(x))
        self.rows = self._repeats * len(x)
        self._shape = (self._repeats, len(x), known.structure.num_units)
        recipe = config.recipe(
            known.dataset,
            known.struct,
            method.baseline,
            self.k,
            num_groups=known.num_groups,
            units=known.units,
            hidden=known.hidden,
            dynamic_binarization=known.dynamic_binarization,
            likelihood=known.likelihood,
            # The gradient in the log-odds does not depend on the chains.
            num_chains=1,
            num_sweeps=1,
            **method.changes,
        )
        encoders = [_Shifted(encoder, self.rows, units) for encoder in weights.encoders]
        self._model = models.DVAE(recipe, weights.mean_x, encoder=encoders, decoder=weights.decoder)
        if method.bound == "elbo":
            # K samples of a relaxation average its ELBO, whatever bound its system has.
            self._model.bound = objectives.elbo
        prior = self._model.prior
        parameters = prior.left_bias, prior.right_bias, prior.coupling_weights
        for variable, value in zip(parameters, weights.machine, strict=True):
            variable.assign(value)
        prior.log_partition.assign(weights.log_partition)
        self._x = tf.tile(tf.constant(x, tf.float32), [self._repeats, 1])
        self._offsets = [each.offset for each in encoders]
        self._draw = tf.function(self._sums, jit_compile=True)
        if method.baseline == "rebar":
            self._tune()

    def call(self) -> tuple[tf.Tensor, tf.Tensor]:
        """One call, to be timed."""
        return self._draw(tf.constant([0, 0]))

    def moments(self, num_draws: int, seed: tuple[int, int]) -> Moments:
        """Mean and variance over at least so many draws for each image."""
        calls = -(-num_draws // self._repeats)
        total, squares = np.zeros(self._shape[1:]), np.zeros(self._shape[1:])
        for call in range(calls):
            sums = self._draw(fold_in(seed, call))
            total += np.asarray(sums[0], np.float64)
            squares += np.asarray(sums[1], np.float64)
        count = calls * self._repeats
        mean = total / count
        return Moments(mean, (squares / count - mean**2) * count / max(count - 1, 1), count)

    def _sums(self, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Sums over the draws of the gradient and of its square, [B, D]."""
        with tf.GradientTape() as tape:
            objective = tf.reduce_sum(self._model.relaxed_bound(self._x, seed).bound)
        parts = tape.gradient(objective, [offset.value for offset in self._offsets])
        gradient = tf.reshape(tf.concat(parts, -1), self._shape)
        return tf.reduce_sum(gradient, 0), tf.reduce_sum(gradient**2, 0)

    def _tune(self) -> None:
        """Trains temperature and scale of a control variate, whose gradient is that of the variance."""
        variables = self._model.posterior.relaxations[0].trainable_variables
        optimizer = keras.optimizers.Adam(0.02)
        optimizer.build(variables)

        @tf.function(jit_compile=True)
        def step(seed: tf.Tensor) -> None:
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(self._model.relaxed_bound(self._x, seed).bound)
            optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)

        for number in range(_TUNING_STEPS):
            step(fold_in((1, 0), number))

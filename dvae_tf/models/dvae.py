"""The discrete VAE as a Keras model: a prior p(z) of bits, p(x | z) a network, q(z | x) by groups.

Training sees the relaxation zeta of the code; every likelihood that is reported is that of the discrete
model (DVAE# paper, Sec. 4).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from ..config import Recipe
from ..networks import Network
from ..numerics import Seed, Tag, as_seed, fold_in, integer_seed, log_mean_exp, uniform
from ..objectives import LikelihoodEstimate, streamed_bound
from ..partition import LogPartition
from ..posterior import Posterior
from ..smoothing import Relaxation
from .optimizer import recipe_optimizer
from .pixels import bernoulli_pixels
from .replicas import ReplicaUpdate, StepReport, combine
from .systems import BOUNDS, KL_TERMS, PRIORS, RELAXATIONS

# Rows (images x samples) of one block of a likelihood estimate: bounds its memory.
_ROWS = 10_000
_PIXEL_CLIP = 1e-3


class BinaryCode(NamedTuple):
    """Codes of images: log-odds and bits, [K, B, D], and log q(z | x) in nats, [K, B]."""

    logits: tf.Tensor
    z: tf.Tensor
    log_prob: tf.Tensor


class Samples(NamedTuple):
    """Draws of the model: pixel means [N, X] and the codes they were decoded from, [N, D]."""

    images: tf.Tensor
    z: tf.Tensor


class RelaxedBound(NamedTuple):
    """The training objective and its two terms, nats.

    Attributes:
      bound: [B].
      log_likelihood: log p(x | zeta), [K, B].
      kl: log q - log p of the code, [K, B].
    """

    bound: tf.Tensor
    log_likelihood: tf.Tensor
    kl: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
class DVAE(keras.Model):
    """A variational autoencoder with a binary code; its parts are those of the recipe's baseline.

    Args:
      recipe: what the model is made of, and how it is trained.
      mean_x: [X], mean training image; subtracted before the encoder, and where the decoder starts.
      encoder: the user's own: one layer x [B, X] -> log-odds [B, D] (with one group), or a list of
        layers, one for each group (`Posterior` says what, also for `dvaes_gi`, which takes more). None
        for the published one.
      decoder: the user's own layer, code [..., D] -> parameters of the pixels. None for the published one.
      likelihood: parameters -> distribution of an image, event shape [X].

    Raises:
      ValueError: if `mean_x` or the number of encoders does not fit the recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        mean_x: Any,
        encoder: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        decoder: keras.layers.Layer | None = None,
        likelihood: Callable[[tf.Tensor], tfd.Distribution] = bernoulli_pixels,
        name: str = "dvae",
    ) -> None:
        # Images stay in float32 under a mixed-precision policy; the networks cast what they take.
        super().__init__(name=name, autocast=False)
        mean_x = np.asarray(mean_x, np.float32)
        if mean_x.ndim != 1:
            raise ValueError(f"mean_x: expected shape [pixels], got {mean_x.shape}")
        structure, system = recipe.structure, recipe.system
        self.recipe = recipe
        self.kl, self.bound = KL_TERMS[system.kl], BOUNDS[system.bound]
        self.likelihood = likelihood
        self._nll = keras.metrics.Mean("nll")
        self.mean_x = self.add_weight(
            name="mean_x",
            shape=mean_x.shape,
            dtype="float32",
            initializer=lambda shape, dtype=None: tf.constant(mean_x),
            trainable=False,
        )
        self._own_encoder, self._own_decoder = encoder is not None, decoder is not None
        relaxations = RELAXATIONS[system.relaxation](recipe)
        encoders = self._encoders(len(mean_x), relaxations) if encoder is None else encoder
        if isinstance(encoders, keras.layers.Layer):
            encoders = [encoders]
        if len(encoders) != structure.num_groups:
            raise ValueError(
                f"encoder: {recipe.struct} has {structure.num_groups} group(s), each with a layer of "
                f"its own; got {len(encoders)}"
            )
        self.posterior = Posterior(encoders, relaxations, name="posterior")
        self.decoder = self._decoder(mean_x) if decoder is None else decoder
        self.prior = PRIORS[system.prior](recipe, relaxations[0], self._network)
        # Keras builds lazily; tracing once now makes every variable, for any batch size.
        self.built = True
        tf.function(self).get_concrete_function(tf.TensorSpec([None, len(mean_x)]))

    def _network(self, input_sizes: Sequence[int], num_outputs: int, name: str, **kw: Any) -> Network:
        recipe = self.recipe
        return Network(
            input_sizes,
            recipe.structure.hidden_units,
            num_outputs,
            seed=integer_seed(recipe.seed, Tag.INITIAL_WEIGHTS, *name.encode()),
            weight_decay=recipe.weight_decay,
            batch_norm_momentum=recipe.batch_norm_momentum,
            batch_norm_epsilon=recipe.batch_norm_epsilon,
            name=name,
            **kw,
        )

    def _encoders(self, num_pixels: int, relaxations: Sequence[Relaxation]) -> list[Network]:
        units = self.recipe.structure.units_per_group
        return [
            self._network(
                [num_pixels, group * units][: 1 + bool(group)],
                units * relaxation.outputs_per_unit,
                f"encoder_{group}",
            )
            for group, relaxation in enumerate(relaxations)
        ]

    def _decoder(self, mean_x: np.ndarray) -> Network:
        mean = np.clip(mean_x, _PIXEL_CLIP, 1 - _PIXEL_CLIP)
        return self._network(
            [self.recipe.structure.num_units],
            len(mean),
            "decoder",
            output_bias=np.log(mean) - np.log1p(-mean),
        )

    # What a user calls.

    def encode(self, x: Any, num_samples: int = 1, seed: Seed = (0, 0)) -> BinaryCode:
        """Draws codes z ~ q(z | x): images [B, X] give K codes each."""
        drawn = self.posterior.sample_binary(self._centred(x), num_samples, seed)
        return BinaryCode(drawn.logits, drawn.sample, drawn.log_prob)

    def decode(self, z: Any) -> tf.Tensor:
        """Mean images: codes [..., D] give [..., X]."""
        return self.pixels(tf.convert_to_tensor(z, tf.float32)).mean()

    def sample(self, num_samples: int, seed: Seed = (0, 0), num_sweeps: int = 1000) -> Samples:
        """Draws images: further block Gibbs sweeps from the stored chains, then the decoder.

        Args:
          num_samples: N; chains are repeated where there are fewer.
          seed: an `int32[2]` seed.
          num_sweeps: sweeps from the stored chains.
        """
        z = self.prior.sample_binary(num_samples, num_sweeps, seed)
        return Samples(self.decode(z), z)

    def log_likelihood(
        self,
        x: Any,
        num_importance_samples: int = 100,
        seed: Seed = (0, 0),
        log_partition: Any = None,
    ) -> tf.Tensor:
        """The importance-weighted bound of the discrete model, a lower bound of log p(x) given log Z.

        Args:
          x: [B, X] binary images.
          num_importance_samples: K.
          seed: an `int32[2]` seed.
          log_partition: log Z in nats; None takes the last estimate that the prior stores.

        Returns:
          [B], nats.
        """
        estimate = self.estimate_likelihood(x, num_importance_samples, seed, log_partition)
        return estimate.log_likelihood

    def estimate_likelihood(
        self,
        x: Any,
        num_importance_samples: int = 100,
        seed: Seed = (0, 0),
        log_partition: Any = None,
    ) -> LikelihoodEstimate:
        """`log_likelihood` with its Monte Carlo variance; memory does not grow with K.

        Raises:
          ValueError: if `num_importance_samples` is below 1.
        """
        if num_importance_samples < 1:
            raise ValueError(f"num_importance_samples: expected at least 1, got {num_importance_samples}")
        x = tf.convert_to_tensor(x, tf.float32)
        if log_partition is None:
            log_partition = self.prior.log_partition
        num_images = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        block = likelihood_block(num_importance_samples, num_images)
        estimate = self._stream(x, tf.constant(num_importance_samples), block, as_seed(seed))
        log_partition = tf.cast(tf.convert_to_tensor(log_partition), tf.float32)
        return LikelihoodEstimate(estimate.log_likelihood - log_partition, estimate.variance)

    # The parts of the bounds.

    def pixels(self, code: tf.Tensor, training: bool = False) -> tfd.Distribution:
        """p(x | code): [..., D] gives batch shape [...], event shape [X]; float32 under any policy."""
        leading = tf.shape(code)[:-1]
        # One row a code: a user's decoder knows nothing of the K samples.
        rows = self.decoder(tf.reshape(code, [-1, code.shape[-1]]), training=training)

        def unflatten(parameters: tf.Tensor) -> tf.Tensor:
            shape = tf.concat([leading, tf.shape(parameters)[1:]], 0)
            return tf.cast(tf.reshape(parameters, shape), tf.float32)

        return self.likelihood(tf.nest.map_structure(unflatten, rows))

    def binary_log_weights(self, x: tf.Tensor, num_samples: int, seed: Seed) -> tf.Tensor:
        """Log [p(x | z) exp(-E(z)) / q(z | x)] at z ~ q(z | x): [K, B], nats, without log Z."""
        code = self.encode(x, num_samples, seed)
        log_prior = self.prior.binary().unnormalized_log_prob(code.z)
        return self.pixels(code.z).log_prob(x) + log_prior - code.log_prob

    def relaxed_bound(
        self,
        x: tf.Tensor,
        seed: Seed,
        kl_weight: tf.Tensor | float = 1.0,
        training: bool = False,
        chains: Any = None,
    ) -> RelaxedBound:
        """The training objective on images x [B, X].

        The gradient of its log Z is the negative phase over the chains of a sampler's state; None means all
        chains of the prior.
        """
        draw = self.posterior(self._centred(x), num_samples=self.recipe.k, seed=seed, training=training)
        log_likelihood = self.pixels(draw.sample, training).log_prob(x)
        kl = self.kl(draw, self.prior.distribution(chains))
        return RelaxedBound(self.bound(log_likelihood, kl, kl_weight), log_likelihood, kl)

    def _centred(self, x: Any) -> tf.Tensor:
        return tf.convert_to_tensor(x, tf.float32) - self.mean_x

    @tf.function(jit_compile=True)
    def _stream(
        self, x: tf.Tensor, num_samples: tf.Tensor, block: int | tf.Tensor, seed: tf.Tensor
    ) -> LikelihoodEstimate:
        def draw(block_seed: tf.Tensor) -> tf.Tensor:
            return self.binary_log_weights(x, block, block_seed)

        return streamed_bound(draw, tf.shape(x)[0], num_samples, block, seed)

    # Training, by the library's loop or by Keras.

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Compiles with the recipe's Adam and learning-rate steps where no optimizer is given."""
        kwargs.setdefault("jit_compile", True)
        super().compile(optimizer=recipe_optimizer(self.recipe) if optimizer is None else optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def update(self, x: tf.Tensor) -> StepReport:
        """One step: negative phase, gradient of the bound, optimizer; all draws follow from the step.

        Args:
          x: [B, X] images; pixel probabilities where the recipe binarises afresh.
        """
        replicas = range(self.recipe.num_replicas)
        return self.apply_update(combine([self.replica_update(x, replica) for replica in replicas]))

    def replica_update(
        self, x: tf.Tensor, replica: Any = 0, values: Sequence[tuple[Any, tf.Tensor]] | None = None
    ) -> ReplicaUpdate:
        """Computes the update of one replica, from its part of the batch and its chains; assigns nothing.

        Args:
          x: [B, X], the whole batch.
          replica: index of the replica, below `recipe.num_replicas`.
          values: pairs of a variable and the value to use instead of reading it (on another device).

        Returns:
          The update; no gradient flows through it.
        """
        recipe = self.recipe
        if values is None:
            # Keras's regularizers read variables, which the tape does not watch inside the scope.
            values = [(each, tf.convert_to_tensor(each)) for each in self.trainable_variables]
        given = {id(variable): value for variable, value in values}
        # Catches assignments of batch norm and the like, for `apply_update`.
        scope = keras.StatelessScope(values, collect_losses=True)
        with scope:
            step = tf.convert_to_tensor(self.optimizer.iterations)
            stream = (replica,) if recipe.num_replicas > 1 else ()
            if stream:
                x = tf.gather(tf.reshape(x, [recipe.num_replicas, -1, x.shape[-1]]), replica)
            if recipe.dynamic_binarization:
                x = binarize(x, fold_in((0, recipe.seed), Tag.BINARIZATION, step, *stream))
            chains, chain_energy = self.prior.step_chains(replica)
            parameters = [variable.value for variable in self.trainable_variables]
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                relaxed = self.relaxed_bound(
                    x,
                    fold_in((0, recipe.seed), Tag.POSTERIOR, step, *stream),
                    self.kl_weight(step),
                    training=True,
                    chains=chains,
                )
                objective = tf.reduce_mean(relaxed.bound)
                loss = tf.add_n([-objective, *self.losses])
            gradients = tape.gradient(loss, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        report = StepReport(
            objective, tf.reduce_mean(relaxed.log_likelihood), tf.reduce_mean(relaxed.kl), chain_energy
        )
        others = self.non_trainable_variables
        found = [scope.get_current_value(each) for each in others]
        statistics = {
            number: value
            for number, (variable, value) in enumerate(zip(others, found, strict=True))
            if value is not None and value is not given.get(id(variable))
        }
        return ReplicaUpdate(gradients, statistics, chains, report)

    def apply_update(self, update: ReplicaUpdate) -> StepReport:
        """Ends a step with the combined update of all replicas: statistics, chains, parameters."""
        for number, value in update.statistics.items():
            self.non_trainable_variables[number].assign(value)
        self.prior.assign_chains(update.chains)
        self.optimizer.apply(update.gradients, self.trainable_variables)
        return update.report

    def kl_weight(self, step: tf.Tensor) -> tf.Tensor:
        """The linear warm-up of the KL terms at a step, in [0, 1]."""
        return tf.minimum(1.0, tf.cast(step, tf.float32) / max(self.recipe.kl_warmup_steps, 1.0))

    def anchor_log_partition(
        self, seed: Seed, num_temperatures: int | None = None, both_sides: bool = False
    ) -> LogPartition:
        """Measures log Z and stores it in the prior: exactly where it can be, otherwise by AIS."""
        recipe = self.recipe
        return self.prior.measure_log_partition(
            num_temperatures or recipe.validation_ais_temperatures, recipe.ais_chains, seed, both_sides
        )

    # Keras.

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Reconstructions: mean images [B, X] at the most probable code."""
        drawn = self.posterior(self._centred(x), num_samples=1, seed=(0, 0), training=training)
        return self.pixels(tf.cast(drawn.logits[0] > 0, tf.float32), training).mean()

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One `update` on a batch, for `fit`."""
        report = self.update(_images_of(data))
        return report._asdict()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The negative log-likelihood of a batch, for `evaluate` and `fit`'s validation: `val_nll`."""
        x = _images_of(data)
        seed = fold_in((0, self.recipe.seed), Tag.VALIDATION)
        log_weights = self.binary_log_weights(x, self.recipe.validation_iw_samples, seed)
        bound = log_mean_exp(log_weights) - self.prior.log_partition
        self._nll.update_state(-bound)
        return {"nll": self._nll.result()}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running mean of the negative log-likelihood."""
        return [self._nll]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the user's own parts must be known to Keras."""
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "recipe": self.recipe.to_json(),
            "mean_x": np.asarray(self.mean_x).tolist(),
            "encoder": [serialize(each) for each in self.posterior.encoders] if self._own_encoder else None,
            "decoder": serialize(self.decoder) if self._own_decoder else None,
            "likelihood": serialize(self.likelihood),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "DVAE":
        """Rebuilds the model from `get_config`."""
        config = dict(config)
        config["recipe"] = Recipe.from_json(config["recipe"])
        for part in ("encoder", "decoder", "likelihood"):
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects)
        return cls(**config)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Keras's `evaluate`, after a fresh estimate of log Z."""
        self.anchor_log_partition(fold_in((0, self.recipe.seed), Tag.ANNEALING))
        return super().evaluate(*args, **kwargs)


def likelihood_block(num_samples: int, num_images: int | tf.Tensor) -> int | tf.Tensor:
    """Samples of one block of a likelihood estimate, for a number of images: what memory allows."""
    if isinstance(num_images, int):
        return min(int(num_samples), max(1, _ROWS // max(1, num_images)))
    return tf.minimum(num_samples, tf.maximum(1, _ROWS // tf.maximum(1, num_images)))


def binarize(probs: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Draws binary images from pixel probabilities."""
    return tf.cast(uniform(tf.shape(probs), seed, probs.dtype) < probs, probs.dtype)


def _images_of(data: Any) -> tf.Tensor:
    """Keras hands over x, (x,) or (x, y, ...)."""
    return tf.cast(data[0] if isinstance(data, tuple | list) else data, tf.float32)

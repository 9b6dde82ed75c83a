r"""The discrete VAE as a Keras model.

$$ p(x) = \sum_{z \in \{0, 1\}^D} p(z) \, p(x \mid z) $$

with a prior $p(z)$ of binary codes, a decoder network $p(x \mid z)$ and an approximate posterior
$q(z \mid x)$ factored by groups. Training uses the relaxation $\zeta$ of the code; all reported
likelihoods are those of the discrete model (DVAE# paper, Sec. 4).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from ..config import Recipe
from ..networks import Network
from ..numerics import Seed, Tag, as_seed, draw_bits, fold_in, integer_seed, log_mean_exp, uniform
from ..objectives import LikelihoodEstimate, streamed_bound
from ..partition import LogPartition
from ..posterior import Posterior
from ..smoothing import Relaxation
from .optimizer import recipe_optimizer, step_variables, update_counter
from .pixels import bernoulli_pixels
from .replicas import ReplicaUpdate, StepReport, combine
from .systems import BOUNDS, KL_TERMS, PRIORS, RELAXATIONS

# Rows (images x samples) in one block of a likelihood estimate; bounds its memory.
_ROWS = 10_000
_PIXEL_CLIP = 1e-3


class BinaryCode(NamedTuple):
    r"""Binary codes of images.

    Attributes:
      logits: log-odds of the bits, `[K, B, D]`.
      z: bits, `[K, B, D]`.
      log_prob: $\log q(z \mid x)$, `[K, B]`, nats.
    """

    logits: tf.Tensor
    z: tf.Tensor
    log_prob: tf.Tensor


class Samples(NamedTuple):
    """Samples of the model.

    Attributes:
      images: pixel means, `[N, X]`.
      z: the codes that they were decoded from, `[N, D]`.
    """

    images: tf.Tensor
    z: tf.Tensor


class RelaxedBound(NamedTuple):
    r"""The training objective and its two terms, in nats.

    Attributes:
      bound: the objective of each image, `[B]`.
      log_likelihood: $\log p(x \mid \zeta)$, `[K, B]`.
      kl: estimate of $\log q(\zeta \mid x) - \log p(\zeta)$, `[K, B]`.
    """

    bound: tf.Tensor
    log_likelihood: tf.Tensor
    kl: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
class DVAE(keras.Model):
    r"""A variational autoencoder with a binary code and the parts that its recipe's baseline names.

    Saved with `model.save("model.keras")` and loaded with `keras.saving.load_model` (import `dvae_tf.models`
    first), it has the same variables (the sampler's chains and $\log Z$ among them), the same optimizer state
    and the same random streams: `fit` continues as if the model had not been saved. Your own encoder, decoder
    and likelihood must be serializable by Keras (`keras.saving.register_keras_serializable`, or
    `custom_objects`); Keras does not store the state of a `keras.random.SeedGenerator`, such as that of
    `Dropout`. `keras.models.clone_model` returns a model with the same configuration and newly initialised
    variables.

    Args:
      recipe: the parts of the model, and how it is trained.
      mean_x: mean training image, `[X]`; subtracted from the encoder's input, and initialises the decoder's
        output bias.
      encoder: your own encoder: one layer from x `[B, X]` to log-odds `[B, D]` (with one group), or a list
        of layers, one for each group (see `Posterior`, also for `dvaes_gi`, which needs further outputs).
        None builds the published network.
      decoder: your own decoder: a layer from codes `[..., D]` to the parameters of the pixels. None builds
        the published network.
      likelihood: maps the decoder's output to the distribution of an image, event shape `[X]`.
      name: name of the model.
      dtype: dtype or dtype policy of the library's networks. None uses Keras's global policy. Log densities,
        the prior and all variables are float32 under a mixed-precision policy.

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
        dtype: Any = None,
    ) -> None:
        # Images stay in float32 under a mixed-precision policy; the networks cast their inputs.
        super().__init__(name=name, dtype=dtype, autocast=False)
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
                f"encoder: expected one layer for each of the {structure.num_groups} group(s) of "
                f"{recipe.struct}, got {len(encoders)}"
            )
        self.posterior = Posterior(encoders, relaxations, dtype=self.dtype_policy, name="posterior")
        self.decoder = self._decoder(mean_x) if decoder is None else decoder
        self.prior = PRIORS[system.prior](recipe, relaxations[0], self._network)
        # Tracing once creates all variables now, for any batch size; Keras would create them lazily.
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
            dtype=self.dtype_policy,
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

    # Codes, images and likelihoods.

    def encode(self, x: Any, num_samples: int = 1, seed: Seed = (0, 0)) -> BinaryCode:
        r"""Draws codes $z \sim q(z \mid x)$.

        Args:
          x: images, `[B, X]`.
          num_samples: codes per image, K.
          seed: an `int32[2]` seed.
        """
        drawn = self.posterior.sample_binary(self._centred(x), num_samples, seed)
        return BinaryCode(drawn.logits, drawn.sample, drawn.log_prob)

    def decode(self, z: Any) -> tf.Tensor:
        """Returns the mean images `[..., X]` of codes `[..., D]`."""
        return self.pixels(tf.convert_to_tensor(z, tf.float32)).mean()

    def sample(self, num_samples: int, seed: Seed = (0, 0), num_sweeps: int = 1000) -> Samples:
        """Draws images: block Gibbs sweeps from the prior's stored chains, then the decoder.

        Args:
          num_samples: N; chains are reused as starting points if there are fewer.
          seed: an `int32[2]` seed.
          num_sweeps: block Gibbs sweeps from the stored chains.
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
        r"""The importance-weighted bound of the discrete model (DVAE# paper, Eq. 3).

        $$ \log \frac{1}{K} \sum_{k=1}^{K} \frac{p(x \mid z_k) \, p(z_k)}{q(z_k \mid x)},
        \qquad z_k \sim q(z \mid x) $$

        Its expectation is a lower bound of $\log p(x)$, given an exact $\log Z$.

        Args:
          x: binary images, `[B, X]`.
          num_importance_samples: K.
          seed: an `int32[2]` seed.
          log_partition: $\log Z$ in nats; None uses the last estimate stored in the prior.

        Returns:
          The bound of each image, `[B]`, nats; no gradient flows.

        Raises:
          ValueError: if `num_importance_samples` is below 1.
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
        """`log_likelihood` together with its Monte Carlo variance; memory does not grow with K."""
        if num_importance_samples < 1:
            raise ValueError(f"num_importance_samples: expected at least 1, got {num_importance_samples}")
        x = tf.convert_to_tensor(x, tf.float32)
        if log_partition is None:
            log_partition = self.prior.log_partition
        num_images = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        block = _block_size(num_importance_samples, num_images)
        estimate = self._stream(x, tf.constant(num_importance_samples), block, as_seed(seed))
        log_partition = tf.cast(tf.convert_to_tensor(log_partition), tf.float32)
        return LikelihoodEstimate(estimate.log_likelihood - log_partition, estimate.variance)

    # The parts of the bounds.

    def pixels(self, code: tf.Tensor, training: bool = False) -> tfd.Distribution:
        r"""Returns $p(x \mid \mathrm{code})$: codes `[..., D]` give batch shape `[...]`, event shape `[X]`.

        Its parameters are float32 under any dtype policy.
        """
        leading = tf.shape(code)[:-1]
        # One row per code: a user's decoder takes matrices.
        rows = self.decoder(tf.reshape(code, [-1, code.shape[-1]]), training=training)

        def unflatten(parameters: tf.Tensor) -> tf.Tensor:
            shape = tf.concat([leading, tf.shape(parameters)[1:]], 0)
            return tf.cast(tf.reshape(parameters, shape), tf.float32)

        return self.likelihood(tf.nest.map_structure(unflatten, rows))

    def binary_log_weights(self, x: tf.Tensor, num_samples: int, seed: Seed) -> tf.Tensor:
        r"""Log importance weights without $\log Z$, at $z \sim q(z \mid x)$.

        $$ \log \frac{p(x \mid z) \, e^{-E(z)}}{q(z \mid x)} $$

        Args:
          x: binary images, `[B, X]`.
          num_samples: K.
          seed: an `int32[2]` seed.

        Returns:
          `[K, B]`, nats.
        """
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
        r"""The training objective of images.

        The gradient of its $\log Z$ is the negative phase, a mean over the chains of a sampler's state.

        Args:
          x: images, `[B, X]`.
          seed: an `int32[2]` seed.
          kl_weight: weight of the KL term, in `[0, 1]`.
          training: whether batch norms use the statistics of the batch.
          chains: the state of a sampler; None uses all chains of the prior.
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

    # Training, in the library's loop or in `fit`.

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Compiles with the recipe's Adam and learning-rate schedule unless an optimizer is given.

        Under the `mixed_float16` policy Keras wraps the optimizer in a `LossScaleOptimizer`.
        """
        kwargs.setdefault("jit_compile", True)
        super().compile(optimizer=recipe_optimizer(self.recipe) if optimizer is None else optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, for Keras's saving."""
        config = super().get_compile_config()
        if config:
            # Keras stores the optimizer as it was given, without the wrapper.
            config["auto_scale_loss"] = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with the result of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def update(self, x: tf.Tensor) -> StepReport:
        """Takes one training step: negative phase, gradient of the bound, optimizer.

        All random draws are functions of the recipe's seed and the number of the step.

        Args:
          x: images, `[B, X]`; pixel probabilities if the recipe binarises in each step.
        """
        replicas = range(self.recipe.num_replicas)
        return self.apply_update(combine([self.replica_update(x, replica) for replica in replicas]))

    @property
    def update_variables(self) -> list[keras.Variable]:
        """All variables that `replica_update` reads: the model's, and a few of its optimizer's."""
        return [*self.variables, *step_variables(self.optimizer)]

    def replica_update(
        self, x: tf.Tensor, replica: Any = 0, values: Sequence[tuple[Any, tf.Tensor]] | None = None
    ) -> ReplicaUpdate:
        """Computes the update of one replica from its part of the batch and its chains; assigns nothing.

        Args:
          x: the whole batch, `[B, X]`.
          replica: index of the replica, below `recipe.num_replicas`.
          values: pairs of a variable of `update_variables` and the value to use instead of reading it, for
            computations on another device.

        Returns:
          The update, its gradients multiplied by the optimizer's loss scale; no gradient flows through it.
        """
        recipe = self.recipe
        if values is None:
            # The tape does not watch the variables that Keras's regularizers read inside the scope.
            values = [(each, tf.convert_to_tensor(each)) for each in self.trainable_variables]
        given = {id(variable): value for variable, value in values}
        # Records assignments, such as those of batch norms, for `apply_update`.
        scope = keras.StatelessScope(values, collect_losses=True)
        with scope:
            step = tf.convert_to_tensor(update_counter(self.optimizer))
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
                    self.kl_weight(tf.convert_to_tensor(self.optimizer.iterations)),
                    training=True,
                    chains=chains,
                )
                objective = tf.reduce_mean(relaxed.bound)
                loss = self.optimizer.scale_loss(tf.add_n([-objective, *self.losses]))
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
        """Assigns the combined update of all replicas: statistics, chains, parameters.

        Under loss scaling, a step whose gradient overflows leaves the parameters as they are.
        """
        for number, value in update.statistics.items():
            self.non_trainable_variables[number].assign(value)
        self.prior.assign_chains(update.chains)
        counter = update_counter(self.optimizer)
        step = tf.convert_to_tensor(counter)
        self.optimizer.apply(update.gradients, self.trainable_variables)
        # A step that loss scaling skips counts as well, or the next one would repeat its draws.
        counter.assign(step + 1)
        return update.report

    def kl_weight(self, step: tf.Tensor) -> tf.Tensor:
        """The weight of the KL terms at a step, in `[0, 1]`: a linear warm-up."""
        return tf.minimum(1.0, tf.cast(step, tf.float32) / max(self.recipe.kl_warmup_steps, 1.0))

    def measure_log_partition(
        self, seed: Seed, num_temperatures: int | None = None, both_sides: bool = False
    ) -> LogPartition:
        r"""Measures $\log Z$ and stores it in the prior.

        Args:
          seed: an `int32[2]` seed.
          num_temperatures: of annealed importance sampling, where $\log Z$ is not known exactly; None uses
            the recipe's `validation_ais_temperatures`.
          both_sides: whether to bracket $\log Z$ by annealing in both directions.
        """
        recipe = self.recipe
        return self.prior.measure_log_partition(
            num_temperatures or recipe.validation_ais_temperatures, recipe.ais_chains, seed, both_sides
        )

    # The interface of a Keras model.

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns reconstructions of images `[B, X]`: mean images at the most probable code."""
        drawn = self.posterior(self._centred(x), num_samples=1, seed=(0, 0), training=training)
        return self.pixels(tf.cast(drawn.logits[0] > 0, tf.float32), training).mean()

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes one `update` on a batch, for `fit`."""
        report = self.update(_images_of(data))
        return report._asdict()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measures the negative log-likelihood of a batch, `nll` in `evaluate` and `val_nll` in `fit`."""
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
        """The constructor's arguments; your own parts must be serializable by Keras."""
        serialize = keras.saving.serialize_keras_object

        def network(layer: keras.layers.Layer) -> dict[str, Any]:
            # The constructor builds it: Keras's own way warns of layers that have no `build` method.
            return {key: value for key, value in serialize(layer).items() if key != "build_config"}

        return {
            "name": self.name,
            "recipe": self.recipe.to_json(),
            "mean_x": np.asarray(self.mean_x).tolist(),
            "encoder": [network(each) for each in self.posterior.encoders] if self._own_encoder else None,
            "decoder": network(self.decoder) if self._own_decoder else None,
            "likelihood": serialize(self.likelihood),
            "dtype": serialize(self.dtype_policy),
            "frozen": [number for number, layer in enumerate(self._flatten_layers()) if not layer.trainable],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "DVAE":
        """Rebuilds the model from `get_config`."""
        config = dict(config)
        config["recipe"] = Recipe.from_json(config["recipe"])
        for part in ("encoder", "decoder", "likelihood", "dtype"):
            # Files of version 0.1 have neither dtype nor frozen layers.
            config[part] = keras.saving.deserialize_keras_object(config.get(part), custom_objects)
        frozen = config.pop("frozen", None)
        model = cls(**config)
        if frozen is not None:
            # Setting a layer sets the layers inside, which come after it.
            for number, layer in enumerate(model._flatten_layers()):
                layer.trainable = number not in frozen
        return model

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        r"""Measures $\log Z$, then evaluates as Keras does."""
        self.measure_log_partition(fold_in((0, self.recipe.seed), Tag.ANNEALING))
        return super().evaluate(*args, **kwargs)


def _block_size(num_samples: int, num_images: int | tf.Tensor) -> int | tf.Tensor:
    """Samples in one block of a likelihood estimate: as many as memory allows."""
    if isinstance(num_images, int):
        return min(int(num_samples), max(1, _ROWS // max(1, num_images)))
    return tf.minimum(num_samples, tf.maximum(1, _ROWS // tf.maximum(1, num_images)))


def binarize(probs: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Draws binary images from pixel probabilities."""
    return draw_bits(probs, uniform(tf.shape(probs), seed, probs.dtype))


def _images_of(data: Any) -> tf.Tensor:
    """The images of a batch of Keras: x, (x,) or (x, y, ...)."""
    return tf.cast(data[0] if isinstance(data, tuple | list) else data, tf.float32)

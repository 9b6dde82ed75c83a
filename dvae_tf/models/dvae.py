r"""The discrete VAE as a Keras model.

$$ p(x) = \sum_{z \in \{0, 1\}^D} p(z) \, p(x \mid z) $$

with a prior $p(z)$ of binary codes, a decoder network $p(x \mid z)$ and an approximate posterior $q(z \mid
x)$ factored by groups. Training uses the relaxation $\zeta$ of the code, or the bits with an estimator of
their gradient; all reported likelihoods are those of the discrete model (DVAE# paper, Sec. 4).
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from ..config import ESTIMATORS as ESTIMATOR_FACTS
from ..config import ImageShape, Recipe, check_estimator
from ..estimators import BoundParts, RelaxedBound
from ..local import LocalSample, LocalVariables
from ..numerics import Seed, Tag, as_seed, fold_in
from ..objectives import LikelihoodEstimate, streamed_bound
from ..partition import LogPartition
from ..posterior import Posterior
from ..priors import Prior
from ..products import unrounded
from ..samplers import External, Sampler
from ..smoothing import Relaxation
from ..support import as_count
from .blocks import block_rows, block_size
from .codes import BinaryCode, LocalCode, LocalSamples, Samples
from .inputs import checked_codes, checked_images, checked_mean, checked_shape
from .likelihoods import Likelihood
from .recipe_networks import RecipeNetworks
from .recipe_training import RecipeTraining
from .systems import BOUNDS, ESTIMATORS, KL_TERMS, LIKELIHOODS, PRIORS, RELAXATIONS, PriorParts, registered


@keras.saving.register_keras_serializable("dvae_tf")
class DVAE(RecipeTraining):
    r"""A variational autoencoder with a binary code and the parts that its recipe's baseline names.

    Saved with `model.save("model.keras")` and loaded with `keras.saving.load_model` (import `dvae_tf.models`
    first), it has the same variables (the sampler's chains and $\log Z$ among them), the same optimizer state
    and the same random streams: `fit` continues as if the model had not been saved. Your own encoder, decoder
    and likelihood must be serializable by Keras (`keras.saving.register_keras_serializable`, or
    `custom_objects`); Keras does not store the state of a `keras.random.SeedGenerator`, such as that of
    `Dropout`. `keras.models.clone_model` returns a model with the same configuration and newly initialized
    variables.

    Args:
      recipe: the parts of the model, and how it is trained.
      mean_x: mean training image, `[X]`; subtracted from the encoder's input, and initializes the decoder's
        output bias.
      encoder: your own encoder: one layer from x `[B, X]` to log-odds `[B, D]` (with one group), or a list
        of layers, one for each group (see `Posterior`, also for `dvaes_gi`, which needs further outputs).
        None builds that of the recipe's structure.
      decoder: your own decoder: a layer from rows of codes, bits and then local variables, `[N, D + Y]`, to
        the parameters of the pixels. None builds that of the structure.
      likelihood: maps the decoder's output to the distribution of an image, event shape `[X]`: a
        `Likelihood`, or any such function, whose images are only checked to be finite. None takes that of the
        recipe.
      relaxation: your own relaxation of the bits (a smoothing, `Concrete`, …), or a list of one for each
        group. None takes that of the recipe's baseline, which may have none.
      prior: your own prior of the code. None takes that of the recipe's baseline.
      sampler: your own sampler of the negative phase, with the recipe's number of chains for each replica.
        None takes that of the recipe.
      image_shape: (height, width) of the images, or (height, width, 3) in color, for pictures, exports and
        convolutional networks; None takes that of the recipe, and for convolutional networks that of its
        dataset.
      kl_warmup: whether training begins with the recipe's warm-up of the KL terms; a model that
        `models.load` returns is past it.
      name: name of the model.
      dtype: dtype policy of the library's networks: "float32", "mixed_float16" or "mixed_bfloat16". None uses
        Keras's global policy if it is one of these, otherwise "float32". Log densities, the prior and all
        variables are float32.
      local_encoder: your own encoders of the local variables, one layer for each local group, or one layer
        for one group (see `LocalVariables`); together with `encoder`. None builds those of the structure.
      local_prior: your own networks of the prior of the local variables, in the same way.

    Raises:
      ValueError: if a part does not fit the recipe, `dtype` is another one, or the model is made in the scope
        of a strategy (`training.train` takes the strategy instead).
    """

    def __init__(
        self,
        recipe: Recipe,
        mean_x: Any,
        encoder: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        decoder: keras.layers.Layer | None = None,
        likelihood: Callable[[tf.Tensor], tfd.Distribution] | None = None,
        relaxation: Relaxation | Sequence[Relaxation] | None = None,
        prior: Prior | None = None,
        sampler: Sampler | None = None,
        image_shape: ImageShape | None = None,
        kl_warmup: bool = True,
        name: str = "dvae",
        dtype: Any = None,
        local_encoder: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
        local_prior: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
    ) -> None:
        if tf.distribute.has_strategy():
            raise ValueError(
                "strategy: expected a model made outside of the scope of a strategy, which "
                "dvae_tf.training.train(…, strategy=…) takes instead"
            )
        # Images stay in float32 under a mixed-precision policy; the networks cast their inputs.
        super().__init__(name=name, dtype=_float32_policy(dtype), autocast=False)
        if likelihood is not None and not callable(likelihood):
            raise ValueError(f"likelihood: expected a function of the decoder's outputs, got {likelihood!r}")
        self.likelihood = LIKELIHOODS[recipe.likelihood] if likelihood is None else likelihood
        self.pixel_values = getattr(self.likelihood, "pixels", None)
        self.num_levels: int | None = getattr(self.likelihood, "num_levels", None)
        mean_x = checked_mean(mean_x, self.pixel_values)
        structure, system = recipe.structure, recipe.system
        known = recipe.known_image_shape
        if not structure.channels and len(known or ()) < 3:
            # Dense networks, and likelihoods of a single channel, do not need it.
            known = recipe.image_shape
        self.image_shape = checked_shape(known if image_shape is None else image_shape, len(mean_x))
        if isinstance(self.likelihood, Likelihood):
            self.likelihood = self.likelihood.of_images(self.image_shape)
        self.recipe, self.num_pixels, self.kl_warmup = recipe, len(mean_x), kl_warmup
        self._rows = block_rows(self.likelihood, mean_x, bool(structure.channels))
        self.kl, self.bound = KL_TERMS[system.kl], BOUNDS[system.bound]
        registered(ESTIMATORS, "estimator", recipe.estimator)
        self._nll = keras.metrics.Mean("nll")
        self.mean_x = self.add_weight(
            name="mean_x",
            shape=mean_x.shape,
            dtype="float32",
            initializer=lambda shape, dtype=None: tf.constant(mean_x),
            trainable=False,
        )
        if isinstance(sampler, External):
            sampler = sampler.sized(recipe.num_chains // recipe.num_replicas)
        self.own_parts = frozenset(
            part
            for part, given in {
                "encoder": encoder,
                "decoder": decoder,
                "likelihood": likelihood,
                "relaxation": relaxation,
                "prior": prior,
                "sampler": sampler,
                "local_encoder": local_encoder,
                "local_prior": local_prior,
            }.items()
            if given is not None
        )
        self._networks = RecipeNetworks(recipe, len(mean_x), self.image_shape, self.dtype_policy)
        relaxations = self._relaxations(relaxation)
        # Own encoders see the images, those of the library their features.
        self.features = self._networks.features() if encoder is None else None
        outputs = [each.outputs_per_unit for each in relaxations] or [1] * structure.num_groups
        encoders = self._networks.encoders(outputs) if encoder is None else _as_list(encoder)
        if len(encoders) != structure.num_groups:
            raise ValueError(
                f"encoder: expected one layer for each of the {structure.num_groups} group(s) of "
                f"{recipe.struct}, got {len(encoders)}"
            )
        self.posterior = Posterior(encoders, relaxations, dtype=self.dtype_policy, name="posterior")
        self.local = self._local(local_encoder, local_prior)
        self.decoder = self._networks.decoder(self.likelihood, mean_x) if decoder is None else decoder
        first = relaxations[0] if relaxations else None
        self.prior = self._prior(first, sampler) if prior is None else self._own_prior(prior)
        if sampler is not None and getattr(self.prior, "sampler", None) != sampler:
            raise ValueError(f"sampler: expected none for a prior that does not use it, got {sampler!r}")
        # Tracing once creates all variables now, for any batch size; Keras would create them lazily.
        self.built = True
        tf.function(self).get_concrete_function(tf.TensorSpec([None, len(mean_x)]))

    def _relaxations(self, given: Relaxation | Sequence[Relaxation] | None) -> Sequence[Relaxation]:
        """The relaxation of each group; empty if the code of training is bits."""
        num_groups, system = self.recipe.structure.num_groups, self.recipe.system
        if system.relaxation is None:
            if given is not None:
                raise ValueError(
                    f"relaxation: expected none for {self.recipe.baseline}, a system of bits, got {given!r}"
                )
            return ()
        if given is None:
            given = registered(RELAXATIONS, "relaxation", system.relaxation)(self.recipe)
        relaxations = [given] * num_groups if isinstance(given, Relaxation) else list(given)
        if len(relaxations) != num_groups or not all(isinstance(each, Relaxation) for each in relaxations):
            raise ValueError(
                f"relaxation: expected one relaxation of `dvae_tf.smoothing` for all, or for each, of the "
                f"{num_groups} group(s) of {self.recipe.struct}, got {given!r}"
            )
        return relaxations

    def _prior(self, relaxation: Relaxation | None, sampler: Sampler | None) -> Prior:
        recipe = self.recipe
        num_chains = recipe.num_chains // recipe.num_replicas
        if sampler is not None and getattr(sampler, "num_chains", None) != num_chains:
            raise ValueError(
                f"sampler: expected one with the {num_chains} chains of the recipe (num_chains) for each "
                f"replica, got {sampler!r}"
            )
        build = registered(PRIORS, "prior", recipe.system.prior)
        return build(PriorParts(recipe, relaxation, self._networks.dense, sampler))

    def _own_prior(self, prior: Prior) -> Prior:
        if not isinstance(prior, Prior):
            raise ValueError(f"prior: expected a layer such as dvae_tf.priors.BoltzmannPrior, got {prior!r}")
        expected, found = self.recipe.structure.num_units, prior.binary().event_shape[0]
        if found != expected:
            raise ValueError(f"prior: expected one of {expected} units, got {found}")
        return prior

    def _local(self, encoder: Any, prior: Any) -> LocalVariables | None:
        """The local variables of the structure; None if it has none."""
        num_groups = self.recipe.structure.num_local_groups
        given = {"local_encoder": encoder, "local_prior": prior}
        for name, part in given.items():
            if part is not None and len(_as_list(part)) != num_groups:
                raise ValueError(
                    f"{name}: expected one layer for each of the {num_groups} local group(s) of "
                    f"{self.recipe.struct}, got {len(_as_list(part))}"
                )
        if not num_groups:
            return None
        if (encoder is None) == ("encoder" in self.own_parts):
            raise ValueError(
                "local_encoder: expected your own exactly if the encoder of the bits is your own, for both "
                f"see the same of an image; got {encoder!r}"
            )
        return LocalVariables(
            self._networks.local_encoders() if encoder is None else _as_list(encoder),
            self._networks.local_priors() if prior is None else _as_list(prior),
            self._networks.local_units,
            dtype=self.dtype_policy,
            name="local",
        )

    @property
    def num_local(self) -> int:
        """Y, the number of local variables; 0 for a model of bits alone."""
        return 0 if self.local is None else self.local.num_variables

    @property
    def inference_layers(self) -> tuple[keras.layers.Layer, ...]:
        """The layers that give the posterior of an image."""
        local = () if self.local is None else self.local.encoders
        return (self.posterior, *local, *(() if self.features is None else (self.features,)))

    # Codes, images and likelihoods.

    def encode(self, x: Any, num_samples: int = 1, seed: Seed = (0, 0)) -> BinaryCode | LocalCode:
        r"""Draws codes $z \sim q(z \mid x)$, and local variables $y \sim q(y \mid x, z)$ if there are any.

        Args:
          x: images, `[B, X]`.
          num_samples: codes per image, K.
          seed: an `int32[2]` seed.
        """
        x = checked_images(x, self.num_pixels, self.pixel_values)
        if not tf.is_tensor(num_samples):
            num_samples = as_count("num_samples", num_samples)
        features = self._seen(x)
        drawn = self.posterior.sample_binary(features, num_samples, seed)
        if self.local is None:
            return BinaryCode(drawn.logits, drawn.sample, drawn.log_prob)
        local = self._draw_local(self.local, features, drawn.sample, seed)
        return LocalCode(
            drawn.logits, drawn.sample, drawn.log_prob, local.y, local.log_ratio, local.kl, local.shift
        )

    def decode(self, z: Any, local: Any = None) -> tf.Tensor:
        r"""Returns the mean images `[..., X]` of codes.

        Args:
          z: bits, `[..., D]`.
          local: local variables, `[..., Y]`; None takes the means of $p(y \mid z)$, of each group in turn.

        Raises:
          ValueError: if the codes have another shape, or are not finite.
        """
        return self.pixels(self._joined(checked_codes(z, self.recipe.structure.num_units), local)).mean()

    def draw_local(self, z: Any, seed: Seed | None = (0, 0), noise: Any = None) -> tf.Tensor:
        r"""Draws local variables $y \sim p(y \mid z)$ of bits `[..., D]`: `[..., Y]`.

        Args:
          z: bits.
          seed: an `int32[2]` seed of the noise.
          noise: standard normal numbers `[..., Y]` to use instead, for draws that differ in the bits alone.

        Raises:
          ValueError: if the model has no local variables, or an argument has another shape.
        """
        if self.local is None:
            raise ValueError(f"z: expected a model with local variables, got {self.recipe.struct}")
        z = checked_codes(z, self.recipe.structure.num_units)
        if noise is None:
            noise = self.local.draw_noise(tf.shape(z)[:-1], fold_in(seed, Tag.LOCAL))
        return self.local.sample(z, checked_codes(noise, self.num_local, "noise"))

    def reconstruct(self, x: Any, seed: Seed = (0, 0)) -> tf.Tensor:
        """Returns the mean images `[B, X]` of one draw of the code of each image."""
        code = self.encode(x, 1, seed)
        return self.decode(code.z[0], code.local[0] if isinstance(code, LocalCode) else None)

    def sample(self, num_samples: int, seed: Seed = (0, 0), num_sweeps: int = 1000) -> Samples | LocalSamples:
        """Draws images: block Gibbs sweeps from the prior's stored chains, local variables, then the decoder.

        Args:
          num_samples: N; chains are reused as starting points if there are fewer.
          seed: an `int32[2]` seed.
          num_sweeps: block Gibbs sweeps from the stored chains.
        """
        if not tf.is_tensor(num_samples):
            num_samples = as_count("num_samples", num_samples)
        z = self.prior.sample_binary(num_samples, as_count("num_sweeps", num_sweeps), seed)
        if self.local is None:
            return Samples(self.decode(z), z)
        local = self.draw_local(z, seed)
        return LocalSamples(self.decode(z, local), z, local)

    def _seen(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """What encoders see of images: centered, or features."""
        centered = x - self.mean_x
        return centered if self.features is None else self.features(centered, training=training)

    def _draw_local(
        self,
        local: LocalVariables,
        seen: tf.Tensor,
        code: tf.Tensor,
        seed: Seed,
        num_noise: int | None = None,
        training: bool = False,
    ) -> LocalSample:
        """Samples of the posterior of the local variables, with so many draws of noise; None for one each."""
        shape = tf.shape(code)[:2]
        if num_noise is not None:
            shape = tf.stack([num_noise, shape[1]])
        noise = local.draw_noise(shape, fold_in(seed, Tag.LOCAL))
        return local(seen, code, noise, training=training)

    def _joined(self, code: tf.Tensor, local: Any = None) -> tf.Tensor:
        """What the decoder takes: codes, then local variables, if the model has some."""
        if self.local is None:
            if local is not None:
                raise ValueError(f"local: expected none for {self.recipe.struct}, got {local!r}")
            return code
        if local is None:
            return tf.concat([code, self.local.sample(code, None)], -1)
        return tf.concat([code, checked_codes(local, self.num_local, "local")], -1)

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

        With local variables $y_k \sim q(y \mid x, z_k)$ the weights are those of the pairs $(z_k, y_k)$. Its
        expectation is a lower bound of $\log p(x)$, given an exact $\log Z$.

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
        """`log_likelihood` together with its Monte Carlo variance; memory does not grow with K.

        Networks work in full float32 precision, also on a GPU where they are trained in TF32
        (`products.unrounded`).
        """
        num_importance_samples = as_count("num_importance_samples", num_importance_samples)
        x = checked_images(x, self.num_pixels, self.pixel_values)
        if log_partition is None:
            log_partition = self.prior.log_partition
        num_images = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
        block = block_size(num_importance_samples, num_images, self._rows)
        with unrounded():
            estimate = self._stream(x, tf.constant(num_importance_samples), block, as_seed(seed))
        log_partition = tf.cast(tf.convert_to_tensor(log_partition), tf.float32)
        return LikelihoodEstimate(estimate.log_likelihood - log_partition, estimate.variance)

    # The parts of the bounds.

    def pixels(self, code: tf.Tensor, training: bool = False) -> tfd.Distribution:
        r"""Returns $p(x \mid \mathrm{code})$ of codes, batch shape `[...]`, event shape `[X]`.

        A code `[..., D + Y]` is bits, or relaxed bits, and then local variables, if the model has some. The
        parameters are float32 under any dtype policy.
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

        $$ \log \frac{p(x \mid z) \, e^{-E(z)}}{q(z \mid x)}, \qquad \text{with local variables} \quad
        \log \frac{p(x \mid z, y) \, p(y \mid z) \, e^{-E(z)}}{q(y \mid x, z) \, q(z \mid x)} $$

        Args:
          x: binary images, `[B, X]`.
          num_samples: K.
          seed: an `int32[2]` seed.

        Returns:
          `[K, B]`, nats.
        """
        x = checked_images(x, self.num_pixels, self.pixel_values)
        code = self.encode(x, num_samples, seed)
        log_prior = self.prior.binary().unnormalized_log_prob(code.z)
        if isinstance(code, LocalCode):
            log_likelihood = self.pixels(self._joined(code.z, code.local)).log_prob(x)
            return log_likelihood - code.local_log_ratio + log_prior - code.log_prob
        return self.pixels(code.z).log_prob(x) + log_prior - code.log_prob

    def relaxed_bound(
        self,
        x: tf.Tensor,
        seed: Seed,
        kl_weight: tf.Tensor | float = 1.0,
        training: bool = False,
        chains: Any = None,
        num_samples: int | None = None,
        estimator: str | None = None,
        local_kl_weight: tf.Tensor | float = 1.0,
    ) -> RelaxedBound:
        r"""The training objective of images, with the gradient of an estimator (`estimators`).

        The gradient of its $\log Z$ is the negative phase, a mean over the chains of a sampler's state.

        Args:
          x: images, `[B, X]`.
          seed: an `int32[2]` seed.
          kl_weight: weight of the KL term of the code, in `[0, 1]`.
          training: whether batch norms use the statistics of the batch.
          chains: the state of a sampler; None uses all chains of the prior.
          num_samples: K; None takes that of the recipe.
          estimator: a key of `config.ESTIMATORS`; None takes that of the recipe. Those of bits do not use the
            relaxation, and have a bound of their own.
          local_kl_weight: weight of the KL terms of the local variables, in `[0, 1]`.

        Raises:
          ValueError: if the estimator is unknown, or does not fit the model or the number of samples.
        """
        x = checked_images(x, self.num_pixels, self.pixel_values)
        num_samples = self.recipe.k if num_samples is None else num_samples
        estimator = self.recipe.estimator if estimator is None else estimator
        check_estimator(estimator, num_samples, self.posterior.num_groups)
        if ESTIMATOR_FACTS[estimator].of_bits and not self.posterior.has_bits:
            raise ValueError(
                f"estimator: expected one of relaxed codes for {self.recipe.baseline}, whose code has no "
                f"bits, got {estimator}"
            )
        seen = self._seen(x, training)
        bound = ESTIMATOR_FACTS[estimator].bound or self.recipe.system.bound
        # Where the bound is linear in the KL term of a sample, its mean has the same gradient and less noise.
        is_linear = num_samples == 1 or bound == "elbo"

        def log_likelihood(code: tf.Tensor, num_noise: int | None = None) -> tf.Tensor:
            if self.local is None:
                return self.pixels(code, training).log_prob(x)
            local = self._draw_local(self.local, seen, code, seed, num_noise, training)
            kl = tf.reduce_sum(local.kl, 0) if is_linear else local.log_ratio
            return self.pixels(tf.concat([code, local.y], -1), training).log_prob(x) - local_kl_weight * kl

        parts = BoundParts(
            posterior=self.posterior,
            prior=self.prior,
            chains=chains,
            conditional=(self.decoder,) if self.local is None else (self.decoder, self.local),
            log_likelihood=log_likelihood,
            kl=self.kl,
            bound=self.bound,
            x=seen,
            num_samples=num_samples,
            seed=seed,
            kl_weight=kl_weight,
            training=training,
        )
        return ESTIMATORS[estimator](parts)

    @tf.function(jit_compile=True)
    def _stream(
        self, x: tf.Tensor, num_samples: tf.Tensor, block: int | tf.Tensor, seed: tf.Tensor
    ) -> LikelihoodEstimate:
        def draw(block_seed: tf.Tensor) -> tf.Tensor:
            return self.binary_log_weights(x, block, block_seed)

        return streamed_bound(draw, tf.shape(x)[0], num_samples, block, seed)

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
        x = checked_images(x, self.num_pixels, self.pixel_values)
        seen = self._seen(x, training)
        drawn = self.posterior(seen, num_samples=1, seed=(0, 0), training=training)
        code = self.posterior.most_probable(drawn.logits)
        if self.local is not None:
            code = tf.concat([code, self.local(seen, code, None, training=training).y], -1)
        return self.pixels(code[0], training).mean()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; your own parts must be serializable by Keras."""
        serialize = keras.saving.serialize_keras_object

        def network(layer: keras.layers.Layer) -> dict[str, Any]:
            # The constructor builds it: Keras's own way warns of layers that have no `build` method.
            return {key: value for key, value in serialize(layer).items() if key != "build_config"}

        parts = {
            "encoder": lambda: [network(each) for each in self.posterior.encoders],
            "decoder": lambda: network(self.decoder),
            "local_encoder": lambda: [network(each) for each in getattr(self.local, "encoders", ())],
            "local_prior": lambda: [network(each) for each in getattr(self.local, "priors", ())],
            "likelihood": lambda: serialize(self.likelihood),
            "relaxation": lambda: [serialize(each) for each in dict.fromkeys(self.posterior.relaxations)],
            "prior": lambda: serialize(self.prior),
            "sampler": lambda: serialize(self.prior.sampler),
        }
        return {
            "name": self.name,
            "recipe": self.recipe.to_json(),
            "mean_x": np.asarray(self.mean_x).tolist(),
            **{part: value() if part in self.own_parts else None for part, value in parts.items()},
            "image_shape": self.image_shape,
            "kl_warmup": self.kl_warmup,
            "dtype": serialize(self.dtype_policy),
            "frozen": [number for number, layer in enumerate(self._flatten_layers()) if not layer.trainable],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "DVAE":
        """Rebuilds the model from `get_config`."""
        config = dict(config)
        config["recipe"] = Recipe.from_json(config["recipe"])
        for part in (*_PARTS, "dtype"):
            # Files of version 0.1 have neither dtype nor frozen layers, those of 0.2 no local variables.
            config[part] = keras.saving.deserialize_keras_object(config.get(part), custom_objects)
        if (relaxations := config["relaxation"]) is not None and len(relaxations) == 1:
            config["relaxation"] = relaxations[0]
        frozen = config.pop("frozen", None)
        model = cls(**config)
        if frozen is not None:
            # Setting a layer sets the layers inside, which come after it.
            for number, layer in enumerate(model._flatten_layers()):
                layer.trainable = number not in frozen
        return model


# Parts that may be the user's own.
_PARTS = (
    "encoder",
    "decoder",
    "likelihood",
    "relaxation",
    "prior",
    "sampler",
    "local_encoder",
    "local_prior",
)


def _as_list(layers: keras.layers.Layer | Sequence[keras.layers.Layer]) -> Sequence[keras.layers.Layer]:
    """Layers that may be given as one."""
    return [layers] if isinstance(layers, keras.layers.Layer) else layers


def _float32_policy(dtype: Any) -> Any:
    """The dtype policy of the networks: variables are float32 whatever Keras's default.

    Raises:
      ValueError: if a policy that is asked for has other variables.
    """
    policy = keras.dtype_policies.get(dtype)
    if policy.variable_dtype == "float32":
        return policy
    if dtype is not None:
        raise ValueError(f"dtype: expected float32, mixed_float16 or mixed_bfloat16, got {policy.name}")
    return keras.dtype_policies.get("float32")

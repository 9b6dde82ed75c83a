"""How a model trains: one step of the recipe, as Keras's `compile`, `fit` and `evaluate` take it."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..config import Recipe
from ..estimators import RelaxedBound
from ..numerics import Seed, Tag, as_seed, draw_bits, fold_in, log_mean_exp, uniform
from ..posterior import Posterior
from ..priors import Prior
from .batch_norm import averaged_statistics, batch_norms, statistics_of
from .centering import apply_centered, is_centerable
from .inputs import checked_batch, checked_images
from .optimizer import recipe_optimizer, step_variables, update_counter
from .replicas import ReplicaUpdate, StepReport, combine

# Arguments of Keras's `compile` that have no meaning: the objective is the model's own.
_NO_MEANING = ("loss", "loss_weights", "metrics", "weighted_metrics")


class RecipeTraining(keras.Model):
    """The training step of a recipe, for the library's loop and for Keras's.

    Attributes:
      recipe: how the model is trained.
      prior: the layer that owns the prior and the chains of the negative phase.
      posterior: the layer that owns the encoder.
      num_pixels: X.
      pixel_values: what images consist of: "bits", "levels" in [0, 1], "8-bit levels" n / 255, or None if it
        is not known.
      kl_warmup: whether training begins with the recipe's warm-up of the KL terms.
    """

    recipe: Recipe
    prior: Prior
    posterior: Posterior
    pixel_values: str | None
    kl_warmup: bool
    num_pixels: int

    @property
    def inference_layers(self) -> tuple[keras.layers.Layer, ...]:
        """The layers that give the posterior of an image."""
        return (self.posterior,)

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
        """The training objective of images; the model implements it."""
        raise NotImplementedError

    def binary_log_weights(self, x: tf.Tensor, num_samples: int, seed: Seed) -> tf.Tensor:
        """Log importance weights of bits, `[K, B]`, without log Z; the model implements it."""
        raise NotImplementedError

    def compile(self, optimizer: Any = None, jit_compile: bool | str = True, **kwargs: Any) -> None:
        """Compiles with the recipe's Adam and learning-rate schedule unless an optimizer is given.

        Under the `mixed_float16` policy Keras wraps the optimizer in a `LossScaleOptimizer`.

        Args:
          optimizer: your own; None takes that of the recipe.
          jit_compile: whether the update is an XLA program; the checks of the images stay outside of it, so
            that they can raise.
          **kwargs: further arguments of Keras's `compile`.

        Raises:
          ValueError: if a loss or metrics are given: the objective is the model's own.
        """
        for name in _NO_MEANING:
            if kwargs.get(name) is not None:
                raise ValueError(
                    f"{name}: expected none, since the model has its own bound, got {kwargs[name]!r}"
                )
        super().compile(
            optimizer=recipe_optimizer(self.recipe) if optimizer is None else optimizer,
            jit_compile=False,
            **kwargs,
        )
        self.optimizer.build(self.trainable_variables)
        self.jit_update = bool(jit_compile)
        self._compiled_update = tf.function(self.update, jit_compile=self.jit_update)
        self._compiled_log_weights = tf.function(self.binary_log_weights, jit_compile=self.jit_update)

    def get_compile_config(self) -> dict[str, Any]:
        """The arguments of `compile`, for Keras's saving."""
        config = super().get_compile_config()
        if config:
            config["jit_compile"] = self.jit_update
            # Keras stores the optimizer as it was given, without the wrapper.
            config["auto_scale_loss"] = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with the result of `get_compile_config`."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def draw_chains(self) -> list[tuple[Any, tf.Tensor]] | None:
        """Draws the chains of the next `update`, where they cannot be drawn by its compiled program.

        Returns:
          `prior.step_chains` of each replica; None where the update draws them itself.

        Raises:
          SamplerError: if a sampler of your own fails.
        """
        if self.prior.has_compiled_chains:
            return None
        return [self.prior.step_chains(replica) for replica in range(self.recipe.num_replicas)]

    def update(
        self,
        x: tf.Tensor,
        sample_weight: tf.Tensor | None = None,
        drawn: Sequence[tuple[Any, tf.Tensor]] | None = None,
    ) -> StepReport:
        """Takes one training step: negative phase, gradient of the bound, optimizer.

        All random draws are functions of the recipe's seed and the number of the step.

        Args:
          x: images, `[B, X]`; pixel probabilities if the recipe binarizes in each step.
          sample_weight: weight of each image in the mean of the bounds, `[B]`; None weighs all by 1.
          drawn: of `draw_chains`; None draws them here.
        """
        updates = [
            self.replica_update(x, replica, None, sample_weight, drawn[replica] if drawn else None)
            for replica in range(self.recipe.num_replicas)
        ]
        return self.apply_update(combine(updates))

    @property
    def update_variables(self) -> list[keras.Variable]:
        """All variables that `replica_update` reads: the model's, and a few of its optimizer's."""
        return [*self.variables, *step_variables(self.optimizer)]

    def replica_update(
        self,
        x: tf.Tensor,
        replica: Any = 0,
        values: Sequence[tuple[Any, tf.Tensor]] | None = None,
        sample_weight: tf.Tensor | None = None,
        drawn: tuple[Any, tf.Tensor] | None = None,
    ) -> ReplicaUpdate:
        """Computes the update of one replica from its part of the batch and its chains; assigns nothing.

        Args:
          x: the whole batch, `[B, X]`.
          replica: index of the replica, below `recipe.num_replicas`.
          values: pairs of a variable of `update_variables` and the value to use instead of reading it, for
            computations on another device.
          sample_weight: as in `update`.
          drawn: the replica's entry of `draw_chains`; None draws its chains here.

        Returns:
          The update, its gradients multiplied by the optimizer's loss scale; no gradient flows through it.
        """
        if values is None:
            # The tape does not watch the variables that Keras's regularizers read inside the scope.
            values = [(each, tf.convert_to_tensor(each)) for each in self.trainable_variables]
        recipe = self.recipe
        if recipe.late_k is None:
            return self._replica_update(x, replica, values, sample_weight, drawn, recipe.k)
        with keras.StatelessScope(values):
            step = tf.convert_to_tensor(update_counter(self.optimizer))
        return tf.cond(
            self._has_begun(recipe.late_start, step),
            lambda: self._replica_update(x, replica, values, sample_weight, drawn, recipe.late_k),
            lambda: self._replica_update(x, replica, values, sample_weight, drawn, recipe.k),
        )

    def _replica_update(
        self,
        x: tf.Tensor,
        replica: Any,
        values: Sequence[tuple[Any, tf.Tensor]],
        sample_weight: tf.Tensor | None,
        drawn: tuple[Any, tf.Tensor] | None,
        num_samples: int,
    ) -> ReplicaUpdate:
        """`replica_update` with K samples of the bound."""
        recipe = self.recipe
        given = {id(variable): value for variable, value in values}
        # Records assignments, such as those of batch norms, for `apply_update`.
        scope = keras.StatelessScope(values, collect_losses=True)
        with scope:
            step = tf.convert_to_tensor(update_counter(self.optimizer))
            stream = (replica,) if recipe.num_replicas > 1 else ()
            if stream:
                x = _part(x, replica, recipe.num_replicas)
                if sample_weight is not None:
                    sample_weight = _part(sample_weight, replica, recipe.num_replicas)
            if recipe.dynamic_binarization:
                x = binarize(x, fold_in((0, recipe.seed), Tag.BINARIZATION, step, *stream))
            chains, chain_energy = self.prior.step_chains(replica) if drawn is None else drawn
            parameters = [variable.value for variable in self.trainable_variables]
            warmup_step = tf.convert_to_tensor(self.optimizer.iterations)
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                relaxed = self.relaxed_bound(
                    x,
                    fold_in((0, recipe.seed), Tag.POSTERIOR, step, *stream),
                    self.kl_weight(warmup_step),
                    training=True,
                    chains=chains,
                    num_samples=num_samples,
                    local_kl_weight=self.local_kl_weight(warmup_step),
                )
                bound = relaxed.bound if sample_weight is None else sample_weight * relaxed.bound
                objective = tf.reduce_mean(bound)
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
        held = self._held_variables
        before = [tf.convert_to_tensor(each) for each in held]
        if self.recipe.centered and is_centerable(self.prior):
            apply_centered(self.optimizer, update.gradients, self.trainable_variables, self.prior)
        else:
            self.optimizer.apply(update.gradients, self.trainable_variables)
        for variable, value in zip(held, before, strict=True):
            variable.assign(tf.where(self._has_begun(self.recipe.refit_start, step), value, variable))
        # A step that loss scaling skips counts as well, or the next one would repeat its draws.
        counter.assign(step + 1)
        return update.report

    def _has_begun(self, start: float | None, step: tf.Tensor) -> tf.Tensor:
        """Whether the part of the run that starts at a fraction of it has begun; never for None."""
        if start is None:
            return tf.constant(False)
        return step >= tf.constant(round(start * self.recipe.num_train_iter), step.dtype)

    @property
    def _held_variables(self) -> list[keras.Variable]:
        """Trainable variables that are held while only the encoder is trained."""
        if self.recipe.refit_start is None:
            return []
        encoder = {id(each) for layer in self.inference_layers for each in layer.trainable_variables}
        return [each for each in self.trainable_variables if id(each) not in encoder]

    def kl_weight(self, step: tf.Tensor) -> tf.Tensor:
        """The weight of the code's KL term at a step, in `[0, 1]`: a linear warm-up, or 1."""
        return self._warmed_up(step, self.recipe.kl_warmup_steps)

    def local_kl_weight(self, step: tf.Tensor) -> tf.Tensor:
        """The weight of the KL terms of local variables at a step, in `[0, 1]`: a linear warm-up, or 1."""
        return self._warmed_up(step, self.recipe.local_kl_warmup_steps)

    def _warmed_up(self, step: tf.Tensor, num_steps: float) -> tf.Tensor:
        if not (self.kl_warmup and num_steps):
            return tf.constant(1.0)
        return tf.minimum(1.0, tf.cast(step, tf.float32) / max(num_steps, 1.0))

    def average_batch_norms(self, batches: Any, seed: Seed = (0, 0)) -> None:
        """Replaces the running statistics of all batch norms by their averages over batches.

        The running statistics are those of the last few batches, each of other weights; the averages, at the
        current weights, are what validation and test should use. Training uses neither.

        Args:
          batches: training images, `[S, B, X]`; pixel probabilities if the recipe binarizes in each step.
          seed: an `int32[2]` seed.
        """
        layers = batch_norms(self)
        batches = tf.convert_to_tensor(batches)
        if batches.shape.rank != 3 or not batches.shape[0] or batches.shape[2] != self.num_pixels:
            raise ValueError(f"batches: expected shape [S, B, {self.num_pixels}], got {batches.shape}")
        if layers:
            found = self._averaged_statistics(batches, as_seed(seed))
            for variable, value in zip(statistics_of(layers), found, strict=True):
                variable.assign(value)

    @tf.function(jit_compile=True)
    def _averaged_statistics(self, batches: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        def forward(index: tf.Tensor, seed: tf.Tensor) -> None:
            x = tf.cast(tf.gather(batches, index), tf.float32)
            if self.recipe.dynamic_binarization:
                x = binarize(x, fold_in(seed, Tag.BINARIZATION))
            self.relaxed_bound(x, fold_in(seed, Tag.POSTERIOR), training=True)

        return averaged_statistics(batch_norms(self), forward, tf.shape(batches)[0], seed)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Takes one `update` on a batch of Keras: x, (x, y) or (x, y, sample_weight); y is not used.

        Raises:
          ValueError: if the images are not what the model takes (`inputs.checked_images`), or replicas cannot
            have equal parts of them.
        """
        x, sample_weight = self._unpacked(data)
        x = checked_images(x, self.num_pixels, self._batch_pixels, assert_in_graph=True)
        x = checked_batch(x, self.recipe.num_replicas)
        update = self.update if self.run_eagerly else self._compiled_update
        return update(x, sample_weight, self.draw_chains())._asdict()

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measures the negative log-likelihood of a batch, `nll` in `evaluate` and `val_nll` in `fit`.

        Pixel probabilities are binarized if the recipe binarizes in each step.

        Raises:
          ValueError: if the images are not what the model takes (`inputs.checked_images`).
        """
        x, sample_weight = self._unpacked(data)
        seed = fold_in((0, self.recipe.seed), Tag.VALIDATION)
        x = checked_images(x, self.num_pixels, self._batch_pixels, assert_in_graph=True)
        if self.recipe.dynamic_binarization:
            x = binarize(x, fold_in(seed, Tag.BINARIZATION))
        log_weights = self.binary_log_weights if self.run_eagerly else self._compiled_log_weights
        found = log_weights(x, self.recipe.validation_iw_samples, seed)
        self._nll.update_state(self.prior.log_partition - log_mean_exp(found), sample_weight)
        return {"nll": self._nll.result()}

    @property
    def _batch_pixels(self) -> str | None:
        """What batches of Keras consist of: pixel probabilities if the recipe binarizes in each step."""
        return "levels" if self.recipe.dynamic_binarization else self.pixel_values

    def _unpacked(self, data: Any) -> tuple[Any, tf.Tensor | None]:
        """Images and weights of a batch of Keras."""
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return x, None if sample_weight is None else tf.cast(sample_weight, tf.float32)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running mean of the negative log-likelihood."""
        return [self._nll]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *args: Any,
        validation_data: Any = None,
        class_weight: Any = None,
        sample_weight: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains as Keras does; arrays are checked before the first step.

        Raises:
          ValueError: if the images are not what the model takes, replicas cannot have equal parts of the
            batches, or there are weights of classes without classes.
          tf.errors.InvalidArgumentError: the same, for other sources than arrays.
        """
        if class_weight is not None and y is None:
            raise ValueError(f"class_weight: expected none without labels y, got {class_weight!r}")
        self._check_array(x, "x", batch_size or 32)
        if validation_data is not None:
            given = validation_data[0] if isinstance(validation_data, tuple | list) else validation_data
            self._check_array(given, "validation_data")
        return super().fit(
            x,
            _labels(x, y, sample_weight),
            batch_size,
            *args,
            validation_data=validation_data,
            class_weight=class_weight,
            sample_weight=sample_weight,
            **kwargs,
        )

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        r"""Measures $\log Z$, then evaluates as Keras does; arrays are checked first, as in `fit`."""
        self._check_array(x, "x")
        self.measure_log_partition(fold_in((0, self.recipe.seed), Tag.ANNEALING))
        y = _labels(x, y, sample_weight)
        return super().evaluate(x, y, *args, sample_weight=sample_weight, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Reconstructs as Keras predicts; arrays are checked first."""
        if isinstance(x, np.ndarray | tf.Tensor):
            checked_images(x, self.num_pixels, self.pixel_values)
        return super().predict(x, *args, **kwargs)

    def _check_array(self, x: Any, name: str, batch_size: int | None = None) -> None:
        """Checks images in an array; other sources are checked batch by batch."""
        if not isinstance(x, np.ndarray | tf.Tensor):
            return
        checked_images(x, self.num_pixels, self._batch_pixels, name)
        num_replicas = self.recipe.num_replicas
        if batch_size is not None and (batch_size % num_replicas or len(x) % batch_size % num_replicas):
            raise ValueError(
                f"batch_size: expected multiples of num_replicas, {num_replicas}, got {batch_size} "
                f"and a last batch of {len(x) % batch_size}"
            )

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Raises: `dvae_tf.export.save` exports a model with all its signatures.

        Raises:
          NotImplementedError: always.
        """
        raise NotImplementedError("export: expected dvae_tf.export.save(model, path) instead")


def binarize(probs: tf.Tensor, seed: Seed) -> tf.Tensor:
    """Draws binary images from pixel probabilities."""
    return draw_bits(probs, uniform(tf.shape(probs), seed, probs.dtype))


def _labels(x: Any, y: Any, sample_weight: Any) -> Any:
    """Keras drops the weights of samples that have no labels."""
    return np.zeros(len(x)) if y is None and sample_weight is not None else y


def _part(rows: tf.Tensor, replica: Any, num_replicas: int) -> tf.Tensor:
    """The rows of one replica."""
    return tf.gather(tf.reshape(rows, [num_replicas, -1, *rows.shape[1:]]), replica)

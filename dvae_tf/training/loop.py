"""Many training steps as one compiled program."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..data import Images, batch_indices
from ..models import DVAE, StepReport
from ..numerics import Tag, fold_in
from .distribution import distributed_update

# Steps of one call of the compiled loop; results do not depend on it.
STEPS_PER_CALL = 50


class TrainingLoop:
    """The training steps of a model on a dataset; the draws of a step are a function of its number.

    Raises:
      ValueError: if the images have another number of pixels than the model.
    """

    def __init__(self, model: DVAE, images: Images, strategy: tf.distribute.Strategy | None = None) -> None:
        expected, found = model.mean_x.shape[0], images.train.shape[1:]
        if found != (expected,):
            raise ValueError(
                f"images: expected [N, {expected}] for this model, got [N, {', '.join(map(str, found))}]"
            )
        self._model, self._recipe = model, model.recipe
        # How many steps a call can take.
        self.steps_per_call = STEPS_PER_CALL
        if strategy is not None:
            self._loop = distributed_loop(model, strategy)
        elif model.prior.has_compiled_chains:
            self._loop = compiled_loop(model)
        else:
            # Steps may take seconds, and signals are to be heard.
            self._loop, self.steps_per_call = stepwise_loop(model), 1
        self._num_images = len(images.train)
        # Binary images as bytes take a quarter of the memory.
        self._images = tf.constant(images.train, tf.uint8 if images.is_binary else tf.float32)

    def __call__(self, step: int, stop: int) -> np.ndarray:
        """Takes steps [step, stop), at most `steps_per_call`, in one program.

        Returns:
          The fields of `StepReport` of each step, float64 [steps, fields].

        Raises:
          SamplerError: if a sampler of your own fails; the model is as after the step before.
        """
        count, size = stop - step, self._recipe.train_batchsize
        # Always of one length, so that the program is compiled once.
        indices = np.zeros((STEPS_PER_CALL, size), np.int32)
        indices[:count] = batch_indices(self._recipe.seed, step, count, self._num_images, size)
        reports = self._loop(self._images, tf.constant(indices), tf.constant(count))
        return reports.numpy()[:count].astype(np.float64)

    def average_batch_norms(self) -> None:
        """Gives batch norms their statistics over training batches, always the same ones."""
        recipe = self._recipe
        if not recipe.batch_norm_batches:
            return
        indices = batch_indices(
            recipe.seed, 0, recipe.batch_norm_batches, self._num_images, recipe.train_batchsize
        )
        seed = fold_in((0, recipe.seed), Tag.BATCH_NORM)
        self._model.average_batch_norms(tf.gather(self._images, indices), seed)


def compiled_loop(model: DVAE) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Many training steps as one XLA program.

    Returns:
      A function of the training images [N, X], the image numbers of each step [S, B] and the number of
      steps to take (at most S), that gives the reports of the steps, [S, fields of `StepReport`].
    """
    return tf.function(_loop(lambda x: list(model.update(x))), jit_compile=True)


def stepwise_loop(model: DVAE) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """`compiled_loop` with chains that are drawn outside of compiled programs: one program for each step.

    Returns:
      A function of the same arguments, that gives the reports of the steps that it takes.
    """

    @tf.function(jit_compile=True)
    def one(images: tf.Tensor, indices: tf.Tensor, drawn: list) -> tf.Tensor:
        x = tf.cast(tf.gather(images, indices), tf.float32)
        return tf.stack(list(model.update(x, drawn=drawn)))

    def loop(images: tf.Tensor, indices: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        return tf.stack([one(images, indices[step], model.draw_chains()) for step in range(num_steps)])

    return loop


def distributed_loop(
    model: DVAE, strategy: tf.distribute.Strategy
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """`compiled_loop` on the devices of a strategy; their communication stays outside of XLA."""
    return tf.function(_loop(distributed_update(model, strategy)))


def _loop(update: Callable[[tf.Tensor], list[tf.Tensor]]) -> Callable[..., tf.Tensor]:
    def loop(images: tf.Tensor, indices: tf.Tensor, num_steps: tf.Tensor) -> tf.Tensor:
        def one(index: tf.Tensor, reports: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            x = tf.cast(tf.gather(images, indices[index]), tf.float32)
            return index + 1, tf.tensor_scatter_nd_update(reports, [[index]], [tf.stack(update(x))])

        empty = tf.zeros([tf.shape(indices)[0], len(StepReport._fields)])
        return tf.while_loop(lambda index, _: index < num_steps, one, (0, empty))[1]

    return loop

"""What a recipe changes along a run, as functions of the step: relaxations, samples, what is trained."""

import tensorflow as tf

from ..config import Recipe


def has_begun(recipe: Recipe, start: float | None, step: tf.Tensor) -> tf.Tensor:
    """Whether the part of a run that starts at a fraction of it has begun; never for None."""
    if start is None:
        return tf.constant(False)
    return step >= tf.constant(round(start * recipe.num_train_iter), step.dtype)


def softening(recipe: Recipe, step: tf.Tensor) -> tf.Tensor | None:
    """By what factor relaxations are softer at a step (`smoothing.softened`); None if they never are."""
    starts, factors = zip(*recipe.softening_steps, strict=True)
    if set(factors) == {1.0}:
        return None
    begun = tf.stack([has_begun(recipe, start, step) for start in starts])
    return tf.gather(tf.constant(factors), tf.reduce_sum(tf.cast(begun, tf.int32)) - 1)

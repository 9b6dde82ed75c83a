"""The optimizer of the published experiments."""

import keras

from ..config import Recipe


def recipe_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """Adam with the recipe's learning-rate steps."""
    starts, factors = zip(*recipe.lr_steps, strict=True)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [round(start * recipe.num_train_iter) for start in starts[1:]],
        [factor * recipe.base_lr for factor in factors],
    )
    # A fixed name: Keras would number it, and checkpoints go by names.
    return keras.optimizers.Adam(schedule, epsilon=recipe.adam_epsilon, name="adam")

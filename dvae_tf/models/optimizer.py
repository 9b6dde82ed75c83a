"""The optimizer of the published experiments, and the optimizer variables that a training step reads."""

import keras

from ..config import Recipe


def recipe_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """Returns Adam with the recipe's piecewise constant learning rate."""
    starts, factors = zip(*recipe.lr_steps, strict=True)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [round(start * recipe.num_train_iter) for start in starts[1:]],
        [factor * recipe.base_lr for factor in factors],
    )
    # Keras would number the name, and checkpoints store variables by name.
    return keras.optimizers.Adam(schedule, epsilon=recipe.adam_epsilon, name="adam")


def update_counter(optimizer: keras.optimizers.Optimizer) -> keras.Variable:
    """The variable that counts the updates of an optimizer.

    Unlike `iterations`, it counts each of several updates whose gradients the optimizer accumulates.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return update_counter(optimizer.inner_optimizer)
    return next(variable for variable in optimizer.variables if variable.name == "iteration")


def step_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """The variables of a built optimizer that enter the gradient of a step: its counter and loss scale."""
    counter = update_counter(optimizer)
    is_scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return [counter, optimizer.dynamic_scale] if is_scaling else [counter]

"""Statistics of batch norms, averaged over many training batches at the current weights.

The running statistics of a momentum of 0.8 remember nine batches, of weights that have changed since.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from ..numerics import Seed, as_seed, fold_in


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch norms among the layers of a model, of the library's networks and of the user's own."""
    return [each for each in model._flatten_layers() if isinstance(each, keras.layers.BatchNormalization)]


def averaged_statistics(
    layers: list[keras.layers.BatchNormalization],
    forward: Callable[[tf.Tensor, tf.Tensor], Any],
    num_batches: int | tf.Tensor,
    seed: Seed,
) -> list[tf.Tensor]:
    """Averages the mean and the variance of every batch norm over batches.

    Args:
      layers: the batch norms.
      forward: applies the networks to the batch of a number, with a seed, in training mode.
      num_batches: how many batches.
      seed: an `int32[2]` seed.

    Returns:
      For each layer in turn its mean and its variance; those that it has where `forward` does not update
      them, as in layers that are frozen or not called.
    """
    variables, seed = statistics_of(layers), as_seed(seed)
    # The mean and the variance of each.
    momenta = [layer.momentum for layer in layers for _ in range(2)]
    zeros = [tf.zeros(variable.shape, variable.dtype) for variable in variables]

    def add(index: tf.Tensor, *sums: tf.Tensor) -> tuple:
        # Running statistics that start from 0 become those of one batch times 1 - momentum.
        with keras.StatelessScope(list(zip(variables, zeros, strict=True))) as scope:
            forward(index, fold_in(seed, index))
        added = []
        for total, variable, zero, momentum in zip(sums, variables, zeros, momenta, strict=True):
            updated = scope.get_current_value(variable)
            is_kept = updated is zero or momentum == 1
            added.append(total + (tf.convert_to_tensor(variable) if is_kept else updated / (1.0 - momentum)))
        return index + 1, *added

    _, *sums = tf.while_loop(lambda index, *_: index < num_batches, add, (0, *zeros))
    return [total / tf.cast(num_batches, total.dtype) for total in sums]


def statistics_of(layers: list[keras.layers.BatchNormalization]) -> list[keras.Variable]:
    """The mean and the variance of each batch norm in turn, as it applies them outside of training."""
    return [each for layer in layers for each in (layer.moving_mean, layer.moving_variance)]

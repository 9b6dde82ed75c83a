"""The networks of the published experiments: layers of tanh units with batch norm."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..numerics import integer_seed


@keras.saving.register_keras_serializable("dvae_tf")
class Network(keras.layers.Layer):
    """Linear, batch norm and tanh for each hidden layer, then a linear layer, over concatenated inputs.

    The first layer sums a linear map of each input, which equals a linear map of their concatenation but does
    not repeat an input along missing dimensions: for x [B, X] and zeta [K, B, d] it multiplies B rows of X,
    not K B. Kernels are truncated normal with variance 2 / fan-in of the concatenation.

    Args:
      input_sizes: the last dimension of the one input, or of the two.
      hidden_units: sizes of the tanh layers; empty for a linear network.
      num_outputs: the last dimension of the output.
      seed: an integer that determines the initial kernels.
      output_bias: initial values of the last bias, [num_outputs]; zeros by default.
      weight_decay: weight_decay / 2 times the squared kernels and batch-norm scales is added to the loss.
      batch_norm_momentum: of the running statistics.
      batch_norm_epsilon: added to the variance.
      **kwargs: arguments of a Keras layer.
    """

    def __init__(
        self,
        input_sizes: Sequence[int],
        hidden_units: Sequence[int],
        num_outputs: int,
        seed: int,
        output_bias: Any = None,
        weight_decay: float = 1e-4,
        batch_norm_momentum: float = 0.8,
        batch_norm_epsilon: float = 1e-2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        decay = keras.regularizers.L2(weight_decay / 2) if weight_decay else None
        sizes = [*hidden_units, num_outputs]
        fan_in = sum(input_sizes)
        first = []
        for index, size in enumerate(input_sizes):
            is_last = index == len(input_sizes) - 1
            bias = not hidden_units and is_last
            first.append(
                keras.layers.Dense(
                    sizes[0],
                    use_bias=bias,
                    bias_initializer=_constant(output_bias),
                    kernel_initializer=_kernel(2.0 * size / fan_in, seed, index),
                    kernel_regularizer=decay,
                    dtype=self.dtype_policy,
                    name=f"input_{index}",
                )
            )
        norms, later = [], []
        for index in range(len(hidden_units)):
            norms.append(
                keras.layers.BatchNormalization(
                    momentum=batch_norm_momentum,
                    epsilon=batch_norm_epsilon,
                    gamma_regularizer=decay,
                    dtype=self.dtype_policy,
                    name=f"norm_{index}",
                )
            )
            is_output = index == len(hidden_units) - 1
            # Batch norm has an offset of its own, so a bias before it would have no effect.
            later.append(
                keras.layers.Dense(
                    sizes[index + 1],
                    use_bias=is_output,
                    bias_initializer=_constant(output_bias) if is_output else "zeros",
                    kernel_initializer=_kernel(2.0, seed, len(input_sizes) + index),
                    kernel_regularizer=decay,
                    dtype=self.dtype_policy,
                    name="output" if is_output else f"hidden_{index}",
                )
            )
        # Tuples, because TensorFlow checkpoints ignore layers in lists.
        self.first, self.norms, self.later = tuple(first), tuple(norms), tuple(later)
        self.input_sizes, self.hidden_units = tuple(input_sizes), tuple(hidden_units)
        self.num_outputs, self.seed = num_outputs, seed
        self.output_bias = None if output_bias is None else tuple(np.asarray(output_bias).tolist())
        self.weight_decay = weight_decay
        self.batch_norm_momentum, self.batch_norm_epsilon = batch_norm_momentum, batch_norm_epsilon

    def build(self, x_shape: Any, before_shape: Any = None) -> None:
        """Creates the variables, of the sizes given to the constructor."""
        for layer, size in zip(self.first, self.input_sizes, strict=True):
            layer.build((None, size))
        for norm, layer, size in zip(self.norms, self.later, self.hidden_units, strict=True):
            norm.build((None, size))
            layer.build((None, size))

    def call(self, x: tf.Tensor, before: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Applies the network.

        Args:
          x: [..., input_sizes[0]].
          before: [..., input_sizes[1]], the second input if there is one; leading dimensions broadcast.
          training: the mode of the batch norms.

        Returns:
          [..., num_outputs].
        """
        hidden = self.first[0](x)
        if before is not None:
            hidden = hidden + self.first[1](before)
        leading = tf.shape(hidden)[:-1]
        # Keras's batch norm takes matrices; the average over all rows is the same.
        hidden = tf.reshape(hidden, [-1, hidden.shape[-1]])
        for norm, layer in zip(self.norms, self.later, strict=True):
            hidden = layer(tf.tanh(norm(hidden, training=training)))
        return tf.reshape(hidden, tf.concat([leading, hidden.shape[-1:]], 0))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "input_sizes": list(self.input_sizes),
            "hidden_units": list(self.hidden_units),
            "num_outputs": self.num_outputs,
            "seed": self.seed,
            "output_bias": None if self.output_bias is None else list(self.output_bias),
            "weight_decay": self.weight_decay,
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
        }


def _kernel(scale: float, seed: int, index: int) -> keras.initializers.Initializer:
    return keras.initializers.VarianceScaling(
        scale, "fan_in", "truncated_normal", seed=integer_seed(seed, index)
    )


def _constant(values: Any) -> Any:
    """An initializer that returns the given array; zeros for None."""
    if values is None:
        return "zeros"
    return lambda shape, dtype=None: tf.reshape(tf.cast(values, dtype or tf.float32), shape)

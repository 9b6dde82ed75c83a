"""The networks of the published experiments: layers of tanh units with batch norm, tensors in and out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .numerics import integer_seed


@keras.saving.register_keras_serializable("dvae_tf")
class Network(keras.layers.Layer):
    """[linear - batch norm - tanh] for each hidden layer, then linear, over concatenated inputs.

    The first layer is a sum over the inputs, which is the linear map of their concatenation, without
    repeating an input over the dimensions that it lacks: x [B, X] beside zeta [K, B, d] costs B rows of
    X, not K B. Kernels are truncated normal with variance 2 / fan-in of the concatenation.

    Args:
      input_sizes: the last dimension of the one input, or of the two.
      hidden_units: sizes of the tanh layers; none gives a linear network.
      num_outputs: the last dimension of the output.
      seed: an integer from which the initial kernels follow.
      output_bias: initial values of the last bias, [num_outputs]; zeros where not given.
      weight_decay: the loss gets weight_decay / 2 of the squared kernels and batch-norm scales.
      batch_norm_momentum: of the running mean.
      batch_norm_epsilon: added to the variance.
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
            # Batch norm has an offset of its own: a bias before it would do nothing.
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
        # Tuples: TensorFlow checkpoints pass over layers in lists.
        self.first, self.norms, self.later = tuple(first), tuple(norms), tuple(later)
        self.input_sizes, self.hidden_units = tuple(input_sizes), tuple(hidden_units)
        self.num_outputs, self.seed = num_outputs, seed
        self.output_bias = None if output_bias is None else tuple(np.asarray(output_bias).tolist())
        self.weight_decay = weight_decay
        self.batch_norm_momentum, self.batch_norm_epsilon = batch_norm_momentum, batch_norm_epsilon

    def build(self, x_shape: Any, before_shape: Any = None) -> None:
        """Makes the variables; their sizes are those of the constructor."""
        for layer, size in zip(self.first, self.input_sizes, strict=True):
            layer.build((None, size))
        for norm, layer, size in zip(self.norms, self.later, self.hidden_units, strict=True):
            norm.build((None, size))
            layer.build((None, size))

    def call(self, x: tf.Tensor, before: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """The network's outputs.

        Args:
          x: [..., input_sizes[0]].
          before: [..., input_sizes[1]], the second input if there is one; leading dimensions broadcast.
          training: for the batch norms.

        Returns:
          [..., num_outputs].
        """
        hidden = self.first[0](x)
        if before is not None:
            hidden = hidden + self.first[1](before)
        leading = tf.shape(hidden)[:-1]
        # Keras's batch norm takes matrices; it averages over all rows either way.
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

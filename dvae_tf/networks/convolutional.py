"""What convolutional networks are made of: Keras layers with the recipe's settings, and residual blocks."""

from typing import Any

import keras
import tensorflow as tf

from ..numerics import integer_seed
from .places import convolved


class Convolutional(keras.layers.Layer):
    """The base of the convolutional networks: makes the layers that they own, and builds them.

    Args:
      seed: an integer that determines the initial kernels.
      weight_decay: weight_decay / 2 times the squared kernels and batch-norm scales is added to the loss.
      batch_norm_momentum: of the running statistics.
      batch_norm_epsilon: added to the variance.
      **kwargs: arguments of a Keras layer.
    """

    def __init__(
        self,
        seed: int,
        weight_decay: float = 1e-4,
        batch_norm_momentum: float = 0.8,
        batch_norm_epsilon: float = 1e-2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.seed, self.weight_decay = seed, weight_decay
        self.batch_norm_momentum, self.batch_norm_epsilon = batch_norm_momentum, batch_norm_epsilon
        # Name of a layer -> the number of channels that it takes.
        self._num_inputs: dict[str, int] = {}
        self._num_kernels = 0

    def _build_parts(self) -> None:
        """Creates the variables, which are named after this layer only from within its `build`."""
        for layer in self._flatten_layers(include_self=False, recursive=False):
            rows = (None, self._num_inputs[layer.name])
            layer.build(rows if isinstance(layer, keras.layers.BatchNormalization) else (None, None, *rows))

    def _linear(self, num_inputs: int, num_outputs: int, name: str, bias: bool = False) -> keras.layers.Dense:
        """A linear map of the last dimension; kernels are truncated normal with variance 2 / fan-in."""
        return keras.layers.Dense(num_outputs, **self._with_kernel(num_inputs, name, bias))

    def _convolution(self, num_inputs: int, num_outputs: int, name: str, bias: bool = False) -> "Convolution":
        """A 3 x 3 convolution, with kernels as those of linear maps."""
        return Convolution(
            num_outputs,
            3,
            padding="same",
            data_format="channels_last",
            **self._with_kernel(num_inputs, name, bias),
        )

    def _with_kernel(self, num_inputs: int, name: str, bias: bool) -> dict[str, Any]:
        """The arguments of the next layer that has a kernel."""
        self._num_inputs[name] = num_inputs
        self._num_kernels += 1
        return {
            "use_bias": bias,
            "kernel_initializer": keras.initializers.VarianceScaling(
                2.0, "fan_in", "truncated_normal", seed=integer_seed(self.seed, self._num_kernels - 1)
            ),
            "kernel_regularizer": self._decay(),
            "dtype": self.dtype_policy,
            "name": name,
        }

    def _norm(self, num_channels: int, name: str) -> keras.layers.BatchNormalization:
        layer = keras.layers.BatchNormalization(
            momentum=self.batch_norm_momentum,
            epsilon=self.batch_norm_epsilon,
            gamma_regularizer=self._decay(),
            dtype=self.dtype_policy,
            name=name,
        )
        self._num_inputs[name] = num_channels
        return layer

    @staticmethod
    def _activated(norm: keras.layers.BatchNormalization, hidden: tf.Tensor, training: bool) -> tf.Tensor:
        """Batch norm over all places, and ReLU: `[N, H, W, C]` gives the same.

        The places are rows: XLA programs on a CPU take less time to normalize these.
        """
        rows = norm(tf.reshape(hidden, [-1, hidden.shape[-1]]), training=training)
        return tf.reshape(tf.nn.relu(rows), [-1, *hidden.shape[1:]])

    def _block(self, num_channels: int, name: str) -> "ResidualBlock":
        block = ResidualBlock(
            num_channels,
            integer_seed(self.seed, self._num_kernels),
            self.weight_decay,
            self.batch_norm_momentum,
            self.batch_norm_epsilon,
            dtype=self.dtype_policy,
            name=name,
        )
        self._num_inputs[name] = num_channels
        self._num_kernels += 1
        return block

    def _decay(self) -> keras.regularizers.Regularizer | None:
        return keras.regularizers.L2(self.weight_decay / 2) if self.weight_decay else None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "seed": self.seed,
            "weight_decay": self.weight_decay,
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
        }


@keras.saving.register_keras_serializable("dvae_tf")
class Convolution(keras.layers.Conv2D):
    """Keras's 3 x 3 convolution with zeros beyond the border, computed by `places.convolved`."""

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution, without the bias."""
        return convolved(inputs, tf.convert_to_tensor(kernel))


@keras.saving.register_keras_serializable("dvae_tf")
class ResidualBlock(Convolutional):
    """h + f(h), where f is twice batch norm, ReLU and a 3 x 3 convolution: `[N, H, W, C]` gives the same.

    Args:
      num_channels: C.
      seed: as for `Convolutional`, like all further arguments.
      *args: further arguments of `Convolutional`.
      **kwargs: the same, and arguments of a Keras layer.
    """

    def __init__(self, num_channels: int, seed: int, *args: Any, **kwargs: Any) -> None:
        super().__init__(seed, *args, **kwargs)
        self.num_channels = num_channels
        self.first_norm = self._norm(num_channels, "first_norm")
        self.first = self._convolution(num_channels, num_channels, "first")
        self.second_norm = self._norm(num_channels, "second_norm")
        self.second = self._convolution(num_channels, num_channels, "second", bias=True)

    def build(self, hidden_shape: Any) -> None:
        """Creates the variables, of the sizes given to the constructor."""
        self._build_parts()

    def call(self, hidden: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Applies the block; `training` is the mode of the batch norms."""
        change = self.first(self._activated(self.first_norm, hidden, training))
        change = self.second(self._activated(self.second_norm, change, training))
        return hidden + change

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {"num_channels": self.num_channels}

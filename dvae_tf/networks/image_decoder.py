"""The convolutional decoder: from bits and local variables to the parameters of the pixels."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .grid_network import OnGrid
from .places import grid_of, sides


@keras.saving.register_keras_serializable("dvae_tf")
class ImageDecoder(OnGrid):
    """Decodes rows `[N, D + d]` to the outputs of all pixels, `[N, X * outputs of a pixel]`.

    A residual block on the coarsest grid; then each doubling of height and width is a linear map of a place
    to the four that it becomes, with batch norm and ReLU before it; the last one sees the 3 x 3 places
    around. Every output has a bias of its own.

    Args:
      image_shape: (height, width) or (height, width, channels) of the images.
      num_bits: D.
      local_units: variables at each place, of each local group.
      channels: of each grid, from fine to coarse.
      seed: as for `Convolutional`.
      output_bias: initial values of the biases, as many as there are outputs.
      by_pixel: whether the outputs are those of one pixel (of all its channels) after another; otherwise the
        first outputs of all pixels and channels come first, then the second ones, and so on.
      **kwargs: further arguments of `Convolutional`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_bits: int,
        local_units: Sequence[int],
        channels: Sequence[int],
        seed: int,
        output_bias: Any,
        by_pixel: bool = False,
        **kwargs: Any,
    ) -> None:
        grid = grid_of(image_shape, len(channels))
        super().__init__(grid, num_bits, local_units, channels[-1], seed, **kwargs)
        self.image_shape, self.all_channels, self.by_pixel = tuple(image_shape), tuple(channels), by_pixel
        height, width, _ = sides(image_shape)
        bias = np.asarray(output_bias, np.float32)
        # Outputs of a place of the image: of all its channels.
        self.num_outputs = len(bias) // (height * width)
        self.block = self._block(channels[-1], "block")
        norms, doublings = [], []
        finer = [self.num_outputs, *channels[:-1]]
        for level in reversed(range(len(channels))):
            norms.append(self._norm(channels[level], f"norm_{level}"))
            make = self._linear if level else self._convolution
            doublings.append(make(channels[level], 4 * finer[level], f"doubling_{level}"))
        # Tuples, because TensorFlow checkpoints ignore layers in lists.
        self.norms, self.doublings = tuple(norms), tuple(doublings)
        self._initial_bias = tuple(bias.tolist())

    def build(self, code_shape: Any) -> None:
        """Creates the variables, of the sizes given to the constructor."""
        self._build_parts()
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(len(self._initial_bias),),
            initializer=lambda shape, dtype=None: tf.cast(self._initial_bias, dtype or tf.float32),
        )

    def call(self, code: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Applies the network.

        Args:
          code: bits, then the local groups, `[N, D + d]`.
          training: the mode of the batch norms.
        """
        hidden = self.block(self._joined(code), training=training)
        for norm, doubling in zip(self.norms, self.doublings, strict=True):
            hidden = tf.nn.depth_to_space(doubling(self._activated(norm, hidden, training)), 2)
        height, width, channels = sides(self.image_shape)
        pixels = hidden[:, :height, :width]
        if not self.by_pixel and self.num_outputs > channels:
            pixels = tf.reshape(pixels, [-1, height * width, self.num_outputs // channels, channels])
            pixels = tf.transpose(pixels, [0, 2, 1, 3])
        outputs = tf.reshape(pixels, [-1, height * width * self.num_outputs])
        return outputs + tf.cast(self.output_bias, outputs.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        del config["grid"]
        return config | {
            "image_shape": list(self.image_shape),
            "channels": list(self.all_channels),
            "output_bias": list(self._initial_bias),
            "by_pixel": self.by_pixel,
        }

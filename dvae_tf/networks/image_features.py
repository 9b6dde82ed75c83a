"""The convolutional encoder of images: features on a coarse grid, which all encoders of a model share."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from .convolutional import Convolutional
from .places import grid_of, sides


@keras.saving.register_keras_serializable("dvae_tf")
class ImageFeatures(Convolutional):
    """Features of images `[B, X]`, one row for each: `[B, H W C]` of the coarsest grid.

    Every halving of height and width joins four places to one, so images are padded by zeros to the next
    multiple. The first convolution is 3 x 3 on the halved image, the others join four places; batch norm and
    ReLU follow each. A residual block on the coarsest grid is the last.

    Args:
      image_shape: (height, width) or (height, width, channels) of the images.
      channels: of each grid, from fine to coarse.
      seed: as for `Convolutional`.
      **kwargs: further arguments of `Convolutional`.
    """

    def __init__(self, image_shape: Sequence[int], channels: Sequence[int], seed: int, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.image_shape, self.channels = tuple(image_shape), tuple(channels)
        self.grid = grid_of(image_shape, len(self.channels))
        halvings, norms, before = [], [], sides(image_shape)[2]
        for level, size in enumerate(self.channels):
            make = self._linear if level else self._convolution
            halvings.append(make(4 * before, size, f"halving_{level}"))
            norms.append(self._norm(size, f"norm_{level}"))
            before = size
        # Tuples, because TensorFlow checkpoints ignore layers in lists.
        self.halvings, self.norms = tuple(halvings), tuple(norms)
        self.block = self._block(before, "block")
        self.last_norm = self._norm(before, "last_norm")

    def build(self, x_shape: Any) -> None:
        """Creates the variables, of the sizes given to the constructor."""
        self._build_parts()

    @property
    def num_outputs(self) -> int:
        """Features of an image."""
        return self.grid[0] * self.grid[1] * self.channels[-1]

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Applies the network.

        Args:
          x: `[B, X]`.
          training: the mode of the batch norms.
        """
        height, width, channels = sides(self.image_shape)
        factor = 2 ** len(self.channels)
        below, right = self.grid[0] * factor - height, self.grid[1] * factor - width
        hidden = tf.reshape(x, [-1, height, width, channels])
        hidden = tf.pad(hidden, [[0, 0], [0, below], [0, right], [0, 0]])
        for halving, norm in zip(self.halvings, self.norms, strict=True):
            hidden = self._activated(norm, halving(tf.nn.space_to_depth(hidden, 2)), training)
        hidden = self.block(hidden, training=training)
        return tf.reshape(self._activated(self.last_norm, hidden, training), [-1, self.num_outputs])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "image_shape": list(self.image_shape),
            "channels": list(self.channels),
        }

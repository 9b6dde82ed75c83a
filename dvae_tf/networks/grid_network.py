"""The convolutional networks of local variables, which have a value at each place of the coarsest grid."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from .convolutional import Convolutional


class OnGrid(Convolutional):
    """A network that takes codes and local variables `[..., D + d]` on a grid.

    Bits are mapped to a few channels at each place; with the local variables there a 3 x 3 convolution takes
    them to `channels`.

    Args:
      grid: (height, width).
      num_bits: D.
      local_units: variables at each place, of each local group that it takes.
      channels: after the convolution; half as many are those of the bits.
      seed: as for `Convolutional`.
      **kwargs: further arguments of `Convolutional`.
    """

    def __init__(
        self,
        grid: Sequence[int],
        num_bits: int,
        local_units: Sequence[int],
        channels: int,
        seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.grid, self.num_bits = (grid[0], grid[1]), num_bits
        self.local_units, self.channels = tuple(local_units), channels
        self._bit_channels = max(channels // 2, 1)
        self.of_bits = self._linear(num_bits, grid[0] * grid[1] * self._bit_channels, "of_bits", bias=True)
        self.joining = self._convolution(self._bit_channels + sum(self.local_units), channels, "joining")

    def _joined(self, given: tf.Tensor) -> tf.Tensor:
        """Rows of bits and local variables `[N, D + d]` as `[N, height, width, channels]`."""
        height, width = self.grid
        sizes = [self.num_bits, *(height * width * units for units in self.local_units)]
        bits, *local = tf.split(given, sizes, -1)
        parts = [self.of_bits(bits), *(tf.cast(each, self.compute_dtype) for each in local)]
        parts = [tf.reshape(each, [-1, height, width, each.shape[-1] // (height * width)]) for each in parts]
        return self.joining(tf.concat(parts, -1))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "grid": list(self.grid),
            "num_bits": self.num_bits,
            "local_units": list(self.local_units),
            "channels": self.channels,
        }


@keras.saving.register_keras_serializable("dvae_tf")
class GridNetwork(OnGrid):
    """Gives two numbers for each variable of a local group: its prior network, or its encoder.

    Batch norm, ReLU and a linear map at each place follow the convolution of `OnGrid`. An encoder adds a
    convolution of the features of the image before.

    Args:
      grid: as for `OnGrid`.
      num_bits: as for `OnGrid`.
      local_units: as for `OnGrid`: of the groups before.
      channels: as for `OnGrid`.
      num_outputs: variables of its group at each place.
      seed: as for `Convolutional`.
      feature_channels: of the features of the image at each place, for an encoder; 0 for a prior.
      **kwargs: further arguments of `Convolutional`.
    """

    def __init__(
        self,
        grid: Sequence[int],
        num_bits: int,
        local_units: Sequence[int],
        channels: int,
        num_outputs: int,
        seed: int,
        feature_channels: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(grid, num_bits, local_units, channels, seed, **kwargs)
        self.num_outputs, self.feature_channels = num_outputs, feature_channels
        self.of_features = None
        if feature_channels:
            self.of_features = self._convolution(feature_channels, channels, "of_features")
        self.norm = self._norm(channels, "norm")
        self.output_map = self._linear(channels, 2 * num_outputs, "output_map", bias=True)

    def build(self, x_shape: Any, given_shape: Any = None) -> None:
        """Creates the variables, of the sizes given to the constructor."""
        self._build_parts()

    def call(self, x: tf.Tensor, given: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Applies the network.

        Args:
          x: features of images, `[B, height width C]`, for an encoder; for a prior what is given.
          given: `[K, B, D + d]`, bits and the local groups before, for an encoder.
          training: the mode of the batch norms.

        Returns:
          The first numbers of all variables, then the second ones: `[K, B, 2 units]`, for a prior with the
          leading dimensions of what is given.
        """
        height, width = self.grid
        if given is None:
            given = x
        leading = tf.shape(given)[:-1]
        hidden = self._joined(tf.reshape(given, [-1, given.shape[-1]]))
        if self.of_features is not None:
            features = tf.reshape(x, [-1, height, width, self.feature_channels])
            # Once for each image, not for each of its K samples.
            features = self.of_features(features)
            samples = tf.reshape(hidden, tf.concat([leading, [height, width, self.channels]], 0))
            hidden = tf.reshape(samples + features, [-1, height, width, self.channels])
        hidden = self.output_map(self._activated(self.norm, hidden, training))
        first, second = tf.split(hidden, 2, -1)
        shape = tf.concat([leading, [height * width * self.num_outputs]], 0)
        return tf.concat([tf.reshape(first, shape), tf.reshape(second, shape)], -1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return super().get_config() | {
            "num_outputs": self.num_outputs,
            "feature_channels": self.feature_channels,
        }

"""The networks of a recipe: dense or convolutional, all with its settings and seeds."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from ..config import Recipe
from ..networks import GridNetwork, ImageDecoder, ImageFeatures, Network, grid_of
from ..numerics import Tag, integer_seed
from .likelihoods import Bernoulli, Likelihood


class RecipeNetworks:
    """Makes the networks of a recipe.

    Args:
      recipe: sizes, seed, and settings of batch norms and weight decay.
      num_pixels: X.
      image_shape: (height, width) or (height, width, channels) of the images; needed for convolutional
        networks.
      dtype: the dtype policy.

    Raises:
      ValueError: if convolutional networks have no image shape, or one of another number of pixels.
    """

    def __init__(
        self, recipe: Recipe, num_pixels: int, image_shape: Sequence[int] | None, dtype: Any
    ) -> None:
        self._recipe, self._num_pixels, self._dtype = recipe, num_pixels, dtype
        self._shape: tuple[int, ...] = ()
        channels = recipe.structure.channels
        if channels:
            if image_shape is None or np.prod(image_shape) != num_pixels:
                raise ValueError(
                    "image_shape: expected (height, width) or (height, width, channels) of "
                    f"{num_pixels} pixels for convolutional networks, got {image_shape}"
                )
            self._shape = tuple(image_shape)
            self._grid = grid_of(image_shape, len(channels))

    def dense(self, input_sizes: Sequence[int], num_outputs: int, name: str, **kwargs: Any) -> Network:
        """A dense network with the recipe's hidden layers."""
        hidden = self._recipe.structure.hidden_units
        return Network(input_sizes, hidden, num_outputs, **self._settings(name), **kwargs)

    @property
    def local_units(self) -> int:
        """Variables of a local group."""
        structure = self._recipe.structure
        return structure.local_units * (self._grid[0] * self._grid[1] if structure.channels else 1)

    def features(self) -> ImageFeatures | None:
        """What all encoders see in place of images, where networks are convolutional."""
        channels = self._recipe.structure.channels
        return ImageFeatures(self._shape, channels, **self._settings("features")) if channels else None

    def encoders(self, outputs_per_unit: Sequence[int]) -> list[keras.layers.Layer]:
        """The encoder of each group of bits, which gives so many numbers for each unit."""
        units = self._recipe.structure.units_per_group
        return [
            self.dense(
                [self._num_inputs, group * units][: 1 + bool(group)], units * outputs, f"encoder_{group}"
            )
            for group, outputs in enumerate(outputs_per_unit)
        ]

    def local_encoders(self) -> list[keras.layers.Layer]:
        """The encoder of each local group."""
        structure = self._recipe.structure
        if not structure.channels:
            return [
                self.dense([self._num_inputs, size], 2 * self.local_units, f"local_encoder_{group}")
                for group, size in enumerate(self._given_sizes())
            ]
        return self._on_grid("local_encoder", feature_channels=structure.channels[-1])

    def local_priors(self) -> list[keras.layers.Layer]:
        """The network of the prior of each local group."""
        if not self._recipe.structure.channels:
            return [
                self.dense([size], 2 * self.local_units, f"local_prior_{group}")
                for group, size in enumerate(self._given_sizes())
            ]
        return self._on_grid("local_prior")

    def decoder(self, likelihood: Any, mean_x: np.ndarray) -> keras.layers.Layer:
        """The decoder, which starts at the mean image."""
        structure = self._recipe.structure
        likelihood = likelihood if isinstance(likelihood, Likelihood) else Bernoulli()
        bias = likelihood.initial_outputs(mean_x)
        if structure.channels:
            return ImageDecoder(
                self._shape,
                structure.num_units,
                [structure.local_units] * structure.num_local_groups,
                structure.channels,
                output_bias=bias,
                by_pixel=_is_by_pixel(likelihood, mean_x, len(bias) // (self._shape[0] * self._shape[1])),
                **self._settings("decoder"),
            )
        size = structure.num_units + structure.num_local_groups * self.local_units
        return self.dense([size], len(bias), "decoder", output_bias=bias)

    @property
    def _num_inputs(self) -> int:
        """Numbers that encoders see of an image: its features, or its pixels."""
        structure = self._recipe.structure
        if not structure.channels:
            return self._num_pixels
        return self._grid[0] * self._grid[1] * structure.channels[-1]

    def _given_sizes(self) -> list[int]:
        """Bits, and variables of the local groups before, of each local group."""
        structure = self._recipe.structure
        return [structure.num_units + group * self.local_units for group in range(structure.num_local_groups)]

    def _on_grid(self, name: str, **kwargs: Any) -> list[keras.layers.Layer]:
        structure = self._recipe.structure
        return [
            GridNetwork(
                self._grid,
                structure.num_units,
                [structure.local_units] * group,
                structure.channels[-1],
                structure.local_units,
                **self._settings(f"{name}_{group}"),
                **kwargs,
            )
            for group in range(structure.num_local_groups)
        ]

    def _settings(self, name: str) -> dict[str, Any]:
        recipe = self._recipe
        return {
            "seed": integer_seed(recipe.seed, Tag.INITIAL_WEIGHTS, *name.encode()),
            "weight_decay": recipe.weight_decay,
            "batch_norm_momentum": recipe.batch_norm_momentum,
            "batch_norm_epsilon": recipe.batch_norm_epsilon,
            "dtype": self._dtype,
            "name": name,
        }


def _is_by_pixel(likelihood: Likelihood, mean_x: np.ndarray, outputs_of_a_pixel: int) -> bool:
    """Whether a likelihood takes the outputs of one pixel after another: those of the last pixel are last."""
    ends = [mean_x.copy(), mean_x.copy()]
    ends[0][-1], ends[1][-1] = 0.25, 0.75
    first, second = (likelihood.initial_outputs(mean) for mean in ends)
    changed = np.flatnonzero(first != second)
    return bool(len(changed)) and bool(changed.min() >= len(first) - outputs_of_a_pixel)

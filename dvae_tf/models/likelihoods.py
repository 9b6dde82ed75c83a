r"""Likelihoods p(x | z) of the pixels: distributions of an image given the outputs of the decoder.

Bits have the Bernoulli distribution of the papers; levels in [0, 1] have a continuous density or, where they
are the 256 levels of 8-bit images, probabilities.
"""

import dataclasses
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from ..config import ImageShape
from ..support import as_count
from .levels import DiscretizedLogisticMixture, DiscretizedLogisticPixels

# Keeps initial log-odds finite where a pixel is constant in the training images.
_PIXEL_CLIP = 1e-3
# Below, a distribution of 256 levels is one level; the bound keeps gradients moderate.
_SMALLEST_LOG_SCALE = -7.0
# Above, the levels are equally likely; the bound keeps their logarithms finite.
_LARGEST_LOG_SCALE = 7.0
_INITIAL_LOG_SCALE = -2.0
# Half the width, in log-odds, over which the first locations of a mixture are spread.
_INITIAL_SPREAD = 2.0


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """Maps the outputs of the decoder to the distribution of an image, event shape `[X]`.

    Attributes:
      pixels: what the images consist of: "bits", "levels" in [0, 1], or "8-bit levels", which are n / 255.
      num_levels: the number of levels of which it gives probabilities; None for bits, or a density.
    """

    pixels: ClassVar[str]
    num_levels: ClassVar[int | None] = None

    def __call__(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution for outputs `[..., number of outputs]`, batch shape `[...]`."""
        raise NotImplementedError

    def initial_outputs(self, mean_x: np.ndarray) -> np.ndarray:
        """The decoder's output bias `[number of outputs]` at which the mean image is about `mean_x` `[X]`."""
        mean = np.clip(mean_x, _PIXEL_CLIP, 1 - _PIXEL_CLIP)
        return np.log(mean) - np.log1p(-mean)

    def of_images(self, image_shape: ImageShape | None) -> "Likelihood":
        """The likelihood of images of a shape, if it is known: itself, unless it treats channels together."""
        del image_shape
        return self

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: none, unless a subclass has some."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Likelihood":
        """Rebuilds it from `get_config`."""
        return cls(**config)


@keras.saving.register_keras_serializable("dvae_tf")
class Bernoulli(Likelihood):
    """Independent Bernoulli pixels, given their log-odds: the likelihood of the papers."""

    pixels = "bits"

    def __call__(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution for log-odds `[..., X]`."""
        return tfd.Independent(BernoulliPixels(logits=outputs, dtype=outputs.dtype), 1)


@keras.saving.register_keras_serializable("dvae_tf")
class ContinuousBernoulli(Likelihood):
    """Independent pixels with a continuous Bernoulli density on [0, 1] (Loaiza-Ganem and Cunningham, 2019).

    Log-likelihoods are log-densities: comparable between models of the same images, not with those of bits.
    """

    pixels = "levels"

    def __call__(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution for parameters `[..., X]` in the form of log-odds."""
        return tfd.Independent(tfd.ContinuousBernoulli(logits=outputs), 1)


@keras.saving.register_keras_serializable("dvae_tf")
class DiscretizedLogistic(Likelihood):
    """Independent pixels with 256 levels, each with a location and a scale (`DiscretizedLogisticPixels`)."""

    pixels = "levels"
    num_levels = 256

    def __call__(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution for log-odds of the locations and log scales, `[..., 2 X]`."""
        logits, log_scale = tf.split(outputs, 2, -1)
        scale = tf.exp(tf.maximum(log_scale, _SMALLEST_LOG_SCALE))
        return tfd.Independent(DiscretizedLogisticPixels(tf.math.sigmoid(logits), scale), 1)

    def initial_outputs(self, mean_x: np.ndarray) -> np.ndarray:
        """Log-odds of the mean image, and log scales of a fraction of the range."""
        return np.concatenate([super().initial_outputs(mean_x), np.full(len(mean_x), _INITIAL_LOG_SCALE)])


class BernoulliPixels(tfd.Bernoulli):
    r"""A Bernoulli distribution whose log-probability evaluates one softplus instead of two.

    $$ \log p(x) = x \, l - \operatorname{softplus}(l), \qquad x \in [0, 1] $$

    in nats. The pixels dominate the cost of a likelihood.
    """

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        logits = self._logits_parameter_no_checks()
        return event * logits - tf.math.softplus(logits)


@keras.saving.register_keras_serializable("dvae_tf")
@dataclasses.dataclass(frozen=True)
class LogisticMixture(Likelihood):
    """8-bit pixels of one or three channels, each a mixture of discretized logistics (Salimans et al., 2017).

    The outputs are those of one pixel after another: logits of the weights `[1, M]`, locations `[C, M]`, log
    scales `[C, M]`, and slopes `[C (C - 1) / 2, M]`, as `DiscretizedLogisticMixture` has them.

    Args:
      num_components: M, mixture components of a pixel.
      num_channels: C; a model sets it to that of its images, if their shape is known.
    """

    pixels = "8-bit levels"
    num_levels = 256

    num_components: int = 5
    num_channels: int = 1

    def __post_init__(self) -> None:
        as_count("num_components", self.num_components)
        as_count("num_channels", self.num_channels)

    def __call__(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution for outputs `[..., pixels * (1 + 2 C + C (C - 1) / 2) * M]`."""
        sizes = [1, self.num_channels, self.num_channels, self._num_slopes]
        pixels = outputs.shape[-1] // (sum(sizes) * self.num_components)
        per_pixel = [pixels, sum(sizes), self.num_components]
        outputs = tf.reshape(outputs, tf.concat([tf.shape(outputs)[:-1], per_pixel], 0))
        logits, loc, log_scale, slopes = tf.split(outputs, sizes, -2)
        scale = tf.exp(tf.clip_by_value(log_scale, _SMALLEST_LOG_SCALE, _LARGEST_LOG_SCALE))
        return DiscretizedLogisticMixture(logits[..., 0, :], loc, scale, slopes if self._num_slopes else None)

    def initial_outputs(self, mean_x: np.ndarray) -> np.ndarray:
        """Equal weights, locations around the mean image, scales of a fraction of the range, no slopes."""
        odds = super().initial_outputs(mean_x).reshape(-1, self.num_channels, 1)
        spread = np.linspace(-1, 1, self.num_components + 2)[1:-1] * _INITIAL_SPREAD
        loc = 1 / (1 + np.exp(-(odds + spread)))
        logits, log_scale = np.zeros_like(loc[:, :1]), np.full_like(loc, _INITIAL_LOG_SCALE)
        slopes = np.zeros((len(loc), self._num_slopes, self.num_components))
        return np.concatenate([logits, loc, log_scale, slopes], 1).ravel()

    @property
    def _num_slopes(self) -> int:
        return self.num_channels * (self.num_channels - 1) // 2

    def of_images(self, image_shape: ImageShape | None) -> "LogisticMixture":
        """The likelihood with as many channels as the images have."""
        if image_shape is None:
            return self
        return dataclasses.replace(self, num_channels=(*image_shape, 1)[2])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dataclasses.asdict(self)

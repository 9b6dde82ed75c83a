r"""Likelihoods p(x | z) of the pixels: distributions of an image given the outputs of the decoder.

Bits have the Bernoulli distribution of the papers; grey levels in [0, 1] have a continuous density or, where
they are the 256 levels of 8-bit images, probabilities.
"""

import dataclasses
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability import util as tfp_util

from ..support import as_parameter, floating_dtype, in_dtype

# Keeps initial log-odds finite where a pixel is constant in the training images.
_PIXEL_CLIP = 1e-3
_NUM_LEVELS = 256
# Below, a distribution of 256 levels is one level; the bound keeps gradients moderate.
_SMALLEST_LOG_SCALE = -7.0
_INITIAL_LOG_SCALE = -2.0


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """Maps the outputs of the decoder to the distribution of an image, event shape `[X]`.

    Attributes:
      pixels: what the images consist of: "bits", or "levels" in [0, 1].
      outputs_per_pixel: the number of outputs of the decoder for each pixel.
    """

    pixels: ClassVar[str]
    outputs_per_pixel: ClassVar[int] = 1

    def __call__(self, outputs: tf.Tensor) -> tfd.Distribution:
        """Returns the distribution for outputs `[..., X * outputs_per_pixel]`, batch shape `[...]`."""
        raise NotImplementedError

    def initial_outputs(self, mean_x: np.ndarray) -> np.ndarray:
        """The decoder's output bias `[X * outputs_per_pixel]` at which the mean image is `mean_x` `[X]`."""
        mean = np.clip(mean_x, _PIXEL_CLIP, 1 - _PIXEL_CLIP)
        return np.log(mean) - np.log1p(-mean)

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
    outputs_per_pixel = 2

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


class DiscretizedLogisticPixels(tfd.AutoCompositeTensorDistribution):
    r"""The 256 levels $x = n / 255$ of a logistic variable that is rounded to the nearest level and clipped.

    With $\delta = 1 / 510$, $u = (x + \delta - \mu) / s$ and $l = (x - \delta - \mu) / s$,

    $$ p(x) = \sigma(u) - \sigma(l) = \sigma(u) \, \sigma(-l) \, (1 - e^{l - u}), $$

    whose logarithm is precise in the tails; $p(0) = \sigma(u)$ and $p(1) = \sigma(-l)$.

    Args:
      loc: $\mu$, in units of the range.
      scale: $s$, above 0, in units of the range.
      name: the name of the distribution.
    """

    def __init__(self, loc: Any, scale: Any, name: str = "DiscretizedLogisticPixels") -> None:
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self.loc = as_parameter(loc)
            dtype = floating_dtype(self.loc)
            self.scale = as_parameter(scale, dtype)
            super().__init__(
                dtype=dtype,
                reparameterization_type=tfd.NOT_REPARAMETERIZED,
                validate_args=False,
                allow_nan_stats=True,
                parameters=parameters,
                name=name,
            )

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> dict[str, Any]:
        return {"loc": tfp_util.ParameterProperties(), "scale": tfp_util.ParameterProperties()}

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        step, scale = 1 / (_NUM_LEVELS - 1), in_dtype(self.scale, self.dtype)
        centred = event - in_dtype(self.loc, self.dtype)
        upper, lower = (centred + step / 2) / scale, (centred - step / 2) / scale
        below, above = tf.math.log_sigmoid(upper), tf.math.log_sigmoid(-lower)
        inside = below + above + tf.math.log(-tf.math.expm1(-step / scale))
        return tf.where(event < step / 2, below, tf.where(event > 1 - step / 2, above, inside))

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        drawn = tfd.Logistic(self.loc, self.scale).sample(n, seed=seed)
        return tf.clip_by_value(tf.round(drawn * (_NUM_LEVELS - 1)) / (_NUM_LEVELS - 1), 0.0, 1.0)

    def _mean(self) -> tf.Tensor:
        """The mean of the clipped variable; rounding moves it by less than 1/510."""
        loc, scale = in_dtype(self.loc, self.dtype), in_dtype(self.scale, self.dtype)
        return scale * (tf.math.softplus(loc / scale) - tf.math.softplus((loc - 1) / scale))

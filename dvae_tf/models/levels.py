r"""Distributions of the 256 levels n / 255 of 8-bit images: discretized logistics and their mixtures."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd
from tensorflow_probability import util as tfp_util

from ..support import as_parameter, floating_dtype, in_dtype

_NUM_LEVELS = 256


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
        centered = event - in_dtype(self.loc, self.dtype)
        upper, lower = (centered + step / 2) / scale, (centered - step / 2) / scale
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


class DiscretizedLogisticMixture(tfd.AutoCompositeTensorDistribution):
    r"""An image whose pixels are mixtures of discretized logistics (Salimans et al., 2017, Eqs. 1 to 3).

    A pixel $p$ has one component $m$ for all of its $C$ channels, in which the location of each is linear in
    the levels of the channels before it:

    $$ p(x) = \prod_p \sum_m \pi_{pm} \prod_c P(x_{pc} \mid \tilde\mu_{pcm}, s_{pcm}), \qquad
    \tilde\mu_{pcm} = \mu_{pcm} + \sum_{b < c} a_{pcbm} (x_{pb} - 1/2), $$

    $P$ being that of `DiscretizedLogisticPixels`. The event is the flat image, `[pixels * C]`.

    Args:
      logits: $\log \pi$, up to a constant for each pixel, `[..., pixels, M]`.
      loc: $\mu$, in units of the range, `[..., pixels, C, M]`.
      scale: $s$, above 0, in units of the range, `[..., pixels, C, M]`.
      slopes: $a$, `[..., pixels, C (C - 1) / 2, M]`, of (c, b) = (1, 0), (2, 0), (2, 1); None for zeros.
      name: the name of the distribution.
    """

    def __init__(
        self,
        logits: Any,
        loc: Any,
        scale: Any,
        slopes: Any = None,
        name: str = "DiscretizedLogisticMixture",
    ) -> None:
        parameters = dict(locals())
        with tf.name_scope(name) as name:
            self.logits = as_parameter(logits)
            dtype = floating_dtype(self.logits)
            self.loc, self.scale = as_parameter(loc, dtype), as_parameter(scale, dtype)
            self.slopes = None if slopes is None else as_parameter(slopes, dtype)
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
        return {
            "logits": tfp_util.ParameterProperties(event_ndims=2),
            "loc": tfp_util.ParameterProperties(event_ndims=3),
            "scale": tfp_util.ParameterProperties(event_ndims=3),
            "slopes": tfp_util.ParameterProperties(event_ndims=3),
        }

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self.loc.shape[-3] * self.loc.shape[-2]])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant(self._event_shape().as_list(), tf.int32)

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        pixels, channels = self.loc.shape[-3:-1]
        levels = tf.reshape(event, tf.concat([tf.shape(event)[:-1], [pixels, channels, 1]], 0))
        loc = in_dtype(self.loc, self.dtype)
        if self.slopes is not None:
            slopes = in_dtype(self.slopes, self.dtype)
            shifts = [_shift(slopes, levels[..., :channel, :]) for channel in range(channels)]
            loc += tf.concat(shifts, -2)
        of_channels = DiscretizedLogisticPixels(loc, self.scale).log_prob(levels)
        of_components = tf.reduce_sum(of_channels, -2) + self._log_weights()
        return tf.reduce_sum(tf.reduce_logsumexp(of_components, -1), -1)

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        channels = self.loc.shape[-2]
        for_components, *for_channels = tfp.random.split_seed(
            seed, channels + 1, salt="discretized_logistic_mixture"
        )
        log_weights = self._log_weights()
        # Each distribution of the batch draws its own, also where they share the weights.
        shape = tf.concat([self.batch_shape_tensor(), tf.shape(log_weights)[-2:]], 0)
        weights = tfd.OneHotCategorical(tf.broadcast_to(log_weights, shape), dtype=self.dtype)
        component = weights.sample(n, seed=for_components)[..., tf.newaxis, :]

        def chosen(parameter: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(in_dtype(parameter, self.dtype) * component, -1, keepdims=True)

        def draw(channel: int, loc: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
            return DiscretizedLogisticPixels(loc, scale).sample(seed=for_channels[channel])

        slopes = None if self.slopes is None else chosen(self.slopes)
        return self._flat(_by_channel(draw, chosen(self.loc), chosen(self.scale), slopes)[..., 0])

    def _mean(self) -> tf.Tensor:
        """The mean of the clipped variables, each channel given those before at their means.

        Without slopes it is exact but for rounding, which moves it by less than 1/510; with them but for the
        clipping as well.
        """
        loc, scale = (in_dtype(each, self.dtype) for each in (self.loc, self.scale))
        slopes = None if self.slopes is None else in_dtype(self.slopes, self.dtype)

        def mean(_: int, loc: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
            return DiscretizedLogisticPixels(loc, scale).mean()

        weights = tf.exp(self._log_weights())[..., tf.newaxis, :]
        of_pixels = tf.reduce_sum(weights * _by_channel(mean, loc, scale, slopes), -1)
        # Differences of large numbers, of locations far outside of the range.
        return tf.clip_by_value(self._flat(of_pixels), 0.0, 1.0)

    def _log_weights(self) -> tf.Tensor:
        return tf.math.log_softmax(in_dtype(self.logits, self.dtype))

    def _flat(self, image: tf.Tensor) -> tf.Tensor:
        """Images [..., pixels, C] as events."""
        return tf.reshape(image, tf.concat([tf.shape(image)[:-2], self._event_shape()], 0))


def _shift(slopes: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
    """By how much the levels of the channels before [..., b, M or 1] move the location of the next."""
    number = before.shape[-2]
    first = number * (number - 1) // 2
    return tf.reduce_sum(slopes[..., first : first + number, :] * (before - 0.5), -2, keepdims=True)


def _by_channel(
    value: Callable[[int, tf.Tensor, tf.Tensor], tf.Tensor],
    loc: tf.Tensor,
    scale: tf.Tensor,
    slopes: tf.Tensor | None,
) -> tf.Tensor:
    """Values of one channel after another [..., pixels, C, M], each from its location given those before."""
    if slopes is None:
        return value(0, loc, scale)
    found = value(0, loc[..., :1, :], scale[..., :1, :])
    for channel in range(1, loc.shape[-2]):
        one = slice(channel, channel + 1)
        shifted = loc[..., one, :] + _shift(slopes, found)
        found = tf.concat([found, value(channel, shifted, scale[..., one, :])], -2)
    return found

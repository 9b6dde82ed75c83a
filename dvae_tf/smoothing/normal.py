r"""A Gaussian code in place of relaxed bits: the baseline that a binary code is compared with.

$$
q(\zeta | x) = \mathcal{N}(\zeta; \mu, \sigma^2), \qquad \zeta \in \mathbb{R}.
$$

It is no relaxation: there are no bits, and evaluation draws the same $\zeta$ as training.
"""

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from ..numerics import normal, positive_scale
from ..support import at_least_float32
from .relaxation import Relaxation


class NormalCode(tfd.Normal):
    """A normal distribution whose draws are those of `numerics.normal`."""

    def _sample_n(self, n: tf.Tensor, seed: Any = None) -> tf.Tensor:
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)
        seed = tfp.random.sanitize_seed(seed, salt="normal_code")
        return self.loc + self.scale * normal(shape, seed, self.dtype)


@keras.saving.register_keras_serializable("dvae_tf")
class Normal(Relaxation):
    r"""The Gaussian as a layer: `Normal()(mean, h)`, $\sigma = 1$ at $h = 0$ (`numerics.positive_scale`)."""

    outputs_per_unit = 2
    has_bits = False

    def call(self, mean: tf.Tensor, h: tf.Tensor | None = None) -> tfd.Distribution:
        """Returns q(zeta) for means and what becomes the scales, of the same shape."""
        mean = at_least_float32(mean)
        h = tf.zeros_like(mean) if h is None else tf.cast(h, mean.dtype)
        return NormalCode(mean, positive_scale(h), validate_args=self.validate_args)

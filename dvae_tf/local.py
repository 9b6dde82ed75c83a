r"""Local continuous variables beside the bits, group by group (DVAE++).

$$
p(y | \zeta) = \prod_m \mathcal{N}(y_m; \mu_m, \sigma_m^2), \qquad
q(y | x, \zeta) = \prod_m \mathcal{N}(y_m; \mu_m + \sigma_m \delta_m, (\sigma_m \rho_m)^2),
$$

all diagonal. A prior network gives $\mu_m$ and $\sigma_m$ for $(\zeta, y_{<m})$, an encoder the posterior
relative to them, the shift $\delta_m$ and the ratio of scales $\rho_m$, for $(x, \zeta, y_{<m})$. In training
$\zeta$ is the relaxed code, in evaluation the bits.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from .numerics import Seed, normal, positive_scale


class LocalSample(NamedTuple):
    r"""Samples of the local variables of all groups; nats.

    Attributes:
      y: `[K, B, Y]`.
      log_ratio: $\log q(y | x, \zeta) - \log p(y | \zeta)$ at the sample, `[K, B]`.
      kl: the KL divergence of each group given the groups before, in closed form, `[M, K, B]`.
      shift: $\delta$, `[K, B, Y]`: how far the posterior's mean is from the prior's, in units of its scale.
    """

    y: tf.Tensor
    log_ratio: tf.Tensor
    kl: tf.Tensor
    shift: tf.Tensor


@keras.saving.register_keras_serializable("dvae_tf")
class LocalVariables(keras.layers.Layer):
    r"""Owns the networks of the local groups.

    Args:
      encoders: one layer for each group, called as `encoder(x, given)` like the encoder of a later group of
        bits (`Posterior`): x `[B, X]`, the code and the local groups before `[K, B, D + d]`; it returns two
        numbers for each variable of its group, `[K, B, 2 units]`: all shifts, then what becomes the ratios.
      priors: one layer for each group, called as `prior(given)` with rows of the code and the local groups
        before, `[N, D + d]`; it returns the locations, then what becomes the scales, `[N, 2 units]`.
      units: variables of each group.
      **kwargs: arguments of a Keras layer.

    Raises:
      ValueError: if there are not as many encoders as priors.
    """

    def __init__(
        self,
        encoders: Sequence[keras.layers.Layer],
        priors: Sequence[keras.layers.Layer],
        units: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        if len(encoders) != len(priors):
            raise ValueError(f"priors: expected one for each of {len(encoders)} encoders, got {len(priors)}")
        # Tuples, because TensorFlow checkpoints ignore layers in lists.
        self.encoders, self.priors, self.units = tuple(encoders), tuple(priors), units

    @property
    def num_groups(self) -> int:
        """M, the number of groups."""
        return len(self.encoders)

    @property
    def num_variables(self) -> int:
        """Y, the number of variables of all groups."""
        return self.num_groups * self.units

    def draw_noise(self, shape: Sequence[Any], seed: Seed) -> tf.Tensor:
        """Standard normal noise for `call` and `sample`, `[*shape, Y]`."""
        return normal(tf.concat([shape, [self.num_variables]], 0), seed, tf.as_dtype(self.variable_dtype))

    def call(
        self, x: tf.Tensor, code: tf.Tensor, noise: tf.Tensor | None, training: bool = False
    ) -> LocalSample:
        r"""Draws $y \sim q(y | x, \zeta)$, reparameterized: differentiable in everything.

        Args:
          x: images as the encoders take them, `[B, X]`.
          code: $\zeta$ or bits, `[K, B, D]`.
          noise: standard normal numbers, `[N, B, Y]`, repeated along the first axis where K is a multiple
            of N; None for the means of all groups in turn.
          training: the mode of the batch norms.
        """
        if noise is not None:
            noise = tf.tile(noise, [tf.shape(code)[0] // tf.shape(noise)[0], 1, 1])
        given, log_ratios, kls, shifts = code, [], [], []
        for encoder, prior, u in zip(self.encoders, self.priors, self._by_group(noise), strict=True):
            # One row per code, as in `sample`: a Keras model takes inputs of one rank.
            rows = prior(tf.reshape(given, [-1, given.shape[-1]]), training=training)
            outputs = tf.reshape(rows, tf.concat([tf.shape(given)[:-1], tf.shape(rows)[-1:]], 0))
            location, scale = self._location_and_scale(outputs)
            shift, ratio = self._location_and_scale(encoder(x, given, training=training))
            # The sample in units of the prior.
            standard = shift if u is None else shift + ratio * u
            given = tf.concat([given, location + scale * standard], -1)
            log_ratios.append(log_ratio(shift, ratio, tf.zeros_like(shift) if u is None else u))
            kls.append(gaussian_kl(shift, ratio))
            shifts.append(shift)
        y = given[..., code.shape[-1] :]
        return LocalSample(y, tf.add_n(log_ratios), tf.stack(kls), tf.concat(shifts, -1))

    def sample(self, code: tf.Tensor, noise: tf.Tensor | None) -> tf.Tensor:
        r"""Draws $y \sim p(y | \zeta)$ for codes `[..., D]`: `[..., Y]`.

        Args:
          code: $\zeta$ or bits.
          noise: standard normal numbers, `[..., Y]`, of shapes that broadcast; None for the means of all
            groups in turn.
        """
        shape = tf.concat([tf.shape(code)[:-1], [self.num_variables]], 0)
        if noise is not None:
            noise = tf.reshape(tf.broadcast_to(noise, shape), [-1, self.num_variables])
        # One row per code: Keras layers do not accept vectors.
        given = tf.reshape(code, [-1, code.shape[-1]])
        for prior, u in zip(self.priors, self._by_group(noise), strict=True):
            location, scale = self._location_and_scale(prior(given))
            given = tf.concat([given, location if u is None else location + scale * u], -1)
        return tf.reshape(given[:, code.shape[-1] :], shape)

    def _by_group(self, noise: tf.Tensor | None) -> Sequence[tf.Tensor | None]:
        return [None] * self.num_groups if noise is None else tf.split(noise, self.num_groups, -1)

    def _location_and_scale(self, outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        location, raw = tf.split(tf.cast(outputs, self.variable_dtype), 2, -1)
        return location, positive_scale(raw)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return super().get_config() | {
            "encoders": [serialize(each) for each in self.encoders],
            "priors": [serialize(each) for each in self.priors],
            "units": self.units,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LocalVariables":
        """Rebuilds the layer from `get_config`."""
        deserialize = keras.saving.deserialize_keras_object
        parts = {name: [deserialize(each) for each in config[name]] for name in ("encoders", "priors")}
        return cls(**config | parts)


def gaussian_kl(shift: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
    r"""KL divergence of the posterior of a local group from its prior.

    That of $\mathcal{N}(\mu + \sigma \delta, (\sigma \rho)^2)$ from $\mathcal{N}(\mu, \sigma^2)$,

    $$ \sum \tfrac{1}{2} (\rho^2 + \delta^2 - 1) - \log \rho $$

    in nats, summed over the last axis; it depends on $\mu$ and $\sigma$ no further.

    Args:
      shift: $\delta$, `[..., units]`.
      ratio: $\rho$, above 0, `[..., units]`.
    """
    return tf.reduce_sum(0.5 * (ratio**2 + shift**2 - 1.0) - tf.math.log(ratio), -1)


def log_ratio(shift: tf.Tensor, ratio: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    r"""$\log q(y) - \log p(y)$ of the distributions of `gaussian_kl` at $y = \mu + \sigma (\delta + \rho u)$.

    $$ \sum \tfrac{1}{2} (\delta + \rho u)^2 - \tfrac{1}{2} u^2 - \log \rho $$

    in nats, summed over the last axis. With the noise $u$ held its derivative is the total one, through the
    sample and through both densities; its mean over $u$ is the KL divergence.

    Args:
      shift: $\delta$, `[..., units]`.
      ratio: $\rho$, above 0, `[..., units]`.
      noise: $u$, `[..., units]`.
    """
    return tf.reduce_sum(0.5 * ((shift + ratio * noise) ** 2 - noise**2) - tf.math.log(ratio), -1)

"""The approximate posterior, group by group (DVAE# paper, Sec. 4).

    q(zeta | x) = prod_g q(zeta_g | x, zeta_<g)

Each group's encoder sees x and the samples of the groups before it. In training these are the relaxed
zeta; at evaluation the bits z.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from .numerics import Seed, split, uniform
from .smoothing import RelaxedBernoulli, Smoothing


class PosteriorSample(NamedTuple):
    """Samples of the posterior, K for each of B images.

    Attributes:
      logits: [K, B, D], log-odds of each bit given x and the groups before.
      sample: [K, B, D], zeta or z.
      log_prob: [K, B], log q(sample | x) in nats, differentiable in everything.
    """

    logits: tf.Tensor
    sample: tf.Tensor
    log_prob: tf.Tensor


class Posterior(keras.layers.Layer):
    """Encoders of the groups and the smoothing of their bits.

    Args:
      encoders: one layer for each group; the first is called as `encoder(x)` and gives [B, units], the
        others as `encoder(x, before)` with `before` [K, B, d], and give [K, B, units]: the log-odds.
      smoothing: turns log-odds into q(zeta).
    """

    def __init__(self, encoders: Sequence[keras.layers.Layer], smoothing: Smoothing, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        # A tuple: TensorFlow checkpoints pass over layers in lists.
        self.encoders = tuple(encoders)
        self.smoothing = smoothing

    def call(self, x: tf.Tensor, num_samples: int, seed: Seed, training: bool = False) -> PosteriorSample:
        """Draws reparameterised zeta.

        Args:
          x: [B, X], centred images.
          num_samples: K.
          seed: an `int32[2]` seed.
          training: for the batch norms.
        """
        return self._by_group(x, num_samples, seed, training, self._relaxed)

    def sample_binary(self, x: tf.Tensor, num_samples: int, seed: Seed) -> PosteriorSample:
        """Draws z from the discrete posterior, each group seeing the bits before it; no gradient flows."""
        return self._by_group(x, num_samples, seed, False, _binary)

    def _by_group(
        self, x: tf.Tensor, num_samples: int, seed: Seed, training: bool, draw: Any
    ) -> PosteriorSample:
        logits: list[tf.Tensor] = []
        samples: list[tf.Tensor] = []
        log_probs: list[tf.Tensor] = []
        seeds = split(seed, len(self.encoders))
        for encoder, group_seed in zip(self.encoders, seeds, strict=True):
            before = [tf.concat(samples, -1)] if samples else []
            group_logits = encoder(x, *before, training=training)
            group_logits = tf.cast(group_logits, self.variable_dtype)
            if not samples:
                shape = tf.concat([[num_samples], tf.shape(group_logits)], 0)
                group_logits = tf.broadcast_to(group_logits, shape)
            sample, log_prob = draw(group_logits, group_seed)
            logits.append(group_logits)
            samples.append(sample)
            log_probs.append(tf.reduce_sum(log_prob, -1))
        return PosteriorSample(tf.concat(logits, -1), tf.concat(samples, -1), tf.add_n(log_probs))

    def _relaxed(self, logits: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        q: RelaxedBernoulli = self.smoothing(logits)
        zeta = q.sample(seed=seed)
        return zeta, q.log_prob(zeta)


def _binary(logits: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    rho = uniform(tf.shape(logits), seed, logits.dtype)
    z = tf.cast(rho < tf.math.sigmoid(logits), logits.dtype)
    # log Bernoulli(z; l) = z l - softplus(l)
    return z, z * logits - tf.math.softplus(logits)

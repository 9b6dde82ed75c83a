r"""The approximate posterior, group by group (DVAE# paper, Sec. 4).

$$
q(\zeta | x) = \prod_g q(\zeta_g | x, \zeta_{<g})
$$

The encoder of each group sees $x$ and the samples of the groups before it: the relaxed $\zeta$ in training,
the bits $z$ in evaluation.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from .numerics import Seed, draw_bits, split, uniform
from .smoothing import Relaxation, RelaxedBinary


class PosteriorSample(NamedTuple):
    """Samples of the posterior, K for each of B images.

    Attributes:
      logits: [K, B, D], log-odds of each bit given x and the groups before.
      sample: [K, B, D], zeta or z.
      log_prob: [K, B], log q(sample | x) in nats, differentiable in everything.
      distributions: q(zeta_g | x, zeta_<g) of each group, batch shape [K, B, units]; empty for bits.
    """

    logits: tf.Tensor
    sample: tf.Tensor
    log_prob: tf.Tensor
    distributions: tuple[RelaxedBinary, ...]

    def binary_posterior_probs(self) -> tf.Tensor:
        r"""$\nu = q(z = 1 | x, \zeta)$, [K, B, D]: probabilities of the bits given their own zeta."""
        zetas = tf.split(self.sample, len(self.distributions), -1)
        pairs = zip(self.distributions, zetas, strict=True)
        return tf.concat(
            [distribution.binary_posterior(zeta).probs_parameter() for distribution, zeta in pairs], -1
        )


@keras.saving.register_keras_serializable("dvae_tf")
class Posterior(keras.layers.Layer):
    """Encoders of the groups and the relaxations of their bits.

    Args:
      encoders: one layer for each group; the first is called as `encoder(x)` and returns [B, units], the
        others as `encoder(x, before)` with `before` [K, B, d], and return [K, B, units]: the log-odds (and
        the further inputs of the relaxation, `outputs_per_unit` in all).
      relaxations: one for each group, not necessarily distinct; each maps log-odds to q(zeta).
      **kwargs: arguments of a Keras layer.
    """

    def __init__(
        self, encoders: Sequence[keras.layers.Layer], relaxations: Sequence[Relaxation], **kwargs: Any
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        # Tuples, because TensorFlow checkpoints ignore layers in lists.
        self.encoders = tuple(encoders)
        self.relaxations = tuple(relaxations)

    def call(self, x: tf.Tensor, num_samples: int, seed: Seed, training: bool = False) -> PosteriorSample:
        """Draws reparameterised zeta.

        Args:
          x: [B, X], centred images.
          num_samples: K.
          seed: an `int32[2]` seed.
          training: the mode of the batch norms.
        """
        return self._by_group(x, num_samples, seed, training, _relaxed)

    def sample_binary(self, x: tf.Tensor, num_samples: int, seed: Seed) -> PosteriorSample:
        """Draws z from the discrete posterior, each group given the bits before it; no gradient flows."""
        return self._by_group(x, num_samples, seed, False, _binary)

    def _by_group(
        self, x: tf.Tensor, num_samples: int, seed: Seed, training: bool, draw: Any
    ) -> PosteriorSample:
        groups: list[_Group] = []
        seeds = split(seed, len(self.encoders))
        for encoder, relaxation, group_seed in zip(self.encoders, self.relaxations, seeds, strict=True):
            before = [tf.concat([group.sample for group in groups], -1)] if groups else []
            outputs = tf.cast(encoder(x, *before, training=training), self.variable_dtype)
            if not groups:
                outputs = tf.broadcast_to(outputs, tf.concat([[num_samples], tf.shape(outputs)], 0))
            logits, *more = tf.split(outputs, relaxation.outputs_per_unit, -1)
            groups.append(draw(relaxation, logits, more, group_seed))
        return PosteriorSample(
            tf.concat([group.logits for group in groups], -1),
            tf.concat([group.sample for group in groups], -1),
            tf.add_n([tf.reduce_sum(group.log_prob, -1) for group in groups]),
            tuple(group.distribution for group in groups if group.distribution is not None),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; groups that share a relaxation continue to share it."""
        serialize = keras.saving.serialize_keras_object
        different = list(dict.fromkeys(self.relaxations))
        return super().get_config() | {
            "encoders": [serialize(each) for each in self.encoders],
            "relaxations": [serialize(each) for each in different],
            "relaxation_of_group": [different.index(each) for each in self.relaxations],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Posterior":
        """Rebuilds the layer from `get_config`."""
        deserialize = keras.saving.deserialize_keras_object
        config = dict(config)
        config["encoders"] = [deserialize(each) for each in config["encoders"]]
        relaxations = [deserialize(each) for each in config["relaxations"]]
        config["relaxations"] = [relaxations[index] for index in config.pop("relaxation_of_group")]
        return cls(**config)


class _Group(NamedTuple):
    logits: tf.Tensor
    sample: tf.Tensor
    log_prob: tf.Tensor
    distribution: RelaxedBinary | None


def _relaxed(relaxation: Relaxation, logits: tf.Tensor, more: list[tf.Tensor], seed: tf.Tensor) -> _Group:
    q = relaxation(logits, *more)
    zeta = q.sample(seed=seed)
    return _Group(logits, zeta, q.log_prob(zeta), q)


def _binary(relaxation: Relaxation, logits: tf.Tensor, more: list[tf.Tensor], seed: tf.Tensor) -> _Group:
    del relaxation, more
    z = draw_bits(tf.math.sigmoid(logits), uniform(tf.shape(logits), seed, logits.dtype))
    # log Bernoulli(z; l) = z l - softplus(l)
    return _Group(logits, z, z * logits - tf.math.softplus(logits), None)

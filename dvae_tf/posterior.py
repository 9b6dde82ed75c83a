r"""The approximate posterior, group by group (DVAE# paper, Sec. 4).

$$
q(\zeta | x) = \prod_g q(\zeta_g | x, \zeta_{<g})
$$

The encoder of each group sees $x$ and the samples of the groups before it: the relaxed $\zeta$ in training,
the bits $z$ in evaluation and where a system trains on bits.
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
      relaxations: one for each group, not necessarily distinct; each maps log-odds to q(zeta). None if the
        code is bits, also in training.
      **kwargs: arguments of a Keras layer.
    """

    def __init__(
        self,
        encoders: Sequence[keras.layers.Layer],
        relaxations: Sequence[Relaxation] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        # Tuples, because TensorFlow checkpoints ignore layers in lists.
        self.encoders = tuple(encoders)
        self.relaxations = tuple(relaxations or ())

    @property
    def has_bits(self) -> bool:
        """Whether the code is bits or a relaxation of them."""
        return all(relaxation.has_bits for relaxation in self.relaxations)

    @property
    def num_groups(self) -> int:
        """The number of groups."""
        return len(self.encoders)

    def call(self, x: tf.Tensor, num_samples: int, seed: Seed, training: bool = False) -> PosteriorSample:
        """Draws reparameterized zeta, or bits if there is no relaxation.

        Args:
          x: [B, X], centered images.
          num_samples: K.
          seed: an `int32[2]` seed.
          training: the mode of the batch norms.
        """
        if not self.relaxations:
            return self.sample_binary(x, num_samples, seed, training)
        return self._by_group(x, num_samples, seed, training, self._relaxed)

    def sample_binary(
        self, x: tf.Tensor, num_samples: int, seed: Seed, training: bool = False
    ) -> PosteriorSample:
        """Draws z from the discrete posterior, each group given the bits before it.

        No gradient flows through z; `logits` and `log_prob` are differentiable. A code without bits
        (`has_bits`) is drawn as in training.
        """
        draw = self._binary if self.has_bits else self._relaxed
        return self._by_group(x, num_samples, seed, training, draw)

    def means(self, logits: tf.Tensor) -> tf.Tensor:
        """The posterior means that log-odds stand for: the probabilities of bits; or they are the means."""
        return tf.math.sigmoid(logits) if self.has_bits else logits

    def most_probable(self, logits: tf.Tensor) -> tf.Tensor:
        """The most probable bits, or the means of a code without bits."""
        return tf.cast(logits > 0, logits.dtype) if self.has_bits else logits

    def logits(
        self,
        group: int,
        x: tf.Tensor,
        before: tf.Tensor | None,
        num_samples: int,
        training: bool = False,
    ) -> tf.Tensor:
        """Log-odds of the bits of one group, [K, B, units].

        Args:
          group: its index.
          x: [B, X], centered images.
          before: [K, B, d], samples of the groups before; None for the first.
          num_samples: K, for the first group.
          training: the mode of the batch norms.
        """
        return self._outputs(group, x, before, num_samples, training)[0]

    def log_prob(self, x: tf.Tensor, zeta: tf.Tensor, training: bool = False) -> tf.Tensor:
        """log q(zeta | x) of given zeta [K, B, D], differentiable in everything; [K, B], nats.

        Raises:
          ValueError: if there is no relaxation.
        """
        if not self.relaxations:
            raise ValueError("relaxations: expected one for each group for a density of zeta, got none")
        log_prob, start = [], 0
        for group, relaxation in enumerate(self.relaxations):
            before = zeta[..., :start] if group else None
            logits, *more = self._outputs(group, x, before, tf.shape(zeta)[0], training)
            end = start + logits.shape[-1]
            log_prob.append(tf.reduce_sum(relaxation(logits, *more).log_prob(zeta[..., start:end]), -1))
            start = end
        return tf.add_n(log_prob)

    def _outputs(
        self, group: int, x: tf.Tensor, before: tf.Tensor | None, num_samples: Any, training: bool
    ) -> list[tf.Tensor]:
        """What the encoder of a group gives: log-odds, and the further inputs of the relaxation."""
        inputs = [x] if before is None else [x, before]
        outputs = tf.cast(self.encoders[group](*inputs, training=training), self.variable_dtype)
        if before is None:
            outputs = tf.broadcast_to(outputs, tf.concat([[num_samples], tf.shape(outputs)], 0))
        outputs_per_unit = self.relaxations[group].outputs_per_unit if self.relaxations else 1
        return tf.split(outputs, outputs_per_unit, -1)

    def _by_group(
        self, x: tf.Tensor, num_samples: int, seed: Seed, training: bool, draw: Any
    ) -> PosteriorSample:
        groups: list[_Group] = []
        for index, group_seed in enumerate(split(seed, self.num_groups)):
            before = tf.concat([group.sample for group in groups], -1) if groups else None
            logits, *more = self._outputs(index, x, before, num_samples, training)
            groups.append(draw(index, logits, more, group_seed))
        return PosteriorSample(
            tf.concat([group.logits for group in groups], -1),
            tf.concat([group.sample for group in groups], -1),
            tf.add_n([tf.reduce_sum(group.log_prob, -1) for group in groups]),
            tuple(group.distribution for group in groups if group.distribution is not None),
        )

    def _relaxed(self, group: int, logits: tf.Tensor, more: list[tf.Tensor], seed: tf.Tensor) -> "_Group":
        q = self.relaxations[group](logits, *more)
        zeta = q.sample(seed=seed)
        return _Group(logits, zeta, q.log_prob(zeta), q)

    def _binary(self, group: int, logits: tf.Tensor, more: list[tf.Tensor], seed: tf.Tensor) -> "_Group":
        del group, more
        z = draw_bits(tf.math.sigmoid(logits), uniform(tf.shape(logits), seed, logits.dtype))
        # log Bernoulli(z; l) = z l - softplus(l)
        return _Group(logits, z, z * logits - tf.math.softplus(logits), None)

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

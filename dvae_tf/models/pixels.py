"""The likelihood p(x | z) of binary images: independent Bernoulli pixels."""

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd


@keras.saving.register_keras_serializable("dvae_tf")
def bernoulli_pixels(logits: tf.Tensor) -> tfd.Distribution:
    """Independent Bernoulli pixels: log-odds `[..., X]` give batch shape `[...]`, event shape `[X]`."""
    return tfd.Independent(BernoulliPixels(logits=logits, dtype=logits.dtype), 1)


class BernoulliPixels(tfd.Bernoulli):
    r"""A Bernoulli distribution whose log-probability evaluates one softplus instead of two.

    $$ \log p(x) = x \, l - \operatorname{softplus}(l), \qquad x \in [0, 1] $$

    in nats. The pixels dominate the cost of a likelihood.
    """

    def _log_prob(self, event: tf.Tensor) -> tf.Tensor:
        logits = self._logits_parameter_no_checks()
        return event * logits - tf.math.softplus(logits)

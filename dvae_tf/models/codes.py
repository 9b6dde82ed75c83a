"""Codes and samples of a model."""

from typing import NamedTuple

import tensorflow as tf


class BinaryCode(NamedTuple):
    r"""Binary codes of images.

    Attributes:
      logits: log-odds of the bits, `[K, B, D]`; the means of a Gaussian code (`baseline="gaussian"`).
      z: bits, `[K, B, D]`; the values of a Gaussian code.
      log_prob: $\log q(z \mid x)$, `[K, B]`, nats.
    """

    logits: tf.Tensor
    z: tf.Tensor
    log_prob: tf.Tensor


class LocalCode(NamedTuple):
    r"""Codes of images of a model with local variables; nats.

    Attributes:
      logits: log-odds of the bits, `[K, B, D]`; the means of a Gaussian code (`baseline="gaussian"`).
      z: bits, `[K, B, D]`; the values of a Gaussian code.
      log_prob: $\log q(z \mid x)$, `[K, B]`.
      local: the local variables $y$, `[K, B, Y]`.
      local_log_ratio: $\log q(y \mid x, z) - \log p(y \mid z)$, `[K, B]`.
      local_kl: the KL divergence of each local group given what is before it, `[M, K, B]`.
      local_shift: how far the mean of $q(y \mid x, z)$ is from that of $p(y \mid z)$, in units of the scale
        of the latter, `[K, B, Y]`.
    """

    logits: tf.Tensor
    z: tf.Tensor
    log_prob: tf.Tensor
    local: tf.Tensor
    local_log_ratio: tf.Tensor
    local_kl: tf.Tensor
    local_shift: tf.Tensor


class Samples(NamedTuple):
    """Samples of the model.

    Attributes:
      images: pixel means, `[N, X]`.
      z: the codes that they were decoded from, `[N, D]`.
    """

    images: tf.Tensor
    z: tf.Tensor


class LocalSamples(NamedTuple):
    """Samples of a model with local variables.

    Attributes:
      images: pixel means, `[N, X]`.
      z: the bits that they were decoded from, `[N, D]`.
      local: the local variables, `[N, Y]`.
    """

    images: tf.Tensor
    z: tf.Tensor
    local: tf.Tensor

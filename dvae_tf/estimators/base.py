"""What an estimator takes and returns, and what several of them share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from ..numerics import Seed
from ..posterior import Posterior
from ..priors import Prior


class RelaxedBound(NamedTuple):
    r"""The training objective and its two terms, in nats.

    Attributes:
      bound: the objective of each image, `[B]`; its gradient is that of the estimator.
      log_likelihood: $\log p(x \mid \zeta)$, or at the bits, of each code that was decoded, `[K, B]`; with
        local variables, that at a sample of them less their weighted KL term (`BoundParts`).
      kl: estimate of $\log q(\zeta \mid x) - \log p(\zeta)$, or that of the bits, `[K, B]`.
    """

    bound: tf.Tensor
    log_likelihood: tf.Tensor
    kl: tf.Tensor


class BoundParts(NamedTuple):
    r"""What the bound of a batch is made of.

    Attributes:
      posterior: draws the codes.
      prior: the layer that owns the prior.
      chains: the sampler state whose chains are the negative phase; None takes all chains of the prior.
      conditional: the layers whose variables `log_likelihood` reads, beside those that give `x`.
      log_likelihood: from codes `[K, B, D]` to $\log p(x \mid \mathrm{code})$, `[K, B]`. With local variables
        it is $\log p(x \mid \mathrm{code}, y) - \gamma (\log q(y \mid x, \mathrm{code}) - \log p(y \mid
        \mathrm{code}))$ at a reparameterized sample $y$, or with their KL divergence where the bound is
        linear in it. Its second argument is the number N of draws of noise: code k has draw k mod N; by
        default each has its own.
      kl: from samples of the posterior and the prior of zeta to $\log q - \log p$, `[K, B]`.
      bound: from `log_likelihood`, `kl` and `kl_weight` to the bound, `[B]`.
      x: what the posterior takes: centered images, or features of them, `[B, X]`.
      num_samples: K.
      seed: an `int32[2]` seed.
      kl_weight: $\gamma$, a scalar in [0, 1].
      training: the mode of the batch norms.
    """

    posterior: Posterior
    prior: Prior
    chains: Any
    conditional: tuple[keras.layers.Layer, ...]
    log_likelihood: Callable[..., tf.Tensor]
    kl: Callable[[Any, Any], tf.Tensor]
    bound: Callable[[tf.Tensor, tf.Tensor, tf.Tensor | float], tf.Tensor]
    x: tf.Tensor
    num_samples: int
    seed: Seed
    kl_weight: tf.Tensor | float
    training: bool


def terms_of_bits(
    parts: BoundParts, z: tf.Tensor, log_q: tf.Tensor, num_noise: int | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""$\log p(x \mid z)$ and $\log q(z \mid x) - \log p(z)$ of bits `[K, B, D]`, `[K, B]` each, nats.

    `num_noise` is the second argument of `BoundParts.log_likelihood`.
    """
    log_likelihood = parts.log_likelihood(z, num_noise)
    prior = parts.prior.in_mode(parts.prior.binary(parts.chains), parts.training)
    return log_likelihood, log_q - prior.log_prob(z)


def mean_of_others(values: tf.Tensor) -> tf.Tensor:
    """For each of K values along the first axis, the mean of the K - 1 others."""
    num_others = tf.cast(tf.shape(values)[0] - 1, values.dtype)
    return (tf.reduce_sum(values, 0) - values) / num_others


def gradient_of(surrogate: tf.Tensor) -> tf.Tensor:
    """0, with the gradient of the surrogate."""
    return surrogate - tf.stop_gradient(surrogate)


def held(*layers: keras.layers.Layer) -> keras.StatelessScope:
    """A scope in which layers have their current variables without gradients, and assign none.

    So batch norms update their statistics once in a step, however often a network is evaluated.
    """
    variables = [variable for layer in layers for variable in layer.variables]
    values = [(variable, tf.stop_gradient(tf.convert_to_tensor(variable))) for variable in variables]
    return keras.StatelessScope(values, initialize_variables=False)

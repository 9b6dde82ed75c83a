r"""Energy, conditionals and free energy of a restricted Boltzmann machine.

$$
E(z) = -a_l \cdot z_l - a_r \cdot z_r - z_l^\top W z_r, \qquad p(z) = \exp(-E(z)) / Z
$$

with the biases $a_l$ and $a_r$ (GumBolt paper, Eq. 3 and 4; DVAE# paper, Sec. 2). The energy is multilinear
in $z$, so these functions take binary states, mean-field parameters and relaxed $\zeta$ alike, with any
leading dimensions.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..support import as_number, at_least_float32, in_dtype


class RBM(NamedTuple):
    """The parameters of a machine: shapes [L], [R] and [L, R], of one floating dtype."""

    left_bias: tf.Tensor
    right_bias: tf.Tensor
    weights: tf.Tensor

    @property
    def num_left(self) -> int:
        """L, the number of left units."""
        return self.weights.shape[0]

    @property
    def num_right(self) -> int:
        """R, the number of right units."""
        return self.weights.shape[1]

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""
        return self.weights.dtype


def as_rbm(left_bias: Any, right_bias: Any, weights: Any, temperature: float = 1.0) -> RBM:
    r"""Converts arrays, tensors or variables to an `RBM`.

    Args:
      left_bias: [L].
      right_bias: [R].
      weights: [L, R]; its dtype (float64, or float32 for any other) is that of the machine.
      temperature: $T$ of $p(z) = \exp(-E(z) / T) / Z$; all parameters are divided by it.

    Raises:
      ValueError: if a shape is wrong, or the temperature is not a finite number above 0.
    """
    temperature = as_number("temperature", temperature, above=0.0)
    weights = at_least_float32(weights)
    if weights.shape.rank != 2 or not weights.shape.is_fully_defined():
        raise ValueError(f"weights: expected a static shape [L, R], got {weights.shape}")
    biases = []
    for name, bias, size in (
        ("left_bias", left_bias, weights.shape[0]),
        ("right_bias", right_bias, weights.shape[1]),
    ):
        bias = in_dtype(bias, weights.dtype)
        if bias.shape != (size,):
            raise ValueError(
                f"{name}: expected shape [{size}] for weights of shape {weights.shape}, got {bias.shape}"
            )
        biases.append(bias)
    rbm = RBM(biases[0], biases[1], weights)
    return rbm if temperature == 1 else scaled(rbm, 1 / temperature)


def scaled(rbm: RBM, inverse_temperature: float | tf.Tensor) -> RBM:
    r"""The machine with energy $t E(z)$."""
    return RBM(*(inverse_temperature * parameter for parameter in rbm))


def transposed(rbm: RBM) -> RBM:
    """The machine with its sides exchanged."""
    return RBM(rbm.right_bias, rbm.left_bias, tf.transpose(rbm.weights))


def split_sides(z: tf.Tensor, num_left: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Splits [..., L + R] into the left [..., L] and the right [..., R]."""
    return z[..., :num_left], z[..., num_left:]


def right_logits(rbm: RBM, left: tf.Tensor) -> tf.Tensor:
    r"""Log-odds of $z_r = 1$ given the left side, $a_r + W^\top z_l$: shape [..., R]."""
    return rbm.right_bias + tf.tensordot(left, rbm.weights, 1)


def left_logits(rbm: RBM, right: tf.Tensor) -> tf.Tensor:
    r"""Log-odds of $z_l = 1$ given the right side, $a_l + W z_r$: shape [..., L]."""
    return rbm.left_bias + tf.tensordot(right, rbm.weights, ((-1,), (1,)))


def energy(rbm: RBM, left: tf.Tensor, right: tf.Tensor, logits: tf.Tensor | None = None) -> tf.Tensor:
    r"""$E(z)$ in nats, summed over units: left [..., L] and right [..., R] give [...].

    The only matrix product is that of `right_logits`, which is left out where they are given.
    """
    logits = right_logits(rbm, left) if logits is None else logits
    return -tf.reduce_sum(left * rbm.left_bias, -1) - tf.reduce_sum(right * logits, -1)


def left_free_energy(rbm: RBM, left: tf.Tensor) -> tf.Tensor:
    r"""$F(z_l) = -\log \sum_{z_r} \exp(-E(z))$ in nats: [..., L] gives [...]."""
    return -tf.reduce_sum(left * rbm.left_bias, -1) - tf.reduce_sum(
        tf.math.softplus(right_logits(rbm, left)), -1
    )


def right_free_energy(rbm: RBM, right: tf.Tensor) -> tf.Tensor:
    r"""$F(z_r) = -\log \sum_{z_l} \exp(-E(z))$ in nats: [..., R] gives [...]."""
    return left_free_energy(transposed(rbm), right)

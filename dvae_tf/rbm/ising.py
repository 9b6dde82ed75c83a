r"""Machines of Ising spins $s = 2 z - 1 \in \{-1, +1\}$, with fields $h$ and couplings $J$.

$$
E_\text{Ising}(s) = -h_l \cdot s_l - h_r \cdot s_r - s_l^\top J s_r = E(z) + \text{constant}
$$

in the sign convention of physics, in which a positive coupling aligns spins. (Quantum annealers often use
$+h$ and $+J$: negate both.)
"""

from typing import Any, NamedTuple

import tensorflow as tf

from .energy import RBM, as_rbm


class Ising(NamedTuple):
    """Fields [L] and [R], couplings [L, R], and the offset between the energies of spins and bits.

    Attributes:
      left_field: h_l.
      right_field: h_r.
      couplings: J.
      constant: E_Ising(2 z - 1) - E(z), nats; log Z of the spins is log Z of the bits minus this.
    """

    left_field: tf.Tensor
    right_field: tf.Tensor
    couplings: tf.Tensor
    constant: tf.Tensor


def from_ising(left_field: Any, right_field: Any, couplings: Any) -> tuple[RBM, tf.Tensor]:
    r"""The machine of bits with the same distribution, and the constant $E_\text{Ising}(2 z - 1) - E(z)$.

    $$
    W = 4 J, \qquad a_l = 2 (h_l - J \mathbf{1}), \qquad a_r = 2 (h_r - J^\top \mathbf{1})
    $$

    Raises:
      ValueError: if the shapes disagree.
    """
    h_l, h_r, j = as_rbm(left_field, right_field, couplings)
    rbm = RBM(2 * (h_l - tf.reduce_sum(j, 1)), 2 * (h_r - tf.reduce_sum(j, 0)), 4 * j)
    return rbm, _constant(h_l, h_r, j)


def to_ising(left_bias: Any, right_bias: Any, weights: Any) -> Ising:
    """The machine of spins with the same distribution; the inverse of `from_ising`.

    Raises:
      ValueError: if the shapes disagree.
    """
    rbm = as_rbm(left_bias, right_bias, weights)
    j = rbm.weights / 4
    h_l = rbm.left_bias / 2 + tf.reduce_sum(j, 1)
    h_r = rbm.right_bias / 2 + tf.reduce_sum(j, 0)
    return Ising(h_l, h_r, j, _constant(h_l, h_r, j))


def _constant(h_l: tf.Tensor, h_r: tf.Tensor, j: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(h_l) + tf.reduce_sum(h_r) - tf.reduce_sum(j)

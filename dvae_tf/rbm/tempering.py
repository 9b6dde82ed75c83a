r"""The annealing path from a product distribution ($t = 0$) to the machine ($t = 1$).

$$
p_t(z) = \exp(-E_t(z)) / Z_t, \qquad -E_t(z) = ((1 - t)\, c + t a) \cdot z + t z_l^\top W z_r,
$$

with the log-odds $c$ of the product distribution and the biases $a$ of the machine; $c = 0$, fair bits, is
the machine at infinite temperature. Summing over the right side gives $f_t(z_l) = \log \sum_{z_r}
\exp(-E_t(z))$, the log marginal of the *tempered* machine, which is not $t f_1(z_l)$. Weights along the path
are ratios of $\exp(f_t)$, and of $\exp(g_t)$ with the log marginal $g_t$ of the right side.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from ..numerics import draw_bits, softplus_difference, uniform_pair
from .energy import RBM, split_sides, transposed

# Distance of the base probabilities from 0 and 1: a unit that is never 1 in the samples may be 1.
_CLIP = 0.01


class TemperedPath(NamedTuple):
    r"""A machine, and the log-odds $c$ [L + R] of the product distribution at the start of its path."""

    rbm: RBM
    base_logits: tf.Tensor

    def at(self, t: tf.Tensor) -> RBM:
        r"""The machine with energy $E_t$, for a scalar $t$."""
        target = tf.concat([self.rbm.left_bias, self.rbm.right_bias], 0)
        biases = (1 - t) * self.base_logits + t * target
        num_left = self.rbm.num_left
        return RBM(biases[:num_left], biases[num_left:], t * self.rbm.weights)

    def log_marginal_change(
        self, left: tf.Tensor, products: tf.Tensor, t: tf.Tensor, before: tf.Tensor
    ) -> tf.Tensor:
        r"""$f_t(z_l) - f_\text{before}(z_l)$ in nats, [C], for $z_l$ [C, L] and $W^\top z_l$ [C, R]."""
        now, then = self.at(t), self.at(before)
        change = softplus_difference(now.right_bias + t * products, then.right_bias + before * products)
        return tf.linalg.matvec(left, now.left_bias - then.left_bias) + tf.reduce_sum(change, -1)

    @property
    def transposed(self) -> "TemperedPath":
        """The same path with the sides exchanged."""
        num_left = self.rbm.num_left
        logits = tf.concat([self.base_logits[num_left:], self.base_logits[:num_left]], 0)
        return TemperedPath(transposed(self.rbm), logits)

    def advance(
        self, left: tf.Tensor, before: tf.Tensor, t: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        r"""One Gibbs sweep, with weights, while $t$ moves in two halves.

        With $h$ the midpoint of `before` and `t`, from left states $z_l$:

        $$
        \begin{aligned}
        \log w &= f_h(z_l) - f_\text{before}(z_l), & z_r &\sim p_h(z_r | z_l), \\
        \log w &\leftarrow \log w + g_t(z_r) - g_h(z_r), & z_l &\sim p_t(z_l | z_r).
        \end{aligned}
        $$

        Both weights use the matrix products of the sweep, so a step costs no more of them than with one
        weight per sweep, which has about twice the variance.

        Args:
          left: [C, L], properly weighted for p_before.
          before: a scalar.
          t: a scalar, above or below it.
          seed: an `int32[2]` seed.

        Returns:
          log w [C] in nats, and the new (left, right), which it weights properly for p_t.
        """
        half, back = (before + t) / 2, self.transposed
        width = max(self.rbm.num_left, self.rbm.num_right)
        for_right, for_left = uniform_pair([tf.shape(left)[0], width], seed, self.rbm.dtype)
        products = tf.matmul(left, self.rbm.weights)
        log_weights = self.log_marginal_change(left, products, half, before)
        logits = self.at(half).right_bias + half * products
        right = draw_bits(tf.math.sigmoid(logits), for_right[:, : self.rbm.num_right])
        products = tf.matmul(right, self.rbm.weights, transpose_b=True)
        log_weights += back.log_marginal_change(right, products, t, half)
        logits = self.at(t).left_bias + t * products
        left = draw_bits(tf.math.sigmoid(logits), for_left[:, : self.rbm.num_left])
        return log_weights, left, right

    def draw_base(self, num_samples: int, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Exact draws at t = 0, where all units are independent: [C, L] and [C, R]."""
        rho, _ = uniform_pair([num_samples, self.base_logits.shape[0]], seed, self.rbm.dtype)
        return split_sides(draw_bits(tf.math.sigmoid(self.base_logits), rho), self.rbm.num_left)

    @property
    def log_base(self) -> tf.Tensor:
        r"""$\log Z_0 = \sum_i \log(1 + e^{c_i})$, nats."""
        return tf.reduce_sum(tf.math.softplus(self.base_logits))


def tempered_path(rbm: RBM, base_probs: Any = None) -> TemperedPath:
    """The path to a machine from independent bits of the given means.

    Args:
      rbm: the machine at t = 1.
      base_probs: [L + R], such as the means of samples (clipped to [0.01, 0.99]); None for fair bits.

    Raises:
      ValueError: if the shape is wrong.
    """
    num_units = rbm.num_left + rbm.num_right
    if base_probs is None:
        return TemperedPath(rbm, tf.zeros([num_units], rbm.dtype))
    base_probs = tf.cast(tf.convert_to_tensor(base_probs), rbm.dtype)
    if base_probs.shape != (num_units,):
        raise ValueError(f"base_probs: expected shape [{num_units}], got {base_probs.shape}")
    probs = tf.clip_by_value(base_probs, _CLIP, 1 - _CLIP)
    return TemperedPath(rbm, tf.math.log(probs) - tf.math.log1p(-probs))

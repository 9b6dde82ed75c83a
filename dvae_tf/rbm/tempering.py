"""The path of annealing: from a product distribution (t = 0) to the machine (t = 1).

    p_t(z) = exp(-E_t(z)) / Z_t,    -E_t(z) = ((1 - t) c + t bias) . z + t z_l^T W z_r,

with c the log-odds of the product distribution; c = 0, the fair bits, is the machine at infinite
temperature. Summing over the right side gives f_t(z_l) = log sum over z_r of exp(-E_t(z)), the marginal
of the *tempered* machine: it is not t f_1(z_l). Weights along the path are ratios of exp(f_t).
"""

from typing import Any, NamedTuple

import tensorflow as tf

from .energy import RBM

# Probabilities of the product distribution are kept this far from 0 and 1: a unit that never fires in the
# samples may fire.
_CLIP = 0.01


class TemperedPath(NamedTuple):
    """A machine and the log-odds c [L + R] of the product distribution that its path starts from."""

    rbm: RBM
    base_logits: tf.Tensor

    def at(self, t: tf.Tensor) -> RBM:
        """The machine of energy E_t, for a scalar t."""
        target = tf.concat([self.rbm.left_bias, self.rbm.right_bias], 0)
        biases = (1 - t) * self.base_logits + t * target
        num_left = self.rbm.num_left
        return RBM(biases[:num_left], biases[num_left:], t * self.rbm.weights)

    def log_marginals(self, left: tf.Tensor, times: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        """f_t(z_l) in nats for each of some scalars t: [C, L] gives [C] each, for one matrix product."""
        product = tf.matmul(left, self.rbm.weights)
        return tuple(
            tf.linalg.matvec(left, machine.left_bias)
            + tf.reduce_sum(tf.math.softplus(machine.right_bias + t * product), -1)
            for t, machine in ((t, self.at(t)) for t in times)
        )

    @property
    def log_base(self) -> tf.Tensor:
        """log Z_0 = sum of softplus(c), nats."""
        return tf.reduce_sum(tf.math.softplus(self.base_logits))


def tempered_path(rbm: RBM, base_probs: Any = None) -> TemperedPath:
    """The path that starts from bits of the given means.

    Args:
      rbm: where it ends.
      base_probs: [L + R], such as the means of samples (clipped to [0.01, 0.99]); fair bits where not given.

    Raises:
      ValueError: if the shape is not that.
    """
    num_units = rbm.num_left + rbm.num_right
    if base_probs is None:
        return TemperedPath(rbm, tf.zeros([num_units], rbm.dtype))
    base_probs = tf.cast(tf.convert_to_tensor(base_probs), rbm.dtype)
    if base_probs.shape != (num_units,):
        raise ValueError(f"base_probs: expected shape [{num_units}], got {base_probs.shape}")
    probs = tf.clip_by_value(base_probs, _CLIP, 1 - _CLIP)
    return TemperedPath(rbm, tf.math.log(probs) - tf.math.log1p(-probs))

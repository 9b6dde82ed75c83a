r"""Enumeration of a small machine: $\log Z$, moments and draws, exact up to rounding.

The smaller side $z_s$ is enumerated, and the units $j$ of the other side are summed over in closed form:

$$
Z = \sum_{z_s} e^{a_s \cdot z_s} \prod_j \left(1 + e^{a_j + (W^\top z_s)_j}\right),
$$

in blocks of at most 2^14 states, so that memory is bounded; time doubles with every unit.
"""

from typing import NamedTuple

import tensorflow as tf

from ..numerics import binary_digits, split, uniform
from .energy import RBM, left_free_energy, right_logits, transposed
from .gibbs import sample_right

MAX_UNITS = 25
MAX_SAMPLING_UNITS = 20
_BLOCK_UNITS = 14


class Moments(NamedTuple):
    """log Z (nats) and the means of z_l [L], of z_r [R] and of their products z_l z_r^T [L, R]."""

    log_partition: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor
    products: tf.Tensor


def log_partition(rbm: RBM) -> tf.Tensor:
    r"""$\log Z$ in nats, a scalar, exact; differentiable once.

    The gradient is $\partial \log Z / \partial a = \mathbb{E}[z]$, $\partial \log Z / \partial W =
    \mathbb{E}[z_l z_r^\top]$ (GumBolt paper, Eq. 6).

    Raises:
      ValueError: if the smaller side has more than 25 units.
    """

    @tf.custom_gradient
    def with_moments(left_bias: tf.Tensor, right_bias: tf.Tensor, weights: tf.Tensor) -> tuple:
        found = moments(RBM(left_bias, right_bias, weights))

        def gradient(upstream: tf.Tensor) -> tuple:
            return tuple(
                upstream
                * tf.raw_ops.PreventGradient(input=moment, message="log Z is differentiable once only")
                for moment in (found.left, found.right, found.products)
            )

        return found.log_partition, gradient

    return with_moments(*rbm)


def moments(rbm: RBM) -> Moments:
    r"""$\log Z$ and first and second moments by enumeration; no gradient flows.

    Raises:
      ValueError: if the smaller side has more than 25 units.
    """
    smaller = min(rbm.num_left, rbm.num_right)
    if smaller > MAX_UNITS:
        raise ValueError(
            f"weights: expected a side of at most {MAX_UNITS} units for enumeration, "
            f"got {rbm.num_left} + {rbm.num_right}; use partition.annealed_importance_sampling"
        )
    if rbm.num_left > rbm.num_right:
        found = _moments(transposed(rbm))
        return Moments(found.log_partition, found.right, found.left, tf.transpose(found.products))
    return _moments(rbm)


@tf.function
def _moments(rbm: RBM) -> Moments:
    rbm = RBM(*(tf.stop_gradient(parameter) for parameter in rbm))
    num_blocks = 2 ** max(rbm.num_left - _BLOCK_UNITS, 0)

    def block(index: tf.Tensor, log_total: tf.Tensor, left: tf.Tensor, products: tf.Tensor) -> tuple:
        states = _block_states(index, rbm.num_left, rbm.dtype)
        log_weights = -left_free_energy(rbm, states)
        log_block = tf.reduce_logsumexp(log_weights)
        new_total = tf.reduce_logsumexp(tf.stack([log_total, log_block]))
        keep = tf.exp(log_total - new_total)
        weighted = tf.exp(log_weights - new_total)[:, tf.newaxis] * states
        # An additional column of ones gives E[z_r] from the matrix product for E[z_l z_r^T].
        right_means = tf.math.sigmoid(right_logits(rbm, states))
        one = tf.exp(log_weights - new_total)[:, tf.newaxis]
        update = tf.matmul(tf.concat([weighted, one], 1), right_means, transpose_a=True)
        return (
            index + 1,
            new_total,
            keep * left + tf.reduce_sum(weighted, 0),
            keep * products + update,
        )

    _, log_total, left, products = tf.while_loop(
        lambda index, *_: index < num_blocks,
        block,
        (
            tf.constant(0, tf.int64),
            tf.constant(-float("inf"), rbm.dtype),
            tf.zeros([rbm.num_left], rbm.dtype),
            tf.zeros([rbm.num_left + 1, rbm.num_right], rbm.dtype),
        ),
    )
    return Moments(log_total, left, products[-1], products[:-1])


def sample(rbm: RBM, num_samples: int | tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Exact draws: the smaller side by inversion of its tabulated CDF, then the other side given it.

    Returns:
      `(left, right)`: [num_samples, L] and [num_samples, R].

    Raises:
      ValueError: if the smaller side has more than 20 units.
    """
    if min(rbm.num_left, rbm.num_right) > MAX_SAMPLING_UNITS:
        raise ValueError(
            f"weights: expected a side of at most {MAX_SAMPLING_UNITS} units for exact sampling, "
            f"got {rbm.num_left} + {rbm.num_right}"
        )
    if rbm.num_left > rbm.num_right:
        right, left = sample(transposed(rbm), num_samples, seed)
        return left, right
    num_blocks = 2 ** max(rbm.num_left - _BLOCK_UNITS, 0)
    log_weights = tf.map_fn(
        lambda index: -left_free_energy(rbm, _block_states(index, rbm.num_left, rbm.dtype)),
        tf.range(num_blocks, dtype=tf.int64),
        fn_output_signature=rbm.dtype,
    )
    # In float64, because 2^20 float32 probabilities do not sum to 1.
    cdf = tf.cumsum(tf.nn.softmax(tf.cast(tf.reshape(log_weights, [-1]), tf.float64)))
    for_left, for_right = split(seed)
    rho = uniform([num_samples], for_left, tf.float64) * cdf[-1]
    numbers = tf.searchsorted(cdf, rho, side="right", out_type=tf.int64)
    left = binary_digits(tf.minimum(numbers, 2**rbm.num_left - 1), rbm.num_left, rbm.dtype)
    return left, sample_right(rbm, left, for_right)


def _block_states(index: tf.Tensor, num_units: int, dtype: tf.DType) -> tf.Tensor:
    size = 2 ** min(num_units, _BLOCK_UNITS)
    return binary_digits(index * size + tf.range(size, dtype=tf.int64), num_units, dtype)

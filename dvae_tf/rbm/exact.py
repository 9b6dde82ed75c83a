r"""Enumeration of a small machine: $\log Z$, moments and draws, exact up to rounding.

The smaller side $z_s$ is enumerated, and the units $j$ of the other side are summed over in closed form:

$$
Z = \sum_{z_s} e^{a_s \cdot z_s} \prod_j \left(1 + e^{a_j + (W^\top z_s)_j}\right),
$$

in blocks of at most 2^14 states, so that memory is bounded; time doubles with every unit.
"""

from typing import NamedTuple

import tensorflow as tf

from .. import graphs
from ..graphs.enumeration import BLOCK_UNITS, MAX_SAMPLING_UNITS, MAX_UNITS, draw_numbers
from ..numerics import binary_digits, split
from ..products import matmul
from .energy import RBM, Machine, left_free_energy, right_logits, transposed
from .gibbs import sample_right


class Moments(NamedTuple):
    """log Z (nats) and the means of z_l [L], of z_r [R] and of their products z_l z_r^T [L, R]."""

    log_partition: tf.Tensor
    left: tf.Tensor
    right: tf.Tensor
    products: tf.Tensor


def num_exact_units(machine: Machine) -> int:
    r"""The number of units of which exact $\log Z$ takes all states: those of the smaller side.

    On a graph, those outside the largest color, or the width of the elimination, whichever is less.
    """
    if isinstance(machine, RBM):
        return min(machine.num_left, machine.num_right)
    width = graphs.elimination.min_fill(machine.graph)[1]
    return min(width, graphs.enumeration.num_enumerated(machine.graph))


def log_partition(machine: Machine) -> tf.Tensor:
    r"""$\log Z$ in nats, a scalar, exact; differentiable once.

    The gradient is $\partial \log Z / \partial a = \mathbb{E}[z]$, $\partial \log Z / \partial W =
    \mathbb{E}[z_l z_r^\top]$ (GumBolt paper, Eq. 6).

    Raises:
      ValueError: if the smaller side has more than 25 units; on a graph, as `graphs.exact.log_partition`.
    """
    if not isinstance(machine, RBM):
        return graphs.exact.log_partition(*machine)

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

    return with_moments(*machine)


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
    num_blocks = 2 ** max(rbm.num_left - BLOCK_UNITS, 0)

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
        update = matmul(tf.concat([weighted, one], 1), right_means, transpose_a=True)
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


def can_sample(machine: Machine) -> bool:
    """Whether `sample` takes the machine."""
    if isinstance(machine, RBM):
        return min(machine.num_left, machine.num_right) <= MAX_SAMPLING_UNITS
    return graphs.enumeration.num_enumerated(machine.graph) <= MAX_SAMPLING_UNITS


def sample(machine: Machine, num_samples: int | tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Exact draws: the smaller side by inversion of its tabulated CDF, then the other side given it.

    On a graph, the units outside the largest color take the part of the smaller side.

    Returns:
      `(left, right)`: [num_samples, L] and [num_samples, R].

    Raises:
      ValueError: if the smaller side has more than 20 units.
    """
    if not isinstance(machine, RBM):
        return machine.sides(graphs.enumeration.sample(*machine, num_samples, seed))
    rbm = machine
    if min(rbm.num_left, rbm.num_right) > MAX_SAMPLING_UNITS:
        raise ValueError(
            f"weights: expected a side of at most {MAX_SAMPLING_UNITS} units for exact sampling, "
            f"got {rbm.num_left} + {rbm.num_right}"
        )
    if rbm.num_left > rbm.num_right:
        right, left = sample(transposed(rbm), num_samples, seed)
        return left, right
    num_blocks = 2 ** max(rbm.num_left - BLOCK_UNITS, 0)
    log_weights = tf.map_fn(
        lambda index: -left_free_energy(rbm, _block_states(index, rbm.num_left, rbm.dtype)),
        tf.range(num_blocks, dtype=tf.int64),
        fn_output_signature=rbm.dtype,
    )
    for_left, for_right = split(seed)
    numbers = draw_numbers(tf.reshape(log_weights, [-1]), num_samples, for_left)
    left = binary_digits(numbers, rbm.num_left, rbm.dtype)
    return left, sample_right(rbm, left, for_right)


def _block_states(index: tf.Tensor, num_units: int, dtype: tf.DType) -> tf.Tensor:
    size = 2 ** min(num_units, BLOCK_UNITS)
    return binary_digits(index * size + tf.range(size, dtype=tf.int64), num_units, dtype)

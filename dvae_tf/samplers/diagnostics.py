"""Mixing of the chains of a sampler at fixed parameters: R-hat and autocorrelation of the energy."""

from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from ..numerics import Seed, as_seed, split
from ..products import matmul
from ..rbm import Machine
from ..support import as_count
from .base import Sampler, machine


class Mixing(NamedTuple):
    """Diagnostics of the energies of chains.

    Attributes:
      r_hat: potential scale reduction (Gelman and Rubin, 1992), a scalar; 1 for chains that agree.
      autocorrelation_time: integrated, in steps of the sampler, a scalar: so many steps are worth one
        independent draw.
      energies: [steps, C], nats.
    """

    r_hat: tf.Tensor
    autocorrelation_time: tf.Tensor
    energies: tf.Tensor


def mixing(energies: tf.Tensor) -> Mixing:
    """Diagnostics from the energies [steps, C] of at least 2 steps and 2 chains; nats."""
    r_hat = tfp.mcmc.potential_scale_reduction(energies, independent_chain_ndims=1)
    return Mixing(r_hat, autocorrelation_time(energies), energies)


def autocorrelation_time(values: tf.Tensor) -> tf.Tensor:
    r"""The integrated autocorrelation time of chains [steps, C], in steps; a scalar.

    $$
    \tau = 1 + 2 \sum_t \rho_t,
    $$

    where $\rho_t$ is taken over all chains about their common mean, so that chains that each stay in a place
    of their own are detected, and summed in pairs as long as these are positive (Geyer, 1992). Values that
    never change give the number of steps.
    """
    steps = values.shape[0]
    centered = values - tf.reduce_mean(values)
    products = matmul(centered, centered, transpose_b=True)
    covariance = tf.reduce_sum(tf.linalg.diag_part(products, k=(0, steps - 1)), -1)[::-1]
    rho = tf.math.divide_no_nan(covariance, covariance[0])
    pairs = rho[0 : steps - steps % 2 : 2] + rho[1::2]
    positive = tf.math.cumprod(tf.cast(pairs > 0, values.dtype))
    tau = 2 * tf.reduce_sum(pairs * positive) - 1
    return tf.where(covariance[0] > 0, tf.maximum(tau, 1 / steps), tf.cast(steps, values.dtype))


def measure_mixing(
    sampler: Sampler,
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    state: Any,
    seed: Seed,
    num_steps: int = 100,
) -> Mixing:
    """Runs a sampler at fixed parameters and monitors the energy; the given state is not changed.

    Args:
      sampler: the sampler.
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      state: its initial state.
      seed: an `int32[2]` seed.
      num_steps: at least 2.

    Raises:
      ValueError: if `num_steps` is below 2, there is a single chain, or the sampler has no compiled steps.
    """
    num_steps = as_count("num_steps", num_steps, 2)
    if not sampler.compiled:
        raise ValueError(f"sampler: expected one with compiled steps, got {sampler!r}")
    if sampler.num_chains < 2:
        raise ValueError("sampler: expected at least 2 chains, got 1")
    target = machine(left_bias, right_bias, weights, 1.0, state)
    return mixing(_energies(sampler, target, state, as_seed(seed), num_steps))


@tf.function(jit_compile=True)
def _energies(sampler: Sampler, target: Machine, state: Any, seed: tf.Tensor, num_steps: int) -> tf.Tensor:
    def one(index: tf.Tensor, energies: tf.Tensor, state: Any, seed: tf.Tensor) -> tuple:
        now, seed = split(seed)
        state, info = sampler.step(*target.arguments, state, now)
        energies = tf.tensor_scatter_nd_update(energies, [[index]], [info.energy])
        return index + 1, energies, state, seed

    nothing = tf.zeros([num_steps, sampler.num_chains], state.left.dtype)
    return tf.while_loop(lambda index, *_: index < num_steps, one, (0, nothing, state, seed))[1]

"""Population annealing along the straight path from the parameters of a population to given ones.

A training is noisy: its own path turns often, and the error of log Z grows with every turn. The straight path
between two points of it is shorter, so a population that takes it from time to time tracks log Z with a small
error (`PopulationAnnealing` says why the population of the gradient cannot).
"""

from typing import Any

import tensorflow as tf

from ..numerics import Seed, as_seed, fold_in, split
from ..rbm import Machine, sample_right
from ..support import as_count_tensor
from .base import machine
from .population_annealing import PopulationAnnealing, PopulationState, machine_of


def follow_straight_path(
    sampler: PopulationAnnealing,
    left_bias: Any,
    right_bias: Any,
    weights: Any,
    state: PopulationState,
    num_rungs: Any,
    seed: Seed,
) -> PopulationState:
    """Takes a population to the given parameters along the straight path, in steps of equal length.

    The exponential of the new log Z is unbiased if that of the old one was. No gradient flows.

    Args:
      sampler: its `num_sweeps` and `threshold` are those of each step.
      left_bias: [L]; of a machine on a graph, the graph.
      right_bias: [R]; on a graph, the biases [D].
      weights: [L, R]; on a graph, the couplings [M].
      state: the population, at other parameters.
      num_rungs: the number of steps, at least 1; a number or a scalar tensor.
      seed: an `int32[2]` seed.
    """
    end = machine(left_bias, right_bias, weights, 1.0, state)
    return _follow(sampler, end, state, as_count_tensor("num_rungs", num_rungs), as_seed(seed))


@tf.function(jit_compile=True)
def _follow(
    sampler: PopulationAnnealing,
    end: Machine,
    state: PopulationState,
    num_rungs: tf.Tensor,
    seed: tf.Tensor,
) -> PopulationState:
    start = machine_of(state, end)
    for_steps, for_right = split(seed)

    def rung(index: tf.Tensor, state: PopulationState) -> tuple:
        t = tf.cast(index + 1, end.dtype) / tf.cast(num_rungs, end.dtype)
        between = start.map(lambda one, other: (1 - t) * one + t * other, end)
        return index + 1, sampler.step_left(between, state, fold_in(for_steps, index))[0]

    _, state = tf.while_loop(lambda index, _: index < num_rungs, rung, (tf.constant(0), state))
    return state._replace(right=sample_right(end, state.left, for_right))

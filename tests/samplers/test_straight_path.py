"""Tests of the straight path of a population from its own machine to another one."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf.samplers import (
    PopulationAnnealing,
    PopulationAnnealingState,
    follow_straight_path,
    straight_path,
)
from support import populations, reference


def _followed(sampler, machine, num_runs, num_rungs, dtype=np.float32):
    """Independent populations, taken from zero parameters to a machine; leading dimension [N]."""
    found = []
    for seed in range(num_runs):
        state = sampler.init(*machine.weights.shape, (seed, 0), tf.as_dtype(dtype))
        state = follow_straight_path(sampler, *machine.cast(dtype), state, num_rungs, (seed, 1))
        found.append([each.numpy() for each in state])
    return PopulationAnnealingState(*(np.stack(each) for each in zip(*found, strict=True)))


@pytest.mark.parametrize(
    ("dtype", "num_rungs"), [(np.float32, 6), pytest.param(np.float64, 3, marks=pytest.mark.slow)]
)
def test_the_straight_path_measures_z_without_bias(dtype, num_rungs):
    """With few replicas and rungs; and the weighted replicas are draws of the joint distribution."""
    machine = populations.path()[-1]
    sampler = PopulationAnnealing(num_chains=5, num_sweeps=1)
    state = _followed(sampler, machine, 1500, num_rungs, dtype)
    assert state.log_partition.dtype == dtype
    assert abs(populations.z_score(state.log_partition, machine)) < 4
    assert populations.joint_p_value(state, machine) > 1e-4
    for each, value in zip(PopulationAnnealingState(*state).rbm, machine.cast(dtype), strict=True):
        np.testing.assert_array_equal(each, np.broadcast_to(value, each.shape))


def test_more_rungs_measure_better():
    machine = populations.path()[-1]
    sampler = PopulationAnnealing(num_chains=20, num_sweeps=2)
    exact = reference.log_partition(machine)
    errors = [_followed(sampler, machine, 60, rungs).log_partition - exact for rungs in (1, 20)]
    rough, fine = (np.mean(each.astype(np.float64) ** 2) for each in errors)
    # F with 60 and 60 degrees of freedom exceeds 3 with a probability below 1e-4.
    assert rough > 3 * fine


def test_rungs_of_the_straight_path_are_steps_and_do_not_trace_again():
    """One rung is a step with another seed; the number of rungs is dynamic."""
    machine = populations.path()[-1].cast(np.float32)
    sampler = PopulationAnnealing(num_chains=2000, num_sweeps=3, threshold=0.0)
    state, _ = populations.advanced(sampler, populations.path()[:4])
    stepped, _ = sampler.step(*machine, state, (1, 2))
    followed = follow_straight_path(sampler, *machine, state, 1, (1, 2))
    assert [each.shape for each in followed] == [each.shape for each in state]
    spread = float(np.exp(followed.log_weights).std() * np.sqrt(2000))
    np.testing.assert_allclose(followed.log_partition, stepped.log_partition, atol=8 * spread)
    before = straight_path._follow.experimental_get_tracing_count()
    for num_rungs in (2, 5):
        follow_straight_path(sampler, *machine, state, num_rungs, (3, num_rungs))
    assert straight_path._follow.experimental_get_tracing_count() == before


def test_the_straight_path_is_a_function_of_its_seed():
    machine = populations.path()[-1].cast(np.float32)
    sampler = PopulationAnnealing(num_chains=50, num_sweeps=1)
    state, _ = populations.advanced(sampler, populations.path()[:3])
    one, again, other = (
        follow_straight_path(sampler, *machine, state, 4, seed) for seed in ((1, 2), (1, 2), (1, 3))
    )
    assert populations.equal(one, again)
    assert np.any(one.left != other.left)

"""Two modes separated by 20 nats: chains stay in one of them, annealing and tempering find both.

The modes are a random pattern and its opposite, the former a little more probable; enumeration gives
their probabilities, and that of the states between them.
"""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf.samplers import ParallelTempering, PersistentGibbs, PopulationAnnealing
from support import reference

SIZE = 8
MACHINE, PATTERN = reference.planted_machine(SIZE, SIZE, coupling=0.48, field=0.0135, seed=5)
PARAMETERS = MACHINE.cast(np.float32)


def _agreement(left):
    """How many left units [..., L] agree with the pattern."""
    return (np.asarray(left) == PATTERN[:SIZE]).sum(-1)


def _likely_part(left):
    """The fraction of states [..., C, L] closer to the pattern than to its opposite; ties count half."""
    return 0.5 * (1 + np.sign(_agreement(left) - SIZE / 2)).mean(-1)


@pytest.fixture(scope="module")
def exact():
    """The probability of the more probable mode: between a half and two thirds."""
    log_probs = special.logsumexp(reference.joint_log_probs(MACHINE)[0], axis=1)
    states = reference.binary_states(SIZE)
    valley = [special.logsumexp(log_probs[_agreement(states) == count]) for count in range(SIZE + 1)]
    assert 19 < min(valley[0], valley[-1]) - min(valley) < 23
    weights = np.exp(log_probs) * (1 + np.sign(_agreement(states) - SIZE / 2)) / 2
    assert 0.58 < weights.sum() < 0.62
    return weights.sum()


def _in_one_mode(shape, likely):
    return tf.constant(np.broadcast_to(PATTERN[:SIZE] if likely else 1 - PATTERN[:SIZE], shape), tf.float32)


@pytest.mark.parametrize("likely", [True, False])
def test_persistent_chains_stay_in_their_mode(exact, likely):
    sampler = PersistentGibbs(num_chains=1000, num_sweeps=1000)
    state = sampler.init(SIZE, SIZE, (0, 1))
    state = state._replace(left=_in_one_mode((1000, SIZE), likely))
    state, _ = sampler.step(*PARAMETERS, state, (0, 2))
    assert abs(_likely_part(state.left) - likely) < 0.01
    assert abs(exact - likely) > 0.3


def test_population_annealing_finds_both(exact):
    sampler = PopulationAnnealing(num_chains=1000, num_sweeps=5)
    states = [sampler.anneal(*PARAMETERS, (1, seed)) for seed in range(16)]
    parts = np.array([_likely_part(state.left) for state in states])
    # The ratio estimate of runs weighted by their Z; t with 15 degrees of freedom.
    log_z = np.array([float(state.log_partition) for state in states]) - reference.log_partition(MACHINE)
    assert abs(reference.z_scores(np.exp(log_z) * (parts - exact), 0.0)) < 4.5
    assert parts.std() < 0.06
    assert abs(reference.z_scores(np.exp(log_z), 1.0)) < 4.5
    # They are kept along a path that returns to its start.
    state, info = sampler.step(*PARAMETERS, states[0], (2, 0))
    assert not info.resampled
    assert abs(_likely_part(state.left) - parts[0]) < 0.01


@pytest.mark.parametrize("likely", [True, False])
def test_parallel_tempering_finds_both(exact, likely):
    """Even if all replicas start in one of them; ladders are independent."""
    ladders, rungs = 500, 10
    sampler = ParallelTempering(ladders, num_sweeps=20, num_temperatures=rungs)
    state = sampler.init(SIZE, SIZE, (0, 1))
    state = state._replace(replica_left=_in_one_mode((rungs, ladders, SIZE), likely))
    for step in range(20):
        state, _ = sampler.step(*PARAMETERS, state, (3, step))
    error = np.sqrt(exact * (1 - exact) / ladders)
    assert abs(_likely_part(state.left) - exact) < 4 * error
    assert state.round_trips.numpy().mean() > 10

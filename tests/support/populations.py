"""Helpers of the tests of population annealing: a path of machines, and statistics over independent runs."""

import functools

import numpy as np
import tensorflow as tf

from support import reference

LENGTH = 8


@functools.cache
def path(size=(3, 3), stddev=1.0, length=LENGTH):
    """Machines that change slowly from nearly zero parameters to a given machine, along a curve."""
    first, last = (reference.random_machine(*size, seed=seed, stddev=stddev) for seed in (60, 61))
    times = np.arange(1, length + 1) / length
    machines = [
        reference.Machine(*(t * (1 - t) * a + t * b for a, b in zip(first, last, strict=True))) for t in times
    ]
    return [machine.cast(np.float32).cast(np.float64) for machine in machines]


def frequencies(left, right, log_weights, num_states):
    """The total weight of the replicas in each state, for each run; [N, C, ...] gives [N, S]."""
    numbers = reference.state_numbers(np.concatenate([left, right], -1))
    weights = np.exp(np.asarray(log_weights, np.float64))
    return np.stack([np.bincount(n, w, minlength=num_states) for n, w in zip(numbers, weights, strict=True)])


def joint_p_value(state, machine):
    """Whether exp(log Z) times the weights of a state's replicas is Z p(z) on average, over runs."""
    relative = state.log_partition.astype(np.float64) - reference.log_partition(machine)
    log_weights = state.log_weights + relative[:, np.newaxis]
    found = frequencies(state.left, state.right, log_weights, 2**machine.num_units)
    return reference.weighted_p_value(found, np.exp(reference.joint_log_probs(machine)[0]))


def z_score(log_partition, machine):
    """z-score of the mean of Z over runs."""
    relative = np.asarray(log_partition, np.float64) - reference.log_partition(machine)
    return float(reference.z_scores(np.exp(relative), 1.0))


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def advanced(sampler, path, dtype=np.float32, tag=0):
    """The last state of a sampler that has followed a path, not compiled, and all infos."""
    size = path[0].weights.shape
    state, infos = sampler.init(*size, (tag, 0), tf.as_dtype(dtype)), []
    for index, machine in enumerate(path):
        state, info = sampler.step(*machine.cast(dtype), state, (tag, 1 + index))
        infos.append(info)
    return state, infos


def recorded_seeds(monkeypatch, module):
    """Names and seeds of all calls of a module that draw, in order."""
    seen = []

    def recording(name):
        function = getattr(module, name)

        def wrapped(*args):
            seen.append((name, tuple(np.asarray(args[-1]))))
            return function(*args)

        monkeypatch.setattr(module, name, wrapped)

    for name in ("block_gibbs", "systematic_resampling", "sample_right"):
        if hasattr(module, name):
            recording(name)
    return seen

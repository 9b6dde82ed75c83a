"""Float64 NumPy oracles for machines on graphs: loops over edges, enumeration, transfer matrices."""

import numpy as np
from scipy import special

from support import reference


def random_edges(num_units, density, seed):
    """Edges of a random graph, in random order and orientation."""
    rng = np.random.default_rng(seed)
    pairs = [(i, j) for i in range(num_units) for j in range(i) if rng.uniform() < density]
    rng.shuffle(pairs)
    return [tuple(rng.permutation(pair).tolist()) for pair in pairs]


def is_proper(graph):
    """By a loop: no edge lies within a color, and the colors are a partition."""
    assert sorted(unit for units in graph.colors for unit in units.tolist()) == list(range(graph.num_units))
    sets = [set(units.tolist()) for units in graph.colors]
    return not any(i in units and j in units for i, j in graph.edges.tolist() for units in sets)


def parameters(graph, seed, stddev=1.0):
    """Biases and couplings, representable in float32 as well."""
    rng = np.random.default_rng(seed)
    sizes = graph.num_units, graph.num_edges
    return tuple(rng.normal(0, stddev, size).astype(np.float32).astype(np.float64) for size in sizes)


def energy(graph, biases, couplings, z):
    """E(z) of [..., D], by a loop over units and edges."""
    total = np.zeros(np.shape(z)[:-1])
    for i in range(graph.num_units):
        total -= biases[i] * z[..., i]
    for (i, j), coupling in zip(graph.edges, couplings, strict=True):
        total -= coupling * z[..., i] * z[..., j]
    return total


def moments(graph, biases, couplings):
    """log Z, E[z] and E[z_i z_j] over the edges, by enumeration of all states."""
    z = reference.binary_states(graph.num_units)
    log_weights = -energy(graph, biases, couplings, z)
    log_partition = special.logsumexp(log_weights)
    probs = np.exp(log_weights - log_partition)
    products = np.array([probs @ (z[:, i] * z[:, j]) for i, j in graph.edges])
    return log_partition, probs @ z, products


def log_partition_of_strip(graph, biases, couplings, size):
    """log Z by transfer matrices, where edges join only units of the same block or of neighboring ones."""
    states = reference.binary_states(size)
    log_message = np.zeros(len(states))
    for start in range(0, graph.num_units, size):
        log_message = log_message + states @ biases[start : start + size]
        between = np.zeros((size, size))
        for (i, j), coupling in zip(graph.edges, couplings, strict=True):
            if start <= i and j < start + size:
                log_message += coupling * states[:, i - start] * states[:, j - start]
            elif start <= i < start + size:
                between[i - start, j - start - size] += coupling
        if start + size < graph.num_units:
            log_message = special.logsumexp(log_message[:, np.newaxis] + states @ between @ states.T, 0)
    return special.logsumexp(log_message)


def transition_matrix(graph, biases, couplings, colors):
    """Probabilities [2^D, 2^D] of one sweep that draws sets of units in turn, each set in parallel."""
    z = reference.binary_states(graph.num_units)
    symmetric = np.zeros((graph.num_units, graph.num_units))
    for (i, j), coupling in zip(graph.edges, couplings, strict=True):
        symmetric[i, j] = symmetric[j, i] = coupling
    probs = special.expit(biases + z @ symmetric)
    total = np.eye(len(z))
    for units in colors:
        step = np.ones((len(z), len(z)))
        for i in range(graph.num_units):
            now = z[np.newaxis, :, i]
            if i in units:
                step *= np.where(now == 1, probs[:, i : i + 1], 1 - probs[:, i : i + 1])
            else:
                step *= now == z[:, i : i + 1]
        total = total @ step
    return total


def probabilities(graph, biases, couplings):
    """p(z) of all states, [2^D]."""
    energies = energy(graph, biases, couplings, reference.binary_states(graph.num_units))
    return np.exp(-energies - moments(graph, biases, couplings)[0])


def exact_draws(graph, biases, couplings, num_samples, seed):
    """Independent draws of z [num_samples, D] from the table of all states."""
    probs = probabilities(graph, biases, couplings)
    numbers = np.random.default_rng(seed).choice(probs.size, num_samples, p=probs / probs.sum())
    return reference.binary_states(graph.num_units)[numbers]


def coupling_matrix(graph, couplings):
    """The symmetric matrix, by a loop."""
    found = np.zeros((graph.num_units, graph.num_units))
    for (i, j), coupling in zip(graph.edges, couplings, strict=True):
        found[i, j] = found[j, i] = coupling
    return found

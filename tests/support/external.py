"""Exact draws at any inverse temperature, by enumeration: what annealers do, with a known truth."""

import numpy as np

from support import graph_reference, reference


class ExactDraws:
    """A sampler of somebody else's, which draws at an inverse temperature of its own."""

    def __init__(self, graph, beta=1.0):
        self.graph, self.beta, self.calls = graph, beta, []
        self.z = reference.binary_states(graph.num_units)

    def probs(self, biases, couplings):
        log_weights = -self.beta * graph_reference.energy(self.graph, biases, couplings, self.z)
        weights = np.exp(log_weights - log_weights.max())
        return weights / weights.sum()

    def __call__(self, biases, couplings, num_chains, seed):
        self.calls.append((biases, couplings, seed))
        rng = np.random.default_rng(seed)
        return self.z[rng.choice(len(self.z), num_chains, p=self.probs(biases, couplings))]

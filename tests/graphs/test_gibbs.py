"""Tests of sweeps by colors: their law, what they leave invariant, and the draws of a restricted machine."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from dvae_tf import graphs, rbm
from dvae_tf.graphs.gibbs import sweep
from dvae_tf.graphs.machine import by_colors
from dvae_tf.graphs.sparse import by_neighbors, is_sparse
from support import graph_reference, reference

# The parities of numbers of colors, and an order of edges of its own.
GRAPHS = {
    "triangle": graphs.from_edges(3, [(0, 1), (1, 2), (0, 2)]),
    "path": graphs.from_edges(5, [(3, 4), (0, 1), (2, 1), (3, 2)]),
    "four colors": graphs.from_edges(5, [(i, j) for j in range(4) for i in range(j)] + [(4, 0)]),
    "no edge": graphs.from_edges(2, []),
}
each_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def probabilities(graph, biases, couplings):
    energies = graph_reference.energy(graph, biases, couplings, reference.binary_states(graph.num_units))
    return np.exp(-energies - graph_reference.moments(graph, biases, couplings)[0])


def p_value(states, probs):
    """Of a chi-square test that states [C, D] have the probabilities [2^D]; rare states are put together."""
    counts = np.bincount(reference.state_numbers(states), minlength=len(probs))
    expected = len(states) * probs
    rare = expected < 10
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    there = expected > 0
    assert not counts[~there].any()
    return stats.chisquare(counts[there], expected[there]).pvalue


@each_graph
def test_a_sweep_over_the_colors_leaves_the_machine_invariant(graph):
    """In exact arithmetic; with units of one edge in one set it does not (negative control)."""
    parameters = graph_reference.parameters(graph, seed=1)
    probs = probabilities(graph, *parameters)
    sweep = graph_reference.transition_matrix(graph, *parameters, graph.colors)
    np.testing.assert_allclose(probs @ sweep, probs, rtol=1e-12)
    if graph.num_edges:
        together = graph_reference.transition_matrix(graph, *parameters, [range(graph.num_units)])
        assert np.abs(probs @ together - probs).max() > 1e-3


@pytest.mark.parametrize("name", ["triangle", "four colors"])
@pytest.mark.parametrize("form", [by_colors, by_neighbors])
def test_law_of_one_sweep(name, form):
    """From one state; the law of another order of the colors is noticed (negative control)."""
    graph = GRAPHS[name]
    parameters = graph_reference.parameters(graph, seed=2, stddev=1.5)
    start = np.arange(graph.num_units) % 2
    states = np.tile(start, (20_000, 1)).astype(np.float32)

    @tf.function(jit_compile=True)
    def draw(states, seed):
        machine = form(graph, *map(np.float32, parameters))
        return machine.join(sweep(machine, machine.split(states), seed))

    found = draw(states, tf.constant([3, 4]))
    assert found.shape == states.shape
    row = reference.state_numbers(start)
    expected = graph_reference.transition_matrix(graph, *parameters, graph.colors)[row]
    assert p_value(found, expected) > 1e-3
    other = graph_reference.transition_matrix(graph, *parameters, graph.colors[::-1])[row]
    assert p_value(found, other) < 1e-6


@pytest.mark.parametrize("density", [0.1, 0.5])
def test_fields_by_neighbors(density):
    graph = graphs.from_edges(20, graph_reference.random_edges(20, density, seed=3))
    parameters = graph_reference.parameters(graph, seed=4)
    z = np.random.default_rng(5).uniform(size=(3, 20))
    machine = by_neighbors(graph, *parameters)
    states = machine.split(z)
    np.testing.assert_array_equal(machine.join(states), z)
    found = machine.join([machine.fields(number, states) for number in range(graph.num_colors)])
    np.testing.assert_allclose(found, graphs.local_fields(graph, *parameters, z), rtol=1e-12)


def test_means_of_a_sparse_machine():
    graph = graphs.from_edges(40, [(i, (i + step) % 40) for step in (1, 5) for i in range(40)])
    assert is_sparse(graph)
    parameters = graph_reference.parameters(graph, seed=6, stddev=0.5)
    z = graphs.block_gibbs(graph, *map(np.float32, parameters), np.zeros([10_000, 40]), 40, seed=7).numpy()
    exact = graphs.exact.moments(graph, *parameters)
    first, second = graph.edges.T
    for bits, means in ((z, exact.means), (z[:, first] * z[:, second], exact.products)):
        errors = np.sqrt(means * (1 - means) / len(z))
        assert np.abs((bits.mean(0) - means) / errors).max() < 4


def test_what_is_sparse():
    assert not is_sparse(graphs.bipartite(20, 20))
    # A star has few edges, but a unit with many neighbors.
    assert not is_sparse(graphs.from_edges(50, [(0, i) for i in range(1, 50)]))


def test_long_chains_reach_the_machine():
    graph = GRAPHS["four colors"]
    parameters = graph_reference.parameters(graph, seed=5)
    found = graphs.block_gibbs(graph, *parameters, np.zeros([20_000, 5]), 30, seed=6)
    assert found.dtype == tf.float64
    assert p_value(found, probabilities(graph, *parameters)) > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_are_those_of_the_restricted_machine(dtype):
    machine = rbm.as_rbm(*reference.random_machine(5, 3, seed=7).cast(dtype))
    z = np.random.default_rng(8).integers(0, 2, (50, 8)).astype(dtype)
    found = graphs.block_gibbs(*rbm.to_graph(*machine), z, 4, seed=(1, 2))
    expected = rbm.block_gibbs(machine, tf.constant(z[:, :5]), 4, seed=(1, 2))
    np.testing.assert_array_equal(found, tf.concat(expected, 1))


def test_no_gradient_and_errors():
    graph = GRAPHS["triangle"]
    biases = tf.zeros([3])
    with tf.GradientTape() as tape:
        tape.watch(biases)
        found = graphs.block_gibbs(graph, biases, np.zeros(3), np.zeros([2, 3]), 1, seed=0)
    assert tape.gradient(found, biases) is None
    with pytest.raises(ValueError, match="num_sweeps"):
        graphs.block_gibbs(graph, biases, np.zeros(3), np.zeros([2, 3]), 0, seed=0)
    with pytest.raises(ValueError, match="z: expected shape"):
        graphs.block_gibbs(graph, biases, np.zeros(3), np.zeros(3), 1, seed=0)

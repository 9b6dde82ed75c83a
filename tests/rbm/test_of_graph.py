"""Tests of restricted machines as machines on graphs."""

import numpy as np
import pytest

from dvae_tf import graphs, rbm
from support import graph_reference, reference


def test_there_and_back():
    machine = reference.random_machine(3, 4, seed=1)
    graph, biases, couplings = rbm.to_graph(*machine)
    assert graph == graphs.bipartite(3, 4)
    np.testing.assert_array_equal(np.reshape(couplings, [3, 4]), machine.weights)
    for found, expected in zip(rbm.from_graph(graph, biases, couplings), machine, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_energies_of_a_path():
    """With pairs that are no edges, and sides whose units are mixed."""
    graph = graphs.from_edges(5, [(3, 4), (0, 1), (2, 1), (3, 2)])
    parameters = graph_reference.parameters(graph, seed=2)
    machine = rbm.from_graph(graph, *parameters)
    z = reference.binary_states(5)
    right, left = (z[:, units] for units in graph.colors)
    expected = graph_reference.energy(graph, *parameters, z)
    np.testing.assert_allclose(rbm.energy(machine, left, right), expected, rtol=1e-12, atol=1e-12)


def test_two_colors_without_an_edge():
    machine = rbm.from_graph(graphs.from_edges(3, [], [[0], [1, 2]]), np.arange(3.0), np.zeros(0))
    np.testing.assert_array_equal(machine.weights, np.zeros([2, 1]))


def test_another_number_of_colors():
    with pytest.raises(ValueError, match="graph: expected two colors"):
        rbm.from_graph(graphs.from_edges(2, []), np.zeros(2), np.zeros(0))

"""Tests of energies and local fields on graphs, against loops and against the restricted machine."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import graphs, rbm
from support import graph_reference, reference

GRAPHS = {
    "no edge": graphs.from_edges(3, []),
    "triangle": graphs.from_edges(3, [(0, 1), (1, 2), (0, 2)]),
    "5-cycle": graphs.from_edges(5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]),
    "random": graphs.from_edges(9, graph_reference.random_edges(9, 0.5, 1)),
    "bipartite": graphs.bipartite(3, 4),
    "path": graphs.from_edges(6, [(3, 4), (0, 1), (2, 1), (3, 2), (5, 4)]),
}
each_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
each_dtype = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])


@each_graph
@each_dtype
def test_energy_and_local_fields(graph, dtype, tolerance):
    biases, couplings = graph_reference.parameters(graph, seed=1)
    z = np.random.default_rng(2).uniform(size=(2, 3, graph.num_units)).astype(dtype)
    given = biases.astype(dtype), couplings.astype(dtype), z
    found = graphs.energy(graph, *given)
    assert found.dtype == dtype
    expected = graph_reference.energy(graph, biases, couplings, z.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    # The energy is multilinear: a field is its change as the unit goes from 0 to 1.
    fields = np.empty(z.shape)
    for i in range(graph.num_units):
        low, high = z.astype(np.float64), z.astype(np.float64)
        low[..., i], high[..., i] = 0, 1
        fields[..., i] = graph_reference.energy(graph, biases, couplings, low)
        fields[..., i] -= graph_reference.energy(graph, biases, couplings, high)
    np.testing.assert_allclose(graphs.local_fields(graph, *given), fields, rtol=tolerance, atol=tolerance)


@each_graph
def test_gradients_of_the_energy(graph):
    biases, couplings = map(tf.constant, graph_reference.parameters(graph, seed=3))
    z = tf.constant(np.random.default_rng(4).uniform(size=graph.num_units))
    with tf.GradientTape() as tape:
        tape.watch([biases, couplings, z])
        found = graphs.energy(graph, biases, couplings, z)
    by_biases, by_couplings, by_z = tape.gradient(
        found, [biases, couplings, z], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    np.testing.assert_allclose(by_biases, -z, rtol=1e-12)
    np.testing.assert_allclose(by_couplings, [-z[i] * z[j] for i, j in graph.edges], rtol=1e-12)
    np.testing.assert_allclose(by_z, -graphs.local_fields(graph, biases, couplings, z), rtol=1e-12)


@each_graph
def test_coupling_matrix(graph):
    _, couplings = graph_reference.parameters(graph, seed=5)
    expected = np.zeros([graph.num_units] * 2)
    for (i, j), coupling in zip(graph.edges, couplings, strict=True):
        expected[i, j] = expected[j, i] = coupling
    np.testing.assert_array_equal(graphs.coupling_matrix(graph, couplings), expected)


@each_dtype
def test_a_restricted_machine_has_the_same_energies(dtype, tolerance):
    machine = reference.random_machine(4, 3, seed=6)
    parameters = rbm.as_rbm(*machine.cast(dtype))
    z = tf.constant(np.random.default_rng(7).uniform(size=(5, 7)), dtype)
    found = graphs.energy(*rbm.to_graph(*parameters), z)
    np.testing.assert_allclose(
        found, rbm.energy(parameters, *rbm.split_sides(z, 4)), rtol=tolerance, atol=tolerance
    )


@each_graph
def test_split_and_join(graph):
    machine = graphs.by_colors(graph, *graph_reference.parameters(graph, seed=8))
    z = np.random.default_rng(9).uniform(size=(2, graph.num_units))
    states = machine.split(z)
    for units, state in zip(graph.colors, states, strict=True):
        np.testing.assert_array_equal(state, z[:, units])
    np.testing.assert_array_equal(machine.join(states), z)


def test_errors():
    graph = GRAPHS["triangle"]
    for biases, couplings, z, name in (
        (np.zeros(2), np.zeros(3), np.zeros(3), "biases"),
        (np.zeros(3), np.zeros([3, 1]), np.zeros(3), "couplings"),
        (np.zeros(3), np.zeros(3), np.zeros([3, 2]), "z"),
        (np.zeros(3), np.zeros(3), 0.0, "z"),
    ):
        with pytest.raises(ValueError, match=f"{name}: expected shape"):
            graphs.energy(graph, biases, couplings, z)
    with pytest.raises(ValueError, match="couplings: expected shape"):
        graphs.coupling_matrix(graph, np.zeros(2))
    with pytest.raises(ValueError, match="graph: expected a graph such as .* got"):
        graphs.energy([(0, 1)], np.zeros(2), np.zeros(1), np.zeros(2))

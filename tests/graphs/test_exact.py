"""Tests of enumeration and elimination: log Z, moments, gradients, on small graphs and on long strips."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import graphs
from dvae_tf.graphs import elimination, enumeration, exact
from support import graph_reference, reference

GRAPHS = {
    "unit": graphs.from_edges(1, []),
    "no edge": graphs.from_edges(3, []),
    "triangle": graphs.from_edges(3, [(0, 1), (1, 2), (0, 2)]),
    "5-cycle": graphs.from_edges(5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]),
    "two parts": graphs.from_edges(6, [(5, 0), (1, 2), (3, 2), (1, 3)]),
    "sparse": graphs.from_edges(11, graph_reference.random_edges(11, 0.2, 1)),
    "dense": graphs.from_edges(9, graph_reference.random_edges(9, 0.7, 2)),
    "bipartite": graphs.bipartite(3, 5),
}
each_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
each_method = pytest.mark.parametrize("method", [enumeration, elimination, exact], ids=lambda m: m.__name__)


def strip(length, size):
    """Edges within blocks of units and between neighboring ones, at random."""
    rng = np.random.default_rng(0)
    edges = [
        (i, j)
        for i in range(length * size)
        for j in range(i + 1, min((i // size + 2) * size, length * size))
        if rng.uniform() < 0.5
    ]
    return graphs.from_edges(length * size, edges)


@each_graph
@each_method
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-11)])
def test_moments(graph, method, dtype, tolerance):
    biases, couplings = graph_reference.parameters(graph, seed=1)
    found = method.moments(graph, biases.astype(dtype), couplings.astype(dtype))
    assert {each.dtype for each in found} == {tf.as_dtype(dtype)}
    for each, expected in zip(found, graph_reference.moments(graph, biases, couplings), strict=True):
        np.testing.assert_allclose(each, expected, rtol=tolerance, atol=tolerance)


@each_method
def test_gradient_of_log_partition(method):
    graph = GRAPHS["dense"]
    biases, couplings = map(tf.constant, graph_reference.parameters(graph, seed=2))
    with tf.GradientTape() as tape:
        tape.watch([biases, couplings])
        found = 3.0 * method.log_partition(graph, biases, couplings)
    log_z, means, products = graph_reference.moments(graph, biases.numpy(), couplings.numpy())
    np.testing.assert_allclose(found, 3 * log_z, rtol=1e-11)
    by_biases, by_couplings = tape.gradient(found, [biases, couplings])
    np.testing.assert_allclose(by_biases, 3 * means, rtol=1e-10)
    np.testing.assert_allclose(by_couplings, 3 * products, rtol=1e-10)


def test_enumeration_in_blocks():
    """More states than a block holds: 15 units beside the largest color."""
    graph = graphs.bipartite(16, 15)
    biases, couplings = graph_reference.parameters(graph, seed=3, stddev=0.5)
    machine = reference.random_machine(16, 15, seed=0)._replace(
        left_bias=biases[:16], right_bias=biases[16:], weights=couplings.reshape(16, 15)
    )
    # The other side is enumerated by the oracle.
    found = enumeration.moments(graph, biases, couplings)
    np.testing.assert_allclose(found.log_partition, reference.log_partition_by_left(machine), rtol=1e-11)
    np.testing.assert_allclose(found.means, reference.means_by_left(machine), rtol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_gives_the_same(seed):
    graph = GRAPHS["sparse"]
    parameters = graph_reference.parameters(graph, seed=4)
    order = np.random.default_rng(seed).permutation(graph.num_units)
    found = elimination.log_partition(graph, *parameters, order)
    np.testing.assert_allclose(found, graph_reference.moments(graph, *parameters)[0], rtol=1e-12)


@pytest.mark.parametrize(("length", "size"), [(40, 2), (12, 4)])
def test_strips_against_transfer_matrices(length, size):
    graph = strip(length, size)
    biases, couplings = graph_reference.parameters(graph, seed=5)
    expected = graph_reference.log_partition_of_strip(graph, biases, couplings, size)
    found = exact.moments(graph, biases, couplings)
    np.testing.assert_allclose(found.log_partition, expected, rtol=1e-12)
    for name, values, moments in (("a", biases, found.means), ("w", couplings, found.products)):
        for index in (0, len(values) // 2, len(values) - 1):
            ends = []
            for step in (1e-4, -1e-4):
                moved = values.copy()
                moved[index] += step
                pair = (moved, couplings) if name == "a" else (biases, moved)
                ends.append(graph_reference.log_partition_of_strip(graph, *pair, size))
            np.testing.assert_allclose(moments[index], (ends[0] - ends[1]) / 2e-4, rtol=1e-6)


def test_transfer_matrices_against_enumeration():
    graph = strip(3, 3)
    parameters = graph_reference.parameters(graph, seed=6)
    expected = graph_reference.moments(graph, *parameters)[0]
    found = graph_reference.log_partition_of_strip(graph, *parameters, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_strip_of_chimera_has_treewidth_4():
    pytest.importorskip("dwave_networkx", reason="pip install '.[graphs]'")
    graph = graphs.chimera(30, 1, 4)
    assert graph.num_units == 240
    assert elimination.width(graph, elimination.min_fill_order(graph)) == 4
    parameters = graph_reference.parameters(graph, seed=7)
    expected = graph_reference.log_partition_of_strip(graph, *parameters, 8)
    np.testing.assert_allclose(exact.log_partition(graph, *parameters), expected, rtol=1e-12)


def test_widths():
    tree = graphs.from_edges(7, [((i - 1) // 2, i) for i in range(1, 7)])
    assert elimination.width(tree, elimination.min_fill_order(tree)) == 1
    assert elimination.width(tree, range(7)) == 4
    cycle = GRAPHS["5-cycle"]
    assert elimination.width(cycle, elimination.min_fill_order(cycle)) == 2
    full = graphs.from_edges(6, [(i, j) for j in range(6) for i in range(j)])
    assert elimination.width(full, elimination.min_fill_order(full)) == 5


def test_what_is_too_wide():
    graph = graphs.bipartite(26, 30)
    parameters = np.zeros(56), np.zeros(26 * 30)
    with pytest.raises(ValueError, match="graph: expected at most 25 units .* got 26 in"):
        enumeration.log_partition(graph, *parameters)
    with pytest.raises(
        ValueError, match="graph: expected a min-fill order of width at most 20, got .* 26 on"
    ):
        elimination.log_partition(graph, *parameters)
    with pytest.raises(ValueError, match="order: expected a width of at most 20, got 30 on"):
        elimination.log_partition(graph, *parameters, range(56))
    with pytest.raises(
        ValueError, match="graph: expected at most 25 units .* got 26 units, and a width .* 26"
    ):
        exact.moments(graph, *parameters)


def test_wrong_orders():
    graph = GRAPHS["triangle"]
    for order in ([0, 1], [0, 1, 1], [0.0, 1.0, 2.0], "012"):
        with pytest.raises(ValueError, match="order: expected every unit from 0 to 2 once"):
            elimination.log_partition(graph, np.zeros(3), np.zeros(3), order)

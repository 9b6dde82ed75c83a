"""Tests of graphs: edges, colorings, what a graph is equal to, and errors."""

import copy
import pickle

import numpy as np
import pytest

from dvae_tf import graphs
from support import graph_reference

CYCLE = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]
RANDOM = [(1, 0.5), (2, 1.0), (12, 0.15), (12, 0.5), (12, 1.0), (40, 0.1)]


@pytest.mark.parametrize(("num_units", "density"), RANDOM)
@pytest.mark.parametrize("seed", range(3))
def test_coloring_of_a_random_graph(num_units, density, seed):
    graph = graphs.from_edges(num_units, graph_reference.random_edges(num_units, density, seed))
    assert graph_reference.is_proper(graph)
    # A greedy coloring needs at most one more color than a unit has neighbors.
    assert graph.num_colors <= graph.degree + 1


@pytest.mark.parametrize("seed", range(4))
def test_a_bipartite_graph_gets_two_colors(seed):
    rng = np.random.default_rng(seed)
    sides = rng.integers(0, 2, 30)
    edges = [edge for edge in graph_reference.random_edges(30, 0.2, seed) if sides[edge[0]] != sides[edge[1]]]
    graph = graphs.from_edges(30, edges)
    assert graph.num_colors == 2
    assert graph_reference.is_proper(graph)


def test_few_colors():
    assert graphs.from_edges(5, CYCLE).num_colors == 3
    assert graphs.from_edges(3, [(0, 1), (1, 2), (0, 2)]).num_colors == 3
    assert graphs.from_edges(4, []).num_colors == 1
    # A wheel with an even rim, whose hub comes last: three colors suffice.
    rim = [(i, (i + 1) % 6) for i in range(6)]
    assert graphs.from_edges(7, [*rim, *((i, 6) for i in range(6))]).num_colors == 3


def test_edges_keep_their_order():
    graph = graphs.from_edges(4, [(3, 1), (0, 2), (2, 1)])
    np.testing.assert_array_equal(graph.edges, [(1, 3), (0, 2), (1, 2)])
    assert graph.edges.dtype == np.int32
    np.testing.assert_array_equal(graph.degrees, [1, 2, 2, 1])
    assert (graph.num_edges, graph.degree, graph.density) == (3, 2, 0.5)


def test_given_colors_keep_their_order():
    graph = graphs.from_edges(5, CYCLE, [[3, 1], {0}, np.array([4, 2])])
    assert [units.tolist() for units in graph.colors] == [[1, 3], [0], [2, 4]]
    np.testing.assert_array_equal(graph.color_of, [1, 0, 2, 0, 2])


def test_bipartite():
    graph = graphs.bipartite(2, 3)
    np.testing.assert_array_equal(graph.edges, [(i, 2 + j) for i in range(2) for j in range(3)])
    assert [units.tolist() for units in graph.colors] == [[2, 3, 4], [0, 1]]
    assert graphs.from_edges(5, graph.edges) == graph


def test_induced():
    graph = graphs.from_edges(5, CYCLE)
    found = graph.induced([4, 0, 2, 1])
    np.testing.assert_array_equal(found.edges, [(0, 1), (1, 3), (2, 3)])
    assert graph_reference.is_proper(found)
    assert found.induced([2]).num_units == 1


def test_equality_and_hash():
    graph = graphs.from_edges(5, CYCLE)
    same = graphs.from_edges(5, [(j, i) for i, j in CYCLE])
    others = [
        graphs.from_edges(5, CYCLE[::-1]),
        graphs.from_edges(6, CYCLE),
        graphs.from_edges(5, CYCLE[:-1]),
        graphs.from_edges(5, CYCLE, graph.colors[::-1]),
    ]
    for each in (same, pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        assert each == graph
        assert hash(each) == hash(graph)
        assert not any(array.flags.writeable for array in (each.edges, *each.colors))
    assert len({graph, same, *others}) == 5
    # The same numbers in the same order, divided otherwise into colors.
    divided = [graphs.from_edges(3, [(0, 2)], colors) for colors in ([[0, 1], [2]], [[0], [1, 2]])]
    assert divided[0].digest != divided[1].digest
    assert graph != "graph"
    with pytest.raises(AttributeError):
        graph.num_units = 3


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 0)], "edges: expected two different units each, got a loop at 0"),
        ([(0, 1), (1, 0)], r"edges: expected each edge once, got \(1, 0\) again"),
        ([(0, 3)], r"edges: expected units from 0 to 2, got \(0, 3\)"),
        ([(-1, 0)], "edges: expected units from 0 to 2"),
        ([(0, 1.0)], "edges: expected integers"),
        ([(False, True)], "edges: expected integers"),
        ([(0, 1, 2)], "edges: expected integers"),
        ([(0, 1), (2,)], "edges: expected pairs"),
        (3, "edges: expected pairs"),
    ],
)
def test_wrong_edges(edges, message):
    with pytest.raises(ValueError, match=message):
        graphs.from_edges(3, edges)


@pytest.mark.parametrize(
    ("colors", "message"),
    [
        ([[0, 1], [2]], r"colors: expected no edge within a color, got \(0, 1\) in color 0"),
        ([[0], [2]], "colors: expected every unit from 0 to 2 once"),
        ([[0], [1, 2, 2]], "colors: expected every unit"),
        ([[0], [1, 2], []], "colors: expected arrays of one or more integers"),
        ([[0.0], [1, 2]], "colors: expected arrays of one or more integers"),
        (2, "colors: expected arrays"),
    ],
)
def test_wrong_colors(colors, message):
    with pytest.raises(ValueError, match=message):
        graphs.from_edges(3, [(0, 1)], colors)


def test_other_errors():
    with pytest.raises(ValueError, match="num_units"):
        graphs.from_edges(0, [])
    with pytest.raises(ValueError, match="num_right"):
        graphs.bipartite(2, 2.5)
    with pytest.raises(ValueError, match="units: expected distinct"):
        graphs.bipartite(2, 2).induced([1, 1])
    with pytest.raises(ValueError, match="positions"):
        graphs.Graph(1, [], [[0]], np.zeros([2, 2]))


def test_a_random_bipartite_graph():
    graph = graphs.random_bipartite(20, 30, 200, seed=1)
    assert (graph.num_units, graph.num_edges, graph.num_colors) == (50, 200, 2)
    assert (graph.edges[:, 0] < 20).all()
    assert (graph.edges[:, 1] >= 20).all()
    np.testing.assert_array_equal(graph.edges, sorted(graph.edges.tolist()))
    assert graph == graphs.random_bipartite(20, 30, 200, seed=1)
    assert graph != graphs.random_bipartite(20, 30, 200, seed=2)
    # Of 600 pairs a third: over 300 graphs each pair is an edge about 100 times, deviation sqrt(300 2/9).
    count = np.zeros([20, 30])
    for seed in range(300):
        edges = graphs.random_bipartite(20, 30, 200, seed).edges
        count[edges[:, 0], edges[:, 1] - 20] += 1
    assert abs(count.mean() - 100) < 1e-9
    assert np.abs(count - 100).max() < 4.5 * np.sqrt(300 * 2 / 9)
    assert graphs.random_bipartite(2, 3, 6) == graphs.bipartite(2, 3)
    with pytest.raises(ValueError, match="num_edges: expected at most 6, got 7"):
        graphs.random_bipartite(2, 3, 7)

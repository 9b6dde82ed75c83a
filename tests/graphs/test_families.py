"""Tests of the graphs of NetworkX and of annealers: numbers of units, edges and colors, and fitted graphs."""

import sys

import numpy as np
import pytest

from dvae_tf import graphs
from support.graph_reference import is_proper

networkx = pytest.importorskip("networkx", reason="pip install '.[graphs]'")
pytest.importorskip("dwave_networkx", reason="pip install '.[graphs]'")


def chimera_edges(m, n, t):
    """Units (row, column, side, index): cells are complete bipartite; side 0 joins rows, side 1 columns."""
    units = [(i, j, u, k) for i in range(m) for j in range(n) for u in range(2) for k in range(t)]
    number = {unit: position for position, unit in enumerate(units)}
    edges = set()
    for i, j, u, k in units:
        others = [(i, j, 1, other) for other in range(t)] if u == 0 else []
        others.append((i + 1, j, 0, k) if u == 0 else (i, j + 1, 1, k))
        edges |= {(number[i, j, u, k], number[other]) for other in others if other in number}
    return sorted(edges)


@pytest.mark.parametrize("sizes", [(1, 1, 4), (2, 3, 4), (3, 1, 2)])
def test_chimera(sizes):
    graph = graphs.chimera(*sizes)
    np.testing.assert_array_equal(graph.edges, chimera_edges(*sizes))
    assert (graph.num_units, graph.num_colors) == (2 * np.prod(sizes), 2)
    assert is_proper(graph)
    assert graph.positions.shape == (graph.num_units, 2)


def test_chimera_is_square_by_default():
    assert graphs.chimera(2) == graphs.chimera(2, 2, 4)


# Sizes as published: a chip of Pegasus P16 has 5640 units and 40484 edges, of Zephyr Z15 7440 units.
@pytest.mark.parametrize(
    ("graph", "num_units", "degree"),
    [
        (lambda: graphs.pegasus(2), 40, 13),
        (lambda: graphs.pegasus(4), 8 * 11 * 3, 15),
        (lambda: graphs.zephyr(1), 48, 17),
        (lambda: graphs.zephyr(3, 2), 4 * 2 * 3 * 7, 12),
    ],
    ids=["pegasus 2", "pegasus 4", "zephyr 1", "zephyr 3, 2"],
)
def test_pegasus_and_zephyr(graph, num_units, degree):
    graph = graph()
    assert (graph.num_units, graph.degree, graph.num_colors) == (num_units, degree, 4)
    assert is_proper(graph)
    np.testing.assert_array_equal(graph.edges, sorted(graph.edges.tolist()))


@pytest.mark.parametrize("family", ["chimera", "pegasus", "zephyr"])
@pytest.mark.parametrize("num_units", [1, 32, 33, 100])
def test_fitted(family, num_units):
    graph = graphs.fitted(family, num_units)
    assert graph.num_units == num_units
    assert graph.num_colors <= (2 if family == "chimera" else 4)
    assert is_proper(graph)
    drawn = networkx.Graph(graph.edges.tolist())
    drawn.add_nodes_from(range(num_units))
    assert networkx.is_connected(drawn)
    # Breadth first: distances from the first unit do not fall.
    distances = networkx.single_source_shortest_path_length(drawn, 0)
    assert np.all(np.diff([distances[unit] for unit in range(num_units)]) >= 0)


def test_a_graph_of_the_very_size_is_whole():
    assert graphs.fitted("chimera", 32).num_edges == graphs.chimera(2).num_edges
    assert graphs.fitted("pegasus", 40).num_edges == graphs.pegasus(2).num_edges
    assert graphs.fitted("zephyr", 48).num_edges == graphs.zephyr(1).num_edges


def test_from_networkx():
    drawn = networkx.Graph()
    drawn.add_nodes_from("cab")
    drawn.add_edges_from([("b", "a"), ("c", "b")])
    graph = graphs.from_networkx(drawn)
    np.testing.assert_array_equal(graph.edges, [(0, 2), (1, 2)])
    graph = graphs.from_networkx(drawn, {"a": 5, "b": 3, "c": 4})
    assert [units.tolist() for units in graph.colors] == [[2], [0], [1]]
    assert graphs.from_networkx(networkx.petersen_graph()).num_colors == 3


def test_errors():
    for wrong in (networkx.DiGraph([(0, 1)]), "graph", [(0, 1)]):
        with pytest.raises(ValueError, match="graph: expected an undirected"):
            graphs.from_networkx(wrong)
    with pytest.raises(ValueError, match="edges: expected each edge once"):
        graphs.from_networkx(networkx.MultiGraph([(0, 1), (0, 1)]))
    with pytest.raises(ValueError, match="colors: expected a color for every node, got none for 1"):
        graphs.from_networkx(networkx.path_graph(2), {0: 1})
    with pytest.raises(ValueError, match="family: expected one of chimera, pegasus, zephyr, got 'torus'"):
        graphs.fitted("torus", 3)
    with pytest.raises(ValueError, match="m: expected an integer of at least 2"):
        graphs.pegasus(1)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "dwave_networkx", None)
    with pytest.raises(ImportError, match="pegasus: .* pip install dwave-networkx, or the extra"):
        graphs.pegasus(2)


def test_layout():
    points = graphs.layout(graphs.bipartite(2, 3))
    np.testing.assert_allclose(points[:, 0], [0, 0, 1, 1, 1])
    assert len({tuple(point) for point in points.tolist()}) == 5
    cycle = graphs.from_edges(3, [(0, 1), (1, 2), (0, 2)])
    assert np.isfinite(graphs.layout(cycle)).all()
    pegasus = graphs.pegasus(2)
    np.testing.assert_array_equal(graphs.layout(pegasus), pegasus.positions)

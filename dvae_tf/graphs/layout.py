"""Where a picture draws the units of a graph."""

import numpy as np

from .extras import import_extra
from .graph import Graph


def layout(graph: Graph) -> np.ndarray:
    """Positions of the units, [D, 2].

    Those of the graph, as annealers have them; else two columns for two colors, the first one on the right;
    else a spring layout of NetworkX.

    Raises:
      ImportError: if NetworkX is needed and not installed.
    """
    if graph.positions is not None:
        return graph.positions
    if graph.num_colors == 2:
        points = np.zeros([graph.num_units, 2])
        for units, x in zip(graph.colors, (1.0, 0.0), strict=True):
            points[units] = np.stack([np.full(len(units), x), np.linspace(1, 0, len(units) + 2)[1:-1]], 1)
        return points
    networkx = import_extra("networkx", "layout")
    drawn = networkx.Graph(graph.edges.tolist())
    drawn.add_nodes_from(range(graph.num_units))
    placed = networkx.spring_layout(drawn, seed=0)
    return np.asarray([placed[unit] for unit in range(graph.num_units)])

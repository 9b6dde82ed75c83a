"""Boltzmann machines on any undirected graph, as pure functions of `(graph, biases, couplings)`.

Graphs with their colorings (`graph`, `coloring`), families of quantum annealers (`families`) and files of
edges (`files`), energies and local fields (`machine`), sweeps by colors (`gibbs`, `sparse`), exact log Z and
moments (`exact`, which chooses between `enumeration` and `elimination`), binary quadratic models (`bqm`),
positions for pictures (`layout`).
"""

from . import elimination, enumeration, exact
from .bqm import MachineOfBQM, from_bqm, states_of, to_bqm
from .families import chimera, fitted, from_networkx, pegasus, zephyr
from .files import read_edges
from .gibbs import block_gibbs, for_sweeps, sweep
from .graph import Graph, bipartite, from_edges, random_bipartite
from .layout import layout
from .machine import (
    ColoredMachine,
    Form,
    GraphMachine,
    Moments,
    as_parameters,
    by_colors,
    check_graph,
    coupling_matrix,
    energy,
    local_fields,
)
from .sparse import SparseMachine

__all__ = [
    "ColoredMachine",
    "Form",
    "Graph",
    "GraphMachine",
    "MachineOfBQM",
    "Moments",
    "SparseMachine",
    "as_parameters",
    "bipartite",
    "block_gibbs",
    "by_colors",
    "check_graph",
    "chimera",
    "coupling_matrix",
    "elimination",
    "energy",
    "enumeration",
    "exact",
    "fitted",
    "for_sweeps",
    "from_bqm",
    "from_edges",
    "from_networkx",
    "layout",
    "local_fields",
    "pegasus",
    "random_bipartite",
    "read_edges",
    "states_of",
    "sweep",
    "to_bqm",
    "zephyr",
]

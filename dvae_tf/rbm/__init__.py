"""The Boltzmann machine as pure functions: restricted, `(left_bias, right_bias, weights)`, or on a graph.

Energies and conditionals (`energy`), enumeration (`exact`), block Gibbs sweeps (`gibbs`), annealing paths
(`tempering`), Ising spins (`ising`), machines on graphs (`of_graph`). Both sides of the machine are latent
here, so they are called left and right rather than visible and hidden. `as_machine` takes both kinds, and so
does every function of a `Machine`.
"""

from . import exact
from .energy import (
    RBM,
    Machine,
    as_machine,
    as_rbm,
    conditional_logits,
    energy,
    left_free_energy,
    left_logits,
    mean_free_energy,
    right_free_energy,
    right_logits,
    scaled,
    split_sides,
    transposed,
)
from .gibbs import block_gibbs, clamped_gibbs, sample_right, uniform_bits, uniform_states
from .ising import Ising, from_ising, to_ising
from .of_graph import from_graph, to_graph
from .tempering import ColoredPath, TemperedPath, tempered_path

__all__ = [
    "RBM",
    "ColoredPath",
    "Ising",
    "Machine",
    "TemperedPath",
    "as_machine",
    "as_rbm",
    "block_gibbs",
    "clamped_gibbs",
    "conditional_logits",
    "energy",
    "exact",
    "from_graph",
    "from_ising",
    "left_free_energy",
    "left_logits",
    "mean_free_energy",
    "right_free_energy",
    "right_logits",
    "sample_right",
    "scaled",
    "split_sides",
    "tempered_path",
    "to_graph",
    "to_ising",
    "transposed",
    "uniform_bits",
    "uniform_states",
]

"""The restricted Boltzmann machine as pure functions of `(left_bias, right_bias, weights)`.

Energies and conditionals (`energy`), enumeration (`exact`), block Gibbs sweeps (`gibbs`), annealing paths
(`tempering`), Ising spins (`ising`), machines on graphs (`of_graph`). Both sides of the machine are latent
here, so they are called left and right rather than visible and hidden.
"""

from . import exact
from .energy import (
    RBM,
    as_rbm,
    energy,
    left_free_energy,
    left_logits,
    right_free_energy,
    right_logits,
    scaled,
    split_sides,
    transposed,
)
from .gibbs import block_gibbs, clamped_gibbs, sample_right, uniform_states
from .ising import Ising, from_ising, to_ising
from .of_graph import from_graph, to_graph
from .tempering import TemperedPath, tempered_path

__all__ = [
    "RBM",
    "Ising",
    "TemperedPath",
    "as_rbm",
    "block_gibbs",
    "clamped_gibbs",
    "energy",
    "exact",
    "from_graph",
    "from_ising",
    "left_free_energy",
    "left_logits",
    "right_free_energy",
    "right_logits",
    "sample_right",
    "scaled",
    "split_sides",
    "tempered_path",
    "to_graph",
    "to_ising",
    "transposed",
    "uniform_states",
]

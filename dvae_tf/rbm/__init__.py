"""The restricted Boltzmann machine as pure functions of `(left_bias, right_bias, weights)`.

Energies and conditionals (`energy`), enumeration (`exact`), block Gibbs sweeps (`gibbs`). Both sides of
the machine are latent here, so they are left and right, never visible and hidden.
"""

from . import exact
from .energy import (
    RBM,
    as_rbm,
    energy,
    left_free_energy,
    left_logits,
    right_logits,
    split_sides,
)
from .gibbs import block_gibbs, uniform_states

__all__ = [
    "RBM",
    "as_rbm",
    "block_gibbs",
    "energy",
    "exact",
    "left_free_energy",
    "left_logits",
    "right_logits",
    "split_sides",
    "uniform_states",
]

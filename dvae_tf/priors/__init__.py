"""Boltzmann priors as tfp distributions, and the Keras layer that owns their weights and chains.

The machine itself (`boltzmann`), its overlapping relaxation (`overlapping`), and the trainable prior
that hands either of them out (`layer`). log Z is always an argument, never hidden inside.
"""

from .boltzmann import BoltzmannMachine, log_partition_surrogate
from .layer import BoltzmannPrior
from .overlapping import OverlappingRelaxation, mean_field

__all__ = [
    "BoltzmannMachine",
    "BoltzmannPrior",
    "OverlappingRelaxation",
    "log_partition_surrogate",
    "mean_field",
]

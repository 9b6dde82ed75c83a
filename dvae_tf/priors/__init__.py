"""Priors as tfp distributions, and the Keras layers that own their weights and chains.

The Boltzmann machine, restricted or on a graph (`boltzmann`), and its relaxations: overlapping
(`overlapping`), by the Gaussian integral (`gaussian_integral`), and the GumBolt proxy (`gumbolt`); directed
Bernoulli priors (`directed`). log Z is always an argument of a distribution.
"""

from .base import Prior
from .boltzmann import BoltzmannMachine, GraphBoltzmannMachine
from .boltzmann_prior import BoltzmannPrior
from .directed import DirectedBernoulli, DirectedPrior
from .gaussian import GaussianPrior
from .gaussian_integral import GaussianIntegralPrior, GaussianIntegralRelaxation
from .gumbolt import GumBolt, GumBoltPrior
from .overlapping import OverlappingRelaxation, mean_field
from .surrogate import log_partition_surrogate

__all__ = [
    "BoltzmannMachine",
    "BoltzmannPrior",
    "DirectedBernoulli",
    "DirectedPrior",
    "GaussianIntegralPrior",
    "GaussianIntegralRelaxation",
    "GaussianPrior",
    "GraphBoltzmannMachine",
    "GumBolt",
    "GumBoltPrior",
    "OverlappingRelaxation",
    "Prior",
    "log_partition_surrogate",
    "mean_field",
]

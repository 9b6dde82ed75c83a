"""Samplers of the negative phase: `init(...) -> state`, pure `step(..., state, seed) -> (state, info)`.

States and infos are NamedTuples of tensors; `left`, `right` and `log_weights` of a state are its current
samples and their weights. A sampler holds only its settings; the caller holds the state.
"""

from .annealed_population import AnnealedPopulations, anneal
from .base import Sampler, SamplerState
from .clamped import sample_clamped
from .diagnostics import Mixing, autocorrelation_time, measure_mixing, mixing
from .external import External, ExternalInfo, ExternalState, SamplerError
from .inverse_temperature import BetaEstimate, estimate_beta
from .parallel_tempering import (
    ParallelTempering,
    ParallelTemperingInfo,
    ParallelTemperingState,
    equal_rejection_ladder,
    merge_ladders,
)
from .persistent_gibbs import PersistentGibbs, PersistentGibbsInfo, PersistentGibbsState
from .population_annealing import (
    GraphPopulationState,
    PopulationAnnealing,
    PopulationAnnealingInfo,
    PopulationAnnealingState,
)
from .resampling import count_families, systematic_resampling
from .straight_path import follow_straight_path

__all__ = [
    "AnnealedPopulations",
    "BetaEstimate",
    "External",
    "ExternalInfo",
    "ExternalState",
    "GraphPopulationState",
    "Mixing",
    "ParallelTempering",
    "ParallelTemperingInfo",
    "ParallelTemperingState",
    "PersistentGibbs",
    "PersistentGibbsInfo",
    "PersistentGibbsState",
    "PopulationAnnealing",
    "PopulationAnnealingInfo",
    "PopulationAnnealingState",
    "Sampler",
    "SamplerError",
    "SamplerState",
    "anneal",
    "autocorrelation_time",
    "count_families",
    "equal_rejection_ladder",
    "estimate_beta",
    "follow_straight_path",
    "measure_mixing",
    "merge_ladders",
    "mixing",
    "sample_clamped",
    "systematic_resampling",
]

"""Names and numbers of the published experiments: structures, systems, recipes and published results.

Plain numbers and names only: `models.systems` builds the parts that the names stand for.
"""

from .published import PUBLISHED, PublishedNLL
from .recipe import Recipe, recipe
from .schedules import SCHEDULES, changes_of
from .structures import BETA, DATASETS, STRUCTURES, Betas, DatasetFacts, Structure
from .systems import BASELINES, LIKELIHOODS, SAMPLERS, SYSTEMS, LikelihoodFacts, System, register_system

__all__ = [
    "BASELINES",
    "BETA",
    "DATASETS",
    "LIKELIHOODS",
    "PUBLISHED",
    "SAMPLERS",
    "SCHEDULES",
    "STRUCTURES",
    "SYSTEMS",
    "Betas",
    "DatasetFacts",
    "LikelihoodFacts",
    "PublishedNLL",
    "Recipe",
    "Structure",
    "System",
    "changes_of",
    "recipe",
    "register_system",
]

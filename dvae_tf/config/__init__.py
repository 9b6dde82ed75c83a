"""Names and numbers of the published experiments: structures, systems, recipes and published results.

Plain numbers and names only: `models.systems` builds the parts that the names stand for.
"""

from .published import PUBLISHED, PublishedNLL
from .recipe import Recipe, recipe
from .structures import BETA, DATASETS, STRUCTURES, Betas, DatasetFacts, Structure
from .systems import BASELINES, SAMPLERS, SYSTEMS, System

__all__ = [
    "BASELINES",
    "BETA",
    "DATASETS",
    "PUBLISHED",
    "SAMPLERS",
    "STRUCTURES",
    "SYSTEMS",
    "Betas",
    "DatasetFacts",
    "PublishedNLL",
    "Recipe",
    "Structure",
    "System",
    "recipe",
]

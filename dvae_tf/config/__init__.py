"""Names and numbers of the published experiments: structures, systems, recipes and published results.

Plain numbers and names only: `models.systems` builds the parts that the names stand for.
"""

from .published import PUBLISHED, PublishedNLL
from .recipe import Recipe, recipe
from .structures import BETA, DATASETS, STRUCTURES, Betas, DatasetFacts, Structure
from .systems import (
    BASELINES,
    ESTIMATORS,
    LIKELIHOODS,
    SAMPLERS,
    SYSTEMS,
    EstimatorFacts,
    LikelihoodFacts,
    System,
    check_estimator,
    register_system,
)

__all__ = [
    "BASELINES",
    "BETA",
    "DATASETS",
    "ESTIMATORS",
    "LIKELIHOODS",
    "PUBLISHED",
    "SAMPLERS",
    "STRUCTURES",
    "SYSTEMS",
    "Betas",
    "DatasetFacts",
    "EstimatorFacts",
    "LikelihoodFacts",
    "PublishedNLL",
    "Recipe",
    "Structure",
    "System",
    "check_estimator",
    "recipe",
    "register_system",
]

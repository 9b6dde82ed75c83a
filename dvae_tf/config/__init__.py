"""Names and numbers of the published experiments: structures, systems, recipes and published results.

Plain numbers and names only: `models.systems` builds the parts that the names stand for.
"""

from .image_shape import ImageShape, as_image_shape
from .published import PUBLISHED, PublishedNLL
from .recipe import Recipe, recipe
from .schedules import SCHEDULES, Change, changes_of, fields_of
from .structures import BETA, DATASETS, STRUCTURES, Betas, DatasetFacts, Structure
from .systems import (
    BASELINES,
    ESTIMATORS,
    GRAPHS,
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
    "GRAPHS",
    "LIKELIHOODS",
    "PUBLISHED",
    "SAMPLERS",
    "SCHEDULES",
    "STRUCTURES",
    "SYSTEMS",
    "Betas",
    "Change",
    "DatasetFacts",
    "EstimatorFacts",
    "ImageShape",
    "LikelihoodFacts",
    "PublishedNLL",
    "Recipe",
    "Structure",
    "System",
    "as_image_shape",
    "changes_of",
    "check_estimator",
    "fields_of",
    "recipe",
    "register_system",
]

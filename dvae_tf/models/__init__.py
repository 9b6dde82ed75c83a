"""The Keras model of a discrete VAE, and what the names of its parts stand for."""

from ..estimators import RelaxedBound
from .codes import BinaryCode, LocalCode, LocalSamples, Samples
from .dvae import DVAE
from .likelihoods import Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Likelihood, LogisticMixture
from .pretrained import PRETRAINED
from .replicas import ReplicaUpdate, StepReport, combine
from .systems import (
    PriorParts,
    register_estimator,
    register_likelihood,
    register_prior,
    register_relaxation,
    register_sampler,
)
from .weights import load, load_weights, save_weights, start_from, weights_file

__all__ = [
    "DVAE",
    "PRETRAINED",
    "Bernoulli",
    "BinaryCode",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "Likelihood",
    "LocalCode",
    "LocalSamples",
    "LogisticMixture",
    "PriorParts",
    "RelaxedBound",
    "ReplicaUpdate",
    "Samples",
    "StepReport",
    "combine",
    "load",
    "load_weights",
    "register_estimator",
    "register_likelihood",
    "register_prior",
    "register_relaxation",
    "register_sampler",
    "save_weights",
    "start_from",
    "weights_file",
]

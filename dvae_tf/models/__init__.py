"""The Keras model of a discrete VAE, and what the names of its parts stand for."""

from .dvae import DVAE, BinaryCode, RelaxedBound, Samples
from .pretrained import PRETRAINED
from .replicas import ReplicaUpdate, StepReport, combine
from .weights import load, load_weights, save_weights

__all__ = [
    "DVAE",
    "PRETRAINED",
    "BinaryCode",
    "RelaxedBound",
    "ReplicaUpdate",
    "Samples",
    "StepReport",
    "combine",
    "load",
    "load_weights",
    "save_weights",
]

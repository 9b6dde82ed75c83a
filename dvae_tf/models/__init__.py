"""The Keras model of a discrete VAE, and what the names of its parts stand for."""

from .dvae import DVAE, BinaryCode, Samples
from .pretrained import PRETRAINED
from .shares import Share, StepReport, average
from .store import load, load_weights, save_weights

__all__ = [
    "DVAE",
    "PRETRAINED",
    "BinaryCode",
    "Samples",
    "Share",
    "StepReport",
    "average",
    "load",
    "load_weights",
    "save_weights",
]

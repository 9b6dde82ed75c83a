"""The Keras model of a discrete VAE, and what the names of its parts stand for."""

from .dvae import DVAE, BinaryCode, Samples, Share, StepReport
from .pretrained import PRETRAINED
from .store import load, load_weights, save_weights

__all__ = [
    "DVAE",
    "PRETRAINED",
    "BinaryCode",
    "Samples",
    "Share",
    "StepReport",
    "load",
    "load_weights",
    "save_weights",
]

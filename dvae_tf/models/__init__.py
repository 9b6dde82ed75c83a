"""The Keras model of a discrete VAE, and the table that says what each baseline is made of."""

from .dvae import DVAE, BinaryCode, Samples, StepReport
from .store import load, load_weights, save_weights
from .systems import SYSTEMS, System

__all__ = [
    "DVAE",
    "SYSTEMS",
    "BinaryCode",
    "Samples",
    "StepReport",
    "System",
    "load",
    "load_weights",
    "save_weights",
]

"""Samplers of the negative phase: `init(...) -> state`, pure `step(..., state, seed) -> (state, info)`.

States and infos are NamedTuples of tensors; the fields `left` and `right` of a state are its current
samples. A sampler itself holds only numbers: the state lives with whoever calls.
"""

from .base import Sampler
from .persistent_gibbs import PersistentGibbs

__all__ = ["PersistentGibbs", "Sampler"]

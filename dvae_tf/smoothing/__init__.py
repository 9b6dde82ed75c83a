"""Smoothings r(zeta | z): the continuous twins of binary units, one family per file.

Each family is a Keras layer that owns its sharpness; calling it with logits gives the relaxed posterior
q(zeta) = (1 - q) r(zeta | 0) + q r(zeta | 1), a tfp distribution (`mixture.RelaxedBernoulli`).
"""

from .family import Family, SymmetricFamily
from .layer import Smoothing
from .mixture import RelaxedBernoulli
from .power import Power

__all__ = ["Family", "Power", "RelaxedBernoulli", "Smoothing", "SymmetricFamily"]

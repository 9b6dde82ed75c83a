r"""Continuous relaxations $\zeta$ of binary units, one family per file.

Each is a Keras layer that owns its sharpness. Called with log-odds, a smoothing $r(\zeta | z)$ returns the
relaxed posterior $q(\zeta) = (1 - q)\, r(\zeta | 0) + q\, r(\zeta | 1)$, a tfp distribution
(`RelaxedBernoulli`). Concrete, which has no $r(\zeta | z)$, returns a distribution of its own with the same
methods (`ConcreteBernoulli`). `Normal` is a Gaussian code in place of bits. `Sampling` makes any of them a
layer of draws.
"""

from .concrete import Concrete, ConcreteBernoulli
from .exponential import Exponential
from .family import Family, SymmetricFamily
from .gaussian import Gaussian
from .logistic import Logistic
from .mixture import RelaxedBernoulli
from .normal import Normal, NormalCode
from .power import Power
from .relaxation import Relaxation, RelaxedBinary
from .sampling import Sampling
from .shifted_gaussian import ShiftedGaussian
from .smoothing_layer import Smoothing
from .spike_exponential import SpikeExponential
from .uniform_exponential import UniformExponential

__all__ = [
    "Concrete",
    "ConcreteBernoulli",
    "Exponential",
    "Family",
    "Gaussian",
    "Logistic",
    "Normal",
    "NormalCode",
    "Power",
    "Relaxation",
    "RelaxedBernoulli",
    "RelaxedBinary",
    "Sampling",
    "ShiftedGaussian",
    "Smoothing",
    "SpikeExponential",
    "SymmetricFamily",
    "UniformExponential",
]

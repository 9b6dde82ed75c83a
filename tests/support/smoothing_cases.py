"""Every smoothing with its oracle and test points: the rows that the tests of smoothings run over."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import smoothing
from dvae_tf.smoothing import ConcreteBernoulli, RelaxedBernoulli, SymmetricFamily
from support import smoothing_reference as oracles

LOGITS = np.array([-6.0, -1.5, 0.0, 0.4, 2.5, 7.0])
COLUMN = LOGITS[:, np.newaxis]
EXTREME_LOGITS = (-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4)


@dataclasses.dataclass(frozen=True)
class Case:
    """One smoothing: the layer, its oracle, and test points.

    Attributes:
      layer: the class of the layer.
      oracle: the class of `smoothing_reference` with the same parameters.
      names: of the parameters; the constructor takes the first unless `parameter_is_given`.
      thetas: moderate parameters, where float64 resolves nearly everything.
      sharp: published parameters.
      limit: parameters close to the limit of bits.
      extremes: parameters far beyond what is useful.
      bad: parameters that the constructor refuses.
      inside: points of the support that every precision resolves.
      edges: the hardest points of the support.
      outside: points out of the support.
      resolved: the range in which float32 resolves samples. Sharp smoothings exceed it often: of
        the power draws at beta = 30, 5 % of those for z = 0 are below the smallest normal number,
        and 58 % of those for z = 1 are closer to 1 than 1e-7.
      differenced: levels at which differences of a quantile by bisection are precise in float64.
      uniform: the fraction of the probability that stays uniform in the limit.
    """

    layer: type
    oracle: type
    thetas: tuple
    sharp: tuple
    limit: tuple
    extremes: tuple
    inside: tuple
    edges: tuple
    outside: tuple
    resolved: tuple
    differenced: tuple
    names: tuple = ("beta",)
    bad: tuple = (0.0, -3.0, math.inf, math.nan, "3", True, None)
    uniform: float = 0.0

    @property
    def name(self):
        return self.layer.__name__

    @property
    def symmetric(self):
        """Whether zeta, z and 1 - zeta, 1 - z have the same distribution."""
        return issubclass(self.layer, SymmetricFamily)

    @property
    def has_atom(self):
        return self.layer is smoothing.SpikeExponential

    @property
    def has_closed_quantile(self):
        return "mixture_quantile" in vars(self.layer)

    def distribution(self, logits, theta, dtype=tf.float64, **kwargs):
        """q(zeta) in the given dtype, with tensors for theta."""
        theta = tuple(tf.convert_to_tensor(each, dtype) for each in theta)
        return RelaxedBernoulli(tf.convert_to_tensor(logits, dtype), theta, self.layer, **kwargs)

    def make(self, theta=None, trainable=False, **kwargs):
        """The layer, by default with sharp parameters."""
        (name,), (value,) = self.names, self.sharp if theta is None else theta
        return self.layer(**{name: value, f"trainable_{name}": trainable}, **kwargs)

    # The oracle: q(zeta) in float64.

    def log_density(self, theta, zeta, logits):
        return oracles.mixture_log_density(self.oracle(*theta), zeta, logits)

    def cdf(self, theta, zeta, logits):
        return oracles.mixture_cdf(self.oracle(*theta), zeta, logits)

    def quantile(self, theta, rho, logits):
        return oracles.mixture_quantile(self.oracle(*theta), rho, logits)

    def mean(self, theta, logits):
        return oracles.mixture_mean(self.oracle(*theta), logits)


class ShiftedGaussianCase(Case):
    """Parameters come from a second output of the encoder and from a weight."""

    def make(self, theta=None, trainable=False, **kwargs):
        return self.layer(**kwargs)


class ConcreteCase(Case):
    """No r(zeta | z): a distribution and an oracle of its own."""

    symmetric = True
    has_closed_quantile = False

    def distribution(self, logits, theta, dtype=tf.float64, **kwargs):
        (temperature,) = theta
        logits = tf.convert_to_tensor(logits, dtype)
        return ConcreteBernoulli(logits, tf.convert_to_tensor(temperature, dtype), **kwargs)

    def log_density(self, theta, zeta, logits):
        return self.oracle(*theta).log_density(zeta, logits)

    def cdf(self, theta, zeta, logits):
        return self.oracle(*theta).cdf(zeta, logits)

    def quantile(self, theta, rho, logits):
        return self.oracle(*theta).quantile(rho, logits)

    def mean(self, theta, logits):
        return self.oracle(*theta).mean(logits)


UNIT = {
    "inside": (1e-6, 0.015625, 0.25, 0.5, 0.8125, 0.984375, 1 - 2.0**-12),
    "edges": (0.0, 1e-45, 1e-38, 1e-30, 0.5, 1 - 2.0**-24, 1.0),
    "outside": (-1e-6, -3.0, 1 + 1e-6, 7.0, math.inf, -math.inf),
    "resolved": (1e-34, 1 - 2.0**-10),
    "differenced": (1e-9, 1 - 1e-6),
}
LINE = {
    "inside": (-1.0, -0.125, 0.0, 0.25, 0.5, 0.8125, 1.0, 1.125, 1.5),
    "edges": (-1e4, -30.0, 0.0, 1e-38, 0.5, 1.0, 30.0, 1e4),
    "outside": (math.inf, -math.inf),
    "resolved": (-math.inf, math.inf),
    "differenced": (-math.inf, math.inf),
}
BETAS = {"limit": (3e4,), "extremes": ((1e-2,), (100.0,), (1e3,))}

CASES = [
    Case(
        smoothing.SpikeExponential,
        oracles.SpikeExponentialSmoothing,
        thetas=((1.0,), (3.0,)),
        sharp=(5.0,),
        # Floats do not resolve the spike from its surroundings, the distribution does.
        **UNIT | {"resolved": (1e-7, 1 - 2.0**-10)},
        **BETAS,
    ),
    Case(
        smoothing.Exponential,
        oracles.ExponentialSmoothing,
        thetas=((1.0,), (5.0,)),
        sharp=(12.0,),
        **UNIT,
        **BETAS,
    ),
    Case(
        smoothing.Logistic,
        oracles.LogisticSmoothing,
        thetas=((1.0,), (4.0,)),
        sharp=(8.0,),
        **LINE,
        **BETAS,
    ),
    Case(
        smoothing.UniformExponential,
        oracles.UniformExponentialSmoothing,
        thetas=((2.0,), (8.0,)),
        sharp=(30.0,),
        uniform=0.05,
        **UNIT,
        **BETAS,
    ),
    Case(
        smoothing.Power,
        oracles.PowerSmoothing,
        thetas=((1.5,), (3.0,)),
        sharp=(30.0,),
        limit=(3e4,),
        extremes=((1.001,), (100.0,), (1e3,)),
        bad=(1.0, 0.5, *Case.bad),
        **UNIT | {"inside": (1e-30, *UNIT["inside"])},
    ),
    Case(
        smoothing.Gaussian,
        oracles.GaussianSmoothing,
        thetas=((1.0,), (9.0,)),
        sharp=(30.0,),
        **LINE,
        **BETAS | {"limit": (1e6,)},
    ),
    ShiftedGaussianCase(
        smoothing.ShiftedGaussian,
        oracles.ShiftedGaussianSmoothing,
        names=("shift", "scale"),
        thetas=((0.1, 0.5), (-0.2, 0.25)),
        sharp=(0.0, 0.25),
        limit=(0.0, 1e-3),
        extremes=((0.25, 1e-2), (-0.25, 10.0)),
        **LINE,
    ),
    ConcreteCase(
        smoothing.Concrete,
        oracles.ConcreteRelaxation,
        names=("temperature",),
        thetas=((2.0,), (0.5,)),
        sharp=(1 / 7,),
        limit=(1e-4,),
        extremes=((1e-2,), (10.0,)),
        **UNIT,
    ),
]
MIXTURES = [case for case in CASES if not isinstance(case, ConcreteCase)]
SYMMETRIC = [case for case in CASES if case.symmetric]
CLOSED_QUANTILE = [case for case in CASES if case.has_closed_quantile]


def _id(each):
    if isinstance(each, Case):
        return each.name
    return "-".join(f"{number:.3g}" for number in each)


def parametrize(cases, with_thetas=False):
    """Runs a test over cases, or over cases with each of their moderate and sharp parameters."""
    if not with_thetas:
        return pytest.mark.parametrize("case", cases, ids=_id)
    rows = [(case, theta) for case in cases for theta in (*case.thetas, case.sharp)]
    return pytest.mark.parametrize(("case", "theta"), rows, ids=_id)


each_case = parametrize(CASES)
each_mixture = parametrize(MIXTURES)
with_thetas = parametrize(CASES, with_thetas=True)
mixtures_with_thetas = parametrize(MIXTURES, with_thetas=True)
each_dtype = pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)


def tolerance(dtype):
    return {"rtol": 2e-5, "atol": 2e-6} if dtype == tf.float32 else {"rtol": 1e-9, "atol": 1e-11}

"""Every training objective's gradient against the exact one, and the biases that are there by construction.

The library's gradients are averaged over many draws and compared, parameter by parameter, with central
differences of the objective of `exact_model` (enumeration and quadrature in float64). The biases
are differences of two such exact gradients: no noise.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from dvae_tf import kl, priors
from dvae_tf.posterior import PosteriorSample
from dvae_tf.priors import gaussian_integral, overlapping
from dvae_tf.rbm import conditional_logits
from runners import exact_model as exact
from support import gradient_checks, smoothing_reference
from support.gradient_checks import BATCH, CALLS, LARGEST, X, centered, largest_z_score, mean_gradients


def legendre(num_nodes):
    return exact.reference_nodes(0.0, 1.0, num_nodes)


def logistic_levels(num_nodes):
    points, weights = exact.reference_nodes(-16.0, 16.0, num_nodes)
    weights = weights * stats.logistic.pdf(points)
    return special.expit(points), weights / weights.sum()


def normal_levels(num_nodes):
    points, weights = np.polynomial.hermite_e.hermegauss(num_nodes)
    return stats.norm.cdf(points), weights / weights.sum()


@dataclasses.dataclass(frozen=True)
class Case:
    """A baseline, its sharpness here, and its objective written down.

    `objective(values)` gives (unit, KL term) at the sharpness; `units` is D.
    """

    baseline: str
    changes: dict
    units: int
    objective: Callable[..., tuple]


def _smoothed(smoothing: Any, levels: tuple, kl_term: Any) -> tuple:
    return exact.smoothed(smoothing, levels), kl_term


POWER = smoothing_reference.PowerSmoothing
EXPONENTIAL = smoothing_reference.ExponentialSmoothing
LOGISTIC = smoothing_reference.LogisticSmoothing
UNEXP = smoothing_reference.UniformExponentialSmoothing
GAUSSIAN = smoothing_reference.GaussianSmoothing

CASES = [
    Case("dvae_spike_exp", {"beta": 3.0}, 4, lambda: (exact.spiked(3.0, legendre(7)), exact.boltzmann_bits)),
    Case(
        "dvaepp_exp", {"beta": 4.0}, 4, lambda: _smoothed(EXPONENTIAL(4.0), legendre(7), exact.boltzmann_bits)
    ),
    Case(
        "dvaepp_logistic",
        {"beta": 4.0},
        2,
        lambda: _smoothed(LOGISTIC(4.0), logistic_levels(40), exact.boltzmann_bits),
    ),
    Case("dvaepp_power", {"beta": 3.0}, 2, lambda: _smoothed(POWER(3.0), legendre(30), exact.boltzmann_bits)),
    Case(
        "dvaepp_directed",
        {"beta": 4.0},
        4,
        lambda: _smoothed(EXPONENTIAL(4.0), legendre(7), exact.directed_bits),
    ),
    Case("dvaes_gi", {"beta": 8.0}, 2, lambda: (exact.shifted_gaussian(40), exact.gaussian_integral(8.0))),
    Case(
        "dvaes_gauss",
        {"beta": 8.0},
        2,
        lambda: _smoothed(GAUSSIAN(8.0), normal_levels(20), exact.overlapping(GAUSSIAN(8.0), exact=False)),
    ),
    Case(
        "dvaes_exp",
        {"beta": 4.0},
        2,
        lambda: _smoothed(EXPONENTIAL(4.0), legendre(30), exact.overlapping(EXPONENTIAL(4.0), exact=False)),
    ),
    Case(
        "dvaes_unexp",
        {"beta": 4.0},
        2,
        lambda: _smoothed(UNEXP(4.0), legendre(40), exact.overlapping(UNEXP(4.0), exact=False)),
    ),
    Case(
        "dvaes_power",
        {"beta": 3.0},
        2,
        lambda: _smoothed(POWER(3.0), legendre(30), exact.overlapping(POWER(3.0), exact=False)),
    ),
    Case("gumbolt", {"temperature": 0.5}, 2, lambda: (exact.concrete(0.5, 60), exact.gumbolt)),
    Case("gumbolt_nw", {"temperature": 0.5}, 2, lambda: (exact.concrete(0.5, 60), exact.gumbolt)),
    Case(
        "concrete",
        {"temperature": 2 / 3, "prior_temperature": 0.5},
        2,
        lambda: (exact.concrete(2 / 3, 60), exact.relaxed_directed(0.5)),
    ),
    Case(
        "gumbel_softmax",
        {"temperature": 0.5},
        2,
        lambda: (exact.concrete(0.5, 60), exact.directed_divergence),
    ),
]
BY_NAME = {case.baseline: case for case in CASES}
# The others have a KL term of these with another smoothing, or are slow to integrate.
QUICK = ("dvae_spike_exp", "dvaes_power", "gumbolt", "gumbolt_nw")
each_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case.baseline not in QUICK)) for case in CASES],
    ids=lambda case: case.baseline,
)
with_groups = pytest.mark.parametrize("num_groups", [pytest.param(1, marks=pytest.mark.slow), 2])


@pytest.fixture(autouse=True)
def structures(monkeypatch):
    gradient_checks.add_structures(monkeypatch)


def build(case: Case, num_groups: int, k: int = 1) -> gradient_checks.Built:
    return gradient_checks.build(case.baseline, case.units, num_groups, k, **case.changes)


def exact_gradient(case: Case, parameters: exact.Parameters, num_groups: int, k: int = 1) -> exact.Parameters:
    unit, kl_term = case.objective()

    def objective(moved):
        # The encoder sees x - mean(x_train).
        return exact.importance_weighted(centered(moved), X, unit, kl_term, num_groups, k)

    return exact.gradient(objective, parameters)


def check(case: Case, num_groups: int, k: int = 1) -> float:
    model, parameters, named = build(case, num_groups, k)
    expected = exact_gradient(case, parameters, num_groups, k)
    return largest_z_score(mean_gradients(model, named), expected)


@each_case
@with_groups
def test_gradient_is_that_of_the_objective(case, num_groups):
    assert check(case, num_groups) < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize("baseline", ["dvaes_exp", "dvaes_gi", "gumbolt"])
def test_gradient_of_two_importance_samples(baseline):
    case = dataclasses.replace(BY_NAME[baseline], units=2)
    assert check(case, 1, k=2) < LARGEST


def test_dvae_gradient_is_that_of_reinforce():
    """GumBolt paper, appendix B: in expectation, for the gradient of the energy in the posterior."""
    model, _, named = build(BY_NAME["dvae_spike_exp"], 2)
    x = tf.tile(tf.constant(X[np.newaxis], tf.float32), [BATCH, 1]) - 0.5
    names = [name for name in named if name.startswith("encoder")]
    values = [named[name].value for name in names]
    machine = model.prior.binary()

    @tf.function(jit_compile=True)
    def one(seed):
        with tf.GradientTape(persistent=True) as tape:
            draw = model.posterior(x, num_samples=1, seed=seed)
            z = tf.cast(draw.sample > 0, tf.float32)
            entropy = tf.reduce_sum(kl.bernoulli_entropy(draw.logits), -1)
            rolfe = tf.reduce_mean(kl.dvae(draw, machine) + entropy)
            # The score of the bits, the zeta that later groups see held fixed.
            first, second = model.posterior.encoders
            later = second(x, tf.stop_gradient(draw.sample[..., :2]))
            logits = tf.concat([first(x)[tf.newaxis], later], -1)
            score = tf.reduce_sum(z * logits - tf.math.softplus(logits), -1)
            reinforce = tf.reduce_mean(tf.stop_gradient(machine.energy(z)) * score)
        return tape.gradient(rolfe, values), tape.gradient(reinforce, values)

    drawn = [one(tf.constant([8, call])) for call in range(CALLS)]
    for index in range(len(names)):
        pair = [np.stack([np.asarray(each[which][index]) for each in drawn]) for which in (0, 1)]
        difference = pair[0].mean(0) - pair[1].mean(0)
        error = np.sqrt((pair[0].var(0, ddof=1) + pair[1].var(0, ddof=1)) / CALLS)
        assert np.abs(difference / error).max() < LARGEST
        assert np.abs(pair[0].mean(0)).max() > 0.02


# --------------------------------------------------------------------------- negative controls


def _half_entropy(patch, module):
    right = module.bernoulli_entropy
    patch.setattr(module, "bernoulli_entropy", lambda logits: 0.5 * right(logits))


def _scaled(patch, owner, name, factor):
    right = getattr(owner, name)
    patch.setattr(owner, name, lambda *args: factor * right(*args))


def _left_side_alone(patch):
    def left_fields(machine, left, right):
        is_left = tf.range(left.shape[-1] + right.shape[-1]) < left.shape[-1]
        return tf.where(is_left, conditional_logits(machine, left, right), 0.0)

    patch.setattr(kl, "conditional_logits", left_fields)


def _bits_without_their_zeta(patch):
    patch.setattr(PosteriorSample, "binary_posterior_probs", lambda draw: tf.sigmoid(draw.logits))


MACHINE = priors.BoltzmannMachine
DEFECTS = [
    ("dvae_spike_exp", "sum over the left side alone", _left_side_alone),
    ("dvae_spike_exp", "wrong sign of the energy", lambda patch: _scaled(patch, MACHINE, "energy", -1.0)),
    ("dvae_spike_exp", "energy averaged over units", lambda patch: _scaled(patch, MACHINE, "energy", 0.25)),
    ("dvae_spike_exp", "half the entropy", lambda patch: _half_entropy(patch, kl)),
    ("dvaepp_exp", "bits without their zeta", _bits_without_their_zeta),
    ("dvaepp_exp", "wrong sign of the energy", lambda patch: _scaled(patch, kl, "_mean_energy", -1.0)),
    ("dvaepp_exp", "energy averaged over units", lambda patch: _scaled(patch, kl, "_mean_energy", 0.25)),
    ("dvaepp_exp", "half the entropy", lambda patch: _half_entropy(patch, kl)),
    ("dvaepp_directed", "half the entropy", lambda patch: _half_entropy(patch, kl)),
    ("dvaepp_directed", "wrong sign", lambda patch: _scaled(patch, priors.DirectedBernoulli, "logits", -1.0)),
    # The entropy of the mean field carries no gradient: tests/priors/test_overlapping.py breaks its value.
    ("dvaes_exp", "wrong sign of the energy", lambda patch: _scaled(patch, overlapping, "energy", -1.0)),
    ("dvaes_exp", "energy averaged over units", lambda patch: _scaled(patch, overlapping, "energy", 0.25)),
    ("dvaes_gi", "sign", lambda patch: _scaled(patch, gaussian_integral, "_log_determinant", -1.0)),
    ("gumbolt", "wrong sign of the energy", lambda patch: _scaled(patch, MACHINE, "energy", -1.0)),
    ("gumbolt", "energy averaged over units", lambda patch: _scaled(patch, MACHINE, "energy", 0.5)),
    ("concrete", "wrong sign", lambda patch: _scaled(patch, priors.DirectedBernoulli, "logits", -1.0)),
    ("gumbel_softmax", "half the entropy", lambda patch: _half_entropy(patch, kl)),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("baseline", "defect", "break_it"), DEFECTS, ids=[f"{name}-{defect}" for name, defect, _ in DEFECTS]
)
def test_known_defects_are_caught(baseline, defect, break_it, monkeypatch):
    break_it(monkeypatch)
    case = BY_NAME[baseline]
    model, parameters, named = build(case, 2)
    expected = exact_gradient(case, parameters, 2)
    assert largest_z_score(mean_gradients(model, named, calls=30), expected) > 2 * LARGEST

"""Estimators on the bits and doubly reparameterized gradients, against exact gradients of their bounds.

As in `test_gradients`: means over many draws, compared parameter by parameter with central differences of the
objective by enumeration (bits) or quadrature (relaxed codes) in float64, log Z exact, with and without the
factor of the warm-up.
"""

import importlib

import keras
import pytest
import tensorflow as tf

from dvae_tf import priors
from runners import exact_model as exact
from support import gradient_checks, smoothing_reference
from support.gradient_checks import LARGEST, X, centered, largest_z_score, mean_gradients

BOUNDS = {"rloo": "elbo", "vimco": "importance weighted", "disarm": "elbo", "rebar": "elbo"}


@pytest.fixture(autouse=True)
def structures(monkeypatch):
    gradient_checks.add_structures(monkeypatch)


def directed_prior(num_groups, units):
    """A directed prior of one's own, of bits."""
    later = [keras.layers.Dense(units // num_groups, name=f"prior_{g}") for g in range(1, num_groups)]
    return priors.DirectedPrior(units // num_groups, later, name="prior")


def of_bits(baseline, parameters, num_groups, k, kl_weight, kl_term=exact.boltzmann_bits):
    """The exact gradient of the bound of the bits."""

    def objective(moved):
        moved = centered(moved)

        def weighted(at, grid):
            return kl_weight * kl_term(at, grid)

        if BOUNDS[baseline] == "elbo":
            return exact.elbo(moved, X, exact.bits(), weighted, num_groups)
        return exact.importance_weighted(moved, X, exact.bits(), weighted, num_groups, k)

    return exact.gradient(objective, parameters)


def z_score_of_bits(baseline, num_groups, k, kl_weight, units=4, calls=60, **changes):
    model, parameters, named = gradient_checks.build(baseline, units, num_groups, k, **changes)
    kl_term = exact.directed_bits if "prior" in changes else exact.boltzmann_bits
    expected = of_bits(baseline, parameters, num_groups, k, kl_weight, kl_term)
    if not changes.get("couplings", True):
        expected.pop("weights")
    return largest_z_score(mean_gradients(model, named, calls, kl_weight=kl_weight), expected)


def quick_if(quick, *case):
    return pytest.param(*case, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(
    ("baseline", "num_groups", "k"),
    [
        quick_if((baseline, groups) == ("vimco", 2), baseline, groups, k)
        for baseline, groups, k in [
            ("rloo", 1, 2),
            ("rloo", 2, 2),
            ("vimco", 1, 2),
            ("vimco", 2, 2),
            ("disarm", 1, 2),
            ("disarm", 2, 2),
            ("disarm", 2, 4),
            ("rebar", 1, 1),
            ("rebar", 1, 2),
        ]
    ],
)
@pytest.mark.parametrize("kl_weight", [pytest.param(1.0, marks=pytest.mark.slow), 0.4])
def test_gradient_of_the_bits(baseline, num_groups, k, kl_weight):
    assert z_score_of_bits(baseline, num_groups, k, kl_weight) < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize(("num_groups", "kl_weight"), [(1, 1.0), (2, 0.4)])
def test_gradient_of_four_importance_samples(num_groups, kl_weight):
    assert z_score_of_bits("vimco", num_groups, 4, kl_weight, units=2) < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize("baseline", BOUNDS)
def test_gradient_with_a_directed_prior(baseline):
    num_groups = 1 if baseline == "rebar" else 2
    prior = directed_prior(num_groups, 4)
    assert z_score_of_bits(baseline, num_groups, 2, 0.4, prior=prior) < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize("baseline", BOUNDS)
def test_gradient_with_a_factorial_machine(baseline):
    assert z_score_of_bits(baseline, 1, 2, 1.0, couplings=False) < LARGEST


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["vimco", "disarm", "rloo"])
def test_an_estimator_of_bits_in_a_relaxed_system(estimator):
    """As a schedule may switch to one, with a number of samples of its own."""
    model, parameters, named = gradient_checks.build("gumbolt", 4, 2, 1)
    expected = of_bits(estimator, parameters, 2, 2, 0.4)
    found = mean_gradients(model, named, 60, kl_weight=0.4, estimator=estimator, num_samples=2)
    assert largest_z_score(found, expected) < LARGEST


# --------------------------------------------------------------------------- doubly reparameterized


def legendre(num_nodes):
    return exact.reference_nodes(0.0, 1.0, num_nodes)


EXPONENTIAL = smoothing_reference.ExponentialSmoothing
# baseline -> its sharpness here, (unit, KL term) of its objective.
RELAXED = {
    "dvaes_exp": (
        {"beta": 4.0},
        lambda: (
            exact.smoothed(EXPONENTIAL(4.0), legendre(24)),
            exact.overlapping(EXPONENTIAL(4.0), exact=False),
        ),
    ),
    "dvaes_gi": ({"beta": 8.0}, lambda: (exact.shifted_gaussian(24), exact.gaussian_integral(8.0))),
    "concrete": (
        {"temperature": 2 / 3, "prior_temperature": 0.5},
        lambda: (exact.concrete(2 / 3, 60), exact.relaxed_directed(0.5)),
    ),
}


def z_score_doubly(baseline, num_groups, k, kl_weight, calls=60):
    changes, objective_of = RELAXED[baseline]
    model, parameters, named = gradient_checks.build(
        baseline, 2, num_groups, k, doubly_reparameterized=True, **changes
    )
    unit, kl_term = objective_of()

    def objective(moved):
        weighted = (unit, lambda *at: kl_weight * kl_term(*at))
        return exact.importance_weighted(centered(moved), X, *weighted, num_groups, k)

    expected = exact.gradient(objective, parameters)
    return largest_z_score(mean_gradients(model, named, calls, kl_weight=kl_weight), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("baseline", "num_groups", "k", "kl_weight"),
    [
        ("dvaes_exp", 1, 1, 1.0),
        ("dvaes_exp", 2, 1, 0.4),
        ("dvaes_exp", 1, 2, 1.0),
        ("dvaes_exp", 2, 2, 0.4),
        ("dvaes_gi", 2, 1, 0.4),
        ("dvaes_gi", 2, 2, 1.0),
        ("dvaes_gi", 1, 2, 0.4),
        ("concrete", 1, 1, 0.4),
        ("concrete", 2, 1, 1.0),
        ("concrete", 2, 2, 0.4),
    ],
)
def test_doubly_reparameterized_gradient(baseline, num_groups, k, kl_weight):
    assert z_score_doubly(baseline, num_groups, k, kl_weight) < LARGEST


# --------------------------------------------------------------------------- negative controls


def module_of(estimator):
    return importlib.import_module(f"dvae_tf.estimators.{estimator}")


def baseline_that_sees_its_own_sample(patch):
    patch.setattr(
        module_of("rloo"), "mean_of_others", lambda f: tf.reduce_mean(f, 0, keepdims=True) + 0.0 * f
    )


def score_dropped_under_the_weights(patch):
    right = module_of("vimco").terms_of_bits
    patch.setattr(
        module_of("vimco"), "terms_of_bits", lambda parts, z, log_q: right(parts, z, tf.stop_gradient(log_q))
    )


def second_members_of_other_numbers(patch):
    """The antithetic bits of an image from the numbers of its neighbor: independent, with the right law."""
    right, calls = module_of("disarm").draw_bits, []

    def draw(probs, rho):
        calls.append(rho)
        return right(probs, rho if len(calls) % 2 else tf.roll(rho, 1, 1))

    patch.setattr(module_of("disarm"), "draw_bits", draw)


def noise_given_other_bits(patch):
    right = module_of("rebar")._noisy_given
    patch.setattr(module_of("rebar"), "_noisy_given", lambda b, *rest: right(tf.roll(b, 1, 1), *rest))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("baseline", "break_it"),
    [
        ("rloo", baseline_that_sees_its_own_sample),
        ("vimco", score_dropped_under_the_weights),
        ("disarm", second_members_of_other_numbers),
        ("rebar", noise_given_other_bits),
    ],
    ids=["rloo", "vimco", "disarm", "rebar"],
)
def test_defects_are_caught(baseline, break_it, monkeypatch):
    break_it(monkeypatch)
    assert z_score_of_bits(baseline, 1, 2, 0.4) > 2 * LARGEST


@pytest.mark.slow
def test_the_factor_of_another_warm_up_is_caught(monkeypatch):
    module = module_of("reparameterized")
    right = module._path_weights
    monkeypatch.setattr(module, "_path_weights", lambda w, kl_weight: right(w, 1.0))
    assert z_score_doubly("dvaes_exp", 1, 2, 0.4) > 2 * LARGEST


@pytest.mark.slow
def test_log_q_that_later_groups_do_not_see_is_caught(monkeypatch):
    """Its gradient through the groups before; with one sample the mean of that is 0."""
    posterior = importlib.import_module("dvae_tf.posterior").Posterior
    right = posterior._outputs

    def outputs(layer, group, x, before, num_samples, training):
        return right(
            layer, group, x, None if before is None else tf.stop_gradient(before), num_samples, training
        )

    log_prob = posterior.log_prob

    def blind(layer, *args):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(posterior, "_outputs", outputs)
            return log_prob(layer, *args)

    monkeypatch.setattr(posterior, "log_prob", blind)
    assert z_score_doubly("dvaes_gi", 2, 2, 1.0) > 2 * LARGEST

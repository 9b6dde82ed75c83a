"""Tests of the overlapping relaxation: the mean-field bound, its tightness and its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import rbm, smoothing
from dvae_tf.numerics import bernoulli_entropy
from dvae_tf.priors import BoltzmannMachine, OverlappingRelaxation, overlapping
from support import reference, smoothing_cases

# Every overlapping r(zeta | z) with a given sharpness.
FAMILIES = [case for case in smoothing_cases.SYMMETRIC if hasattr(case.layer, "log_density_given_0")]
each_family = smoothing_cases.parametrize(FAMILIES)
with_thetas = smoothing_cases.parametrize(FAMILIES, with_thetas=True)
POWER = next(case for case in FAMILIES if case.layer is smoothing.Power)


def test_every_overlapping_smoothing_is_here():
    names = {"Exponential", "Logistic", "UniformExponential", "Power", "Gaussian"}
    assert {case.name for case in FAMILIES} == names


def _relaxation(machine, case, theta, dtype=np.float64, log_partition=None, **kwargs):
    bm = BoltzmannMachine(*machine.cast(dtype), log_partition=log_partition)
    return OverlappingRelaxation(bm, case.make(theta), **kwargs)


def _inside(case, zeta, dtype):
    """The points where the library evaluates a density: floats do not reach the vertices."""
    if case.oracle.support != (0.0, 1.0):
        return zeta.astype(np.float64)
    limits = np.finfo(dtype)
    return np.clip(zeta, 4 * limits.tiny, 1 - limits.epsneg).astype(np.float64)


def _zeta(machine, case, theta, num, seed=0, dtype=np.float64):
    """Draws of the relaxed machine, at points of finite density."""
    zeta = reference.relaxed_draws(machine, case.oracle(*theta), num, seed)
    return _inside(case, zeta.astype(dtype), dtype)


# --------------------------------------------------------------------------- the bound


@with_thetas
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_value_is_the_bound_at_the_mean_field(case, theta, dtype, tolerance):
    machine = reference.random_machine(4, 3, seed=50)
    oracle = case.oracle(*theta)
    zeta = _zeta(machine, case, theta, 30, dtype=dtype)
    relaxation = _relaxation(machine, case, theta, dtype)
    found = relaxation.log_prob(zeta.astype(dtype))
    assert found.dtype == dtype
    m = reference.mean_field(machine, oracle, zeta)
    np.testing.assert_allclose(relaxation.mean_field(zeta.astype(dtype)), m, atol=tolerance)
    expected = reference.bound_at(machine, oracle, zeta, np.clip(m, 1e-300, 1 - 1e-16))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("num_iterations", [1, 2, 10])
def test_number_of_mean_field_iterations(num_iterations):
    machine = reference.random_machine(3, 4, seed=51, stddev=2.0)
    zeta = _zeta(machine, POWER, (2.0,), 10)
    relaxation = _relaxation(machine, POWER, (2.0,), num_mean_field_iterations=num_iterations)
    expected = reference.mean_field(machine, POWER.oracle(2.0), zeta, num_iterations)
    np.testing.assert_allclose(relaxation.mean_field(zeta), expected, rtol=1e-9, atol=1e-12)


def test_five_iterations_are_the_default():
    machine = reference.random_machine(3, 4, seed=51, stddev=2.0)
    zeta = _zeta(machine, POWER, (2.0,), 10)
    found = _relaxation(machine, POWER, (2.0,)).mean_field(zeta)
    expected = reference.mean_field(machine, POWER.oracle(2.0), zeta, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@with_thetas
def test_never_above_the_exact_log_density(case, theta):
    rng = np.random.default_rng(52)
    low, high = np.clip(case.oracle.support, -1.0, 2.0)
    for seed in range(12):
        size = tuple(rng.integers(1, 5, 2))
        machine = reference.random_machine(*size, seed=seed, stddev=float(rng.uniform(0.2, 3)))
        num_units = machine.num_units
        zeta = np.concatenate(
            [
                rng.uniform(low, high, (20, num_units)),
                reference.relaxed_draws(machine, case.oracle(*theta), 20, seed),
                rng.integers(0, 2, (10, num_units)).astype(np.float64),
                np.full((1, num_units), 0.5),
                rng.choice([0.0, 1e-300, 1e-30, 0.5, 1 - 2.0**-53, 1.0], (10, num_units)),
            ]
        )
        found = _relaxation(machine, case, theta).log_prob(zeta).numpy()
        exact = reference.relaxed_log_prob(machine, case.oracle(*theta), _inside(case, zeta, np.float64))
        assert np.isfinite(found).all()
        assert np.all(found <= exact + 1e-9 * (1 + np.abs(exact)))


@with_thetas
def test_without_couplings_the_bound_is_exact(case, theta):
    machine = reference.random_machine(3, 4, seed=53)._replace(weights=np.zeros((3, 4)))
    zeta = _zeta(machine, case, theta, 30)
    found = _relaxation(machine, case, theta).log_prob(zeta)
    exact = reference.relaxed_log_prob(machine, case.oracle(*theta), zeta)
    np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-9)


def _mean_gap(case, theta, dtype=np.float64, num=300):
    """Mean of log p(zeta) minus the bound over draws of relaxed 5 + 5 machines, nats."""
    gaps = []
    for seed in range(3):
        machine = reference.random_machine(5, 5, seed=seed, stddev=0.7, bias_stddev=0.5)
        zeta = _zeta(machine, case, theta, num, seed, dtype)
        found = _relaxation(machine, case, theta, dtype).log_prob(zeta.astype(dtype))
        exact = reference.relaxed_log_prob(machine, case.oracle(*theta), zeta)
        gaps.append(exact - found.numpy())
    return np.mean(gaps)


@each_family
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bound_is_tight_where_the_smoothing_is_sharp(case, dtype):
    assert -1e-4 < _mean_gap(case, case.sharp, dtype) < 0.002


@each_family
def test_the_bound_is_not_tight_where_it_is_not(case):
    """The check above with mean field and bound evaluated at the wrong points."""
    assert _mean_gap(case, case.thetas[0]) > 0.05


def test_the_checks_catch_an_entropy_averaged_over_units(monkeypatch):
    """A known defect of other implementations: an average of entropies with a sum of energies."""
    assert _mean_gap(POWER, (2.0,)) < 0.15
    check = test_value_is_the_bound_at_the_mean_field
    arguments = (POWER, (2.0,), np.float64, 1e-9)
    check(*arguments)
    monkeypatch.setattr(
        overlapping,
        "bernoulli_entropy",
        lambda logits: bernoulli_entropy(logits) / logits.shape[-1],
    )
    with pytest.raises(AssertionError):
        check(*arguments)
    with pytest.raises(AssertionError):
        test_without_couplings_the_bound_is_exact(POWER, (2.0,))
    assert _mean_gap(POWER, (2.0,)) > 0.5


# --------------------------------------------------------------------------- its gradient


def _gradients(machine, case, theta, zeta):
    """d sum of log_prob in zeta, left_bias, right_bias, weights; log Z exact."""
    arguments = [tf.constant(each) for each in (zeta, *machine)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        bm = BoltzmannMachine(*arguments[1:])
        total = tf.reduce_sum(OverlappingRelaxation(bm, case.make(theta)).log_prob(arguments[0]))
    return [gradient.numpy() for gradient in tape.gradient(total, arguments)]


@with_thetas
def test_gradient_is_that_of_the_bound_at_fixed_mean_field(case, theta):
    """Eq. 5 of the DVAE# paper, by finite differences with m held fixed."""
    machine = reference.random_machine(4, 3, seed=54)
    oracle = case.oracle(*theta)
    # Away from the vertices, which limit the step of differences.
    zeta = np.random.default_rng(55).uniform(0.02, 0.98, (6, 7))
    m = reference.mean_field(machine, oracle, zeta)
    by_zeta, *by_machine = _gradients(machine, case, theta, zeta)

    def bound(machine, zeta):
        return reference.bound_at(machine, oracle, zeta, m).sum()

    expected = reference.finite_difference(lambda value: bound(machine, value), zeta, 1e-6)
    np.testing.assert_allclose(by_zeta, expected, rtol=1e-5, atol=1e-6)
    for name, gradient in zip(machine._fields, by_machine, strict=True):
        expected = reference.finite_difference(
            lambda value, name=name: bound(machine._replace(**{name: value}), zeta),
            getattr(machine, name),
        )
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


@with_thetas
def test_gradient_is_equation_5_written_out(case, theta):
    """d log p / d theta = E_m[-d E] - E_p[-d E], both phases in closed form."""
    machine = reference.random_machine(4, 3, seed=54)
    zeta = _zeta(machine, case, theta, 20)
    m = reference.mean_field(machine, case.oracle(*theta), zeta)
    _, by_left, by_right, by_weights = _gradients(machine, case, theta, zeta)
    left, right = m[:, :4], m[:, 4:]
    negative = reference.moments(machine)
    np.testing.assert_allclose(by_left, left.sum(0) - 20 * negative.left, atol=1e-8)
    np.testing.assert_allclose(by_right, right.sum(0) - 20 * negative.right, atol=1e-8)
    np.testing.assert_allclose(by_weights, left.T @ right - 20 * negative.products, atol=1e-8)


@each_family
def test_gradient_is_exact_where_the_smoothing_is_sharp(case):
    """With the enumerated posterior of z given zeta in place of the mean field."""
    machine = reference.random_machine(4, 4, seed=56, stddev=0.7, bias_stddev=0.5)
    num = 1_000
    zeta = _zeta(machine, case, case.sharp, num)
    _, by_left, by_right, by_weights = (each / num for each in _gradients(machine, case, case.sharp, zeta))
    positive = reference.relaxed_posterior_moments(machine, case.oracle(*case.sharp), zeta)
    negative = reference.moments(machine)
    for gradient, now, then in zip((by_left, by_right, by_weights), positive, negative, strict=True):
        np.testing.assert_allclose(gradient, now.mean(0) - then, atol=3e-3)


def test_gradient_in_zeta_is_exact_where_the_power_smoothing_is_sharp():
    """d log p = (1/beta - 1) [(1 - p) / zeta - p / (1 - zeta)], p = P(z = 1 | zeta)."""
    machine = reference.random_machine(4, 4, seed=56, stddev=0.7, bias_stddev=0.5)
    inner = np.random.default_rng(57).uniform(0.01, 0.99, (50, 8)) ** 4
    by_zeta = _gradients(machine, POWER, (30.0,), inner)[0]
    posterior = reference.relaxed_posterior_moments(machine, POWER.oracle(30.0), inner)
    probs = np.concatenate([*posterior[:2]], -1)
    exact = (1 / 30 - 1) * ((1 - probs) / inner - probs / (1 - inner))
    error = np.abs(by_zeta - exact) * inner * (1 - inner)
    assert error.mean() < 0.01
    assert error.max() < 0.2


def test_the_gradient_check_catches_a_mean_field_that_is_differentiated(monkeypatch):
    """At a mean field that has not converged, a gradient through m differs."""

    def differentiated(machine, left_shift, right_shift, num_iterations):
        left, right = tf.zeros_like(left_shift), tf.zeros_like(right_shift)
        for _ in range(num_iterations):
            right = rbm.right_logits(machine, tf.math.sigmoid(left)) + right_shift
            left = rbm.left_logits(machine, tf.math.sigmoid(right)) + left_shift
        return left, right

    monkeypatch.setattr(overlapping, "mean_field", differentiated)
    with pytest.raises(AssertionError):
        test_gradient_is_that_of_the_bound_at_fixed_mean_field(POWER, (2.0,))


@each_family
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_is_finite_at_the_edges(case, dtype):
    machine = reference.random_machine(3, 4, seed=58, stddev=3.0)
    zeta = np.random.default_rng(0).choice(case.edges, (200, 7)).astype(dtype)
    for theta in (*case.thetas, case.sharp, (100.0,)):
        arguments = [tf.constant(each, dtype) for each in (zeta, *machine)]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            relaxation = OverlappingRelaxation(BoltzmannMachine(*arguments[1:]), case.make(theta))
            log_prob = relaxation.log_prob(arguments[0])
        for number in (log_prob, *tape.gradient(log_prob, arguments)):
            assert np.isfinite(number).all()


@each_family
def test_gradient_reaches_a_trainable_beta(case):
    machine = reference.random_machine(3, 4, seed=59)
    (beta,) = theta = case.thetas[-1]
    zeta = _zeta(machine, case, theta, 20)
    layer = case.make(theta, trainable=True)
    relaxation = OverlappingRelaxation(BoltzmannMachine(*machine), layer)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(relaxation.log_prob(zeta))
    (gradient,) = tape.gradient(total, layer.trainable_variables)
    m = reference.mean_field(machine, case.oracle(*theta), zeta)
    by_beta = reference.finite_difference(
        lambda beta: reference.bound_at(machine, case.oracle(float(beta)), zeta, m).sum(), np.array(beta)
    )
    # beta = smallest + exp(weight).
    np.testing.assert_allclose(gradient, by_beta * (beta - layer.smallest_beta), rtol=1e-4)

"""Tests of the overlapping relaxation: the mean-field bound, its tightness and its gradient."""

import numpy as np
import pytest
import reference
import smoothing_reference
import tensorflow as tf
import tensorflow_probability as tfp

from dvae_tf import smoothing
from dvae_tf.numerics import bernoulli_entropy
from dvae_tf.priors import BoltzmannMachine, OverlappingRelaxation, overlapping

tfd = tfp.distributions

CASES = [
    (smoothing.Power, smoothing_reference.PowerSmoothing, 2.0),
    (smoothing.Power, smoothing_reference.PowerSmoothing, 30.0),
]
each_case = pytest.mark.parametrize(
    ("layer", "oracle", "beta"), CASES, ids=[f"{case[0].__name__}-{case[2]:g}" for case in CASES]
)


def _relaxation(machine, layer, beta, dtype=np.float64, log_partition=None, **kwargs):
    bm = BoltzmannMachine(*machine.cast(dtype), log_partition=log_partition)
    return OverlappingRelaxation(bm, layer(beta=beta), **kwargs)


def _inside(zeta, dtype):
    """Where the library evaluates a density: the vertices themselves are out of reach of floats."""
    limits = np.finfo(dtype)
    return np.clip(zeta, 4 * limits.tiny, 1 - limits.epsneg).astype(np.float64)


def _zeta(machine, oracle, beta, num, seed=0, dtype=np.float64):
    """Draws of the relaxed machine where densities are finite."""
    zeta = reference.relaxed_draws(machine, oracle(beta), num, seed)
    return _inside(zeta.astype(dtype), dtype)


# --------------------------------------------------------------------------- the bound


@each_case
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-9)])
def test_value_is_the_bound_at_the_mean_field(layer, oracle, beta, dtype, tolerance):
    machine = reference.random_machine(4, 3, seed=50)
    zeta = _zeta(machine, oracle, beta, 30, dtype=dtype)
    relaxation = _relaxation(machine, layer, beta, dtype)
    found = relaxation.log_prob(zeta.astype(dtype))
    assert found.dtype == dtype
    m = reference.mean_field(machine, oracle(beta), zeta)
    np.testing.assert_allclose(relaxation.mean_field(zeta.astype(dtype)), m, atol=tolerance)
    expected = reference.bound_at(machine, oracle(beta), zeta, np.clip(m, 1e-300, 1 - 1e-16))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("num_iterations", [1, 2, 10])
def test_number_of_mean_field_iterations(num_iterations):
    machine = reference.random_machine(3, 4, seed=51, stddev=2.0)
    oracle = smoothing_reference.PowerSmoothing(2.0)
    zeta = _zeta(machine, smoothing_reference.PowerSmoothing, 2.0, 10)
    relaxation = _relaxation(machine, smoothing.Power, 2.0, num_mean_field_iterations=num_iterations)
    expected = reference.mean_field(machine, oracle, zeta, num_iterations)
    np.testing.assert_allclose(relaxation.mean_field(zeta), expected, rtol=1e-9, atol=1e-12)


def test_five_iterations_are_the_default():
    machine = reference.random_machine(3, 4, seed=51, stddev=2.0)
    zeta = _zeta(machine, smoothing_reference.PowerSmoothing, 2.0, 10)
    found = _relaxation(machine, smoothing.Power, 2.0).mean_field(zeta)
    expected = reference.mean_field(machine, smoothing_reference.PowerSmoothing(2.0), zeta, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@each_case
def test_never_above_the_exact_log_density(layer, oracle, beta):
    rng = np.random.default_rng(52)
    for seed in range(12):
        size = tuple(rng.integers(1, 5, 2))
        machine = reference.random_machine(*size, seed=seed, stddev=float(rng.uniform(0.2, 3)))
        num_units = machine.num_units
        zeta = np.concatenate(
            [
                rng.random((20, num_units)),
                reference.relaxed_draws(machine, oracle(beta), 20, seed),
                rng.integers(0, 2, (10, num_units)).astype(np.float64),
                np.full((1, num_units), 0.5),
                rng.choice([0.0, 1e-300, 1e-30, 0.5, 1 - 2.0**-53, 1.0], (10, num_units)),
            ]
        )
        found = _relaxation(machine, layer, beta).log_prob(zeta).numpy()
        exact = reference.relaxed_log_prob(machine, oracle(beta), _inside(zeta, np.float64))
        assert np.isfinite(found).all()
        assert np.all(found <= exact + 1e-9 * (1 + np.abs(exact)))


@each_case
def test_without_couplings_the_bound_is_exact(layer, oracle, beta):
    machine = reference.random_machine(3, 4, seed=53)._replace(weights=np.zeros((3, 4)))
    zeta = _zeta(machine, oracle, beta, 30)
    found = _relaxation(machine, layer, beta).log_prob(zeta)
    exact = reference.relaxed_log_prob(machine, oracle(beta), zeta)
    np.testing.assert_allclose(found, exact, rtol=1e-9)


def _mean_gap(beta, dtype, num=300):
    """Mean of log p(zeta) minus the bound over draws of relaxed 5 + 5 machines, nats."""
    gaps = []
    for seed in range(3):
        machine = reference.random_machine(5, 5, seed=seed, stddev=0.7, bias_stddev=0.5)
        zeta = _zeta(machine, smoothing_reference.PowerSmoothing, beta, num, seed, dtype)
        found = _relaxation(machine, smoothing.Power, beta, dtype).log_prob(zeta.astype(dtype))
        exact = reference.relaxed_log_prob(machine, smoothing_reference.PowerSmoothing(beta), zeta)
        gaps.append(exact - found.numpy())
    return np.mean(gaps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bound_is_tight_where_the_smoothing_is_sharp(dtype):
    assert -1e-4 < _mean_gap(30.0, dtype) < 0.02


def test_the_checks_catch_an_entropy_averaged_over_units(monkeypatch):
    """A known defect elsewhere: the entropy averaged over units beside a summed energy."""
    assert _mean_gap(2.0, np.float64) < 0.15
    machine = reference.random_machine(4, 3, seed=50)
    check = test_value_is_the_bound_at_the_mean_field
    arguments = (*CASES[0], np.float64, 1e-9)
    check(*arguments)
    monkeypatch.setattr(
        overlapping,
        "bernoulli_entropy",
        lambda logits: bernoulli_entropy(logits) / logits.shape[-1],
    )
    with pytest.raises(AssertionError):
        check(*arguments)
    with pytest.raises(AssertionError):
        test_without_couplings_the_bound_is_exact(*CASES[0])
    assert _mean_gap(2.0, np.float64) > 0.5
    assert machine.num_units == 7


# --------------------------------------------------------------------------- its gradient


def _gradients(machine, layer, beta, zeta):
    """d sum of log_prob in zeta, left_bias, right_bias, weights; log Z exact."""
    arguments = [tf.constant(each) for each in (zeta, *machine)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        bm = BoltzmannMachine(*arguments[1:])
        total = tf.reduce_sum(OverlappingRelaxation(bm, layer(beta=beta)).log_prob(arguments[0]))
    return [gradient.numpy() for gradient in tape.gradient(total, arguments)]


@each_case
def test_gradient_is_that_of_the_bound_at_fixed_mean_field(layer, oracle, beta):
    """Eq. 5 of the DVAE# paper, by finite differences that hold m."""
    machine = reference.random_machine(4, 3, seed=54)
    # Away from the vertices, where differences have room.
    zeta = np.random.default_rng(55).uniform(0.02, 0.98, (6, 7))
    m = reference.mean_field(machine, oracle(beta), zeta)
    by_zeta, *by_machine = _gradients(machine, layer, beta, zeta)

    def bound(machine, zeta):
        return reference.bound_at(machine, oracle(beta), zeta, m).sum()

    expected = reference.finite_difference(lambda value: bound(machine, value), zeta, 1e-6)
    np.testing.assert_allclose(by_zeta, expected, rtol=1e-5, atol=1e-6)
    for name, gradient in zip(machine._fields, by_machine, strict=True):
        expected = reference.finite_difference(
            lambda value, name=name: bound(machine._replace(**{name: value}), zeta),
            getattr(machine, name),
        )
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


@each_case
def test_gradient_is_equation_5_written_out(layer, oracle, beta):
    """d log p / d theta = E_m[-d E] - E_p[-d E], both phases in closed form."""
    machine = reference.random_machine(4, 3, seed=54)
    zeta = _zeta(machine, oracle, beta, 20)
    m = reference.mean_field(machine, oracle(beta), zeta)
    _, by_left, by_right, by_weights = _gradients(machine, layer, beta, zeta)
    left, right = m[:, :4], m[:, 4:]
    negative = reference.moments(machine)
    np.testing.assert_allclose(by_left, left.sum(0) - 20 * negative.left, atol=1e-8)
    np.testing.assert_allclose(by_right, right.sum(0) - 20 * negative.right, atol=1e-8)
    np.testing.assert_allclose(by_weights, left.T @ right - 20 * negative.products, atol=1e-8)


def test_gradient_is_exact_where_the_smoothing_is_sharp():
    """The posterior of z given zeta, enumerated, takes the place of the mean field."""
    oracle = smoothing_reference.PowerSmoothing(30.0)
    machine = reference.random_machine(4, 4, seed=56, stddev=0.7, bias_stddev=0.5)
    num = 2_000
    zeta = _zeta(machine, smoothing_reference.PowerSmoothing, 30.0, num)
    _, by_left, by_right, by_weights = (
        each / num for each in _gradients(machine, smoothing.Power, 30.0, zeta)
    )
    positive = reference.relaxed_posterior_moments(machine, oracle, zeta)
    negative = reference.moments(machine)
    for gradient, now, then in zip((by_left, by_right, by_weights), positive, negative, strict=True):
        np.testing.assert_allclose(gradient, now.mean(0) - then, atol=3e-3)
    # And in zeta: d log p = (1/beta - 1) [(1 - p) / zeta - p / (1 - zeta)], p = P(z = 1 | zeta).
    inner = np.random.default_rng(57).uniform(0.01, 0.99, (50, 8)) ** 4
    by_zeta = _gradients(machine, smoothing.Power, 30.0, inner)[0]
    probs = np.concatenate([*reference.relaxed_posterior_moments(machine, oracle, inner)[:2]], -1)
    exact = (1 / 30 - 1) * ((1 - probs) / inner - probs / (1 - inner))
    error = np.abs(by_zeta - exact) * inner * (1 - inner)
    assert error.mean() < 0.01
    assert error.max() < 0.2


def test_the_gradient_check_catches_a_mean_field_that_is_differentiated(monkeypatch):
    """At a mean field that has not converged, a gradient through m is another one."""

    def differentiated(rbm, left_shift, right_shift, num_iterations):
        left, right = tf.zeros_like(left_shift), tf.zeros_like(right_shift)
        for _ in range(num_iterations):
            right = overlapping.right_logits(rbm, tf.math.sigmoid(left)) + right_shift
            left = overlapping.left_logits(rbm, tf.math.sigmoid(right)) + left_shift
        return left, right

    monkeypatch.setattr(overlapping, "mean_field", differentiated)
    with pytest.raises(AssertionError):
        test_gradient_is_that_of_the_bound_at_fixed_mean_field(*CASES[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_everything_is_finite_at_the_vertices(dtype):
    machine = reference.random_machine(3, 4, seed=58, stddev=3.0)
    edges = [0.0, 1e-45, 1e-38, 1e-30, 0.5, 1 - 2.0**-24, 1.0]
    zeta = np.random.default_rng(0).choice(edges, (200, 7)).astype(dtype)
    for beta in (1.5, 30.0, 100.0):
        arguments = [tf.constant(each, dtype) for each in (zeta, *machine)]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            relaxation = OverlappingRelaxation(BoltzmannMachine(*arguments[1:]), smoothing.Power(beta=beta))
            log_prob = relaxation.log_prob(arguments[0])
        for number in (log_prob, *tape.gradient(log_prob, arguments)):
            assert np.isfinite(number).all()


def test_gradient_reaches_a_trainable_beta():
    machine = reference.random_machine(3, 4, seed=59)
    zeta = _zeta(machine, smoothing_reference.PowerSmoothing, 3.0, 20)
    layer = smoothing.Power(beta=3.0, trainable_beta=True)
    relaxation = OverlappingRelaxation(BoltzmannMachine(*machine), layer)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(relaxation.log_prob(zeta))
    (gradient,) = tape.gradient(total, layer.trainable_variables)
    m = reference.mean_field(machine, smoothing_reference.PowerSmoothing(3.0), zeta)
    by_beta = reference.finite_difference(
        lambda beta: reference.bound_at(machine, smoothing_reference.PowerSmoothing(beta), zeta, m).sum(),
        np.array(3.0),
    )
    # beta = 1 + exp(weight).
    np.testing.assert_allclose(gradient, by_beta * 2.0, rtol=1e-4)


# --------------------------------------------------------------------------- the distribution


def test_samples_follow_the_relaxed_machine():
    machine = reference.random_machine(2, 3, seed=60)
    beta = 3.0
    relaxation = _relaxation(machine, smoothing.Power, beta)
    zeta = relaxation.sample(40_000, seed=(1, 2)).numpy()
    assert zeta.shape == (40_000, 5)
    means = np.concatenate([*reference.moments(machine)[:2]])
    for column, mean in zip(zeta.T, means, strict=True):
        cdf = lambda x, mean=mean: smoothing_reference.mixture_cdf(  # noqa: E731
            smoothing_reference.PowerSmoothing(beta), x, np.log(mean / (1 - mean))
        )
        assert reference.ks_distance(column, cdf) < 2.2
    # Given the bits zeta is independent: E[zeta_i zeta_j] follows from E[z_i z_j].
    low, high = 1 / (1 + beta), beta / (1 + beta)
    left, right, products = reference.moments(machine)
    slope = high - low
    expected = low**2 + slope * low * (left[:, None] + right) + slope**2 * products
    found = zeta[:, :2, np.newaxis] * zeta[:, np.newaxis, 2:]
    assert np.abs(reference.z_scores(found, expected)).max() < 4


def test_shapes_and_dtypes():
    machine = reference.random_machine(3, 4, seed=61)
    for dtype in (np.float32, np.float64):
        relaxation = _relaxation(machine, smoothing.Power, 30.0, dtype)
        assert isinstance(relaxation, tfd.Distribution)
        assert relaxation.event_shape == (7,)
        assert relaxation.batch_shape == ()
        sample = relaxation.sample([2, 5], seed=(0, 1))
        assert sample.shape == (2, 5, 7)
        assert sample.dtype == dtype
        assert relaxation.log_prob(sample).shape == (2, 5)
        assert relaxation.mean_field(sample).shape == (2, 5, 7)
        assert relaxation.boltzmann.num_left == 3
        assert relaxation.smoothing.beta == 30.0


def test_log_prob_is_minus_infinity_outside():
    machine = reference.random_machine(3, 4, seed=61)
    relaxation = _relaxation(machine, smoothing.Power, 30.0)
    for wrong in (-1e-6, 1 + 1e-6):
        zeta = np.full(7, 0.5)
        zeta[2] = wrong
        assert relaxation.log_prob(zeta) == -np.inf


def test_validate_args():
    machine = reference.random_machine(3, 4, seed=61)
    relaxation = _relaxation(machine, smoothing.Power, 30.0, validate_args=True)
    assert np.isfinite(relaxation.log_prob(np.full(7, 0.5)))
    for wrong in (-0.1, 1.1, np.nan):
        zeta = np.full(7, 0.5)
        zeta[2] = wrong
        with pytest.raises(tf.errors.InvalidArgumentError, match="zeta"):
            relaxation.log_prob(zeta)


@pytest.mark.parametrize("value", [0, -2])
def test_bad_number_of_iterations_is_refused_by_name(value):
    machine = reference.random_machine(3, 4, seed=61)
    with pytest.raises(ValueError, match="num_mean_field_iterations"):
        _relaxation(machine, smoothing.Power, 30.0, num_mean_field_iterations=value)


def test_leaves_a_function():
    machine = reference.random_machine(3, 4, seed=61).cast(np.float32)
    layer = smoothing.Power(beta=30.0)
    leave = tf.function(
        lambda scale: OverlappingRelaxation(
            BoltzmannMachine(*[scale * each for each in machine], log_partition=1.0), layer
        )
    )
    found = leave(tf.constant(1.0))
    assert isinstance(found, OverlappingRelaxation)
    zeta = tf.fill([2, 7], 0.25)
    expected = _relaxation(machine, smoothing.Power, 30.0, np.float32, log_partition=1.0)
    np.testing.assert_allclose(found.log_prob(zeta), expected.log_prob(zeta), rtol=1e-5)


def test_eager_graph_and_xla_agree():
    machine = [tf.constant(each) for each in reference.random_machine(3, 4, seed=62)]
    zeta = tf.constant(np.random.default_rng(0).random((10, 7)))
    layer = smoothing.Power(beta=30.0)

    def evaluate(zeta, *machine):
        with tf.GradientTape() as tape:
            tape.watch((zeta, machine))
            relaxation = OverlappingRelaxation(BoltzmannMachine(*machine), layer)
            log_prob = relaxation.log_prob(zeta)
        by_zeta, by_machine = tape.gradient(log_prob, (zeta, machine))
        return log_prob, by_zeta, *by_machine

    eager = evaluate(zeta, *machine)
    for jit_compile in (False, True):
        compiled = tf.function(evaluate, jit_compile=jit_compile)(zeta, *machine)
        for found, expected in zip(compiled, eager, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)

"""Tests of the Gaussian integral relaxation: its density against the sum over z, and the raised beta."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from dvae_tf.priors import BoltzmannMachine, GaussianIntegralRelaxation, gaussian_integral
from support import reference, smoothing_reference

tfd = tfp.distributions

SIZES = [(2, 5), (4, 4), (5, 3), (1, 11)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")
PAIR = reference.Machine(np.array([0.75]), np.array([-0.5]), np.array([[1.5]]))


def _relaxation(machine, beta, dtype=np.float64, log_partition=None, **kwargs):
    bm = BoltzmannMachine(*machine.cast(dtype), log_partition=log_partition)
    return GaussianIntegralRelaxation(bm, beta, **kwargs)


def _spectral_norm(machine):
    return np.linalg.svd(machine.weights, compute_uv=False)[0]


def _precision(machine, beta):
    return reference.symmetric_couplings(machine) + beta * np.eye(machine.num_units)


def _terms(machine, beta, zeta):
    """log p(z) + log N(zeta; z, A^-1), [N, 2^D]."""
    z = reference.binary_states(machine.num_units)
    distribution = stats.multivariate_normal(cov=np.linalg.inv(_precision(machine, beta)))
    log_r = distribution.logpdf(np.asarray(zeta, np.float64)[:, np.newaxis] - z)
    return reference.joint_log_probs(machine)[0].ravel() + log_r.reshape(len(zeta), -1)


def _log_prob(machine, beta, zeta):
    return special.logsumexp(_terms(machine, beta, zeta), 1)


def _zeta(machine, beta, num, seed=0):
    """Draws of the relaxed machine, and points everywhere."""
    z = reference.exact_draws(machine, num, seed)
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(np.linalg.inv(_precision(machine, beta)))
    drawn = z + rng.normal(size=z.shape) @ root.T
    corners = [np.zeros_like(z[:1]), np.full_like(z[:1], 0.5), np.ones_like(z[:1])]
    return np.concatenate([drawn, rng.uniform(-1, 2, z.shape), *corners]).astype(np.float32)


# --------------------------------------------------------------------------- the density


@each_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-10)])
def test_log_prob_is_the_sum_over_all_bits(size, dtype, tolerance):
    for seed in range(3):
        machine = reference.random_machine(*size, seed=seed)
        beta = _spectral_norm(machine) + 7.0
        zeta = _zeta(machine, beta, 15, seed)
        relaxation = _relaxation(machine, beta, dtype)
        np.testing.assert_allclose(relaxation.sharpness, beta, rtol=1e-6)
        found = relaxation.log_prob(zeta.astype(dtype))
        assert found.dtype == dtype
        # Relative to the size of the terms that cancel, beta D.
        atol = tolerance * beta * machine.num_units
        np.testing.assert_allclose(found, _log_prob(machine, beta, zeta), rtol=tolerance, atol=atol)


def _grid():
    """Nodes [N, 2] and weights [N] over [-5, 6]^2: more than 8 standard deviations beyond the bits."""
    nodes, weights = smoothing_reference.composite_quadrature([-5.0, -1.0, 0.5, 2.0, 6.0])
    zeta = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    return zeta, np.outer(weights, weights).ravel()


def test_density_integrates_to_one_and_has_the_moments_of_the_bits():
    zeta, weights = _grid()
    probs = _relaxation(PAIR, 7.0).prob(zeta).numpy() * weights
    np.testing.assert_allclose(probs.sum(), 1, rtol=1e-10)
    left, right, products = reference.moments(PAIR)
    np.testing.assert_allclose(probs @ zeta, [left[0], right[0]], rtol=1e-10)
    second = np.array([[left[0], products[0, 0]], [products[0, 0], right[0]]])
    second += np.linalg.inv(_precision(PAIR, 7.0))
    np.testing.assert_allclose((probs * zeta.T) @ zeta, second, rtol=1e-9)


def _posterior_means(machine, beta, zeta):
    """p(z = 1 | zeta) by the gradient in zeta, which is A (E[z | zeta] - zeta)."""
    zeta = tf.constant(zeta)
    with tf.GradientTape() as tape:
        tape.watch(zeta)
        log_prob = _relaxation(machine, beta).log_prob(zeta)
    gradient = tape.gradient(log_prob, zeta).numpy()
    return zeta.numpy() + gradient @ np.linalg.inv(_precision(machine, beta))


@each_size
def test_posterior_of_the_bits(size):
    machine = reference.random_machine(*size, seed=4)
    beta = _spectral_norm(machine) + 6.0
    zeta = _zeta(machine, beta, 20).astype(np.float64)
    terms = _terms(machine, beta, zeta)
    probs = np.exp(terms - special.logsumexp(terms, 1, keepdims=True))
    expected = probs @ reference.binary_states(machine.num_units)
    np.testing.assert_allclose(_posterior_means(machine, beta, zeta), expected, atol=1e-10)


def test_posterior_integrates_to_the_bits():
    zeta, weights = _grid()
    probs = _relaxation(PAIR, 7.0).prob(zeta).numpy() * weights
    expected = np.concatenate([*reference.moments(PAIR)[:2]])
    np.testing.assert_allclose(probs @ _posterior_means(PAIR, 7.0, zeta), expected, rtol=1e-9)


@each_size
def test_log_determinant(size):
    machine = reference.random_machine(*size, seed=3, stddev=2.0)
    for beta in (_spectral_norm(machine) + 0.01, _spectral_norm(machine) + 20):
        bm = BoltzmannMachine(*machine)
        found = gaussian_integral._log_determinant(bm.rbm, tf.constant(beta, tf.float64))
        sign, expected = np.linalg.slogdet(_precision(machine, beta))
        assert sign == 1
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [(2, 4), (3, 3), (4, 1)])
def test_gradients_at_fixed_beta(size):
    machine = reference.random_machine(*size, seed=5, stddev=0.5)
    beta, given = _spectral_norm(machine) + 6.0, 3.25
    zeta = _zeta(machine, beta, 3).astype(np.float64)
    arguments = [tf.constant(each) for each in (zeta, *machine, np.float64(given))]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        bm = BoltzmannMachine(*arguments[1:4], log_partition=arguments[4])
        total = tf.reduce_sum(GaussianIntegralRelaxation(bm, beta).log_prob(arguments[0]))
    by_zeta, *by_machine, by_log_partition = tape.gradient(total, arguments)

    def log_prob(machine, zeta):
        return (_log_prob(machine, beta, zeta) + reference.log_partition(machine) - given).sum()

    np.testing.assert_allclose(total, log_prob(machine, zeta), rtol=1e-10)
    np.testing.assert_allclose(by_log_partition, -len(zeta))
    expected = reference.finite_difference(lambda value: log_prob(machine, value), zeta)
    np.testing.assert_allclose(by_zeta, expected, rtol=1e-6, atol=1e-5)
    for name, gradient in zip(machine._fields, by_machine, strict=True):
        expected = reference.finite_difference(
            lambda value, name=name: log_prob(machine._replace(**{name: value}), zeta),
            getattr(machine, name),
        )
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-5)


# --------------------------------------------------------------------------- the raised beta


@each_size
def test_beta_is_raised_where_it_is_below_the_guard(size):
    machine = reference.random_machine(*size, seed=6, stddev=2.0)
    guard = _spectral_norm(machine) + 5.0
    for requested, expected in (
        (1.0, guard),
        (guard - 0.01, guard),
        (guard + 0.01, guard + 0.01),
        (80.0, 80.0),
    ):
        np.testing.assert_allclose(_relaxation(machine, requested).sharpness, expected, rtol=1e-12)
    # The bipartite matrix has the eigenvalues +- the singular values.
    assert np.linalg.eigvalsh(_precision(machine, guard)).min() > 4.999
    zeta = _zeta(machine, guard, 10)
    np.testing.assert_allclose(
        _relaxation(machine, 1.0).log_prob(zeta), _log_prob(machine, guard, zeta), rtol=1e-9, atol=1e-9
    )


def test_spectral_norm_may_be_given():
    machine = reference.random_machine(3, 4, seed=6)
    np.testing.assert_allclose(_relaxation(machine, 1.0, spectral_norm=7.5).sharpness, 12.5)
    np.testing.assert_allclose(_relaxation(machine, 20.0, spectral_norm=7.5).sharpness, 20.0)


def test_without_the_guard_there_is_no_density(monkeypatch):
    machine = reference.random_machine(4, 4, seed=6, stddev=2.0)
    zeta = _zeta(machine, _spectral_norm(machine) + 5, 10)
    assert np.isfinite(_relaxation(machine, 1.0).log_prob(zeta)).all()
    monkeypatch.setattr(gaussian_integral, "MARGIN", -1e3)
    assert _relaxation(machine, 1.0).sharpness == 1.0
    assert np.linalg.eigvalsh(_precision(machine, 1.0)).min() < 0
    assert np.isnan(_relaxation(machine, 1.0).log_prob(zeta)).all()
    assert np.isnan(_relaxation(machine, 1.0).sample(3, seed=(0, 1))).any()


def test_no_gradient_flows_through_the_guard(monkeypatch):
    machine = reference.random_machine(3, 4, seed=6)
    zeta = _zeta(machine, _spectral_norm(machine) + 5, 5).astype(np.float64)

    def gradients(requested):
        arguments = [tf.constant(machine.weights), tf.constant(requested, tf.float64)]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(arguments)
            bm = BoltzmannMachine(*machine[:2], arguments[0])
            relaxation = GaussianIntegralRelaxation(bm, arguments[1])
            log_prob, beta = relaxation.log_prob(zeta), relaxation.sharpness
        return tape.gradient(log_prob, arguments), tape.gradient(beta, arguments)

    (bound, by_beta), of_beta = gradients(0.1)
    assert (of_beta[0], of_beta[1], by_beta) == (None, 0, 0)
    # The resulting beta is requested, so that it is not raised.
    (free, _), _ = gradients(_spectral_norm(machine) + 5 + 1e-9)
    np.testing.assert_allclose(bound, free, rtol=1e-6)
    monkeypatch.setattr(gaussian_integral.tf, "stop_gradient", tf.identity)
    (through, _), _ = gradients(0.1)
    assert np.abs(through - free).max() > 0.1


# --------------------------------------------------------------------------- the distribution


@pytest.mark.parametrize("size", [(2, 3), (3, 1)])
@pytest.mark.parametrize("stddev", [1.0, 10.0])
def test_samples_follow_the_mixture(size, stddev):
    """With couplings that are large compared with the margin, no other square root of A passes."""
    machine = reference.random_machine(*size, seed=7, stddev=stddev)
    beta = _spectral_norm(machine) + 5.0
    zeta = _relaxation(machine, beta).sample(40_000, seed=(1, 2)).numpy()
    covariance = np.linalg.inv(_precision(machine, beta))
    left, right, _ = reference.moments(machine)
    means = np.concatenate([left, right])
    assert np.abs(reference.z_scores(zeta, means)).max() < 4
    states = reference.binary_states(machine.num_units)
    second = (states.T * np.exp(reference.joint_log_probs(machine)[0].ravel())) @ states + covariance
    products = zeta[:, :, np.newaxis] * zeta[:, np.newaxis]
    assert np.abs(reference.z_scores(products, second)).max() < 4
    # The test detects the couplings: without their correlations the moments are wrong.
    assert np.abs(reference.z_scores(products, second - covariance + np.eye(len(means)) / beta)).max() > 6
    for column, mean, variance in zip(zeta.T, means, np.diag(covariance), strict=True):
        noise = stats.norm(0, variance**0.5)
        cdf = lambda x, mean=mean, noise=noise: (1 - mean) * noise.cdf(x) + mean * noise.cdf(x - 1)  # noqa: E731
        assert reference.ks_distance(column, cdf) < 2.2


def test_samples_depend_on_the_seed_alone_and_carry_no_gradient():
    parameters = [tf.constant(each) for each in reference.random_machine(3, 4, seed=8)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        relaxation = GaussianIntegralRelaxation(BoltzmannMachine(*parameters), 9.0)
        total = tf.reduce_sum(relaxation.sample(5, seed=(1, 2)))
    assert tape.gradient(total, parameters) == [None] * 3
    assert relaxation.reparameterization_type == tfd.NOT_REPARAMETERIZED
    np.testing.assert_array_equal(relaxation.sample(5, seed=(1, 2)), relaxation.sample(5, seed=(1, 2)))
    assert np.all(relaxation.sample(5, seed=(1, 2)) != relaxation.sample(5, seed=(1, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(dtype):
    machine = reference.random_machine(3, 4, seed=8)
    relaxation = _relaxation(machine, 9.0, dtype)
    assert isinstance(relaxation, tfd.Distribution)
    assert (relaxation.event_shape, relaxation.batch_shape) == ((7,), ())
    np.testing.assert_array_equal(relaxation.event_shape_tensor(), [7])
    assert relaxation.boltzmann.num_left == 3
    assert relaxation.sharpness.dtype == dtype
    sample = relaxation.sample([2, 5], seed=(0, 1))
    assert sample.shape == (2, 5, 7)
    assert sample.dtype == dtype
    log_prob = relaxation.log_prob(sample)
    assert log_prob.shape == (2, 5)
    # A batch agrees with its elements, and one zeta with a batch of one.
    assert relaxation.sample(seed=(0, 1)).shape == (7,)
    np.testing.assert_allclose(relaxation.log_prob(sample[1, 2]), log_prob[1, 2], rtol=1e-4, atol=1e-4)
    # Five codes as one event.
    joint = tfd.Sample(relaxation, 5)
    np.testing.assert_allclose(joint.log_prob(sample), tf.reduce_sum(log_prob, -1), rtol=1e-4)
    with pytest.raises(ValueError, match="event_ndims|static|rank|batch"):
        tfd.Independent(relaxation, 1).log_prob(sample)


def test_log_prob_uses_the_given_log_partition():
    machine = reference.random_machine(3, 4, seed=8)
    zeta = _zeta(machine, 9.0, 5)
    expected = _relaxation(machine, 9.0).log_prob(zeta) + reference.log_partition(machine) - 1.25
    np.testing.assert_allclose(_relaxation(machine, 9.0, log_partition=1.25).log_prob(zeta), expected)


def test_validate_args():
    machine = reference.random_machine(3, 4, seed=8)
    relaxation = _relaxation(machine, 9.0, validate_args=True)
    assert np.isfinite(relaxation.log_prob(np.full(7, -3.0)))
    for wrong in (np.nan, np.inf):
        with pytest.raises(tf.errors.InvalidArgumentError, match="zeta"):
            relaxation.log_prob(np.full(7, wrong))

"""The KL terms against sums over all codes and quadrature over zeta, in float64 NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special

from dvae_tf import kl, priors, smoothing
from dvae_tf.posterior import PosteriorSample
from support.tiny import all_bits

LEFT, RIGHT = 2, 2
RNG = np.random.default_rng(0)
LEFT_BIAS, RIGHT_BIAS = RNG.normal(size=LEFT), RNG.normal(size=RIGHT)
WEIGHTS = RNG.normal(size=(LEFT, RIGHT))
LOGITS = np.array([[0.4, -1.2, 2.0, 0.1], [-0.3, 0.8, -2.0, 1.1]])
CODES = all_bits(LEFT + RIGHT)


def energy(z):
    left, right = z[..., :LEFT], z[..., LEFT:]
    return -(left @ LEFT_BIAS) - right @ RIGHT_BIAS - ((left @ WEIGHTS) * right).sum(-1)


LOG_Z = special.logsumexp(-energy(CODES))


def machine():
    values = (LEFT_BIAS, RIGHT_BIAS, WEIGHTS, LOG_Z)
    return priors.BoltzmannMachine(*(tf.constant(value, tf.float64) for value in values))


def log_bernoulli(z, logits):
    return (z * special.log_expit(logits) + (1 - z) * special.log_expit(-logits)).sum(-1)


def exact_kl(logits, log_p):
    """KL of independent bits with these log-odds [B, D] from p, by the sum over all codes."""
    log_q = log_bernoulli(CODES, logits[:, np.newaxis])
    return (np.exp(log_q) * (log_q - log_p)).sum(1)


def draw_of(logits, sample, relaxation=None, num_groups=1):
    """A draw [1, B, D] with the given log-odds and sample, in `num_groups` groups."""
    relaxation = smoothing.Exponential(beta=4.0, dtype="float64") if relaxation is None else relaxation
    logits, sample = (tf.constant(each[np.newaxis], tf.float64) for each in (logits, sample))
    q = tuple(relaxation(each) for each in tf.split(logits, num_groups, -1))
    pairs = zip(q, tf.split(sample, num_groups, -1), strict=True)
    log_prob = tf.add_n([tf.reduce_sum(each.log_prob(part), -1) for each, part in pairs])
    return PosteriorSample(logits, sample, log_prob, q)


@pytest.mark.parametrize("term", [kl.joint, kl.dvae])
def test_one_group_is_the_exact_divergence_whatever_zeta(term):
    expected = exact_kl(LOGITS, -energy(CODES) - LOG_Z)
    for zeta in (np.full_like(LOGITS, 0.3), np.full_like(LOGITS, 0.9)):
        np.testing.assert_allclose(term(draw_of(LOGITS, zeta), machine())[0], expected, rtol=1e-9)


def test_bernoulli_is_the_exact_divergence_from_a_directed_prior():
    logits = np.array([0.5, -0.7, 1.5, 0.0])
    prior = priors.DirectedBernoulli(tf.constant(logits, tf.float64))
    expected = exact_kl(LOGITS, log_bernoulli(CODES, logits))
    np.testing.assert_allclose(kl.bernoulli(draw_of(LOGITS, LOGITS), prior)[0], expected, rtol=1e-9)


def test_proxy_is_the_log_ratio_of_the_bits_at_bits():
    """GumBolt's theorem 1: at the corners of the cube the proxies are the probabilities of the bits."""
    prior = priors.GumBolt(machine())
    for z in CODES:
        bits = np.tile(z, (2, 1))
        draw = draw_of(LOGITS, bits)
        expected = log_bernoulli(bits, LOGITS) + energy(bits) + LOG_Z
        np.testing.assert_allclose(kl.proxy(draw, prior)[0], expected, rtol=1e-9)


def test_dvae_with_two_groups_is_the_value_at_the_bits():
    z = np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    spike = smoothing.SpikeExponential(beta=4.0, dtype="float64")
    q = special.expit(LOGITS)
    entropy = special.entr(q).sum(-1) + special.entr(1 - q).sum(-1)
    found = kl.dvae(draw_of(LOGITS, 0.7 * z, spike, 2), machine())
    np.testing.assert_allclose(found[0], energy(z) + LOG_Z - entropy, rtol=1e-9)


# Two groups of one unit: the machine has one left and one right unit, and the log-odds of the second group
# are a function of zeta of the first.
A, B, W = 0.7, -0.4, 1.3
FIRST = 0.4
BETA = 3.0


def second(zeta):
    return -0.6 + 2.0 * zeta


def pair_terms(zeta, term):
    """The KL term of a draw with the given zeta of the first unit; that of the second does not matter."""
    values = ([A], [B], [[W]], special.logsumexp([0, A, B, A + B + W]))
    prior = priors.BoltzmannMachine(*(tf.constant(value, tf.float64) for value in values))
    logits = np.stack([np.full_like(zeta, FIRST), second(zeta)], -1)
    relaxation = smoothing.Exponential(beta=BETA, dtype="float64")
    sample = np.stack([zeta, np.full_like(zeta, 0.5)], -1)
    return np.asarray(term(draw_of(logits, sample, relaxation, 2), prior)[0])


def density(zeta, z):
    return BETA * np.exp(-BETA * (zeta if z == 0 else 1 - zeta)) / (1 - np.exp(-BETA))


def exact_joint_kl():
    """KL of q(z, zeta) from p(z) r(zeta | z), by sums over both bits and quadrature over the first zeta."""
    log_z = special.logsumexp([0, A, B, A + B + W])

    def integrand(zeta, first, other):
        log_q1 = special.log_expit(FIRST if first else -FIRST)
        log_q2 = special.log_expit(second(zeta) if other else -second(zeta))
        log_p = A * first + B * other + W * first * other - log_z
        return np.exp(log_q1 + log_q2) * density(zeta, first) * (log_q1 + log_q2 - log_p)

    cells = [(first, other) for first in (0, 1) for other in (0, 1)]
    return sum(integrate.quad(integrand, 0, 1, args=cell, epsabs=1e-12)[0] for cell in cells)


def averaged(term):
    """The mean of a KL term over q(zeta) of the first unit, by Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    zeta, weights = (nodes + 1) / 2, weights / 2
    q = special.expit(FIRST)
    mixture = (1 - q) * density(zeta, 0) + q * density(zeta, 1)
    return (weights * mixture * pair_terms(zeta, term)).sum()


def test_joint_with_two_groups_averages_to_the_exact_divergence():
    assert averaged(kl.joint) == pytest.approx(exact_joint_kl(), abs=1e-9)


def test_the_probability_before_zeta_would_not_do(monkeypatch):
    """Negative control: mu in place of nu ignores that zeta of the first bit decides on the second."""
    monkeypatch.setattr(PosteriorSample, "binary_posterior_probs", lambda draw: tf.math.sigmoid(draw.logits))
    assert abs(averaged(kl.joint) - exact_joint_kl()) > 1e-3


def test_sampled_is_the_log_ratio_of_the_densities():
    """Against a directed prior relaxed by the same smoothing: a ratio of two mixtures, in NumPy."""
    beta, prior_logits = 4.0, np.array([0.5, -0.7, 1.5, 0.0])
    zeta = np.array([[0.1, 0.5, 0.9, 0.3], [0.7, 0.2, 0.6, 0.8]])

    def log_mixture(logits):
        q, scale = special.expit(logits), beta / (1 - np.exp(-beta))
        return np.log(scale * ((1 - q) * np.exp(-beta * zeta) + q * np.exp(-beta * (1 - zeta)))).sum(-1)

    relaxation = smoothing.Exponential(beta=beta, dtype="float64")
    prior = priors.DirectedBernoulli(tf.constant(prior_logits, tf.float64), relaxation=relaxation)
    found = kl.sampled(draw_of(LOGITS, zeta), prior)
    np.testing.assert_allclose(found[0], log_mixture(LOGITS) - log_mixture(prior_logits), rtol=1e-8)

"""Tests of every smoothing and of the mixture it makes; a new family is one row of `CASES`.

The oracles are the float64 classes of `reference`: closed forms, quadrature, bisection.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from dvae_tf import smoothing
from dvae_tf.smoothing import RelaxedBernoulli

tfd = tfp.distributions

DTYPES = [tf.float32, tf.float64]


@dataclasses.dataclass(frozen=True)
class Case:
    """One smoothing: the layer, its oracle, and where to look.

    Attributes:
      layer: the class of the layer.
      oracle: the class of `reference` with the same `beta`.
      betas: moderate sharpness, where float64 resolves nearly everything.
      sharp: a published sharpness.
      bad_betas: what the constructor refuses.
      inside: points of the support that every precision resolves.
      edges: the hardest points of the support.
      outside: points out of the support.
      resolved: where float32 tells samples from one another. Sharp smoothings leave much out: of
        the power draws at beta = 30, 5 % of those for z = 0 are below the smallest normal number,
        and 58 % of those for z = 1 are closer to 1 than 1e-7.
    """

    layer: type
    oracle: Callable
    betas: tuple
    sharp: float
    bad_betas: tuple
    inside: tuple
    edges: tuple
    outside: tuple
    resolved: tuple


CASES = [
    Case(
        layer=smoothing.Power,
        oracle=reference.PowerSmoothing,
        betas=(1.5, 3.0, 5.0),
        sharp=30.0,
        bad_betas=(1.0, 0.5, 0.0, -3.0, float("inf"), float("nan")),
        inside=(1e-30, 1e-6, 0.015625, 0.25, 0.5, 0.8125, 0.984375, 1 - 2.0**-12),
        edges=(0.0, 1e-45, 1e-38, 1e-30, 0.5, 1 - 2.0**-24, 1.0),
        outside=(-1e-6, -3.0, 1 + 1e-6, 7.0, float("inf"), -float("inf")),
        resolved=(1e-34, 1 - 2.0**-10),
    ),
]

LOGITS = np.array([-6.0, -1.5, 0.0, 0.4, 2.5, 7.0])
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__.lower())
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
with_betas = pytest.mark.parametrize(
    ("case", "beta"),
    [(case, beta) for case in CASES for beta in (*case.betas, case.sharp)],
    ids=lambda each: each.layer.__name__.lower() if isinstance(each, Case) else f"{each:g}",
)


def _relaxed(case, logits, beta, dtype=tf.float64, **kwargs):
    """The mixture in the dtype of its logits, with a tensor for beta."""
    return RelaxedBernoulli(
        tf.convert_to_tensor(logits, dtype), (tf.constant(beta, dtype),), case.layer, **kwargs
    )


def _tolerance(dtype):
    return {"rtol": 2e-5, "atol": 2e-6} if dtype == tf.float32 else {"rtol": 1e-9, "atol": 1e-11}


# --------------------------------------------------------------------------- the law


@with_betas
def test_density_integrates_to_one(case, beta):
    nodes, weights, (low, high) = case.oracle(beta).quadrature()
    density = tf.exp(_relaxed(case, LOGITS[:, np.newaxis], beta).log_prob(nodes))
    found = density.numpy() @ weights
    oracle = case.oracle(beta)
    below = reference.mixture_cdf(oracle, low, LOGITS)
    above = 1 - reference.mixture_cdf(oracle, high, LOGITS)
    # What lies beyond the ends of the quadrature is known in closed form.
    np.testing.assert_allclose(below + found + above, 1, atol=1e-6)


@with_betas
@each_dtype
def test_log_prob_is_the_mixture_density(case, beta, dtype):
    zeta = np.array(case.inside, dtype.as_numpy_dtype)
    found = _relaxed(case, LOGITS[:, np.newaxis], beta, dtype).log_prob(zeta)
    expected = reference.mixture_log_density(
        case.oracle(beta), zeta.astype(np.float64), LOGITS[:, np.newaxis]
    )
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, **_tolerance(dtype))


@with_betas
@each_dtype
def test_cdf_is_the_mixture_cdf(case, beta, dtype):
    zeta = np.array(case.inside, dtype.as_numpy_dtype)
    found = _relaxed(case, LOGITS[:, np.newaxis], beta, dtype).cdf(zeta)
    expected = reference.mixture_cdf(case.oracle(beta), zeta.astype(np.float64), LOGITS[:, np.newaxis])
    np.testing.assert_allclose(found, expected, **_tolerance(dtype))


@with_betas
def test_derivative_of_cdf_is_the_density(case, beta):
    zeta = tf.constant(np.tile(case.inside, (LOGITS.size, 1)))
    q = _relaxed(case, LOGITS[:, np.newaxis], beta)
    with tf.GradientTape() as tape:
        tape.watch(zeta)
        cdf = q.cdf(zeta)
    np.testing.assert_allclose(tape.gradient(cdf, zeta), q.prob(zeta), rtol=1e-9)
    # And against differences of the values, where they are precise.
    inner = np.array([each for each in case.inside if 0.01 < each < 0.99])
    step = 1e-6
    difference = (q.cdf(inner + step) - q.cdf(inner - step)) / (2 * step)
    np.testing.assert_allclose(difference, q.prob(inner), rtol=1e-5)


@each_case
def test_cdf_outside_the_support(case):
    q = _relaxed(case, LOGITS, case.sharp)
    low, high = case.oracle.support
    for zeta in case.outside:
        expected = 0.0 if zeta < low else 1.0
        np.testing.assert_allclose(q.cdf(zeta), np.full(LOGITS.size, expected), atol=1e-12)
    np.testing.assert_allclose(q.cdf([low, high][0]), np.zeros(LOGITS.size), atol=1e-12)
    np.testing.assert_allclose(q.cdf([low, high][1]), np.ones(LOGITS.size), atol=1e-12)


@with_betas
@each_dtype
def test_samples_follow_the_cdf(case, beta, dtype):
    q = _relaxed(case, [-1.5, 0.4, 2.5], beta, dtype)
    samples = q.sample(40_000, seed=(1, 2)).numpy()
    assert samples.shape == (40_000, 3)
    assert samples.dtype == dtype.as_numpy_dtype
    for column, logits in zip(samples.T, q.logits.numpy().astype(np.float64), strict=True):
        cdf = functools.partial(reference.mixture_cdf, case.oracle(beta), logits=logits)
        assert reference.ks_distance(column, cdf, between=case.resolved) < 2.2


@each_case
def test_samples_of_different_units_and_seeds_are_independent(case):
    q = _relaxed(case, np.zeros([2, 3]), case.betas[0])
    samples = q.sample(20_000, seed=(3, 4)).numpy()
    assert samples.shape == (20_000, 2, 3)
    other = q.sample(20_000, seed=(3, 5)).numpy()
    columns = np.concatenate([samples.reshape(-1, 6), other.reshape(-1, 6)], 1)
    off_diagonal = np.corrcoef(columns.T) - np.eye(12)
    assert np.abs(off_diagonal).max() * np.sqrt(20_000) < 5
    np.testing.assert_array_equal(samples, q.sample(20_000, seed=(3, 4)))


@with_betas
def test_quantile_inverts_cdf(case, beta):
    q = _relaxed(case, LOGITS[:, np.newaxis], beta)
    zeta = np.array(case.inside)
    rho = reference.mixture_cdf(case.oracle(beta), zeta, LOGITS[:, np.newaxis])
    found = q.quantile(rho).numpy()
    # As good as rho itself says where zeta is: d zeta = d rho / density.
    log_density = reference.mixture_log_density(case.oracle(beta), zeta, LOGITS[:, np.newaxis])
    slack = 1e-12 + 8 * np.finfo(np.float64).eps * rho / np.exp(log_density)
    assert np.all(np.abs(found - zeta) <= slack + 1e-9 * zeta)


@with_betas
@each_dtype
def test_quantile_matches_bisection(case, beta, dtype):
    rho = np.array([0.02, 0.3, 0.5, 0.77, 0.98], dtype.as_numpy_dtype)
    q = _relaxed(case, LOGITS[:, np.newaxis], beta, dtype)
    found = q.quantile(rho)
    assert found.shape == (LOGITS.size, rho.size)
    expected = reference.mixture_quantile(case.oracle(beta), rho.astype(np.float64), LOGITS[:, np.newaxis])
    if dtype == tf.float64:
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)
    else:
        # In float32 the CDF is only known to a few units in the last place: compare there.
        levels = reference.mixture_cdf(
            case.oracle(beta), np.asarray(found, np.float64), LOGITS[:, np.newaxis]
        )
        resolved = (expected > case.resolved[0]) & (expected < case.resolved[1])
        np.testing.assert_allclose(levels[resolved], (levels * 0 + rho)[resolved], atol=2e-6)
        np.testing.assert_allclose(found.numpy()[resolved], expected[resolved], atol=2e-3)


def test_quantile_of_levels_that_underflow():
    # 0.02^30 = 1e-51: no float32, but 0 is near.
    q = _relaxed(CASES[0], LOGITS, 30.0, tf.float32)
    expected = reference.mixture_quantile(reference.PowerSmoothing(30.0), 0.02, LOGITS)
    np.testing.assert_allclose(q.quantile(0.02), expected, atol=1e-6)


@with_betas
def test_law_is_symmetric_under_flipping_the_bit(case, beta):
    low, high = case.oracle.support
    if not np.isclose(low + high, 1) and np.isfinite(low):
        pytest.skip("not a symmetric family")
    zeta = np.array([2.0**-20, 0.0625, 0.25, 0.5, 0.8125, 1 - 2.0**-20])
    q = _relaxed(case, LOGITS[:, np.newaxis], beta)
    flipped = _relaxed(case, -LOGITS[:, np.newaxis], beta)
    np.testing.assert_allclose(q.log_prob(zeta), flipped.log_prob(1 - zeta), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(q.cdf(zeta), 1 - flipped.cdf(1 - zeta), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        q.log_density_ratio(zeta), -flipped.log_density_ratio(1 - zeta), rtol=1e-10, atol=1e-12
    )


@each_case
def test_sharp_limit_is_the_bernoulli(case):
    q = case.layer(beta=3e4)(tf.constant(LOGITS))
    samples = q.sample(20_000, seed=(5, 6)).numpy()
    ambiguous = (samples > 0.01) & (samples < 0.99)
    assert ambiguous.mean() < 1e-3
    scores = reference.z_scores(samples > 0.5, special.expit(LOGITS))
    assert np.abs(scores).max() < 4
    np.testing.assert_allclose(q.binary.probs_parameter(), special.expit(LOGITS), rtol=1e-12)


# --------------------------------------------------------------------------- bits behind zeta


@with_betas
@each_dtype
def test_log_density_ratio(case, beta, dtype):
    zeta = np.array(case.inside, dtype.as_numpy_dtype)
    found = _relaxed(case, [0.0], beta, dtype).log_density_ratio(zeta)
    expected = case.oracle(beta).log_density_ratio(zeta.astype(np.float64))
    np.testing.assert_allclose(found, expected, **_tolerance(dtype))


@with_betas
def test_binary_posterior_obeys_bayes(case, beta):
    zeta = np.array(case.inside)
    oracle, logits = case.oracle(beta), LOGITS[:, np.newaxis]
    posterior = _relaxed(case, logits, beta).binary_posterior(zeta)
    assert isinstance(posterior, tfd.Bernoulli)
    for z, log_prior in ((0, special.log_expit(-logits)), (1, special.log_expit(logits))):
        joint = log_prior + oracle.log_density(zeta, z)
        expected = np.exp(joint - reference.mixture_log_density(oracle, zeta, logits))
        np.testing.assert_allclose(np.exp(posterior.log_prob(z)), expected, rtol=1e-8, atol=1e-12)


@each_case
def test_binary_is_the_bernoulli_of_the_logits(case):
    q = case.layer(beta=case.sharp)(tf.constant(LOGITS, tf.float32))
    assert isinstance(q.binary, tfd.Bernoulli)
    assert q.binary.dtype == tf.float32
    np.testing.assert_allclose(q.binary.logits_parameter(), LOGITS, rtol=1e-6)
    np.testing.assert_allclose(q.logits, LOGITS, rtol=1e-6)
    bits = q.binary.sample(seed=(0, 0)).numpy()
    assert set(np.unique(bits)) <= {0.0, 1.0}


# --------------------------------------------------------------------------- gradients


def _sample_gradients(case, logits, beta, num_samples, dtype=tf.float64):
    """Draws with the derivative of every single draw in its logit and in its beta."""
    logits = tf.tile(tf.constant(logits, dtype)[tf.newaxis], [num_samples, 1])
    betas = tf.fill(logits.shape, tf.constant(beta, dtype))
    with tf.GradientTape() as tape:
        tape.watch((logits, betas))
        zeta = RelaxedBernoulli(logits, (betas,), case.layer).sample(seed=(7, 8))
    return zeta.numpy(), *(each.numpy() for each in tape.gradient(zeta, (logits, betas)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.layer.__name__.lower())
@pytest.mark.parametrize("which", [0, 1, 2])
def test_sample_gradients_match_the_inverse_cdf(case, which):
    beta = case.betas[which]
    logits = np.array([-2.0, 0.3, 3.0])
    zeta, by_logits, by_beta = _sample_gradients(case, logits, beta, 200)
    rho = reference.mixture_cdf(case.oracle(beta), zeta, logits)
    # Where the level is within 1e-9 of an end, bisection has nothing left to difference.
    known = (rho > 1e-6) & (rho < 1 - 1e-6) & (zeta > 1e-9) & (zeta < 1 - 1e-9)
    assert known.mean() > 0.75

    def quantile(logits, beta):
        return reference.mixture_quantile(case.oracle(beta), rho, logits)

    step = 1e-4
    difference = (quantile(logits + step, beta) - quantile(logits - step, beta)) / (2 * step)
    np.testing.assert_allclose(by_logits[known], difference[known], rtol=1e-5, atol=1e-7)
    difference = (quantile(logits, beta + step) - quantile(logits, beta - step)) / (2 * step)
    np.testing.assert_allclose(by_beta[known], difference[known], rtol=1e-5, atol=1e-7)


@with_betas
@each_dtype
def test_sample_gradients_are_unbiased_for_the_mean(case, beta, dtype):
    logits = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])
    oracle, probs = case.oracle(beta), special.expit(logits)
    zeta, by_logits, by_beta = _sample_gradients(case, logits, beta, 20_000, dtype)
    mean = (1 - probs) * oracle.mean(0) + probs * oracle.mean(1)
    by_logits_exact = probs * (1 - probs) * (oracle.mean(1) - oracle.mean(0))
    by_beta_exact = (1 - probs) * oracle.mean_derivative(0) + probs * oracle.mean_derivative(1)
    assert np.abs(reference.z_scores(zeta, mean)).max() < 4
    assert np.abs(reference.z_scores(by_logits, by_logits_exact)).max() < 4
    assert np.abs(reference.z_scores(by_beta, by_beta_exact)).max() < 4


@each_case
def test_sample_gradients_catch_a_wrong_sign(case, monkeypatch):
    """The check above has the power to see a wrong R(zeta | 1)."""
    wrong = classmethod(lambda cls, zeta, *theta: 0.5 * cls.cdf_given_0(zeta, *theta))
    monkeypatch.setattr(case.layer, "cdf_given_1", wrong)
    oracle, probs = case.oracle(case.sharp), special.expit(1.0)
    _, by_logits, _ = _sample_gradients(case, [1.0], case.sharp, 20_000)
    exact = probs * (1 - probs) * (oracle.mean(1) - oracle.mean(0))
    assert np.abs(reference.z_scores(by_logits, exact)).max() > 4


@with_betas
def test_gradients_of_quantile(case, beta):
    rho = np.array([0.05, 0.3, 0.5, 0.62, 0.9])
    logits = np.array([-1.0, 0.0, 0.3])[:, np.newaxis]
    oracle = case.oracle(beta)
    expected = np.clip(reference.mixture_quantile(oracle, rho, logits), 1e-300, 1 - 1e-15)
    known = (expected > 1e-9) & (expected < 1 - 1e-6)
    spread_logits = tf.constant(logits + 0 * rho)
    spread_rho = tf.constant(rho + 0 * logits)
    with tf.GradientTape() as tape:
        tape.watch((spread_logits, spread_rho))
        zeta = _relaxed(case, spread_logits, beta).quantile(spread_rho)
    by_logits, by_rho = tape.gradient(zeta, (spread_logits, spread_rho))
    # d zeta / d rho = 1 / density.
    log_density = reference.mixture_log_density(oracle, expected, logits)
    np.testing.assert_allclose(by_rho[known], np.exp(-log_density)[known], rtol=1e-5)
    step = 1e-5
    ends = [reference.mixture_quantile(oracle, rho, logits + sign * step) for sign in (1, -1)]
    difference = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(by_logits[known], difference[known], rtol=1e-4, atol=1e-7)


@with_betas
def test_gradients_of_log_prob(case, beta):
    zeta = tf.constant(np.tile([0.0625, 0.3, 0.5, 0.8125], (LOGITS.size, 1)))
    logits, betas = tf.constant(LOGITS[:, np.newaxis]) + 0 * zeta, tf.fill(zeta.shape, beta)
    betas = tf.cast(betas, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch((zeta, logits, betas))
        log_prob = RelaxedBernoulli(logits, (betas,), case.layer).log_prob(zeta)
    gradients = tape.gradient(log_prob, (zeta, logits, betas))
    arguments = [each.numpy() for each in (zeta, logits, betas)]

    def density(zeta, logits, betas):
        return reference.mixture_log_density(case.oracle(betas), zeta, logits)

    for position, gradient in enumerate(gradients):
        ends = []
        for sign in (1, -1):
            moved = list(arguments)
            moved[position] = moved[position] + sign * 1e-6
            ends.append(density(*moved))
        np.testing.assert_allclose(gradient, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-7)


@each_case
@each_dtype
def test_everything_is_finite_everywhere(case, dtype):
    zeta = tf.constant(case.edges, dtype)[:, tf.newaxis]
    logits = tf.constant([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype)
    zeta, logits = zeta + 0 * logits, logits + 0 * zeta
    for beta in (*case.betas, case.sharp, 100.0):
        beta = tf.constant(beta, dtype)
        for name in ("log_prob", "cdf", "log_density_ratio"):
            with tf.GradientTape() as tape:
                tape.watch((zeta, logits, beta))
                value = getattr(RelaxedBernoulli(logits, (beta,), case.layer), name)(zeta)
            gradients = tape.gradient(
                value, (zeta, logits, beta), unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
            for number in (value, *gradients):
                assert np.isfinite(number).all(), (name, float(beta))
        with tf.GradientTape() as tape:
            tape.watch((logits, beta))
            samples = RelaxedBernoulli(logits, (beta,), case.layer).sample(300, seed=(9, 9))
        for number in (samples, *tape.gradient(samples, (logits, beta))):
            assert np.isfinite(number).all(), ("sample", float(beta))


@each_case
@each_dtype
def test_quantile_is_finite_everywhere(case, dtype):
    rho = tf.constant([1e-30, 1e-6, 0.5, 1 - 2.0**-20], dtype)[:, tf.newaxis]
    logits = tf.constant([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype)
    rho, logits = rho + 0 * logits, logits + 0 * rho
    for beta in (case.betas[0], case.sharp):
        with tf.GradientTape() as tape:
            tape.watch((rho, logits))
            zeta = _relaxed(case, logits, beta, dtype).quantile(rho)
        for number in (zeta, *tape.gradient(zeta, (rho, logits))):
            assert np.isfinite(number).all(), beta


@each_case
@each_dtype
def test_log_prob_is_minus_infinity_outside(case, dtype):
    zeta = tf.constant(case.outside, dtype)[:, tf.newaxis]
    logits = tf.constant(LOGITS, dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        log_prob = _relaxed(case, logits, case.sharp, dtype).log_prob(zeta)
    assert np.all(log_prob == -np.inf)
    assert np.isfinite(tape.gradient(log_prob, logits)).all()


@each_case
def test_log_prob_of_nan_is_nan(case):
    assert np.isnan(_relaxed(case, LOGITS, case.sharp).log_prob(np.nan)).all()


@each_case
@pytest.mark.parametrize("what", ["sample", "quantile"])
def test_second_derivative_raises(case, what):
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            q = _relaxed(case, logits, case.betas[0])
            zeta = q.sample(seed=(1, 1)) if what == "sample" else q.quantile(0.3)
        first = inner.gradient(zeta, logits)
        with pytest.raises(LookupError):
            outer.gradient(first, logits)


# --------------------------------------------------------------------------- as a tfp distribution


@each_case
@each_dtype
def test_shapes_and_dtypes(case, dtype):
    q = case.layer(beta=case.sharp)(tf.zeros([4, 3], dtype))
    assert isinstance(q, tfd.Distribution)
    assert q.batch_shape == (4, 3)
    assert q.event_shape == ()
    assert q.dtype == dtype
    sample = q.sample([2, 5], seed=(0, 1))
    assert sample.shape == (2, 5, 4, 3)
    for value in (sample, q.log_prob(sample), q.cdf(sample), q.quantile(0.5), q.logits):
        assert value.dtype == dtype
    assert q.log_prob(sample).shape == (2, 5, 4, 3)


@each_case
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.int32], ids=lambda dtype: dtype.name)
def test_low_precision_logits_are_raised_to_float32(case, dtype):
    logits = tf.cast([-2, 0, 3], dtype)
    q = case.layer(beta=case.sharp)(logits)
    assert q.dtype == tf.float32
    np.testing.assert_array_equal(q.logits, tf.cast(logits, tf.float32))


@each_case
def test_mixed_precision_policy_leaves_logits_alone(case):
    layer = case.layer(beta=case.sharp, dtype="mixed_bfloat16")
    logits = tf.constant([0.1234567, -3.7654321])
    np.testing.assert_array_equal(layer(logits).logits, logits)


@each_case
def test_mixed_precision_policy_leaves_beta_alone(case):
    beta = 1.2345678 * case.betas[0]
    layer = case.layer(beta=beta, trainable_beta=True, dtype="mixed_bfloat16")
    np.testing.assert_allclose(layer(tf.constant([0.1])).theta[0], beta, rtol=1e-6)


@each_case
@each_dtype
def test_eager_graph_and_xla_agree(case, dtype):
    zeta = tf.constant(case.inside, dtype)
    logits = tf.constant(LOGITS[:, np.newaxis], dtype)

    def evaluate(logits, zeta):
        with tf.GradientTape() as tape:
            tape.watch((logits, zeta))
            q = _relaxed(case, logits, case.sharp, dtype)
            log_prob, cdf = q.log_prob(zeta), q.cdf(zeta)
            total = tf.reduce_sum(log_prob) + tf.reduce_sum(cdf)
        return log_prob, cdf, *tape.gradient(total, (logits, zeta))

    eager = evaluate(logits, zeta)
    for jit_compile in (False, True):
        compiled = tf.function(evaluate, jit_compile=jit_compile)(logits, zeta)
        for found, expected in zip(compiled, eager, strict=True):
            np.testing.assert_allclose(found, expected, **_tolerance(dtype))


@each_case
def test_sampling_and_quantiles_compile(case):
    logits = tf.constant(LOGITS, tf.float32)

    def evaluate(logits, rho):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            q = case.layer(beta=case.betas[1])(logits)
            zeta, quantile = q.sample(50, seed=(2, 3)), q.quantile(rho)
            total = tf.reduce_sum(zeta) + tf.reduce_sum(quantile)
        return zeta, quantile, tape.gradient(total, logits)

    rho = tf.constant(0.6)
    _, eager_quantile, _ = evaluate(logits, rho)
    for jit_compile in (False, True):
        zeta, quantile, gradient = tf.function(evaluate, jit_compile=jit_compile)(logits, rho)
        assert zeta.shape == (50, LOGITS.size)
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(quantile, eager_quantile, rtol=1e-4, atol=1e-6)


@each_case
def test_distribution_leaves_a_function(case):
    layer = case.layer(beta=case.sharp)
    zeta = tf.constant(0.25)
    leave = tf.function(lambda logits: layer(logits))
    q = leave(tf.constant(LOGITS, tf.float32))
    assert isinstance(q, RelaxedBernoulli)
    expected = layer(tf.constant(LOGITS, tf.float32)).log_prob(zeta)
    np.testing.assert_allclose(q.log_prob(zeta), expected, rtol=1e-6)


@each_case
def test_unknown_batch_size(case):
    layer = case.layer(beta=case.sharp)

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def evaluate(logits):
        q = layer(logits)
        zeta = q.sample(2, seed=(0, 0))
        return zeta, q.log_prob(zeta), q.quantile(0.5)

    for batch in (1, 4):
        zeta, log_prob, quantile = evaluate(tf.zeros([batch, 3]))
        assert zeta.shape == log_prob.shape == (2, batch, 3)
        assert quantile.shape == (batch, 3)
    assert evaluate.experimental_get_tracing_count() == 1


@each_case
def test_independent(case):
    q = case.layer(beta=case.sharp)(tf.constant(LOGITS[np.newaxis].repeat(4, 0)))
    joint = tfd.Independent(q, reinterpreted_batch_ndims=1)
    assert joint.event_shape == (LOGITS.size,)
    zeta = joint.sample(3, seed=(0, 4))
    np.testing.assert_allclose(joint.log_prob(zeta), tf.reduce_sum(q.log_prob(zeta), -1), rtol=1e-9)


@each_case
def test_default_bijector_maps_into_the_support(case):
    q = _relaxed(case, LOGITS, case.sharp)
    bijector = q.experimental_default_event_space_bijector()
    low, high = case.oracle.support
    found = bijector.forward(tf.constant([-5.0, 0.0, 5.0], tf.float64)).numpy()
    assert np.all((found > low) & (found < high))


@each_case
def test_validate_args(case):
    checked = _relaxed(case, LOGITS, case.sharp, validate_args=True)
    assert np.isfinite(checked.log_prob(0.5)).all()
    for wrong in (np.nan, *(each for each in case.outside if np.isfinite(each))):
        for method in (checked.log_prob, checked.cdf):
            with pytest.raises(tf.errors.InvalidArgumentError, match="zeta"):
                method(np.float64(wrong))


@each_case
def test_validate_args_refuses_nan_logits(case):
    with pytest.raises(tf.errors.InvalidArgumentError, match="logits"):
        _relaxed(case, [np.nan], case.sharp, validate_args=True).log_prob(0.5)


@each_case
def test_copy_changes_one_parameter(case):
    q = case.layer(beta=case.sharp)(tf.constant(LOGITS))
    other = q.copy(logits=tf.zeros([2], tf.float64))
    assert other.batch_shape == (2,)
    assert other.family is q.family
    np.testing.assert_array_equal(other.theta[0], q.theta[0])


# --------------------------------------------------------------------------- as a Keras layer


@each_case
def test_bad_beta_is_refused_by_name(case):
    for beta in case.bad_betas:
        with pytest.raises(ValueError, match="beta"):
            case.layer(beta=beta)


@each_case
def test_beta_is_a_number_unless_asked(case):
    layer = case.layer(beta=case.sharp)
    layer(tf.zeros([2]))
    assert layer.weights == []
    assert layer.theta == (case.sharp,)


@each_case
def test_trainable_beta_is_a_weight_and_learns(case):
    layer = case.layer(beta=case.betas[1], trainable_beta=True)
    assert len(layer.trainable_variables) == 1
    np.testing.assert_allclose(layer.theta[0], case.betas[1], rtol=1e-6)
    logits = tf.zeros([500])
    draws = case.layer(beta=2 * case.betas[1])(logits).sample(4, seed=(4, 4))
    optimizer = keras.optimizers.Adam(0.1)

    @tf.function
    def update():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(layer(logits).log_prob(draws))
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
        return loss

    optimizer.build(layer.trainable_variables)
    losses = [float(update()) for _ in range(60)]
    assert losses[-1] < losses[0]
    assert abs(float(layer.theta[0]) - 2 * case.betas[1]) < 0.25 * case.betas[1]


@each_case
def test_trainable_beta_gets_the_gradient_of_samples(case):
    layer = case.layer(beta=case.betas[1], trainable_beta=True)
    with tf.GradientTape() as tape:
        zeta = layer(tf.zeros([20_000])).sample(seed=(8, 1))
        mean = tf.reduce_mean(zeta * zeta)
    (gradient,) = tape.gradient(mean, layer.trainable_variables)
    # Sharper is more spread out: E[zeta^2] grows.
    assert gradient > 0


@each_case
@pytest.mark.parametrize("trainable_beta", [False, True])
def test_config_round_trip(case, trainable_beta):
    layer = case.layer(beta=case.betas[2], trainable_beta=trainable_beta, name="mine")
    config = layer.get_config()
    assert config["beta"] == case.betas[2]
    for other in (
        case.layer.from_config(config),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)),
    ):
        assert type(other) is case.layer
        assert other.name == "mine"
        assert other.trainable_beta is trainable_beta
        np.testing.assert_allclose(other.theta[0], layer.theta[0])


def test_every_public_smoothing_has_a_row():
    abstract = {smoothing.Smoothing, smoothing.Family, smoothing.SymmetricFamily}
    public = {
        each
        for each in vars(smoothing).values()
        if isinstance(each, type) and issubclass(each, smoothing.Smoothing)
    }
    assert public - abstract == {case.layer for case in CASES}

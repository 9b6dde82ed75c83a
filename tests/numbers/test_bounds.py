"""Every KL term and bound at the ends of its range: finite, right in sign, NaN for NaN."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from scipy import special

from dvae_tf import kl, numerics, objectives, smoothing
from dvae_tf.posterior import PosteriorSample
from dvae_tf.priors import (
    BoltzmannMachine,
    DirectedBernoulli,
    GaussianIntegralRelaxation,
    GumBolt,
    OverlappingRelaxation,
)
from support import extremes, reference
from support.extremes import assert_finite, property_test
from support.smoothing_cases import each_dtype

NUM_LEFT, NUM_RIGHT = 2, 2
NUM_UNITS = NUM_LEFT + NUM_RIGHT


def _draw(logits, layer, num_groups=1, num_samples=3):
    """A sample of a posterior with a number of groups, for log-odds [B, D]."""
    logits = tf.tile(logits[tf.newaxis], [num_samples, 1, 1])
    distributions = [layer(each) for each in tf.split(logits, num_groups, -1)]
    zetas = [distribution.sample(seed=(0, i)) for i, distribution in enumerate(distributions)]
    log_prob = tf.add_n(
        [
            tf.reduce_sum(distribution.log_prob(z), -1)
            for distribution, z in zip(distributions, zetas, strict=True)
        ]
    )
    return PosteriorSample(logits, tf.concat(zetas, -1), log_prob, tuple(distributions))


def _machine(machine):
    return BoltzmannMachine(*machine)


TERMS = {
    "sampled, power": (
        kl.sampled,
        smoothing.Power(30.0),
        lambda *machine: OverlappingRelaxation(_machine(machine), smoothing.Power(30.0)),
    ),
    "sampled, integral": (
        kl.sampled,
        # Its weight has the width of the group.
        lambda logits: smoothing.ShiftedGaussian()(logits),
        lambda *machine: GaussianIntegralRelaxation(_machine(machine), 10.0),
    ),
    "proxy": (kl.proxy, smoothing.Concrete(1 / 7), lambda *machine: GumBolt(_machine(machine))),
    "joint": (kl.joint, smoothing.Exponential(12.0), lambda *machine: _machine(machine)),
    "dvae": (kl.dvae, smoothing.SpikeExponential(5.0), lambda *machine: _machine(machine)),
    "bernoulli": (
        kl.bernoulli,
        smoothing.Exponential(12.0),
        lambda left_bias, right_bias, weights: DirectedBernoulli(
            left_bias, [lambda before: right_bias + tf.matmul(before[0], weights)[tf.newaxis]]
        ),
    ),
}
each_term = pytest.mark.parametrize("name", TERMS)
each_num_groups = pytest.mark.parametrize("num_groups", [1, 2])


def _rows(logits):
    """[B, D]: each number in all units, and together with its neighbors."""
    return np.stack([*(np.full(NUM_UNITS, each) for each in logits), *np.resize(logits, (9, NUM_UNITS))])


def _term(name, num_groups):
    function, layer, prior = TERMS[name]

    def evaluate(logits, *machine):
        draw = _draw(logits, layer, num_groups)
        if name == "bernoulli":
            draw = draw._replace(sample=draw.sample[:1], logits=draw.logits[:1])
        return function(draw, prior(*machine))

    return evaluate


def _random_machine(seed, scale, dtype):
    rng = np.random.default_rng(seed)
    shapes = (NUM_LEFT,), (NUM_RIGHT,), (NUM_LEFT, NUM_RIGHT)
    return [(scale * rng.choice([-1.0, 0.3, 1.0], shape)).astype(dtype) for shape in shapes]


# --------------------------------------------------------------------------- KL terms


@each_term
@each_num_groups
@property_test(
    logits=extremes.logits(), seed=st.integers(0, 2**32 - 1), scale=extremes.log_uniform(1e-2, 1e3)
)
def test_terms_are_finite(name, num_groups, logits, seed, scale):
    machine = _random_machine(seed, scale, np.float32)
    rows = _rows(logits).astype(np.float32)
    found = assert_finite(_term(name, num_groups), rows, *machine)
    if name in ("joint", "dvae") and num_groups == 1:
        # A KL divergence of bits, by enumeration.
        exact = reference.Machine(*(each.astype(np.float64) for each in machine))
        states = reference.binary_states(NUM_UNITS)
        signed = np.where(states, -1.0, 1.0) * rows[:, np.newaxis].astype(np.float64)
        log_q = -np.logaddexp(0, signed).sum(-1)
        expected = (np.exp(log_q) * (log_q - reference.joint_log_probs(exact)[0].ravel())).sum(-1)
        # The oracle itself is rounded: 1e-37 below 0 has occurred in a soak test.
        assert expected.min() >= -1e-12
        rounding = 64 * np.finfo(np.float32).eps * (1 + sum(np.abs(each).sum() for each in machine))
        np.testing.assert_allclose(found, np.tile(expected, (3, 1)), rtol=1e-5, atol=rounding)


@each_dtype
@property_test(few=5, many=200, posterior=extremes.logits(), prior=extremes.logits())
def test_kl_of_bits_from_bits(dtype, posterior, prior):
    """Every pair of log-odds: never negative, and precise if one of the two is nearly certain."""
    q, p = (each.ravel().astype(dtype.as_numpy_dtype) for each in np.meshgrid(posterior, prior))
    bits = tf.zeros([1, 1, q.size], dtype)

    def summed(logits):
        draw = PosteriorSample(logits[tf.newaxis, tf.newaxis], bits, tf.zeros([1, 1]), ())
        return kl.bernoulli(draw, DirectedBernoulli(p))

    assert assert_finite(summed, q) >= 0
    pairs = [
        float(
            kl.bernoulli(
                PosteriorSample(tf.constant([[[odds]]]), tf.zeros([1, 1, 1], dtype), tf.zeros([1, 1]), ()),
                DirectedBernoulli(tf.constant([prior_odds])),
            )[0, 0]
        )
        for odds, prior_odds in zip(q[::7], p[::7], strict=True)
    ]
    q, p = q[::7].astype(np.float64), p[::7].astype(np.float64)
    expected = special.expit(q) * (special.log_expit(q) - special.log_expit(p)) + special.expit(-q) * (
        special.log_expit(-q) - special.log_expit(-p)
    )
    eps = np.finfo(dtype.as_numpy_dtype).eps
    assert np.all(np.array(pairs) >= -4 * eps)
    np.testing.assert_allclose(pairs, expected, rtol=16 * eps, atol=8 * eps)


@each_term
@each_num_groups
def test_nan_in_nan_out(name, num_groups):
    machine = _random_machine(0, 1.0, np.float32)
    good = [np.full((2, NUM_UNITS), 0.5, np.float32), *machine]
    for position in range(4):
        if name == "bernoulli" and position == 3:
            continue  # The weights act on the bits of one sample, not on those of every group.
        spoiled = [np.array(each) for each in good]
        spoiled[position].ravel()[0] = np.nan
        found = _term(name, num_groups)(*map(tf.constant, spoiled)).numpy()
        # Only the log-odds of the first image are NaN.
        assert np.isnan(found[:, 0]).all()
        if position:
            assert np.isnan(found).all()
        else:
            assert np.isfinite(found[:, 1]).all()


def test_dvae_keeps_a_sample_of_nan():
    logits = tf.zeros([1, 1, NUM_UNITS])
    distributions = (smoothing.SpikeExponential(5.0)(logits[..., :2]),) * 2
    sample = tf.constant([[[0.0, np.nan, 0.3, 0.0]]])
    draw = PosteriorSample(logits, sample, tf.zeros([1, 1]), distributions)
    assert np.isnan(kl.dvae(draw, _machine(_random_machine(0, 1.0, np.float32))))


@each_term
def test_empty_and_singleton_batches(name):
    machine = _random_machine(0, 1.0, np.float32)
    for size in (0, 1):
        logits = np.full((size, NUM_UNITS), 0.5, np.float32)
        assert assert_finite(_term(name, 2), logits, *machine).shape[-1] == size


# --------------------------------------------------------------------------- bounds

log_weights = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.floats(-200, 0), st.just(-1e6)), min_size=12, max_size=12
).map(lambda drawn: np.reshape(drawn, (4, 3)))


@each_dtype
@property_test(few=30, many=300, weights=log_weights, kl_weight=st.floats(0, 1))
def test_bounds_lie_between_their_weights(dtype, weights, kl_weight):
    likelihood, kl_term = weights.astype(dtype.as_numpy_dtype), -weights[::-1].astype(dtype.as_numpy_dtype)
    kl_weight = likelihood.dtype.type(kl_weight)
    log_w = likelihood - kl_weight * kl_term
    rounding = 8 * np.finfo(log_w.dtype).eps * (1 + np.abs(log_w).max(0))
    bounds = {}
    for bound in (objectives.elbo, objectives.importance_weighted_bound):
        found = assert_finite(lambda *terms, bound=bound: bound(*terms, kl_weight), likelihood, kl_term)
        assert found.shape == (3,)
        assert np.all((found >= log_w.min(0) - rounding) & (found <= log_w.max(0) + rounding))
        bounds[bound] = found
    # Jensen.
    assert np.all(bounds[objectives.elbo] <= bounds[objectives.importance_weighted_bound] + rounding)
    exact = special.logsumexp(log_w.astype(np.float64), 0) - np.log(4)
    np.testing.assert_array_less(np.abs(bounds[objectives.importance_weighted_bound] - exact), rounding)


@property_test(few=10, many=200, weights=log_weights, num_samples=st.integers(1, 4), block=st.integers(1, 4))
def test_streamed_bound(weights, num_samples, block):
    """Equal to all samples at once, with a variance between those of equal weights and of a single weight."""
    rows = tf.constant(np.concatenate([weights, weights]).astype(np.float32))
    taken = iter(range(0, 8, block))
    found = objectives.streamed_bound(
        lambda seed: rows[(start := next(taken)) : start + block], 3, num_samples, block, tf.constant([0, 1])
    )
    log_w = rows.numpy()[:num_samples].astype(np.float64)
    exact = special.logsumexp(log_w, 0) - np.log(num_samples)
    np.testing.assert_allclose(found.log_likelihood, exact, rtol=1e-6, atol=1e-5)
    shares = special.softmax(log_w, 0)
    np.testing.assert_allclose(found.variance, (shares**2).sum(0) - 1 / num_samples, rtol=1e-5, atol=1e-6)


def test_nan_spoils_its_image_only():
    weights = np.zeros([4, 3], np.float32)
    weights[2, 1] = np.nan
    stream = tf.function(
        lambda weights: objectives.streamed_bound(lambda seed: weights, 3, 8, 4, tf.constant([0, 1])),
        jit_compile=True,
    )
    values = [
        objectives.elbo(weights, 0.0),
        objectives.importance_weighted_bound(weights, 0.0),
        objectives.elbo(0.0 * weights, weights),
        objectives.importance_weighted_bound(0.0 * weights, weights),
        numerics.effective_sample_size(weights),
        *stream(tf.constant(weights)),
    ]
    for value in values:
        np.testing.assert_array_equal(np.isnan(value), [False, True, False])


@pytest.mark.parametrize("num_images", [0, 1])
def test_bounds_of_empty_and_singleton_batches(num_images):
    weights = tf.zeros([4, num_images])
    for bound in (objectives.elbo, objectives.importance_weighted_bound):
        assert assert_finite(bound, weights, weights).shape == (num_images,)
    found = objectives.streamed_bound(lambda seed: weights, num_images, 4, 4, tf.constant([0, 1]))
    assert found.log_likelihood.shape == found.variance.shape == (num_images,)


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e6, 1e6])
def test_effective_sample_size_does_not_depend_on_the_size_of_weights(shift):
    weights = tf.constant([0.0, 1.0, 0.0, -5.0]) + shift
    shares = special.softmax(weights.numpy().astype(np.float64))
    np.testing.assert_allclose(numerics.effective_sample_size(weights), 1 / (shares**2).sum(), rtol=1e-5)

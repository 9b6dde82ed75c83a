"""Parameters of relaxed bits as in tfp: variables stay variables, all broadcast, slices slice all."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from dvae_tf import smoothing
from support import reference
from support.smoothing_cases import LOGITS, each_case

tfd, tfb = tfp.distributions, tfp.bijectors

# Zeta where every smoothing has a smooth density.
ZETA = np.linspace(0.2, 0.7, LOGITS.size)


def _of(case, logits, theta, **kwargs):
    """q(zeta) with the parameters as they are."""
    if case.layer is smoothing.Concrete:
        return smoothing.ConcreteBernoulli(logits, *theta, **kwargs)
    return smoothing.RelaxedBernoulli(logits, tuple(theta), case.layer, **kwargs)


def _theta(q):
    return (q.temperature,) if isinstance(q, smoothing.ConcreteBernoulli) else q.theta


def _gradients(make, variables):
    """Gradients of the sums of log densities and of draws, and the distribution."""
    q = make()
    with tf.GradientTape() as tape:
        density = tf.reduce_sum(q.log_prob(ZETA))
    with tf.GradientTape() as other:
        draws = tf.reduce_sum(q.sample(5, seed=(0, 1)))
    return q, tape.gradient(density, variables), other.gradient(draws, variables)


@each_case
def test_variables_stay_variables(case):
    theta = case.thetas[1]
    variables = [tf.Variable(LOGITS), *(tf.Variable(each, dtype=tf.float64) for each in theta)]
    q, of_density, of_draws = _gradients(lambda: _of(case, variables[0], variables[1:]), variables)
    assert {each.ref() for each in q.trainable_variables} == {each.ref() for each in variables}
    assert q.logits is variables[0]
    by_logits = reference.finite_difference(
        lambda logits: case.log_density(theta, ZETA, logits).sum(), LOGITS
    )
    by_theta = reference.finite_difference(
        lambda theta: case.log_density(tuple(theta), ZETA, LOGITS).sum(), np.array(theta)
    )
    np.testing.assert_allclose(of_density[0], by_logits, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(of_density[1:], by_theta, rtol=1e-5, atol=1e-7)
    # As from tensors, whose gradients `test_gradients` compares with finite differences.
    tensors = [tf.convert_to_tensor(each) for each in variables]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        draws = tf.reduce_sum(_of(case, tensors[0], tensors[1:]).sample(5, seed=(0, 1)))
    for found, expected in zip(of_draws, tape.gradient(draws, tensors), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@each_case
def test_later_values_of_variables_are_seen(case):
    before, after = case.thetas
    variables = [tf.Variable(LOGITS), *(tf.Variable(each, dtype=tf.float64) for each in before)]
    q = _of(case, variables[0], variables[1:])
    compiled = tf.function(q.log_prob)
    np.testing.assert_allclose(compiled(ZETA), case.log_density(before, ZETA, LOGITS), rtol=1e-9)
    for variable, value in zip(variables, (LOGITS / 2, *after), strict=True):
        variable.assign(value)
    expected = case.distribution(LOGITS / 2, after)
    for log_prob in (compiled(ZETA), q.log_prob(ZETA)):
        np.testing.assert_allclose(log_prob, case.log_density(after, ZETA, LOGITS / 2), rtol=1e-9)
    np.testing.assert_array_equal(q.sample(3, seed=(0, 1)), expected.sample(3, seed=(0, 1)))
    np.testing.assert_array_equal(q.quantile(0.3), expected.quantile(0.3))
    np.testing.assert_array_equal(q.binary.sample(seed=(0, 1)), expected.binary.sample(seed=(0, 1)))


KINDS = {
    "keras": lambda: keras.Variable(LOGITS.astype(np.float32)),
    "deferred": lambda: tfp.util.TransformedVariable(np.exp(LOGITS).astype(np.float32), tfb.Exp()),
    "half": lambda: tf.Variable(LOGITS, dtype=tf.float16),
    "double": lambda: tf.Variable(LOGITS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_variables_of_every_kind_are_taken(kind):
    """In the dtype of the variable, at least float32, with theta converted to it."""
    variable = KINDS[kind]()
    given = list(variable.trainable_variables) if kind == "deferred" else [variable]
    scale = tf.Variable(0.5)
    q, of_density, of_draws = _gradients(
        lambda: smoothing.RelaxedBernoulli(variable, (0.1, scale), smoothing.ShiftedGaussian), [*given, scale]
    )
    assert len(q.trainable_variables) == 2
    assert q.dtype == (tf.float64 if kind == "double" else tf.float32)
    assert not any(each is None for each in (*of_density, *of_draws))
    logits = tf.cast(tf.convert_to_tensor(variable), q.dtype)
    same = smoothing.RelaxedBernoulli(logits, (0.1, 0.5), smoothing.ShiftedGaussian)
    np.testing.assert_array_equal(q.log_prob(ZETA), same.log_prob(ZETA))


def test_variables_go_into_functions_and_meta_distributions():
    logits, beta = tf.Variable(LOGITS), tf.Variable(3.0, dtype=tf.float64)
    q = tfd.Independent(smoothing.RelaxedBernoulli(logits, (beta,), smoothing.Exponential), 1)
    assert len(q.trainable_variables) == 2
    with tf.GradientTape() as tape:
        inside = tf.function(lambda q, zeta: q.log_prob(zeta))(q, ZETA)
    with tf.GradientTape() as other:
        outside = q.log_prob(ZETA)
    for found, expected in zip(
        tape.gradient(inside, [logits, beta]), other.gradient(outside, [logits, beta]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_variational_inference_by_tfp():
    """The surrogate posterior reaches a target of its own family."""
    target = smoothing.ConcreteBernoulli([1.0, -0.5], [0.5, 1.5])
    logits = tf.Variable([0.0, 0.0])
    temperature = tfp.util.TransformedVariable([1.0, 1.0], tfb.Softplus())
    q = smoothing.ConcreteBernoulli(logits, temperature)
    losses = tfp.vi.fit_surrogate_posterior(
        lambda zeta: tf.reduce_sum(target.log_prob(zeta), -1),
        tfd.Independent(q, 1),
        tf.compat.v1.train.AdamOptimizer(0.1),
        150,
        sample_size=100,
        seed=(0, 1),
    )
    assert losses[-1] < 0.05 < losses[0]
    np.testing.assert_allclose(logits, target.logits, atol=0.2)
    np.testing.assert_allclose(tf.convert_to_tensor(temperature), target.temperature, rtol=0.2)


# --------------------------------------------------------------------------- batches


def _batch(case, name):
    """Logits [5, 1] and theta of which the named one is [3], in float64."""
    logits = np.linspace(-2, 2, 5)[:, np.newaxis]
    values = dict(zip(case.names, case.thetas[1], strict=True))
    values[name] = values[name] * np.array([1.0, 1.25, 1.5])
    return logits, tuple(np.asarray(each) for each in values.values())


@each_case
def test_every_parameter_broadcasts_and_is_sliced(case):
    for name in case.names:
        logits, theta = _batch(case, name)
        q = _of(case, logits, theta)
        assert q.batch_shape == (5, 3)
        np.testing.assert_array_equal(q.batch_shape_tensor(), (5, 3))
        assert q.sample(7, seed=(0, 1)).shape == (7, 5, 3)
        expected = case.log_density(theta, ZETA[3], logits)
        np.testing.assert_allclose(q.log_prob(ZETA[3]), expected, rtol=1e-9)
        for index in (
            2,
            slice(1, 4),
            (Ellipsis, 1),
            (0, -1),
            (Ellipsis, np.newaxis),
            (slice(None, None, 2), 0),
        ):
            part = q[index]
            assert part.batch_shape == expected[index].shape, index
            np.testing.assert_allclose(part.log_prob(ZETA[3]), expected[index], rtol=1e-9)
            assert part.sample(2, seed=(0, 1)).shape == (2, *expected[index].shape)
        assert {each.shape.rank for each in _theta(q[1, 2])} == {0}


def test_concrete_has_the_batch_shape_of_its_peer():
    temperature, logits = [0.5, 1.0, 2.0], [[0.3], [-1.0]]
    ours = smoothing.ConcreteBernoulli(logits, temperature)
    peer = tfd.RelaxedBernoulli(temperature, logits=logits)
    for index in (..., 1, (1, 2), (Ellipsis, np.newaxis), (slice(None), slice(1, 3))):
        one, other = ours[index], peer[index]
        assert one.batch_shape == other.batch_shape
        np.testing.assert_allclose(one.log_prob(0.3), other.log_prob(0.3), rtol=1e-5, atol=1e-6)
        assert one.sample([2, 4], seed=(0, 1)).shape == other.sample([2, 4], seed=(0, 1)).shape


def test_draws_of_a_batch_are_independent_and_each_follows_its_own_parameters():
    betas = np.array([2.0, 5.0, 10.0])
    q = smoothing.RelaxedBernoulli(np.float64(0.4), (betas,), smoothing.Exponential)
    draws = q.sample(4000, seed=(3, 1)).numpy()
    for column, beta in zip(draws.T, betas, strict=True):
        cdf = smoothing.RelaxedBernoulli(np.float64(0.4), (beta,), smoothing.Exponential).cdf
        assert reference.ks_distance(column, lambda zeta, cdf=cdf: cdf(zeta).numpy()) < 1.95
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 4 / np.sqrt(4000)


def test_meta_distributions():
    """Against the log density of the plain one, summed or repeated."""
    rng = np.random.default_rng(0)
    logits, h, zeta = (rng.normal(size=(5, 3)) for _ in range(3))
    q = smoothing.ShiftedGaussian()(logits, h)
    log_prob = q.log_prob(zeta).numpy()
    independent = tfd.Independent(q, 1)[2]
    assert (independent.batch_shape, independent.event_shape) == ((), (3,))
    np.testing.assert_allclose(independent.log_prob(zeta[2]), log_prob[2].sum(), rtol=1e-12)
    repeated = tfd.BatchBroadcast(q, [4, 1, 1])
    assert repeated.sample(2, seed=(0, 1)).shape == (2, 4, 5, 3)
    np.testing.assert_allclose(repeated.log_prob(zeta), np.broadcast_to(log_prob, (4, 5, 3)), rtol=1e-12)
    several = tfd.Sample(q, 7)
    assert several[1].sample(2, seed=(0, 1)).shape == (2, 3, 7)
    found = several.log_prob(np.repeat(zeta[..., np.newaxis], 7, -1))
    np.testing.assert_allclose(found, 7 * log_prob, rtol=1e-12)
    mixture = tfd.MixtureSameFamily(tfd.Categorical(logits=np.zeros(3)), q)
    expected = np.log(np.exp(q.log_prob(0.3)).mean(-1))
    np.testing.assert_allclose(mixture.log_prob(0.3), expected, rtol=1e-12)
    np.testing.assert_allclose(q[1].copy(name="again").log_prob(zeta[1]), log_prob[1], rtol=1e-12)


def test_slices_lead_the_gradient_to_the_variable():
    scale = tf.Variable([0.2, 0.3, 0.4])
    q = smoothing.RelaxedBernoulli(tf.zeros([2, 3]), (0.0, scale), smoothing.ShiftedGaussian)
    with tf.GradientTape() as tape:
        log_prob = q[1, 2].copy(name="copy").log_prob(0.3)
    gradient = tape.gradient(log_prob, scale).numpy()
    np.testing.assert_array_equal(gradient[:2], 0.0)
    assert gradient[2] != 0

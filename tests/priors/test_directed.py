"""Tests of the directed priors: bits and zeta of one and more groups, the layer, and the KL of one group."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special

from dvae_tf import kl, smoothing
from dvae_tf.partition import LogPartition
from dvae_tf.posterior import PosteriorSample
from dvae_tf.priors import BoltzmannMachine, DirectedBernoulli, DirectedPrior, Prior
from support import reference, smoothing_reference

tfd = tfp.distributions

# Groups and units of each.
SHAPES = [(1, 6), (2, 3), (3, 2)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")


def _parameters(num_groups, units, seed=90, scale=1.5):
    """Log-odds [units] and the kernel and bias of each further group."""
    rng = np.random.default_rng(seed)
    sizes = [(group * units, units) for group in range(1, num_groups)]
    networks = [(rng.normal(0, scale, size), rng.normal(0, scale, units)) for size in sizes]
    return rng.normal(0, scale, units).astype(np.float32).astype(np.float64), [
        tuple(each.astype(np.float32).astype(np.float64) for each in pair) for pair in networks
    ]


def _dense(networks, dtype="float32"):
    layers = []
    for kernel, bias in networks:
        layer = keras.layers.Dense(kernel.shape[1], dtype=dtype)
        layer.build((None, kernel.shape[0]))
        layer.set_weights([kernel, bias])
        layers.append(layer)
    return layers


def _distribution(shape, relaxation=None, dtype=np.float64, **kwargs):
    first, networks = _parameters(*shape)
    layers = _dense(networks, np.dtype(dtype).name)
    return DirectedBernoulli(first.astype(dtype), layers, relaxation, **kwargs)


def _prior(shape, relaxation=None, **kwargs):
    """The layer with parameters far from their initial values."""
    first, networks = _parameters(*shape)
    prior = DirectedPrior(shape[1], _dense(networks), relaxation, **kwargs)
    prior.first_logits.assign(first)
    return prior


def _logits(shape, code):
    """Log-odds of every unit in NumPy."""
    first, networks = _parameters(*shape)
    groups = [np.broadcast_to(first, (*code.shape[:-1], shape[1]))]
    groups += [code[..., : len(kernel)] @ kernel + bias for kernel, bias in networks]
    return np.concatenate(groups, -1)


def _log_prob(shape, z):
    """The product of the conditionals."""
    logits = _logits(shape, z)
    return np.where(z > 0, special.log_expit(logits), special.log_expit(-logits)).sum(-1)


# --------------------------------------------------------------------------- bits


@pytest.mark.parametrize("shape", [*SHAPES, (1, 12), (3, 4)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-11)])
def test_log_prob_is_the_product_of_conditionals_and_sums_to_one(shape, dtype, tolerance):
    z = reference.binary_states(np.prod(shape))
    found = _distribution(shape, dtype=dtype).log_prob(z.astype(dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, _log_prob(shape, z), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=10 * tolerance)


@each_shape
def test_logits(shape):
    distribution = _distribution(shape)
    assert (distribution.num_groups, distribution.units_per_group) == shape
    for leading in ((), (4,), (2, 3), (2, 1, 3)):
        code = np.random.default_rng(0).random((*leading, 6))
        found = distribution.logits(code)
        assert found.shape == (*leading, 6)
        np.testing.assert_allclose(found, _logits(shape, code), rtol=1e-10, atol=1e-12)
    # A group depends neither on itself nor on later groups.
    code = np.random.default_rng(0).random((1, 6))
    later = code.copy()
    later[:, -shape[1] :] += 1
    np.testing.assert_array_equal(distribution.logits(later), distribution.logits(code))


@each_shape
def test_samples_follow_the_table(shape):
    sample = _distribution(shape, dtype=np.float32).sample(30_000, seed=(1, 2)).numpy()
    assert set(np.unique(sample)) == {0.0, 1.0}
    z = reference.binary_states(6)
    numbers = reference.state_numbers(sample)
    assert reference.chi_square_p_value(numbers, np.exp(_log_prob(shape, z))) > 1e-4
    if shape[0] > 1:
        # The test detects the conditioning: independent units with the same means have another distribution.
        means = sample.mean(0)
        independent = np.exp(z @ np.log(means) + (1 - z) @ np.log1p(-means))
        assert reference.chi_square_p_value(numbers, independent) < 1e-8


@each_shape
@pytest.mark.parametrize("relaxed", [False, True])
def test_shapes_and_dtypes(shape, relaxed):
    relaxation = smoothing.Concrete(temperature=0.5) if relaxed else None
    for dtype in (np.float32, np.float64):
        distribution = _distribution(shape, relaxation, dtype)
        assert isinstance(distribution, tfd.Distribution)
        assert (distribution.event_shape, distribution.batch_shape) == ((6,), ())
        np.testing.assert_array_equal(distribution.event_shape_tensor(), [6])
        sample = distribution.sample([2, 5], seed=(0, 1))
        assert (sample.shape, sample.dtype) == ((2, 5, 6), dtype)
        assert distribution.log_prob(sample).shape == (2, 5)
        one = distribution.sample(seed=(0, 1))
        assert one.shape == (6,)
        assert distribution.log_prob(one).shape == ()
        np.testing.assert_array_equal(sample, distribution.sample([2, 5], seed=(0, 1)))
        assert np.any(sample != distribution.sample([2, 5], seed=(0, 2)))
        assert distribution.reparameterization_type == tfd.NOT_REPARAMETERIZED


def test_validate_args():
    distribution = _distribution((2, 3), validate_args=True)
    assert np.isfinite(distribution.log_prob(np.ones((1, 6))))
    for wrong in (0.5, 2.0, np.nan):
        with pytest.raises(tf.errors.InvalidArgumentError, match="z"):
            distribution.log_prob(np.full((1, 6), wrong))
    relaxed = _distribution((2, 3), smoothing.Concrete(temperature=0.5), validate_args=True)
    assert np.isfinite(relaxed.log_prob(np.full((1, 6), 0.5)))


@pytest.mark.parametrize("relaxed", [False, True])
def test_leaves_a_function_and_compiles(relaxed):
    relaxation = smoothing.Concrete(temperature=0.5) if relaxed else None
    first, networks = _parameters(2, 3)
    layers = _dense(networks)
    code = tf.constant(reference.binary_states(6) * 0.5 + 0.25 if relaxed else reference.binary_states(6))
    code = tf.cast(code, tf.float32)
    expected = DirectedBernoulli(tf.constant(first, tf.float32), layers, relaxation).log_prob(code)

    def make(scale):
        return DirectedBernoulli(scale * tf.constant(first, tf.float32), layers, relaxation)

    found = tf.function(make)(tf.constant(1.0))
    assert isinstance(found, DirectedBernoulli)
    np.testing.assert_allclose(found.log_prob(code), expected, rtol=1e-5)
    for jit_compile in (False, True):
        log_prob = tf.function(lambda scale: make(scale).log_prob(code), jit_compile=jit_compile)
        np.testing.assert_allclose(log_prob(tf.constant(1.0)), expected, rtol=1e-5)


# --------------------------------------------------------------------------- zeta


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)], ids=str)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_relaxed_density_integrates_to_one(shape, temperature):
    relaxed = _distribution(shape, smoothing.Concrete(temperature=temperature))
    oracle = smoothing_reference.ConcreteRelaxation(temperature)
    nodes, weights, (low, high) = oracle.quadrature()
    zeta = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1)
    mass = weights @ relaxed.prob(zeta).numpy() @ weights
    # The probability beyond the ends of the quadrature is known for each unit given the one before.
    first, second = _logits(shape, np.stack([nodes, nodes], -1)).T
    inside = oracle.cdf(high, second) - oracle.cdf(low, second)
    expected = weights @ (np.exp(oracle.log_density(nodes, first)) * inside)
    np.testing.assert_allclose(mass, expected, rtol=1e-6)
    assert 0.99 < expected < 1 + 1e-9


@pytest.mark.parametrize("shape", [*SHAPES, (1, 2), (2, 1)], ids=str)
@pytest.mark.parametrize(
    ("layer", "oracle"),
    [
        (smoothing.Concrete(temperature=0.5), smoothing_reference.ConcreteRelaxation(0.5)),
        (smoothing.Power(beta=3.0), smoothing_reference.PowerSmoothing(3.0)),
    ],
    ids=["Concrete", "Power"],
)
def test_relaxed_log_prob_is_the_product_of_conditionals(shape, layer, oracle):
    zeta = np.random.default_rng(1).uniform(0.01, 0.99, (40, np.prod(shape)))
    logits = _logits(shape, zeta)
    if isinstance(layer, smoothing.Concrete):
        expected = oracle.log_density(zeta, logits).sum(-1)
    else:
        expected = smoothing_reference.mixture_log_density(oracle, zeta, logits).sum(-1)
    found = _distribution(shape, layer).log_prob(zeta)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
    assert np.all(_distribution(shape, layer).log_prob(zeta + 1) == -np.inf)


@each_shape
def test_relaxed_samples_follow_their_conditionals(shape):
    oracle = smoothing_reference.ConcreteRelaxation(0.5)
    relaxed = _distribution(shape, smoothing.Concrete(temperature=0.5))
    zeta = relaxed.sample(20_000, seed=(3, 4)).numpy()
    # The CDF of each unit given the groups before it is uniform, and independent of the other units.
    levels = oracle.cdf(zeta, _logits(shape, zeta))
    for column in levels.T:
        assert reference.ks_distance(column, lambda x: np.clip(x, 0, 1)) < 2.2
    correlations = np.corrcoef(levels.T)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(len(zeta))
    if shape[0] > 1:
        blind = oracle.cdf(zeta, _logits(shape, np.full_like(zeta, 0.5)))
        assert max(reference.ks_distance(each, lambda x: np.clip(x, 0, 1)) for each in blind.T) > 5


# --------------------------------------------------------------------------- the layer


@each_shape
def test_trainable_variables(shape):
    prior = _prior(shape)
    assert isinstance(prior, Prior)
    assert len(prior.trainable_variables) == len(prior.variables) == 1 + 2 * (shape[0] - 1)


def test_start_is_fair_bits():
    np.testing.assert_allclose(DirectedPrior(3)().log_prob(np.eye(3)), -3 * np.log(2), rtol=1e-6)
    with pytest.raises(ValueError, match="units_per_group"):
        DirectedPrior(0)


def test_hands_out_zeta_or_the_bits():
    layer = smoothing.Concrete(temperature=0.5)
    prior = _prior((2, 3), layer)
    z = reference.binary_states(6)
    np.testing.assert_allclose(prior.binary().log_prob(z), _log_prob((2, 3), z), rtol=1e-5, atol=1e-5)
    zeta = np.random.default_rng(2).uniform(0.05, 0.95, (9, 6)).astype(np.float32)
    expected = smoothing_reference.ConcreteRelaxation(0.5).log_density(zeta, _logits((2, 3), zeta)).sum(-1)
    for training in (False, True):
        np.testing.assert_allclose(prior(training=training).log_prob(zeta), expected, rtol=1e-4)
    np.testing.assert_allclose(_prior((2, 3))().log_prob(z), _log_prob((2, 3), z), rtol=1e-5, atol=1e-5)


def test_is_normalized_and_has_no_chains():
    prior = _prior((2, 3))
    assert float(prior.log_partition) == 0.0
    assert float(prior.advance_chains()) == 0.0
    assert prior.diagnostics() == {}
    assert prior.measure_log_partition(10, 10, (0, 1)) == LogPartition.known(0.0, "normalized")


def test_sample_binary():
    prior = _prior((3, 2), smoothing.Concrete(temperature=0.5))
    sample = prior.sample_binary(30_000, 40, (5, 6))
    assert sample.shape == (30_000, 6)
    probs = np.exp(_log_prob((3, 2), reference.binary_states(6)))
    assert reference.chi_square_p_value(reference.state_numbers(sample), probs) > 1e-4


@pytest.mark.parametrize("relaxed", [False, True])
def test_gradients_reach_everything(relaxed):
    shape = (3, 2)
    prior = _prior(shape, smoothing.Concrete(temperature=0.5) if relaxed else None)
    rng = np.random.default_rng(3)
    code = rng.uniform(0.1, 0.9, (20, 6)) if relaxed else rng.integers(0, 2, (20, 6)).astype(float)
    code = code.astype(np.float32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(prior(training=True).log_prob(code))
    by_first, *by_networks = tape.gradient(total, prior.trainable_variables)
    logits = _logits(shape, code.astype(np.float64))
    if relaxed:
        # d log logistic(u) / d l = tanh(u / 2), u = temperature logit(zeta) - l.
        score = np.tanh((0.5 * special.logit(code.astype(np.float64)) - logits) / 2)
    else:
        score = code - special.expit(logits)
    np.testing.assert_allclose(by_first, score[:, :2].sum(0), rtol=1e-4, atol=1e-4)
    for group, gradient in enumerate(by_networks[1::2], 1):
        part = score[:, 2 * group : 2 * group + 2]
        np.testing.assert_allclose(gradient, part.sum(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            by_networks[2 * group - 2], code[:, : 2 * group].T @ part, rtol=1e-4, atol=1e-4
        )


class _Normalized(keras.layers.Layer):
    """A conditional with a batch norm before its log-odds."""

    def __init__(self, units):
        super().__init__()
        self.norm = keras.layers.BatchNormalization(momentum=0.5, epsilon=1e-3)
        self.dense = keras.layers.Dense(units)

    def build(self, shape):
        self.norm.build(shape)
        self.dense.build(shape)

    def call(self, before, training=False):
        rows = tf.reshape(before, [-1, before.shape[-1]])
        logits = self.dense(self.norm(rows, training=training))
        return tf.reshape(logits, tf.concat([tf.shape(before)[:-1], [logits.shape[-1]]], 0))


def test_batch_norms_see_the_rows_of_all_samples_in_training():
    prior = DirectedPrior(3, [_Normalized(3)])
    norm, dense = prior.conditionals[0].norm, prior.conditionals[0].dense
    code = np.random.default_rng(6).integers(0, 2, (4, 5, 6)).astype(np.float32)
    before = code[..., :3].reshape(20, 3)
    for found in (prior(), prior.binary(), prior.distribution(), prior.in_mode(prior.binary(), False)):
        np.testing.assert_allclose(
            found.logits(code)[..., 3:].numpy().reshape(20, 3),
            before / np.sqrt(1 + 1e-3) @ dense.kernel.numpy() + dense.bias.numpy(),
            rtol=1e-5,
            atol=1e-6,
        )
    np.testing.assert_array_equal(norm.moving_mean, np.zeros(3))
    normalized = (before - before.mean(0)) / np.sqrt(before.var(0) + 1e-3)
    training = (prior(training=True), prior.in_mode(prior.binary(), True))
    for calls, found in enumerate(training, 1):
        np.testing.assert_allclose(
            found.logits(code)[..., 3:].numpy().reshape(20, 3),
            normalized @ dense.kernel.numpy() + dense.bias.numpy(),
            rtol=1e-4,
            atol=1e-5,
        )
        np.testing.assert_allclose(norm.moving_mean, (1 - 0.5**calls) * before.mean(0), rtol=1e-5)


def test_a_prior_without_a_mode_need_not_know_of_it():
    """A prior of one's own that has only the methods of the interface is taken as it is."""
    distribution = DirectedBernoulli(tf.zeros([3]))
    for training in (False, True):
        assert Prior.in_mode(DirectedPrior(3), distribution, training) is distribution


# --------------------------------------------------------------------------- the KL of bits


def _draw(logits, sample):
    return PosteriorSample(tf.constant(logits), tf.constant(sample), tf.zeros(logits.shape[:-1]), ())


def test_kl_of_one_group_against_enumeration():
    shape = (1, 6)
    logits = np.random.default_rng(4).normal(0, 2, (3, 5, 6))
    z = reference.binary_states(6)
    log_q = special.log_expit(logits) @ z.T + special.log_expit(-logits) @ (1 - z).T
    expected = (np.exp(log_q) * (log_q - _log_prob(shape, z))).sum(-1)
    # In closed form, for any sample.
    for sample in (np.zeros_like(logits), np.random.default_rng(5).random(logits.shape)):
        found = kl.bernoulli(_draw(logits, sample), _distribution(shape))
        assert found.shape == (3, 5)
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_kl_of_several_groups_is_its_mean_over_the_bits():
    """Samples of a posterior of two groups; their average is the KL divergence of all bits."""
    shape = (2, 3)
    z = reference.binary_states(6)
    rng = np.random.default_rng(6)
    kernel = rng.normal(0, 1.5, (3, 3))
    logits = np.concatenate([np.broadcast_to(rng.normal(size=3), (64, 3)), z[:, :3] @ kernel], -1)
    log_q = np.where(z > 0, special.log_expit(logits), special.log_expit(-logits)).sum(-1)
    expected = np.exp(log_q) @ (log_q - _log_prob(shape, z))
    found = kl.bernoulli(_draw(logits[np.newaxis], z[np.newaxis]), _distribution(shape))
    np.testing.assert_allclose(np.exp(log_q) @ found.numpy()[0], expected, rtol=1e-10)


def test_kl_vanishes_at_the_prior_and_is_that_of_a_machine_without_couplings():
    shape = (1, 6)
    first, _ = _parameters(*shape)
    prior = _distribution(shape)
    np.testing.assert_allclose(kl.bernoulli(_draw(first[np.newaxis], np.ones((1, 6))), prior), 0, atol=1e-12)
    logits = np.random.default_rng(7).normal(0, 2, (5, 6))
    q = tfd.Independent(tfd.Bernoulli(logits=tf.constant(logits)), 1)
    machine = BoltzmannMachine(first[:2], first[2:], np.zeros((2, 4)))
    found = kl.bernoulli(_draw(logits, np.ones((5, 6))), prior)
    np.testing.assert_allclose(found, tfd.kl_divergence(q, machine), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("relaxation", "concrete", "a relaxation such as dvae_tf.smoothing.Concrete"),
        ("relaxation", smoothing.Concrete, "a relaxation such as dvae_tf.smoothing.Concrete"),
        ("conditionals", "dense", "a list of layers"),
        ("conditionals", ["dense"], "layers such as keras.layers.Dense"),
    ],
)
def test_names_of_objects_are_refused(name, value, expected):
    with pytest.raises(ValueError, match=f"^{name}: expected {expected}.*, got .*"):
        DirectedPrior(3, **{name: value})


def test_units_may_be_an_integer_of_numpy():
    assert type(DirectedPrior(np.int64(3)).units_per_group) is int
    with pytest.raises(ValueError, match=r"^units_per_group: expected an integer of at least 1, got 3\.0"):
        DirectedPrior(3.0)


def test_autograph_reads_the_steps_of_a_prior_without_chains():
    """Silently: it warns of a method that it cannot read, and asks to report that."""

    def only_says_what_it_does():
        """A body of nothing else, which AutoGraph cannot read."""

    prior = DirectedPrior(3)
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    tf.get_logger().addHandler(handler)
    try:
        for method in (lambda: prior.assign_chains(()), prior.advance_chains, prior.step_chains, prior.track):
            tf.function(method)()
        assert not messages
        tf.function(lambda: only_says_what_it_does())()
        assert "AutoGraph could not transform" in messages[0]
    finally:
        tf.get_logger().removeHandler(handler)

"""Tests of the Boltzmann machine as a distribution, and of the surrogate of log Z."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from dvae_tf.priors import BoltzmannMachine, log_partition_surrogate
from support import reference

tfd = tfp.distributions

SIZES = [(3, 4), (4, 3), (1, 1)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")


def _machines(size=(3, 4), dtype=np.float64, seed=40, **kwargs):
    machine = reference.random_machine(*size, seed=seed)
    return machine, BoltzmannMachine(*machine.cast(dtype), **kwargs)


# --------------------------------------------------------------------------- the distribution


@each_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-11)])
def test_log_prob_matches_enumeration_and_sums_to_one(size, dtype, tolerance):
    machine, bm = _machines(size, dtype)
    z = reference.binary_states(sum(size)).astype(dtype)
    found = bm.log_prob(z)
    assert found.dtype == dtype
    expected = reference.joint_log_probs(machine)[0].ravel()
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(np.exp(found).sum(), 1, rtol=10 * tolerance)


def test_shapes():
    _, bm = _machines()
    assert isinstance(bm, tfd.Distribution)
    assert bm.event_shape == (7,)
    assert bm.batch_shape == ()
    assert (bm.num_left, bm.num_right) == (3, 4)
    sample = bm.sample([2, 5], seed=(0, 1))
    assert sample.shape == (2, 5, 7)
    assert bm.log_prob(sample).shape == (2, 5)
    assert bm.sample(seed=(0, 1)).shape == (7,)


def test_energy_takes_relaxed_values():
    machine, bm = _machines()
    z = np.random.default_rng(0).random((2, 3, 7))
    np.testing.assert_allclose(bm.energy(z), reference.energy(machine, z), rtol=1e-12)
    np.testing.assert_allclose(bm.unnormalized_log_prob(z), -bm.energy(z), rtol=1e-12)


def test_log_partition_may_be_given():
    machine, bm = _machines(log_partition=1.25)
    z = reference.binary_states(7)
    np.testing.assert_allclose(bm.log_partition, 1.25)
    np.testing.assert_allclose(bm.log_prob(z), -reference.energy(machine, z) - 1.25, rtol=1e-12)


def test_log_partition_is_exact_where_it_can_be():
    machine, bm = _machines()
    np.testing.assert_allclose(bm.log_partition, reference.log_partition(machine), rtol=1e-12)
    # Only the smaller side counts.
    thin = BoltzmannMachine(np.zeros(3), np.zeros(200), np.zeros((3, 200)))
    np.testing.assert_allclose(thin.log_partition, 203 * np.log(2), rtol=1e-12)


def test_a_large_machine_says_what_to_call():
    large = BoltzmannMachine(np.zeros(21), np.zeros(22), np.zeros((21, 22)))
    for refused in (lambda: large.log_prob(np.zeros(43)), lambda: large.log_partition):
        with pytest.raises(ValueError, match="partition.annealed_importance_sampling"):
            refused()
    with pytest.raises(ValueError, match="log_partition"):
        large.log_prob(np.zeros(43))
    given = BoltzmannMachine(np.zeros(21), np.zeros(22), np.zeros((21, 22)), log_partition=43 * np.log(2))
    np.testing.assert_allclose(given.log_prob(np.ones(43)), -43 * np.log(2), rtol=1e-12)


@each_size
def test_gradients_of_log_prob(size):
    machine, _ = _machines(size)
    z = np.random.default_rng(1).random((5, sum(size)))
    arguments = [tf.constant(each) for each in (*machine, z)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        total = tf.reduce_sum(BoltzmannMachine(*arguments[:3]).log_prob(arguments[3]))

    def log_prob(machine, z):
        return (-reference.energy(machine, z) - reference.log_partition(machine)).sum()

    *by_machine, by_z = tape.gradient(total, arguments)
    for name, gradient in zip(machine._fields, by_machine, strict=True):
        expected = reference.finite_difference(
            lambda value, name=name: log_prob(machine._replace(**{name: value}), z),
            getattr(machine, name),
        )
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)
    expected = reference.finite_difference(lambda value: log_prob(machine, value), z)
    np.testing.assert_allclose(by_z, expected, rtol=1e-6, atol=1e-8)


@each_size
def test_samples_follow_the_joint_table(size):
    machine, bm = _machines(size, np.float32)
    sample = bm.sample(30_000, seed=(1, 2))
    assert sample.dtype == tf.float32
    probs = np.exp(reference.joint_log_probs(machine)[0])
    assert reference.chi_square_p_value(reference.state_numbers(sample), probs) > 1e-4


def test_samples_depend_on_the_seed_alone_and_carry_no_gradient():
    machine, bm = _machines(dtype=np.float32)
    np.testing.assert_array_equal(bm.sample(20, seed=(1, 2)), bm.sample(20, seed=(1, 2)))
    assert np.any(bm.sample(20, seed=(1, 2)) != bm.sample(20, seed=(1, 3)))
    parameters = [tf.constant(each) for each in machine.cast(np.float32)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        total = tf.reduce_sum(BoltzmannMachine(*parameters).sample(5, seed=(1, 2)))
    assert tape.gradient(total, parameters) == [None] * 3
    assert bm.reparameterization_type == tfd.NOT_REPARAMETERIZED


def test_large_machines_are_sampled_by_sweeps():
    rng = np.random.default_rng(3)
    left_bias, right_bias, couplings = rng.normal(0, 1, (3, 21))
    _, expected = reference.paired_moments(left_bias, right_bias, couplings)
    bm = BoltzmannMachine(
        *reference.Machine(left_bias, right_bias, np.diag(couplings)).cast(np.float32),
        num_sweeps=30,
    )
    sample = bm.sample(5_000, seed=(2, 3)).numpy()
    assert sample.shape == (5_000, 42)
    left, right = sample[:, :21], sample[:, 21:]
    assert np.abs(reference.z_scores(left, expected.left)).max() < 4.5
    assert np.abs(reference.z_scores(right, expected.right)).max() < 4.5
    both = np.diag(expected.products)
    assert np.abs(reference.z_scores(left * right, both)).max() < 4.5


def test_validate_args():
    machine, bm = _machines(validate_args=True)
    assert np.isfinite(bm.log_prob(np.ones(7)))
    for wrong in (0.5, 2.0, -1.0, np.nan):
        z = np.zeros(7)
        z[3] = wrong
        with pytest.raises(tf.errors.InvalidArgumentError, match="z"):
            bm.log_prob(z)
    for name in machine._fields:
        broken = getattr(machine, name).copy()
        broken.flat[0] = np.nan
        broken = machine._replace(**{name: broken})
        with pytest.raises(tf.errors.InvalidArgumentError, match=name):
            BoltzmannMachine(*broken, validate_args=True).log_prob(np.ones(7))


@pytest.mark.parametrize("name", ["left_bias", "right_bias"])
def test_wrong_shapes_are_refused_by_name(name):
    machine, _ = _machines()
    with pytest.raises(ValueError, match=name):
        BoltzmannMachine(*machine._replace(**{name: np.zeros(9)}))


def test_leaves_a_function():
    machine, bm = _machines(dtype=np.float32)
    z = reference.binary_states(7).astype(np.float32)
    for log_partition in (None, 1.5):
        leave = tf.function(
            lambda scale, log_partition=log_partition: BoltzmannMachine(
                *[scale * each for each in machine.cast(np.float32)], log_partition=log_partition
            )
        )
        found = leave(tf.constant(1.0))
        assert isinstance(found, BoltzmannMachine)
        expected = bm.log_prob(z) if log_partition is None else bm.unnormalized_log_prob(z) - 1.5
        np.testing.assert_allclose(found.log_prob(z), expected, rtol=1e-5, atol=1e-5)


# --------------------------------------------------------------------------- the surrogate


def _surrogate_gradients(machine, left, right, **kwargs):
    parameters = [tf.constant(each) for each in machine]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        surrogate = log_partition_surrogate(*parameters, tf.constant(left), tf.constant(right), **kwargs)
    return surrogate, tape.gradient(surrogate, parameters)


def test_surrogate_has_the_given_value_and_the_mean_of_the_states():
    machine, _ = _machines()
    rng = np.random.default_rng(4)
    left, right = (rng.integers(0, 2, (11, size)).astype(np.float64) for size in (3, 4))
    surrogate, gradients = _surrogate_gradients(machine, left, right, log_partition=3.5)
    assert surrogate.shape == ()
    np.testing.assert_allclose(surrogate, 3.5, rtol=1e-12)
    expected = left.mean(0), right.mean(0), left.T @ right / 11
    for gradient, moment in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(gradient, moment, rtol=1e-12)


def test_surrogate_gradient_is_that_of_log_partition():
    machine, _ = _machines()
    z = reference.exact_draws(machine, 200_000, seed=5)
    left, right = z[:, :3], z[:, 3:]
    _, gradients = _surrogate_gradients(machine, left, right)
    expected = reference.moments(machine)
    for gradient, moment in zip(gradients, expected, strict=True):
        # Means of bits have known standard errors.
        error = np.sqrt(moment * (1 - moment) / len(z))
        assert np.abs((gradient - moment) / error).max() < 4.5


def test_surrogate_of_every_state_in_proportion_is_exact():
    """For probabilities that are multiples of 1/8, eight states represent the machine exactly."""
    # p(1, 1) = 5/8 and 1/8 for the other three states.
    machine = reference.Machine(np.zeros(1), np.zeros(1), np.full((1, 1), np.log(5.0)))
    left = np.array([0, 0, 1, 1, 1, 1, 1, 1.0])[:, np.newaxis]
    right = np.array([0, 1, 0, 1, 1, 1, 1, 1.0])[:, np.newaxis]
    _, gradients = _surrogate_gradients(machine, left, right)
    for gradient, moment in zip(gradients, reference.moments(machine), strict=True):
        np.testing.assert_allclose(gradient, moment, rtol=1e-12)


def test_surrogate_of_every_state_with_its_weight_is_exact():
    machine, _ = _machines()
    z = reference.binary_states(7)
    # Not normalized: an added constant makes no difference.
    log_weights = 3.0 - reference.energy(machine, z)
    _, gradients = _surrogate_gradients(machine, z[:, :3], z[:, 3:], log_weights=tf.constant(log_weights))
    for gradient, moment in zip(gradients, reference.moments(machine), strict=True):
        np.testing.assert_allclose(gradient, moment, rtol=1e-10)


def test_surrogate_carries_no_gradient_of_its_value_or_its_states():
    machine, _ = _machines()
    left, right = tf.ones([2, 3], tf.float64), tf.ones([2, 4], tf.float64)
    value = tf.constant(1.0, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch((left, right, value))
        surrogate = log_partition_surrogate(*machine, left, right, value)
    assert tape.gradient(surrogate, (left, right, value)) == (None, None, None)


def test_log_prob_with_the_surrogate_is_the_positive_minus_the_negative_phase():
    machine, _ = _machines()
    z = reference.exact_draws(machine, 50, seed=6)
    data = reference.binary_states(7)[[3, 70, 100]]
    parameters = [tf.constant(each) for each in machine]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        surrogate = log_partition_surrogate(*parameters, tf.constant(z[:, :3]), tf.constant(z[:, 3:]), 2.0)
        bm = BoltzmannMachine(*parameters, log_partition=surrogate)
        log_prob = tf.reduce_mean(bm.log_prob(data))
    np.testing.assert_allclose(log_prob, -reference.energy(machine, data).mean() - 2, rtol=1e-12)
    by_left, by_right, by_weights = tape.gradient(log_prob, parameters)
    np.testing.assert_allclose(by_left, data[:, :3].mean(0) - z[:, :3].mean(0), atol=1e-12)
    np.testing.assert_allclose(by_right, data[:, 3:].mean(0) - z[:, 3:].mean(0), atol=1e-12)
    positive, negative = (each[:, :3].T @ each[:, 3:] / len(each) for each in (data, z))
    np.testing.assert_allclose(by_weights, positive - negative, atol=1e-12)


def test_kl_of_independent_bits_against_enumeration():
    machine = reference.random_machine(4, 3, seed=21)
    prior = BoltzmannMachine(*machine)
    logits = np.random.default_rng(22).normal(scale=2, size=(5, 7))
    q = tfd.Independent(tfd.Bernoulli(logits=tf.constant(logits)), 1)
    z = reference.binary_states(7)
    log_p = -reference.energy(machine, z) - reference.log_partition(machine)
    log_q = z @ logits.T - np.logaddexp(0, logits).sum(1)
    expected = (np.exp(log_q) * (log_q - log_p[:, np.newaxis])).sum(0)
    np.testing.assert_allclose(tfd.kl_divergence(q, prior), expected, rtol=1e-10)
    with pytest.raises(NotImplementedError, match="independent Bernoulli"):
        tfd.kl_divergence(tfd.Independent(tfd.Normal(np.zeros(7), 1.0), 1), prior)


def test_a_large_machine_in_an_autobatched_joint_distribution():
    """One that is sampled by sweeps, and twice the number of bits that is enumerated."""
    machine = reference.random_machine(21, 21, seed=3, stddev=0.3).cast(np.float32)
    bm = BoltzmannMachine(*machine, log_partition=1.0, num_sweeps=2)
    joint = tfd.JointDistributionSequentialAutoBatched([bm, lambda z: tfd.Normal(tf.reduce_sum(z, -1), 1.0)])
    z, x = joint.sample(2, seed=1)
    assert (z.shape, x.shape) == ((2, 42), (2,))
    assert set(np.unique(z)) == {0.0, 1.0}
    assert np.any(z[0] != z[1])
    expected = bm.log_prob(z) + tfd.Normal(tf.reduce_sum(z, -1), 1.0).log_prob(x)
    np.testing.assert_allclose(joint.log_prob([z, x]), expected, rtol=1e-5)


# --------------------------------------------------------------------------- Rao-Blackwellised


def _each_state_gradient(machine, z, **kwargs):
    """The surrogate's gradient with each state alone, [states, D + L R]."""
    rows = []
    for state in z:
        _, gradients = _surrogate_gradients(machine, state[np.newaxis, :3], state[np.newaxis, 3:], **kwargs)
        rows.append(np.concatenate([np.ravel(each) for each in gradients]))
    return np.array(rows)


def test_rao_blackwellized_surrogate_has_the_gradient_of_log_partition():
    """The mean over all states by their probabilities, against moments by enumeration."""
    machine, _ = _machines()
    z = reference.binary_states(7)
    log_weights = tf.constant(-reference.energy(machine, z))
    surrogate, gradients = _surrogate_gradients(
        machine, z[:, :3], z[:, 3:], log_partition=2.5, log_weights=log_weights, rao_blackwellized=True
    )
    np.testing.assert_allclose(surrogate, 2.5, rtol=1e-12)
    for gradient, moment in zip(gradients, reference.moments(machine), strict=True):
        np.testing.assert_allclose(gradient, moment, rtol=1e-10)


def test_rao_blackwellization_raises_no_variance():
    machine, _ = _machines()
    z = reference.binary_states(7)
    log_p = reference.joint_log_probs(machine)[0].ravel()
    np.testing.assert_allclose(log_p, -reference.energy(machine, z) - reference.log_partition(machine))
    variances = []
    for rao_blackwellized in (False, True):
        gradients = _each_state_gradient(machine, z, rao_blackwellized=rao_blackwellized)
        mean = np.exp(log_p) @ gradients
        variances.append(np.exp(log_p) @ (gradients - mean) ** 2)
    plain, averaged = variances
    assert (averaged < plain).all()
    assert averaged.sum() < 0.7 * plain.sum()

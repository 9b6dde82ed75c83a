"""Tests of the GumBolt proxy: its value, the two theorems of the paper, and its layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from dvae_tf.priors import BoltzmannMachine, GumBolt, GumBoltPrior
from dvae_tf.samplers import PersistentGibbs
from support import reference, smoothing_reference

tfd = tfp.distributions

SIZES = [(3, 4), (4, 3), (1, 1)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}+{size[1]}")
SAMPLER = PersistentGibbs(num_chains=20, num_sweeps=2)


def _proxy(machine, dtype=np.float64, log_partition=None, **kwargs):
    return GumBolt(BoltzmannMachine(*machine.cast(dtype), log_partition=log_partition), **kwargs)


# --------------------------------------------------------------------------- its value


@each_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2e-5), (np.float64, 1e-11)])
def test_value_is_the_relaxed_energy_and_the_log_partition_of_the_bits(size, dtype, tolerance):
    machine = reference.random_machine(*size, seed=80)
    zeta = np.random.default_rng(0).random((50, sum(size))).astype(np.float32)
    found = _proxy(machine, dtype).log_prob(zeta.astype(dtype))
    assert found.dtype == dtype
    expected = -reference.energy(machine, zeta) - reference.log_partition(machine)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    given = _proxy(machine, dtype, log_partition=1.25).log_prob(zeta.astype(dtype))
    expected = -reference.energy(machine, zeta) - 1.25
    np.testing.assert_allclose(given, expected, rtol=tolerance, atol=tolerance)


@each_size
def test_at_the_vertices_it_is_the_machine(size):
    machine = reference.random_machine(*size, seed=81)
    z = reference.binary_states(sum(size))
    found = _proxy(machine).log_prob(z)
    np.testing.assert_allclose(found, reference.joint_log_probs(machine)[0].ravel(), atol=1e-11)
    np.testing.assert_allclose(found, BoltzmannMachine(*machine).log_prob(z), atol=1e-11)


def test_minus_infinity_outside():
    machine = reference.random_machine(3, 4, seed=82)
    proxy = _proxy(machine)
    zeta = np.full((9, 7), 0.5)
    zeta[:7][np.eye(7, dtype=bool)] = [-1e-6, 1 + 1e-6, -3, 2, np.inf, -np.inf, 1.5]
    zeta[7], zeta[8] = 0.0, 1.0
    found = proxy.log_prob(zeta).numpy()
    assert np.all(found[:7] == -np.inf)
    assert np.isfinite(found[7:]).all()


@each_size
def test_gradients(size):
    machine = reference.random_machine(*size, seed=83)
    zeta, given = np.random.default_rng(1).uniform(0.1, 0.9, (4, sum(size))), np.float64(2.5)
    arguments = [tf.constant(each) for each in (zeta, *machine, given)]

    def found(log_partition):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            bm = BoltzmannMachine(*arguments[1:4], log_partition=log_partition)
            total = tf.reduce_sum(GumBolt(bm).log_prob(arguments[0]))
        return tape.gradient(total, arguments)

    def log_prob(machine, zeta):
        return (-reference.energy(machine, zeta) - reference.log_partition(machine)).sum()

    by_zeta, *by_machine, _ = found(None)
    expected = reference.finite_difference(lambda value: log_prob(machine, value), zeta)
    np.testing.assert_allclose(by_zeta, expected, rtol=1e-6, atol=1e-8)
    for name, gradient in zip(machine._fields, by_machine, strict=True):
        expected = reference.finite_difference(
            lambda value, name=name: log_prob(machine._replace(**{name: value}), zeta),
            getattr(machine, name),
        )
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)
    # With log Z given, the caller provides the negative phase.
    *_, by_weights, by_log_partition = found(arguments[4])
    left, right = zeta[:, : size[0]], zeta[:, size[0] :]
    np.testing.assert_allclose(by_weights, left.T @ right, rtol=1e-10)
    np.testing.assert_allclose(by_log_partition, -4)


# --------------------------------------------------------------------------- the theorems


@pytest.mark.parametrize("seed", range(6))
def test_theorem_1_extrema_are_at_the_vertices(seed):
    rng = np.random.default_rng(seed)
    machine = reference.random_machine(*rng.integers(1, 5, 2), seed=seed, stddev=2.0)
    num_units = machine.num_units
    proxy = _proxy(machine)
    vertices = proxy.log_prob(reference.binary_states(num_units)).numpy()
    # In the interior, close to the surface, and on faces and edges.
    inner = np.concatenate(
        [
            rng.random((3_000, num_units)),
            rng.beta(0.1, 0.1, (3_000, num_units)),
            np.round(rng.random((3_000, num_units)) * 1.6 - 0.3, 1).clip(0, 1),
        ]
    )
    found = proxy.log_prob(inner).numpy()
    assert found.max() <= vertices.max() + 1e-12
    assert found.min() >= vertices.min() - 1e-12
    # Moving one unit at a time to its better end never decreases the value, and ends at a vertex.
    start = inner[:200].copy()
    for unit in range(num_units):
        ends = np.stack([start, start])
        ends[0, :, unit], ends[1, :, unit] = 0.0, 1.0
        values = proxy.log_prob(ends).numpy()
        assert np.all(values.max(0) >= proxy.log_prob(start).numpy() - 1e-12)
        start = np.where((values[1] > values[0])[:, np.newaxis], ends[1], ends[0])
    assert set(np.unique(start)) <= {0.0, 1.0}


@each_size
def test_theorem_1_linear_along_every_coordinate(size):
    machine = reference.random_machine(*size, seed=84, stddev=2.0)
    proxy = _proxy(machine)
    zeta = np.random.default_rng(2).random((50, sum(size)))
    for unit in range(sum(size)):
        line = np.repeat(zeta[np.newaxis], 5, 0)
        line[:, :, unit] = np.linspace(0, 1, 5)[:, np.newaxis]
        values = proxy.log_prob(line).numpy()
        np.testing.assert_allclose(np.diff(values, 2, axis=0), 0, atol=1e-12)
    # Along a diagonal it is not linear.
    diagonal = np.linspace(0, 1, 5)[:, np.newaxis] * np.ones(sum(size))
    assert np.abs(np.diff(proxy.log_prob(diagonal), 2)).max() > 1e-2


@pytest.mark.parametrize("seed", range(6))
def test_theorem_2_never_above_the_normalized_density(seed):
    machine = reference.random_machine(1, 1, seed=seed, stddev=[0.1, 1.0, 4.0][seed % 3])
    proxy = _proxy(machine)
    nodes, weights = smoothing_reference.composite_quadrature([0.0, 0.5, 1.0])
    zeta = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1)
    # The integral of exp(-E) / Z over the unit square.
    mass = weights @ proxy.prob(zeta).numpy() @ weights
    # In closed form over the left unit: int exp(u c) du = (e^c - 1) / c.
    field = machine.left_bias + machine.weights[0, 0] * nodes
    closed = weights @ (np.exp(machine.right_bias * nodes) * np.expm1(field) / field)
    np.testing.assert_allclose(mass, closed / np.exp(reference.log_partition(machine)), rtol=1e-10)
    # The theorem, strict because Z is a sum over 4 vertices and the square has area 1.
    assert mass < 1
    normalized = proxy.log_prob(zeta).numpy() - np.log(mass)
    assert np.all(proxy.log_prob(zeta) <= normalized)
    if seed % 3 == 0:
        np.testing.assert_allclose(mass, 0.25, rtol=0.1)


# --------------------------------------------------------------------------- the distribution


@each_size
def test_samples_are_bits_of_the_machine(size):
    machine = reference.random_machine(*size, seed=85)
    sample = _proxy(machine, np.float32).sample(30_000, seed=(1, 2)).numpy()
    assert set(np.unique(sample)) == {0.0, 1.0}
    probs = np.exp(reference.joint_log_probs(machine)[0])
    assert reference.chi_square_p_value(reference.state_numbers(sample), probs) > 1e-4
    other = np.exp(reference.joint_log_probs(machine._replace(weights=-machine.weights))[0])
    assert reference.chi_square_p_value(reference.state_numbers(sample), other) < 1e-8


def test_samples_carry_no_gradient():
    parameters = [tf.constant(each) for each in reference.random_machine(3, 4, seed=86)]
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        proxy = GumBolt(BoltzmannMachine(*parameters))
        total = tf.reduce_sum(proxy.sample(5, seed=(1, 2)))
    assert tape.gradient(total, parameters) == [None] * 3
    assert proxy.reparameterization_type == tfd.NOT_REPARAMETERIZED
    np.testing.assert_array_equal(proxy.sample(5, seed=(1, 2)), proxy.sample(5, seed=(1, 2)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes(dtype):
    proxy = _proxy(reference.random_machine(3, 4, seed=86), dtype)
    assert isinstance(proxy, tfd.Distribution)
    assert (proxy.event_shape, proxy.batch_shape) == ((7,), ())
    np.testing.assert_array_equal(proxy.event_shape_tensor(), [7])
    assert proxy.boltzmann.num_left == 3
    sample = proxy.sample([2, 5], seed=(0, 1))
    assert (sample.shape, sample.dtype) == ((2, 5, 7), dtype)
    assert proxy.log_prob(sample).shape == (2, 5)
    assert proxy.log_prob(sample[0, 0]).shape == ()
    assert proxy.sample(seed=(0, 1)).shape == (7,)


def test_validate_args():
    proxy = _proxy(reference.random_machine(3, 4, seed=86), validate_args=True)
    assert np.isfinite(proxy.log_prob(np.full(7, 0.5)))
    for wrong in (-0.1, 1.1, np.nan, np.inf):
        with pytest.raises(tf.errors.InvalidArgumentError, match="zeta"):
            proxy.log_prob(np.full(7, wrong))


# --------------------------------------------------------------------------- the layer


@pytest.mark.parametrize("couplings", [True, False])
def test_layer_hands_out_the_proxy_with_the_negative_phase_of_its_chains(couplings):
    prior = GumBoltPrior(3, 4, sampler=SAMPLER, couplings=couplings)
    assert len(prior.trainable_variables) == (3 if couplings else 2)
    prior.log_partition.assign(2.5)
    zeta = np.random.default_rng(3).random((9, 7)).astype(np.float32)
    with tf.GradientTape() as tape:
        proxy = prior(training=True)
        log_prob = tf.reduce_mean(proxy.log_prob(zeta))
    assert isinstance(proxy, GumBolt)
    assert int(prior.num_updates) == 1
    machine = reference.Machine(*(np.array(each, np.float64) for each in prior.rbm))
    np.testing.assert_allclose(log_prob, -reference.energy(machine, zeta).mean() - 2.5, rtol=1e-5)
    variables = (prior.left_bias, prior.right_bias, *([prior.coupling_weights] if couplings else []))
    gradients = tape.gradient(log_prob, variables)
    left, right = (side.numpy() for side in prior.state())
    expected = (
        zeta[:, :3].mean(0) - left.mean(0),
        zeta[:, 3:].mean(0) - right.mean(0),
        zeta[:, :3].T @ zeta[:, 3:] / 9 - left.T @ right / 20,
    )
    for gradient, moment in zip(gradients, expected, strict=False):
        np.testing.assert_allclose(gradient, moment, atol=1e-6)


def test_layer_without_couplings_stays_factorial():
    """GumBolt-nW of the paper: gradient steps change only the biases."""
    prior = GumBoltPrior(3, 4, sampler=SAMPLER, couplings=False)
    optimizer = keras.optimizers.SGD(0.5)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(prior(training=True).log_prob(tf.fill([2, 7], 0.9)))
        gradients = tape.gradient(loss, prior.trainable_variables)
        optimizer.apply_gradients(zip(gradients, prior.trainable_variables, strict=True))
    np.testing.assert_array_equal(prior.rbm.weights, np.zeros((3, 4)))
    assert np.all(prior.rbm.left_bias.numpy() > 0)


def test_layer_evaluation():
    prior = GumBoltPrior(3, 4, sampler=SAMPLER, couplings=False, seed=9)
    assert isinstance(prior.binary(), BoltzmannMachine)
    assert set(np.unique(prior.sample_binary(30, 2, (0, 1)))) == {0.0, 1.0}
    assert set(prior.diagnostics()) == {"r_hat", "autocorrelation_time"}

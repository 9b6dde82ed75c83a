"""Tests of log Z as measured by a Boltzmann prior: enumerated if small, annealed otherwise."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import partition, priors
from dvae_tf.priors import BoltzmannPrior, GaussianIntegralPrior, GumBoltPrior, Prior
from dvae_tf.samplers import PersistentGibbs
from support import reference

NUM_CHAINS = 400


def _prior(machine, num_moves=0, make=BoltzmannPrior, **kwargs):
    """A prior with the parameters of the machine, after some steps of its chains."""
    size = machine.weights.shape
    prior = make(*size, sampler=PersistentGibbs(num_chains=200, num_sweeps=5), **kwargs)
    prior.left_bias.assign(machine.left_bias)
    prior.right_bias.assign(machine.right_bias)
    prior.coupling_weights.assign(machine.weights)
    advance = tf.function(prior.advance_chains)
    for _ in range(num_moves):
        advance()
    return prior


def _paired(size, seed):
    """A machine whose units couple in pairs, and log Z in closed form."""
    rng = np.random.default_rng(seed)
    left_bias, right_bias, couplings = rng.normal(0, 1, (3, size)).astype(np.float32).astype(np.float64)
    machine = reference.Machine(left_bias, right_bias, np.diag(couplings))
    return machine, reference.paired_moments(left_bias, right_bias, couplings)[0]


@pytest.mark.parametrize("size", [(3, 4), (7, 4), (1, 1)])
@pytest.mark.parametrize("make", [BoltzmannPrior, GumBoltPrior])
def test_small_machines_are_enumerated(size, make):
    machine = reference.random_machine(*size, seed=100, stddev=1.5)
    prior = _prior(machine, make=make)
    assert isinstance(prior, Prior)
    found = prior.measure_log_partition(10, 10, (0, 1))
    assert found == partition.LogPartition.known(found.log_partition, "exact")
    assert found.converged
    np.testing.assert_allclose(found.log_partition, reference.log_partition(machine), rtol=1e-6)
    # Independent of temperatures, chains and seed.
    assert prior.measure_log_partition(1, 1, (5, 5)) == found


def test_what_is_stored_normalizes_the_prior():
    machine = reference.random_machine(3, 4, seed=101, stddev=1.5)
    prior = _prior(machine)
    z = reference.binary_states(7).astype(np.float32)
    assert np.abs(np.log(np.sum(prior().prob(z)))) > 0.1
    found = prior.measure_log_partition(10, 10, (0, 1))
    assert float(prior.log_partition) == np.float32(found.log_partition)
    for distribution in (prior(), prior.binary()):
        np.testing.assert_allclose(np.sum(distribution.prob(z)), 1, rtol=1e-5)
    # It is a stored value, which does not change with the parameters.
    prior.left_bias.assign(machine.left_bias + 1)
    assert float(prior.log_partition) == np.float32(found.log_partition)
    np.testing.assert_allclose(
        prior.measure_log_partition(10, 10, (0, 1)).log_partition,
        reference.log_partition(machine._replace(left_bias=machine.left_bias + 1)),
        rtol=1e-6,
    )


def test_float64_is_stored_as_it_is():
    machine = reference.random_machine(3, 4, seed=101, stddev=1.5)
    prior = _prior(machine, dtype="float64", num_tracking_chains=5)
    prior.measure_log_partition(10, 10, (0, 1))
    for stored in (prior.log_partition, prior.tracking_population.log_partition):
        np.testing.assert_allclose(float(stored), reference.log_partition(machine), rtol=1e-14)


def test_the_gaussian_integral_is_normalized_by_it_too():
    machine = reference.random_machine(2, 3, seed=102)
    prior = _prior(machine, num_moves=20, make=GaussianIntegralPrior, beta=12.0)
    assert prior.measure_log_partition(10, 10, (0, 1)).method == "exact"
    zeta = np.random.default_rng(0).normal(0.5, 0.5, (20, 5)).astype(np.float32)
    exact = priors.GaussianIntegralRelaxation(priors.BoltzmannMachine(*machine), 12.0)
    np.testing.assert_allclose(prior().log_prob(zeta), exact.log_prob(zeta), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [16, 17])
def test_method_changes_above_16_units(size):
    machine, expected = _paired(size, seed=103)
    prior = _prior(machine, num_moves=20)
    found = prior.measure_log_partition(200, NUM_CHAINS, (0, 1))
    assert found.method == ("exact" if size == 16 else "ais")
    if size == 16:
        assert found.standard_error == 0
        np.testing.assert_allclose(found.log_partition, expected, rtol=1e-6)
    else:
        assert 0 < found.standard_error < 0.2
        assert abs(found.log_partition - expected) < 4 * found.standard_error


def test_only_the_smaller_side_counts():
    machine = reference.Machine(np.ones(3), np.full(40, -1.0), np.full((3, 40), 0.5))
    expected, _ = reference.uniform_couplings_moments(3, 40, 1.0, -1.0, 0.5)
    for turned in (machine, reference.Machine(machine.right_bias, machine.left_bias, machine.weights.T)):
        found = _prior(turned).measure_log_partition(10, 10, (0, 1))
        assert found.method == "exact"
        np.testing.assert_allclose(found.log_partition, expected, rtol=1e-6)


def test_without_couplings_units_add_up():
    machine = reference.random_machine(20, 30, seed=107)
    prior = _prior(machine._replace(weights=np.zeros((20, 30))), couplings=False)
    found = prior.measure_log_partition(10, 10, (0, 1), both_sides=True)
    assert found.method == "exact"
    expected = np.logaddexp(0, machine.left_bias).sum() + np.logaddexp(0, machine.right_bias).sum()
    np.testing.assert_allclose(found.log_partition, expected, rtol=1e-6)


@pytest.mark.parametrize("seed", [104, 105])
def test_larger_machines_are_annealed(seed):
    machine = reference.random_machine(17, 17, seed=seed, stddev=0.5, bias_stddev=0.7)
    exact = float(partition.exact(*machine))
    prior = _prior(machine, num_moves=20)
    state = [np.array(each) for each in prior.variables if "log_partition" not in each.path]
    found = prior.measure_log_partition(200, NUM_CHAINS, (0, 1))
    assert found.method == "ais"
    assert 0 < found.standard_error < 0.2
    assert 1 < found.effective_sample_size <= NUM_CHAINS
    assert abs(found.log_partition - exact) < 4 * found.standard_error
    assert float(prior.log_partition) == np.float32(found.log_partition)
    # Chains and parameters do not change.
    kept = [np.array(each) for each in prior.variables if "log_partition" not in each.path]
    for value, old in zip(kept, state, strict=True):
        np.testing.assert_array_equal(value, old)
    assert prior.measure_log_partition(200, NUM_CHAINS, (0, 1)).log_partition == found.log_partition
    assert prior.measure_log_partition(200, NUM_CHAINS, (0, 2)).log_partition != found.log_partition
    # Another machine is distinguished: its log Z is many standard errors away.
    prior.left_bias.assign(machine.left_bias + 0.5)
    other = prior.measure_log_partition(200, NUM_CHAINS, (0, 1))
    assert abs(other.log_partition - exact) > 10 * other.standard_error


def test_bits_of_the_prior_come_from_its_chains():
    machine = reference.random_machine(3, 2, seed=106)
    prior = _prior(machine, num_moves=5)
    # More samples than chains: samples that share an initial state share no noise.
    sample = prior.sample_binary(20_000, 30, (1, 2)).numpy()
    assert sample.shape == (20_000, 5)
    probs = np.exp(reference.joint_log_probs(machine)[0])
    assert reference.chi_square_p_value(reference.state_numbers(sample), probs) > 1e-4
    np.testing.assert_array_equal(sample, prior.sample_binary(20_000, 30, (1, 2)))

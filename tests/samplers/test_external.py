"""Tests of samplers of others, by exact draws at wrong temperatures, and by functions that fail."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import graphs, priors, rbm, samplers
from dvae_tf.samplers import External, SamplerError
from support import graph_reference, reference
from support.external import ExactDraws

GRAPH = graphs.bipartite(3, 2)
MACHINE = reference.random_machine(3, 2, seed=1).cast(np.float32)


@keras.saving.register_keras_serializable("test_external")
def constant(biases, couplings, num_chains):
    """Half of the states are zeros, half ones."""
    return np.arange(num_chains)[:, np.newaxis] % 2 * np.ones(len(biases))


def steps(sampler, count, machine=MACHINE):
    state = sampler.init(3, 2, (0, 0))
    for step in range(count):
        state, info = sampler.step(*machine, state, (1, step))
    return state, info


def test_the_function_gets_the_machine_and_seeds_of_the_step():
    draw = ExactDraws(GRAPH)
    state, info = steps(External(draw, beta_eff=1.0, num_chains=400), 3)
    for biases, couplings, _ in draw.calls:
        np.testing.assert_array_equal(biases, np.concatenate(MACHINE[:2]).astype(np.float64))
        np.testing.assert_array_equal(couplings.reshape(3, 2), MACHINE[2].astype(np.float64))
    seeds = [seed for *_, seed in draw.calls]
    assert len(set(seeds)) == 3
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds)
    # The last call's states, by the sides.
    z = draw(*draw.calls[-1][:2], 400, seeds[-1])
    np.testing.assert_array_equal(tf.concat([state.left, state.right], 1), z)
    machine = reference.Machine(*(each.astype(np.float64) for each in MACHINE))
    np.testing.assert_allclose(info.energy, reference.energy(machine, z), atol=1e-5)
    np.testing.assert_allclose(state.log_weights, -np.log(400), rtol=1e-6)
    # A function without an argument `seed` is given none; the number of states is a thousand by default.
    assert steps(External(constant, 1.0), 1)[0].left.shape == (1000, 3)


@pytest.mark.parametrize("beta", [0.4, 3.0])
def test_parameters_are_divided_by_the_inverse_temperature(beta):
    """After the first draw, whose states show it; then states are draws of the machine itself."""
    draw = ExactDraws(GRAPH, beta)
    sampler = External(draw, num_chains=2000)
    state, _ = steps(sampler, 5)
    summary = sampler.summary(state)
    assert abs(summary["beta_eff"] - beta) < 4 * summary["beta_eff_standard_error"] < 0.1 * beta
    np.testing.assert_array_equal(draw.calls[0][1], MACHINE[2].ravel())
    np.testing.assert_allclose(draw.calls[-1][1], MACHINE[2].ravel() / beta, rtol=0.1)
    z = np.concatenate([steps(sampler, count)[0].left for count in (4, 5, 6)])
    probs = ExactDraws(GRAPH).probs(np.concatenate(MACHINE[:2]), MACHINE[2].ravel())
    means = probs @ reference.binary_states(5)[:, :3]
    np.testing.assert_allclose(z.mean(0), means, atol=0.03)
    # Negative control: with 1 for the inverse temperature they are draws of another one.
    z = steps(External(draw, beta_eff=1.0, num_chains=6000), 1)[0].left.numpy()
    assert np.abs(z.mean(0) - means).max() > 0.06
    # Given, it is used from the first draw on, and estimated all the same.
    state, _ = steps(External(draw, beta_eff=beta, num_chains=2000), 1)
    np.testing.assert_allclose(draw.calls[-1][1], MACHINE[2].ravel() / beta)
    assert abs(state.beta_eff - beta) < 4 / np.sqrt(state.precision)


def test_small_parameters_are_sent_as_they_are():
    """States of a machine that is nearly flat say nothing of the temperature: nothing is divided by noise."""
    draw = ExactDraws(GRAPH, 2.0)
    flat = [0.01 * each for each in MACHINE]
    state, _ = steps(External(draw, num_chains=100), 4, flat)
    np.testing.assert_allclose(draw.calls[-1][1], flat[2].ravel())
    assert np.isfinite(state.beta_eff)
    # Nor where they say nothing at all.
    state, _ = steps(External(draw, num_chains=100), 2, [0 * each for each in MACHINE])
    assert (state.beta_eff, state.precision) == (1, 0)


def test_states_serve_for_an_interval():
    draw = ExactDraws(GRAPH)
    sampler = External(draw, num_chains=50, interval=3)
    state, energies, lefts = sampler.init(3, 2, (0, 0)), [], []
    for step in range(7):
        state, info = sampler.step(*(step * each for each in MACHINE), state, (1, step))
        lefts.append(state.left.numpy())
        energies.append(info.energy.numpy())
    assert len(draw.calls) == 3
    np.testing.assert_array_equal(lefts[3], lefts[5])
    assert not np.array_equal(lefts[2], lefts[3])
    # Energies are those at the parameters of the step.
    np.testing.assert_allclose(energies[5] / 5, energies[3] / 3, rtol=1e-5)


def test_machines_on_graphs():
    """Units and edges are those of the graph, whatever the sides of the state."""
    ring = graphs.from_edges(5, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)])
    machine = ring, *graph_reference.parameters(ring, 3)
    draw = ExactDraws(ring, 2.0)
    sampler = External(draw, beta_eff=2.0, num_chains=300)
    state = sampler.init_graph(ring, (0, 0))
    run = tf.function(lambda state: sampler.step(*machine, state, (1, 0)))
    for step in (lambda state: sampler.step(*machine, state, (1, 0)), run):
        after, info = step(state)
        biases, couplings, seed = draw.calls[-1]
        np.testing.assert_allclose(2 * biases, machine[1], rtol=1e-6)
        np.testing.assert_allclose(2 * couplings, machine[2], rtol=1e-6)
        z = draw(biases, couplings, 300, seed)
        np.testing.assert_array_equal(rbm.as_machine(*machine).bits(after.left, after.right), z)
        np.testing.assert_allclose(info.energy, graph_reference.energy(*machine, z), atol=1e-5)
        assert abs(after.beta_eff - 2) < 4 / np.sqrt(after.precision)


def fails(biases, couplings, num_chains):
    raise ConnectionError("no route to the annealer")


FAULTS = {
    "fails": (fails, "sample: fails raised ConnectionError: no route to the annealer"),
    "few": (
        lambda b, w, n: np.zeros([n - 1, len(b)]),
        r"sample: expected states of shape \[20, 5\], got too few states, \[19, 5\] from .*<lambda>",
    ),
    "shape": (lambda b, w, n: np.zeros([n, 4]), r"states of shape \[20, 5\], got \[20, 4\] from"),
    "scalar": (lambda b, w, n: 0, r"got \[\] from"),
    "spins": (
        lambda b, w, n: 2 * constant(b, w, n) - 1,
        r"expected zeros and ones, got -1.0 from .*; \(1 \+ s\) / 2",
    ),
    "levels": (lambda b, w, n: np.full([n, len(b)], 0.5), "expected zeros and ones, got 0.5 from"),
    "nan": (lambda b, w, n: np.full([n, len(b)], np.nan), "expected zeros and ones, got nan from"),
    "words": (lambda b, w, n: np.full([n, len(b)], "1"), "expected zeros and ones, got 1 from"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_the_function(fault):
    sample, message = FAULTS[fault]
    sampler = External(sample, num_chains=20)
    with pytest.raises(SamplerError, match=message):
        steps(sampler, 1)
    # From a graph too, as an error of TensorFlow.
    with pytest.raises(tf.errors.OpError, match=message):
        tf.function(lambda: steps(sampler, 1)[0])()


def test_energies_of_the_other_sign_are_noticed():
    """Whoever sends the parameters as a quadratic model's own draws from the machine upside down."""
    upside_down = ExactDraws(GRAPH, -1.0)
    with pytest.raises(SamplerError, match=r"prefer low energies E\(z\), got ExactDraws .* of -0.9.*to_bqm"):
        steps(External(upside_down, num_chains=500), 1)
    # A sign that may be due to chance is no error.
    steps(External(upside_down, num_chains=500), 1, [0.01 * each for each in MACHINE])


def test_modes():
    """A graph calls the function at each run; a program compiled by XLA says that it cannot."""
    draw = ExactDraws(GRAPH)
    sampler = External(draw, num_chains=30)
    run = tf.function(lambda seed: sampler.step(*MACHINE, sampler.init(3, 2, (0, 0)), seed))
    for seed in ((1, 0), (1, 1)):
        (graph_state, graph_info), (state, info) = (
            run(tf.constant(seed)),
            sampler.step(*MACHINE, sampler.init(3, 2, (0, 0)), seed),
        )
        for here, there in zip((*graph_state, *graph_info), (*state, *info), strict=True):
            np.testing.assert_allclose(here, there, rtol=1e-6)
            assert here.shape == there.shape
    assert len(draw.calls) == 4
    compiled = tf.function(run.python_function, jit_compile=True)
    with pytest.raises(RuntimeError, match="outside of programs that are compiled by XLA.* ExactDraws"):
        compiled(tf.constant((1, 0)))
    with pytest.raises(ValueError, match="sampler: expected one with compiled steps"):
        samplers.measure_mixing(sampler, *MACHINE, state, (0, 0))


def test_configuration():
    sampler = External(constant, 2.0, interval=3, batch_size=5, num_chains=40)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(sampler))
    assert again == sampler
    assert External(constant).sized(7).num_chains == 7
    assert sampler.sized(7) is sampler
    for arguments, message in (
        ({"sample": "dwave"}, "sample: expected a function of biases, couplings and num_chains, got 'dwave'"),
        ({"beta_eff": 0}, "beta_eff: expected a finite number above 0, got 0"),
        ({"interval": 0}, "interval: expected an integer of at least 1"),
        ({"num_chains": 5, "batch_size": 5}, "num_chains: expected an integer of at least 6, got 5"),
    ):
        with pytest.raises(ValueError, match=message):
            External(**{"sample": constant} | arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("beta_eff", "is_right"), [(None, True), (1.0, False)])
def test_a_trained_machine_is_right_at_the_wrong_temperature(beta_eff, is_right):
    """A machine of visible units learns another one from a sampler at twice its inverse temperature.

    Without correction it learns parameters of half the size, which is visible in the Kullback-Leibler
    divergence, exact by enumeration.
    """
    z = reference.binary_states(5)
    probs = ExactDraws(GRAPH).probs(np.concatenate(MACHINE[:2]), MACHINE[2].ravel())
    sampler = External(ExactDraws(GRAPH, 2.0), beta_eff, num_chains=1000)
    prior = priors.BoltzmannPrior(3, 2, sampler=sampler)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 150))
    for _ in range(150):
        with tf.GradientTape() as tape:
            log_probs = prior(training=True).log_prob(z.astype(np.float32))
            loss = -tf.reduce_sum(probs.astype(np.float32) * log_probs)
        optimizer.apply(tape.gradient(loss, prior.trainable_variables), prior.trainable_variables)
    learned = [np.asarray(each, np.float64) for each in prior.rbm]
    model = ExactDraws(GRAPH).probs(np.concatenate(learned[:2]), learned[2].ravel())
    divergence = probs @ np.log(probs / model)
    # With 5 + 6 parameters and as many states as the last updates average over, some 11 / 2 / 10,000 nats.
    assert (divergence < 0.01) if is_right else (divergence > 0.05)
    found = prior.diagnostics()
    assert found.keys() == {"beta_eff", "beta_eff_standard_error"}
    assert abs(found["beta_eff"] - 2) < 4 * found["beta_eff_standard_error"] < 0.3

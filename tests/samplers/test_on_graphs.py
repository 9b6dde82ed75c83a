"""Samplers of machines on graphs: their laws by enumeration, on graphs of three and four colors."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import graphs, rbm, samplers
from dvae_tf.graphs.sparse import is_sparse
from dvae_tf.samplers import parallel_tempering
from support import graph_reference, reference

PENTAGON = graphs.from_edges(5, [(3, 4), (0, 1), (1, 2), (0, 4), (2, 3)])
FOUR_COLORS = graphs.from_edges(5, [(i, j) for j in range(4) for i in range(j)] + [(4, 0)])
each_graph = pytest.mark.parametrize("graph", [PENTAGON, FOUR_COLORS], ids=["pentagon", "four colors"])


def _parameters(graph, scale=1.0, seed=1):
    biases, couplings = graph_reference.parameters(graph, seed)
    return scale * biases, scale * couplings


def _bits(graph, parameters, state):
    return rbm.as_machine(graph, *parameters).bits(state.left, state.right).numpy()


@each_graph
def test_persistent_chains(graph):
    parameters = _parameters(graph)
    sampler = samplers.PersistentGibbs(num_chains=20_000, num_sweeps=10)
    state = sampler.init_graph(graph, (1, 2))
    z = _bits(graph, parameters, state)
    assert reference.chi_square_p_value(reference.state_numbers(z), np.full(32, 1 / 32)) > 1e-4
    for step in range(3):
        state, info = sampler.step(graph, *parameters, state, (2, step))
    z = _bits(graph, parameters, state)
    probs = graph_reference.probabilities(graph, *parameters)
    assert reference.chi_square_p_value(reference.state_numbers(z), probs) > 1e-4
    expected = graph_reference.energy(graph, *parameters, z)
    np.testing.assert_allclose(info.energy, expected, rtol=1e-4, atol=1e-4)
    # The law at another temperature is another one (negative control), and is that of scaled parameters.
    state, _ = sampler.step(graph, *parameters, state, (2, 9), temperature=3.0)
    numbers = reference.state_numbers(_bits(graph, parameters, state))
    assert reference.chi_square_p_value(numbers, probs) < 1e-6
    scaled = graph_reference.probabilities(graph, *(each / 3 for each in parameters))
    assert reference.chi_square_p_value(numbers, scaled) > 1e-4


def test_the_graph_of_a_restricted_machine_gives_its_states_to_the_bit():
    machine = rbm.as_rbm(*reference.random_machine(3, 4, seed=2).cast(np.float32))
    on_graph = rbm.to_graph(*machine)
    for sampler in (
        samplers.PersistentGibbs(5, 2),
        samplers.PopulationAnnealing(5, 2),
        samplers.ParallelTempering(5, 2, num_temperatures=3),
    ):
        state, same = sampler.init(3, 4, (0, 1)), sampler.init_graph(on_graph[0], (0, 1))
        assert type(state) is type(same)
        found = sampler.step(*on_graph, same, (0, 2)), sampler.step(*machine, state, (0, 2))
        for one, other in zip(*map(tf.nest.flatten, found), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_population_annealing_along_a_path():
    """Log Z is unbiased in Z, and weighted replicas are draws, after a path of machines."""
    graph, sampler = FOUR_COLORS, samplers.PopulationAnnealing(num_chains=100, num_sweeps=2)

    @tf.function(jit_compile=True)
    def population(seed):
        state = sampler.init_graph(graph, seed)
        for step in range(1, 5):
            state, _ = sampler.step(graph, *_cast(_parameters(graph, step / 4)), state, seed + step)
        return state

    states = [population(tf.constant([seed, 0])) for seed in range(150)]
    assert isinstance(states[0], samplers.GraphPopulationState)
    log_z, _, _ = graph_reference.moments(graph, *_parameters(graph))
    relative = np.exp([float(state.log_partition) - log_z for state in states])
    assert abs(reference.z_scores(relative, 1.0)) < 4
    rows = []
    for state, factor in zip(states, relative, strict=True):
        numbers = reference.state_numbers(_bits(graph, _parameters(graph), state))
        rows.append(factor * np.bincount(numbers, np.exp(state.log_weights), minlength=32))
    probs = graph_reference.probabilities(graph, *_parameters(graph))
    common = probs > 0.03
    assert np.abs(reference.z_scores(np.array(rows)[:, common], probs[common])).max() < 4.5


def _cast(parameters):
    return tuple(tf.constant(each, tf.float32) for each in parameters)


@pytest.mark.slow
def test_known_log_z_and_the_straight_path():
    """Without sweeps that matter: the weights of replicas are those of the two machines."""
    sampler = samplers.PopulationAnnealing(num_chains=2_000, num_sweeps=3)
    start, end = _cast(_parameters(PENTAGON, 0.5)), _cast(_parameters(PENTAGON))
    state = sampler.anneal(PENTAGON, *start, (3, 1), num_temperatures=10)
    expected, _, _ = graph_reference.moments(PENTAGON, *_parameters(PENTAGON, 0.5))
    np.testing.assert_allclose(state.log_partition, expected, atol=0.1)
    state = sampler.with_log_partition(PENTAGON, *start, state, tf.constant(expected))
    state = samplers.follow_straight_path(sampler, PENTAGON, *end, state, 10, (3, 2))
    expected, _, _ = graph_reference.moments(PENTAGON, *_parameters(PENTAGON))
    np.testing.assert_allclose(state.log_partition, expected, atol=0.1)
    np.testing.assert_array_equal(state.couplings, end[1])


def test_parallel_tempering_by_neighbors(monkeypatch):
    """On a sparse graph of three colors every rung has the moments of its machine."""
    graph = graphs.from_edges(17, [(i, (i + 1) % 17) for i in range(17)])
    assert is_sparse(graph)
    assert graph.num_colors == 3
    parameters = _parameters(graph, 1.5)
    base_probs = np.linspace(0.2, 0.7, 17)
    path = rbm.tempered_path(rbm.as_machine(graph, *_cast(parameters)), base_probs)
    sampler = samplers.ParallelTempering(num_chains=5_000, num_sweeps=20, num_temperatures=3, adapt=False)
    state, info = sampler.step_along(path, sampler.init_graph(graph, (4, 4)), (4, 5))
    z = path.machine.bits(state.ladder_left, state.ladder_right).numpy()
    base = np.log(base_probs / (1 - base_probs))
    for t, rung in zip((0.0, 0.5, 1.0), z, strict=True):
        tempered = t * parameters[0] + (1 - t) * base, t * parameters[1]
        _, means, products = graph_reference.moments(graph, *tempered)
        pairs = rung[:, graph.edges[:, 0]] * rung[:, graph.edges[:, 1]]
        assert np.abs(reference.z_scores(rung, means)).max() < 4.5
        assert np.abs(reference.z_scores(pairs, products)).max() < 4.5
    np.testing.assert_allclose(info.energy, graph_reference.energy(graph, *parameters, z[-1]), atol=1e-4)
    assert float(tf.reduce_min(info.acceptance)) > 0.1
    # Exchanges by other energies are caught (negative control).
    program = tf.function(parallel_tempering._exchange_sweeps.python_function, jit_compile=True)
    monkeypatch.setattr(parallel_tempering, "_exchange_sweeps", program)
    monkeypatch.setattr(
        parallel_tempering,
        "_relative_energies",
        lambda path, *_: tf.zeros([state.replica_at.shape.num_elements()]),
    )
    state, _ = sampler.step_along(path, sampler.init_graph(graph, (4, 4)), (4, 5))
    z = path.machine.bits(state.left, state.right).numpy()
    assert np.abs(reference.z_scores(z, graph_reference.moments(graph, *parameters)[1])).max() > 10


@pytest.mark.slow
def test_parallel_tempering():
    """Every rung holds draws of its machine."""
    graph = FOUR_COLORS
    parameters = _parameters(graph, 1.5)
    sampler = samplers.ParallelTempering(num_chains=10_000, num_sweeps=10, num_temperatures=3, adapt=False)
    state = sampler.init_graph(graph, (4, 1))
    for step in range(2):
        state, _ = sampler.step(graph, *_cast(parameters), state, (4, 2 + step))
    machine = rbm.as_machine(graph, *parameters)
    z = machine.bits(tf.cast(state.ladder_left, tf.float64), tf.cast(state.ladder_right, tf.float64))
    for t, rung in zip((0.0, 0.5, 1.0), z.numpy(), strict=True):
        probs = graph_reference.probabilities(graph, *(t * each for each in parameters))
        assert reference.chi_square_p_value(reference.state_numbers(rung), probs) > 1e-4


def test_clamped_sampling_and_mixing():
    parameters = _parameters(FOUR_COLORS)
    z = samplers.sample_clamped(
        FOUR_COLORS, *parameters, np.ones([4, 5]), [True, False] + [True] * 3, 3, (5, 1)
    )
    np.testing.assert_array_equal(np.delete(z, 1, 1), np.ones([4, 4]))
    sampler = samplers.PersistentGibbs(num_chains=50, num_sweeps=1)
    state = sampler.init_graph(FOUR_COLORS, (5, 2))
    mixed = samplers.measure_mixing(sampler, FOUR_COLORS, *parameters, state, (5, 3), 50)
    assert mixed.energies.shape == (50, 50)
    assert float(mixed.r_hat) < 1.2


def test_a_sampler_of_ones_own_that_takes_no_graph_says_so():
    class Own(samplers.Sampler):
        def init(self, num_left, num_right, seed, dtype=tf.float32):
            return samplers.PersistentGibbs(2, 1).init(num_left, num_right, seed, dtype)

        def step(self, left_bias, right_bias, weights, state, seed, temperature=1.0):
            return state, None

    with pytest.raises(NotImplementedError, match="start: expected Own to define it"):
        Own().init_graph(PENTAGON, (0, 1))

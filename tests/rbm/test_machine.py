"""Machines on graphs as machines of two sides: energies, free energies and paths, by enumeration."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from dvae_tf import graphs, rbm
from dvae_tf.rbm import exact, tempering
from support import graph_reference, reference

# Three colors, four, and two, as in a restricted machine, but without some of the edges.
GRAPHS = {
    "pentagon": graphs.from_edges(5, [(3, 4), (0, 1), (1, 2), (0, 4), (2, 3)]),
    "four colors": graphs.from_edges(5, [(i, j) for j in range(4) for i in range(j)] + [(4, 0)]),
    "path": graphs.from_edges(5, [(3, 4), (0, 1), (2, 1), (3, 2)]),
}
each_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def _machine(graph, dtype=np.float64, seed=1, stddev=1.0):
    """Its parameters in float64, and the machine."""
    parameters = graph_reference.parameters(graph, seed, stddev)
    return parameters, rbm.as_machine(graph, *(each.astype(dtype) for each in parameters))


@each_graph
def test_energies_by_sides(graph):
    parameters, machine = _machine(graph)
    z = reference.binary_states(5)
    energies = graph_reference.energy(graph, *parameters, z)
    left, right = machine.sides(tf.constant(z))
    assert left.shape[1] + right.shape[1] == 5
    np.testing.assert_array_equal(machine.bits(left, right), z)
    np.testing.assert_allclose(rbm.energy(machine, left, right), energies, rtol=1e-12, atol=1e-12)
    logits = rbm.conditional_logits(machine, left, right).numpy()
    for unit in range(5):
        low, high = (graph_reference.energy(graph, *parameters, _with(z, unit, bit)) for bit in (0, 1))
        np.testing.assert_allclose(logits[:, unit], low - high, rtol=1e-12, atol=1e-12)


def _with(z, unit, bit):
    z = z.copy()
    z[:, unit] = bit
    return z


def _free_energy(energies, z, units):
    """-log of the sum over the states of some units, for every state of the others."""
    keys = reference.state_numbers(np.where(np.isin(np.arange(z.shape[1]), units), 0, z))
    return -np.array([special.logsumexp(-energies[keys == key]) for key in keys])


@each_graph
def test_free_energies_by_enumeration_of_a_color(graph):
    parameters, machine = _machine(graph)
    z = reference.binary_states(5)
    energies = graph_reference.energy(graph, *parameters, z)
    left, right = machine.sides(tf.constant(z))
    expected = [_free_energy(energies, z, units) for units in graph.colors]
    np.testing.assert_allclose(rbm.left_free_energy(machine, left), expected[0], rtol=1e-12)
    found = rbm.mean_free_energy(machine, left, right)
    np.testing.assert_allclose(found, np.mean(expected, 0), rtol=1e-12)


def test_a_complete_bipartite_graph_is_a_restricted_machine():
    machine = rbm.as_rbm(*reference.random_machine(3, 4, seed=2))
    found = rbm.as_machine(*rbm.to_graph(*machine), temperature=2.0)
    assert isinstance(found, rbm.RBM)
    for each, expected in zip(found, rbm.scaled(machine, 0.5), strict=True):
        np.testing.assert_array_equal(each, expected)


def test_refusals():
    with pytest.raises(ValueError, match="graph: expected at least one edge"):
        rbm.as_machine(graphs.from_edges(3, []), np.zeros(3), np.zeros(0))
    with pytest.raises(ValueError, match=r"couplings: expected shape \[5\]"):
        rbm.as_machine(GRAPHS["pentagon"], np.zeros(5), np.zeros(4))
    with pytest.raises(ValueError, match="temperature"):
        rbm.as_machine(GRAPHS["pentagon"], np.zeros(5), np.zeros(5), temperature=0.0)


@each_graph
@pytest.mark.parametrize("num_samples", [1, 40_000])
def test_exact_draws(graph, num_samples):
    parameters, machine = _machine(graph, np.float32)
    z = machine.bits(*exact.sample(machine, num_samples, tf.constant([1, 2]))).numpy()
    assert z.shape == (num_samples, 5)
    assert z.dtype == np.float32
    if num_samples > 1:
        probs = graph_reference.probabilities(graph, *parameters)
        assert reference.chi_square_p_value(reference.state_numbers(z), probs) > 1e-4


@pytest.mark.slow
def test_a_restricted_path_draws_and_weighs_as_its_graph_does():
    """The edges in another order, so that the general code computes; to the bit."""
    machine = rbm.as_rbm(*reference.random_machine(4, 3, seed=3).cast(np.float32))
    complete, biases, couplings = rbm.to_graph(*machine)
    order = np.random.default_rng(4).permutation(12)
    graph = graphs.from_edges(7, complete.edges[order], complete.colors)
    same = rbm.as_machine(graph, biases, tf.gather(couplings, order))
    assert isinstance(same, graphs.GraphMachine)
    probs = np.linspace(0.2, 0.7, 7)
    left = np.random.default_rng(5).integers(0, 2, (50, 4)).astype(np.float32)
    times = tf.constant(0.25), tf.constant(0.5)
    one, other = (
        tf.function(rbm.tempered_path(each, probs).advance, jit_compile=True)(
            left, *times, tf.constant([6, 7])
        )
        for each in (machine, same)
    )
    for found, expected in zip(other, one, strict=True):
        np.testing.assert_array_equal(found, expected)
    moved = rbm.block_gibbs(same, tf.constant(left), 3, (8, 9))
    for found, expected in zip(moved, rbm.block_gibbs(machine, tf.constant(left), 3, (8, 9)), strict=True):
        np.testing.assert_array_equal(found, expected)


def _tempered_energy(graph, parameters, base_logits, t, z):
    return t * graph_reference.energy(graph, *parameters, z) - (1 - t) * z @ base_logits


@each_graph
def test_changes_of_log_marginals(graph):
    parameters, machine = _machine(graph)
    probs = np.linspace(0.1, 0.8, 5)
    path, base = rbm.tempered_path(machine, probs), special.logit(probs)
    z = reference.binary_states(5)
    left, _ = machine.sides(tf.constant(z))
    for t, before in itertools.permutations((0.0, 0.3, 1.0), 2):
        expected = [
            -_free_energy(_tempered_energy(graph, parameters, base, each, z), z, graph.colors[0])
            for each in (t, before)
        ]
        found = path.log_marginal_change(left, *(tf.constant(each, tf.float64) for each in (t, before)))
        np.testing.assert_allclose(found, expected[0] - expected[1], rtol=1e-10, atol=1e-10)


def _weighted(graph, reverse, before=0.3, t=0.8):
    """Largest z-score of E[w 1(z)] over all states, of a step from exact draws at `before`."""
    num_draws = 40_000
    parameters, machine = _machine(graph, np.float64, seed=6)
    base = special.logit(np.linspace(0.2, 0.7, 5))
    path = rbm.tempered_path(machine, np.linspace(0.2, 0.7, 5))
    path = path.transposed if reverse else path
    z = reference.binary_states(5)
    start, end = (-_tempered_energy(graph, parameters, base, each, z) for each in (before, t))
    numbers = np.random.default_rng(7).choice(32, num_draws, p=special.softmax(start))
    left, _ = path.machine.sides(tf.constant(z[numbers]))
    times = (tf.constant(each, tf.float64) for each in (before, t))
    log_weights, *sides = path.advance(left, *times, tf.constant([8, int(reverse)]))
    weights = np.exp(log_weights)
    assert weights.std() > 0.05
    states = reference.state_numbers(path.machine.bits(*sides).numpy())
    terms = weights[:, np.newaxis] * (states[:, np.newaxis] == np.arange(32))
    expected = np.exp(end - special.logsumexp(start))
    return (np.abs(terms.mean(0) - expected) / np.sqrt(expected * weights.max() / num_draws)).max()


@each_graph
@pytest.mark.parametrize("reverse", [False, True])
def test_steps_weigh_properly(graph, reverse):
    """E[w 1(z)] is p_t(z) times the ratio of the partition functions, for every z, also in reverse order."""
    assert _weighted(graph, reverse) < 4.5


@pytest.mark.parametrize("reverse", [False, True])
def test_without_the_interaction_of_the_others_steps_weigh_wrongly(monkeypatch, reverse):
    monkeypatch.setattr(tempering, "interaction", lambda form, states: 0.0)
    assert _weighted(GRAPHS["four colors"], reverse) > 6


def test_clamped_sweeps_draw_the_rest_given_the_others():
    graph = GRAPHS["four colors"]
    parameters, machine = _machine(graph, np.float32)
    given = np.arange(5) < 2
    z = np.tile([1.0, 0.0, 0.0, 0.0, 0.0], (20_000, 1)).astype(np.float32)
    given_all = np.tile(given, (20_000, 1))
    found = machine.bits(
        *rbm.clamped_gibbs(machine, tf.constant(z), tf.constant(given_all), 10, (9, 9))
    ).numpy()
    np.testing.assert_array_equal(found[:, given], z[:, given])
    states = reference.binary_states(5)
    probs = graph_reference.probabilities(graph, *parameters) * (states[:, given] == z[0, given]).all(1)
    assert reference.chi_square_p_value(reference.state_numbers(found), probs + 1e-300) > 1e-4

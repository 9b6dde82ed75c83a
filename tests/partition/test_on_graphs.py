"""log Z of machines on graphs by every method, against enumeration and variable elimination."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import graphs, partition, rbm
from dvae_tf.graphs.machine import interaction
from dvae_tf.graphs.sparse import UNITS_PER_NEIGHBOR_ANNEALED, by_neighbors, is_sparse
from support import graph_reference, reference

FOUR_COLORS = graphs.from_edges(
    7, [(i, j) for j in range(4) for i in range(j)] + [(3, 4), (4, 5), (5, 6), (6, 0)]
)
PARAMETERS = graph_reference.parameters(FOUR_COLORS, seed=1)
CAST = tuple(tf.constant(each, tf.float32) for each in PARAMETERS)


def _exact():
    return graph_reference.moments(FOUR_COLORS, *PARAMETERS)[0]


def _z_score(found, expected):
    return abs(float(found.log_partition) - expected) / float(found.standard_error)


def test_annealing_from_both_sides():
    """Reverse annealing from all units and from the left side is the same; from other states it is wrong."""
    forward = partition.annealed_importance_sampling(FOUR_COLORS, *CAST, 20, 4_000, seed=(1, 2))
    assert _z_score(forward, _exact()) < 4
    draws = graph_reference.exact_draws(FOUR_COLORS, *PARAMETERS, 4_000, seed=2).astype(np.float32)
    backward = functools.partial(
        partition.reverse_annealed_importance_sampling, FOUR_COLORS, *CAST, seed=(1, 3)
    )
    reverse = backward(draws, num_temperatures=20)
    assert _z_score(reverse, _exact()) < 4
    assert forward.standard_error < 0.05 > reverse.standard_error
    left, _ = rbm.as_machine(FOUR_COLORS, *CAST).sides(draws)
    same = backward(left, num_temperatures=20)
    np.testing.assert_array_equal(same.log_partition, reverse.log_partition)
    wrong = backward(1 - draws, num_temperatures=2)
    assert _z_score(wrong, _exact()) > 6


@pytest.mark.parametrize(
    "graph",
    [FOUR_COLORS, graphs.from_edges(5, [(0, 1), (2, 1), (2, 3)])],
    ids=["four colors", "isolated unit"],
)
def test_weights_by_neighbors_are_those_by_products(graph):
    """At the same states, in float64; only the draws of a sweep differ."""
    parameters = graph_reference.parameters(graph, seed=4)
    path = rbm.tempered_path(rbm.as_machine(graph, *parameters), np.linspace(0.2, 0.8, graph.num_units))
    form = by_neighbors(graph, *parameters)
    z = np.random.default_rng(5).integers(0, 2, (6, graph.num_units)).astype(np.float64)
    t = tf.constant((0.3, 0.7), tf.float64)
    found = []
    for steps in (path.form, rbm.ColoredPath(form, form.split(path.base_logits[tf.newaxis]))):
        states = steps.machine.split(z)
        rest = [[*states[:number], None, *states[number + 1 :]] for number in range(graph.num_colors)]
        pairs = [interaction(steps.machine, each) for each in rest]
        products = [steps.machine.products(number, each) for number, each in enumerate(rest)]
        found.append(
            [
                steps.log_marginal_change(number, states, products[number], pairs[number], t[1], t[0])
                for number in range(graph.num_colors)
            ]
        )
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_colors", [2, 3])
def test_annealing_by_neighbors(num_colors):
    """A ring of an even or an odd number of units, from biased bits, against elimination."""
    size = 62 + num_colors
    graph = graphs.from_edges(size, [(i, (i + 1) % size) for i in range(size)])
    assert graph.num_colors == num_colors
    assert is_sparse(graph, UNITS_PER_NEIGHBOR_ANNEALED)
    parameters = graph_reference.parameters(graph, seed=3)
    cast = tuple(tf.constant(each, tf.float32) for each in parameters)
    expected = float(graphs.exact.log_partition(graph, *parameters))
    base = np.linspace(0.2, 0.8, size)
    forward = partition.annealed_importance_sampling(graph, *cast, 50, 2_000, (1, 2), base)
    assert _z_score(forward, expected) < 4
    draws = graphs.block_gibbs(graph, *cast, np.zeros([2_000, size]), 200, (1, 3))
    reverse = partition.reverse_annealed_importance_sampling(graph, *cast, draws, 50, (1, 4), base)
    assert _z_score(reverse, expected) < 4
    assert forward.standard_error < 0.1 > reverse.standard_error
    wrong = partition.reverse_annealed_importance_sampling(graph, *cast, 1 - draws, 2, (1, 4), base)
    assert _z_score(wrong, expected) > 6


@pytest.mark.slow
def test_annealed_states_are_weighted_draws():
    """The final states of both directions, in the order of the units."""
    machine = rbm.as_machine(FOUR_COLORS, *CAST)
    forward = partition.annealed_importance_sampling(FOUR_COLORS, *CAST, 10, 20_000, seed=(2, 2)).details
    weights = np.exp(forward.log_weights - np.max(forward.log_weights))
    z = machine.bits(forward.left, forward.right).numpy()
    _, means, _ = graph_reference.moments(FOUR_COLORS, *PARAMETERS)
    error = np.sqrt((weights**2).sum()) / weights.sum() / 2
    assert np.abs(weights @ z / weights.sum() - means).max() < 4.5 * error
    draws = graph_reference.exact_draws(FOUR_COLORS, *PARAMETERS, 20_000, seed=4).astype(np.float32)
    base = np.linspace(0.2, 0.8, 7)
    back = partition.reverse_annealed_importance_sampling(
        FOUR_COLORS, *CAST, draws, 10, (2, 3), base_probs=base
    ).details
    weights = np.exp(back.log_weights - np.max(back.log_weights))
    error = np.sqrt((weights**2).sum()) / weights.sum() / 2
    # The last color is drawn at t = 0, and the others are weighted.
    found = weights @ machine.bits(back.left, back.right).numpy() / weights.sum()
    assert np.abs(found - base).max() < 4.5 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        functools.partial(
            partition.bridge_sampling, num_temperatures=5, num_chains=40, num_samples=50, num_sweeps=2
        ),
        functools.partial(partition.population_annealing, num_populations=20, num_chains=200, num_sweeps=2),
    ],
    ids=["bridge", "population"],
)
def test_other_methods(method):
    found = method(FOUR_COLORS, *CAST, seed=(3, 1))
    assert _z_score(found, _exact()) < 4
    assert found.standard_error < 0.1
    assert found.converged


def test_exact_log_z_and_its_gradient():
    variables = [tf.Variable(each) for each in PARAMETERS]
    with tf.GradientTape() as tape:
        log_z = partition.exact(FOUR_COLORS, *variables)
    expected, means, products = graph_reference.moments(FOUR_COLORS, *PARAMETERS)
    np.testing.assert_allclose(log_z, expected, rtol=1e-12)
    for found, moments in zip(tape.gradient(log_z, variables), (means, products), strict=True):
        np.testing.assert_allclose(found, moments, rtol=1e-10)
    np.testing.assert_array_equal(partition.exact_graph(FOUR_COLORS, *variables), log_z)
    found = partition.estimate_graph(FOUR_COLORS, *variables)
    assert found.method == "exact"
    np.testing.assert_array_equal(found.log_partition, log_z)
    warm = partition.exact(FOUR_COLORS, *variables, temperature=2.0)
    expected, _, _ = graph_reference.moments(FOUR_COLORS, *(each / 2 for each in PARAMETERS))
    np.testing.assert_allclose(warm, expected, rtol=1e-12)


def test_the_graph_of_a_restricted_machine_gives_its_log_z_to_the_bit():
    machine = rbm.as_rbm(*reference.random_machine(4, 3, seed=5).cast(np.float32))
    on_graph = rbm.to_graph(*machine)
    options = {"num_temperatures": 5, "num_chains": 8, "seed": (4, 1)}
    for each in (
        partition.exact,
        functools.partial(partition.annealed_importance_sampling, **options),
        functools.partial(partition.estimate, both_sides=False, max_exact_units=1, **options),
    ):
        one, other = (tf.nest.flatten(each(*three)) for three in (machine, on_graph))
        for found, expected in zip(other, one, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_long_strip_of_chimera_cells_against_elimination():
    """160 units, of which no enumeration takes all: the oracle is variable elimination."""
    strip = graphs.chimera(20, 1)
    biases, couplings = graph_reference.parameters(strip, seed=6, stddev=0.5)
    expected = float(partition.exact(strip, biases, couplings))
    transfer = graph_reference.log_partition_of_strip(strip, biases, couplings, 8)
    np.testing.assert_allclose(expected, transfer, rtol=1e-10)
    cast = biases.astype(np.float32), couplings.astype(np.float32)
    found = partition.estimate(
        strip, *cast, num_temperatures=300, num_chains=500, seed=(5, 1), max_exact_units=0
    )
    assert found.method == "two-sided"
    assert found.converged, str(found)
    assert _z_score(found, expected) < 4
    assert found.standard_error < 0.05
    assert found.lower < expected < found.upper


def test_a_graph_of_another_library_is_refused_by_name():
    for call in (partition.estimate_graph, partition.exact_graph, graphs.exact.moments):
        with pytest.raises(ValueError, match="graph: expected a graph such as .* got"):
            call({0: [1], 1: [0]}, np.zeros(2), np.zeros(1))

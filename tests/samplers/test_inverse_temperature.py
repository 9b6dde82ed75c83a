"""Tests of the inverse temperature of states: by enumeration, and by loops and a search in float64."""

import numpy as np
import pytest
from scipy import optimize

from dvae_tf import graphs, rbm
from dvae_tf.samplers import estimate_beta, inverse_temperature
from support import reference
from support.external import ExactDraws
from support.graph_reference import parameters, random_edges

GRAPH = graphs.from_edges(7, random_edges(7, 0.5, 1))
MACHINE = GRAPH, *parameters(GRAPH, 2)
NUM_SEEDS = 100


def draws(beta, count, seed):
    return ExactDraws(GRAPH, beta)(*MACHINE[1:], count, seed)


def log_pseudo_likelihood(beta, graph, biases, couplings, z):
    """Of each state, by loops over units and edges."""
    total = np.zeros(len(z))
    for unit in range(graph.num_units):
        field = np.full(len(z), biases[unit])
        for (i, j), coupling in zip(graph.edges, couplings, strict=True):
            if unit in (i, j):
                field += coupling * z[:, j if unit == i else i]
        total -= np.logaddexp(0, -(2 * z[:, unit] - 1) * beta * field)
    return total


def by_search(graph, biases, couplings, z, batch_size=1):
    """The maximum and its sandwich error, the derivatives being differences."""

    def value(beta):
        return log_pseudo_likelihood(beta, graph, biases, couplings, z)

    beta = optimize.minimize_scalar(lambda beta: -value(beta).sum(), (-10, 10), tol=1e-10).x
    low, middle, high = (value(beta + step) for step in (-1e-4, 0, 1e-4))
    scores = (high - low) / 2e-4
    information = -np.sum(high - 2 * middle + low) / 1e-8
    sums = np.array([scores[start : start + batch_size].sum() for start in range(0, len(z), batch_size)])
    return beta, np.sqrt(len(sums) * sums.var(ddof=1)) / information


@pytest.mark.parametrize("beta", [-0.7, 0.0, 0.4, 3.0])
def test_maximum_and_error_by_search(beta):
    z = draws(beta, 300, 3)
    for batch_size in (1, 7):
        found = estimate_beta(*MACHINE, z, batch_size)
        np.testing.assert_allclose(found, by_search(*MACHINE, z, batch_size), rtol=1e-4, atol=1e-6)


def test_restricted_machines_are_machines_on_a_graph():
    machine = reference.random_machine(3, 4, seed=5)
    z = reference.binary_states(7)[::3]
    graph, biases, couplings = rbm.to_graph(*machine)
    found = estimate_beta(graph, biases, couplings, z.astype(np.uint8))
    fields = np.concatenate(
        [machine.left_bias + z[:, 3:] @ machine.weights.T, machine.right_bias + z[:, :3] @ machine.weights], 1
    )

    def score(beta):
        return np.sum((2 * z - 1) * fields / (1 + np.exp((2 * z - 1) * beta * fields)))

    np.testing.assert_allclose(found.beta_eff, optimize.brentq(score, -5, 5), atol=1e-8)


def hits(beta, make, **kwargs):
    """In how many of the seeds the truth is within two errors, and the estimates."""
    found = [estimate_beta(*MACHINE, make(seed), **kwargs) for seed in range(NUM_SEEDS)]
    return sum(abs(each.beta_eff - beta) < 2 * each.standard_error for each in found), np.array(found)


@pytest.mark.parametrize("beta", [0.3, 2.5])
def test_a_wrong_temperature_is_recovered_within_its_error(beta):
    count, found = hits(beta, lambda seed: draws(beta, 500, seed))
    assert count >= 88
    # The errors are those of the estimates: their ratio has a relative error of 7 %.
    assert 0.75 < found[:, 0].std(ddof=1) / found[:, 1].mean() < 1.25
    # 1 is far away.
    assert np.all(np.abs(found[:, 0] - 1) > 5 * found[:, 1])


def test_states_that_depend_on_each_other_go_in_batches():
    """Each state ten times: taken for independent, the error is too small by the root of ten."""

    def repeated(seed):
        return draws(2.5, 100, seed).repeat(10, 0)

    count, found = hits(2.5, repeated, batch_size=10)
    assert count >= 88
    wrong, apart = hits(2.5, repeated)
    assert wrong < 60
    np.testing.assert_allclose(apart[:, 0], found[:, 0])
    np.testing.assert_allclose(found[:, 1] / apart[:, 1], np.sqrt(10), rtol=0.01)


def test_the_terms_of_a_state_depend_on_each_other():
    """The inverse information alone is no error: with strong couplings it is too small."""
    pair = graphs.from_edges(2, [(0, 1)])
    machine = pair, np.array([-3.0, -3.0]), np.array([6.0])
    sampler = ExactDraws(pair)
    found = [estimate_beta(*machine, sampler(*machine[1:], 500, seed)) for seed in range(200)]
    spread = np.std([each.beta_eff for each in found], ddof=1)
    assert 0.85 < np.mean([each.standard_error for each in found]) / spread < 1.15
    z = sampler(*machine[1:], 500, 0)
    margins = (2 * z - 1) * (6 * z[:, ::-1] - 3)
    information = np.sum(margins**2 / np.cosh(margins / 2) ** 2 / 4)
    assert information**-0.5 < 0.8 * spread


def test_what_states_do_not_determine():
    z = draws(1.0, 20, 0)
    for machine, states in (
        ((GRAPH, np.zeros(7), np.zeros(GRAPH.num_edges)), z),
        ((GRAPH, np.ones(7), np.zeros(GRAPH.num_edges)), np.ones([20, 7])),
        ((GRAPH, np.ones(7), np.zeros(GRAPH.num_edges)), np.zeros([20, 7])),
        (MACHINE, z[:1].repeat(20, 0)),
    ):
        found = estimate_beta(*machine, states)
        assert np.isnan(found.beta_eff)
        assert np.isinf(found.standard_error)


def test_a_far_maximum_is_found():
    """At a low temperature nearly all bits are on the side of their field."""
    margins = np.full([1000, 10], 1.0)
    margins[0, 0] = -1
    beta, _, _ = inverse_temperature._maximum(margins)
    np.testing.assert_allclose(beta, np.log(9999), rtol=1e-8)
    np.testing.assert_allclose(inverse_temperature._maximum(-margins)[0], -np.log(9999), rtol=1e-8)


def test_errors_name_the_argument():
    z = draws(1.0, 20, 0)
    for arguments, message in (
        ((z[:, :6],), r"z: expected shape \[S, 7\], got \(20, 6\)"),
        ((2 * z - 1,), "z: expected zeros and ones"),
        ((z, 20), "batch_size: expected two batches or more of the 20 states, got 20"),
        ((z, 0), "batch_size: expected an integer of at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            estimate_beta(*MACHINE, *arguments)

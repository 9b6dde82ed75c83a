"""Tests of binary quadratic models: energies by loops over their terms, round trips, log Z, sample sets."""

import sys

import numpy as np
import pytest
from scipy import special

from dvae_tf import graphs
from support import reference
from support.graph_reference import energy, parameters, random_edges

dimod = pytest.importorskip("dimod", reason="pip install '.[graphs]'")
VARTYPES = ("BINARY", "SPIN")


def quadratic(vartype, num_variables=6, seed=0):
    """A model with letters for variables, and interactions in no particular order or orientation."""
    rng = np.random.default_rng(seed)
    names = "fbdaecgh"[:num_variables]
    pairs = [(names[i], names[j]) for i, j in random_edges(num_variables, 0.6, seed)]
    # Multiples of 1/64 make every sum exact.
    draw = lambda: float(rng.integers(-200, 200) / 64)  # noqa: E731
    return dimod.BQM({name: draw() for name in names}, {pair: draw() for pair in pairs}, draw(), vartype)


def value(bqm, states):
    """The energy of states of its variables, by a loop over its terms."""
    of = dict(zip(bqm.variables, states.T, strict=True))
    total = np.full(len(states), float(bqm.offset))
    for name, bias in bqm.linear.items():
        total += bias * of[name]
    for (first, second), bias in bqm.quadratic.items():
        total += bias * of[first] * of[second]
    return total


@pytest.mark.parametrize("vartype", VARTYPES)
def test_the_constant_is_the_difference_of_the_energies(vartype):
    bqm = quadratic(vartype)
    machine = graphs.from_bqm(bqm)
    z = reference.binary_states(6)
    own = value(bqm, z if vartype == "BINARY" else 2 * z - 1)
    np.testing.assert_allclose(own, energy(*machine[:3], z) + machine.constant, rtol=1e-13)
    assert machine.biases.dtype == machine.couplings.dtype == np.float64
    # The weights of the model's states, added up, are its Z.
    log_z = graphs.exact.log_partition(*machine[:3]) - machine.constant
    np.testing.assert_allclose(log_z, special.logsumexp(-own), rtol=1e-12)


@pytest.mark.parametrize("vartype", VARTYPES)
@pytest.mark.parametrize("other", VARTYPES)
def test_round_trips(vartype, other):
    """There and back is the same model; by way of the other vartype it is the same function."""
    bqm = quadratic(vartype)
    back = graphs.to_bqm(*graphs.from_bqm(bqm), vartype=other, variables=bqm.variables)
    assert back.vartype.name == other
    assert list(back.variables) == list(bqm.variables)
    assert back.change_vartype(vartype) == bqm
    assert back.offset == bqm.offset


@pytest.mark.parametrize("vartype", VARTYPES)
def test_machines_keep_their_energies(vartype):
    graph = graphs.from_edges(7, random_edges(7, 0.5, 3))
    biases, couplings = parameters(graph, 4)
    bqm = graphs.to_bqm(graph, biases, couplings, vartype=dimod.as_vartype(vartype))
    assert list(bqm.variables) == list(range(7))
    z = reference.binary_states(7)
    own = value(bqm, z if vartype == "BINARY" else 2 * z - 1)
    np.testing.assert_allclose(own, energy(graph, biases, couplings, z), rtol=1e-12, atol=1e-12)
    again = graphs.from_bqm(bqm)
    order = np.lexsort(graph.edges.T[::-1])
    np.testing.assert_array_equal(again.graph.edges, graph.edges[order])
    np.testing.assert_allclose(again.biases, biases, atol=1e-13)
    np.testing.assert_allclose(again.couplings, couplings[order], atol=1e-13)
    assert again.constant == pytest.approx(0, abs=1e-13)
    # The negative control: with the signs of the model it is another machine.
    assert np.abs(own - energy(graph, -biases, -couplings, z)).max() > 1


def test_sample_sets_become_states():
    """In the order of the units, whatever that of the columns, as often as they occurred."""
    samples = {"b": [1, -1], "a": [-1, 1], "c": [1, 1]}
    found = dimod.SampleSet.from_samples(
        (np.array([*samples.values()]).T, [*samples]), "SPIN", [0.0, 1.0], num_occurrences=[2, 1]
    )
    np.testing.assert_array_equal(graphs.states_of(found, "abc"), [[0, 1, 1], [0, 1, 1], [1, 0, 1]])
    found = dimod.SampleSet.from_samples((np.array([[1, 0]]), [1, 0]), "BINARY", [0.0])
    np.testing.assert_array_equal(graphs.states_of(found), [[0, 1]])
    with pytest.raises(ValueError, match="sampleset: expected a value of each unit, got none of 2"):
        graphs.states_of(found, [0, 2])
    with pytest.raises(ValueError, match="sampleset: expected a dimod.SampleSet of bits or spins, got 3"):
        graphs.states_of(3)


def test_errors_name_the_argument():
    line = graphs.from_edges(3, [(0, 1)])
    given = line, np.zeros(3), np.zeros(1)
    for arguments, message in (
        ({"vartype": "BITS"}, "vartype: expected BINARY or SPIN, got 'BITS'"),
        ({"variables": "aab"}, r"variables: expected 3 different labels, got 3 \(2 different\)"),
        ({"constant": np.nan}, "constant: expected a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            graphs.to_bqm(*given, **arguments)
    with pytest.raises(ValueError, match=r"biases: expected shape \[3\]"):
        graphs.to_bqm(line, np.zeros(2), np.zeros(1))
    for bqm, message in (
        ({"a": 1}, "bqm: expected a dimod.BinaryQuadraticModel, got"),
        (dimod.BQM("SPIN"), "bqm: expected at least one variable, got none"),
        (dimod.BQM({0: np.inf}, {}, "SPIN"), "bqm: expected finite biases and offset"),
    ):
        with pytest.raises(ValueError, match=message):
            graphs.from_bqm(bqm)


def test_without_dimod_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dimod", None)
    with pytest.raises(
        ImportError,
        match="to_bqm: expected .* pip install dimod, or the extra",
    ):
        graphs.to_bqm(graphs.from_edges(2, []), np.zeros(2), np.zeros(0))

r"""Machines as binary quadratic models of `dimod`, the form that D-Wave's samplers take, and back.

$$
E_\text{BQM}(v) = \sum_i h_i v_i + \sum_{(i, j)} J_{ij} v_i v_j + \text{offset} = E(z) + \text{constant}
$$

with $v = z$ for the vartype BINARY and $v = 2 z - 1$ for SPIN. A binary quadratic model adds its terms where
$E(z)$ subtracts them: fields and couplings change their sign. Probabilities are $\exp(-E) / Z$ on both sides.
"""

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ..support import as_number
from .extras import import_extra
from .graph import Graph, from_edges
from .machine import as_parameters


class MachineOfBQM(NamedTuple):
    r"""A machine with the probabilities of a binary quadratic model.

    Attributes:
      graph: unit i is the i-th of the model's `variables`; the edges are its interactions.
      biases: float64 [D], nats.
      couplings: float64 [M], nats.
      constant: $E_\text{BQM}(v) - E(z)$, nats; log Z of the model is log Z of the machine minus this.
    """

    graph: Graph
    biases: np.ndarray
    couplings: np.ndarray
    constant: float


def from_bqm(bqm: Any) -> MachineOfBQM:
    r"""The machine of bits with the probabilities of a `dimod.BinaryQuadraticModel` of either vartype.

    A model of bits gives $a = -h$, $w = -J$; one of spins

    $$
    w_{ij} = -4 J_{ij}, \qquad a_i = 2 \big(\sum_{j \sim i} J_{ij} - h_i\big), \qquad
    \text{constant} = \text{offset} + \sum_{(i, j)} J_{ij} - \sum_i h_i
    $$

    Args:
      bqm: the model, with at least one variable. For a sampler at inverse temperature $\beta$ multiply it
        first: `bqm.scale(beta)`.

    Raises:
      ValueError: if it is no such model, has no variable, or a number that is not finite.
    """
    if not all(hasattr(bqm, name) for name in ("vartype", "variables", "to_numpy_vectors")):
        raise ValueError(f"bqm: expected a dimod.BinaryQuadraticModel, got {bqm!r}")
    if not len(bqm.variables):
        raise ValueError("bqm: expected at least one variable, got none")
    fields, (rows, columns, couplings), offset = bqm.to_numpy_vectors(list(bqm.variables))
    fields, couplings = np.asarray(fields, np.float64), np.asarray(couplings, np.float64)
    edges = np.sort(np.stack([rows, columns], 1), 1)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, couplings, constant = edges[order], couplings[order], float(offset)
    if not np.isfinite([*fields, *couplings, constant]).all():
        raise ValueError("bqm: expected finite biases and offset")
    graph = from_edges(len(fields), edges)
    if bqm.vartype.name == "BINARY":
        return MachineOfBQM(graph, -fields, -couplings, constant)
    constant += couplings.sum() - fields.sum()
    return MachineOfBQM(graph, 2 * (_of_units(graph, couplings) - fields), -4 * couplings, float(constant))


def to_bqm(
    graph: Graph,
    biases: Any,
    couplings: Any,
    constant: float = 0.0,
    vartype: str = "BINARY",
    variables: Iterable[Hashable] | None = None,
) -> Any:
    r"""A machine as a `dimod.BinaryQuadraticModel`, with energies $E(z) + \text{constant}$.

    The inverse of `from_bqm`.

    Args:
      graph: the graph.
      biases: [D], nats.
      couplings: [M], nats.
      constant: the difference between the energies, nats. With 0 they are equal, for spins too.
      vartype: "BINARY" or "SPIN", or a `dimod.Vartype`.
      variables: labels of the units, such as the nodes of the annealer's graph; None for their numbers.

    Returns:
      The model; its variables are in the order of the units.

    Raises:
      ValueError: if a shape is wrong, the vartype is another, or there is not one label for each unit.
      ImportError: if `dimod` is not installed.
    """
    dimod = import_extra("dimod", "to_bqm")
    biases, couplings = (np.asarray(each, np.float64) for each in as_parameters(graph, biases, couplings))
    constant = as_number("constant", constant)
    name = getattr(vartype, "name", vartype)
    if name not in ("BINARY", "SPIN"):
        raise ValueError(f"vartype: expected BINARY or SPIN, got {vartype!r}")
    labels = list(range(graph.num_units) if variables is None else variables)
    if len(labels) != graph.num_units or len(set(labels)) < len(labels):
        raise ValueError(
            f"variables: expected {graph.num_units} different labels, got {len(labels)} "
            f"({len(set(labels))} different)"
        )
    fields, quadratic = -biases, -couplings
    if name == "SPIN":
        quadratic = quadratic / 4
        around = _of_units(graph, quadratic)
        fields = fields / 2 + around
        constant += fields.sum() - quadratic.sum()
    bqm = dimod.BinaryQuadraticModel(name)
    bqm.offset = constant
    bqm.add_linear_from(zip(labels, fields.tolist(), strict=True))
    pairs = ((labels[i], labels[j]) for i, j in graph.edges.tolist())
    bqm.add_quadratic_from((*pair, value) for pair, value in zip(pairs, quadratic.tolist(), strict=True))
    return bqm


def states_of(sampleset: Any, variables: Iterable[Hashable] | None = None) -> np.ndarray:
    """The states of a `dimod.SampleSet` as bits [C, D], each as often as it occurred; spins become bits.

    Args:
      sampleset: what a sampler of a binary quadratic model returns.
      variables: the labels of the units, as given to `to_bqm`; None for their numbers. The columns of a
        sample set have an order of their own.

    Raises:
      ValueError: if it is no sample set of bits or spins, or a unit is missing.
    """
    kind = getattr(getattr(sampleset, "vartype", None), "name", None)
    if kind not in ("BINARY", "SPIN") or not hasattr(sampleset, "record"):
        raise ValueError(f"sampleset: expected a dimod.SampleSet of bits or spins, got {sampleset!r}")
    column = {label: number for number, label in enumerate(sampleset.variables)}
    labels = list(range(len(column)) if variables is None else variables)
    missing = [label for label in labels if label not in column]
    if missing:
        raise ValueError(f"sampleset: expected a value of each unit, got none of {missing[0]!r}")
    record = sampleset.record
    values = record.sample[:, [column[label] for label in labels]]
    return np.repeat(values > 0, record.num_occurrences, 0).astype(np.float32)


def _of_units(graph: Graph, couplings: np.ndarray) -> np.ndarray:
    """The sum of the couplings at each unit, [D]."""
    both = np.repeat(couplings, 2)
    return np.bincount(graph.edges.ravel(), both, graph.num_units)

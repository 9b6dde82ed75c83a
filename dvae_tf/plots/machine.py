"""Pictures of a code and of its Boltzmann machine: usage of the units, energies, weights and biases."""

import matplotlib.collections
import matplotlib.colors
import matplotlib.figure
import numpy as np

from ..graphs import Graph, layout
from ..rbm import RBM, Machine
from .png import figure_png, own_style


@own_style()
def usage_png(activations: np.ndarray, active: np.ndarray) -> bytes:
    """Mean activations [D] of the units in rising order, and their histogram, by whether they are active."""
    figure = matplotlib.figure.Figure(figsize=(5.4, 3.4), layout="constrained")
    sorted_axes, histogram_axes = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    order = np.argsort(activations)
    groups = []
    for is_active, label, color in ((True, "active", "C0"), (False, "not active", "C3")):
        ranks = np.flatnonzero(active[order] == is_active)
        values = activations[order][ranks]
        sorted_axes.plot(ranks, values, ".", c=color, label=f"{len(ranks)} {label}")
        groups.append(values)
    histogram_axes.hist(
        groups, np.linspace(0, 1, 21).tolist(), color=["C0", "C3"], stacked=True, orientation="horizontal"
    )
    sorted_axes.set_xlabel("units, sorted")
    sorted_axes.set_ylabel("mean of q(z = 1 | x) over images")
    sorted_axes.set_ylim(-0.02, 1.02)
    sorted_axes.legend(loc="upper left")
    histogram_axes.set_xlabel("units")
    for axes in (sorted_axes, histogram_axes):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return figure_png(figure)


@own_style()
def energies_png(draws: np.ndarray, codes: np.ndarray | None) -> bytes:
    """Histograms of the energies of draws of the prior [N] and of codes of test images [M], nats."""
    figure = matplotlib.figure.Figure(figsize=(5.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    shown = {f"{len(draws):,} draws of the prior": draws}
    if codes is not None:
        shown[f"codes of {len(codes):,} test images"] = codes
    bins = np.histogram_bin_edges(np.concatenate([*shown.values()]), 50)
    for index, (label, energies) in enumerate(shown.items()):
        mean, color = energies.mean(), f"C{index}"
        axes.hist(
            energies, bins.tolist(), density=True, alpha=0.5, color=color, label=f"{label}: mean {mean:.1f}"
        )
        axes.axvline(mean, c=color, ls="--")
    axes.set_xlabel("energy, nats")
    axes.set_ylabel("density")
    # Leaves room for the legend above the bars.
    axes.margins(y=0.35)
    axes.legend(loc="upper left")
    return figure_png(figure)


@own_style()
def machine_png(rbm: Machine) -> bytes:
    """Weights of a Boltzmann machine as an image, their singular values, and histograms of the biases.

    Of a machine on a graph, `graph_png`.
    """
    if not isinstance(rbm, RBM):
        return graph_png(rbm.graph, np.asarray(rbm.biases), np.asarray(rbm.couplings))
    left, right, weights = (np.asarray(parameter) for parameter in rbm)
    figure = matplotlib.figure.Figure(figsize=(12, 3.8), layout="constrained")
    image_axes, value_axes, bias_axes = figure.subplots(1, 3)
    shown = image_axes.imshow(weights, cmap="RdBu_r", norm=_symmetric(weights), interpolation="nearest")
    figure.colorbar(shown, ax=image_axes, extend="both")
    image_axes.set_title("Weights W")
    image_axes.set_xlabel("right units")
    image_axes.set_ylabel("left units")
    values = np.linalg.svd(weights, compute_uv=False)
    value_axes.plot(np.arange(1, len(values) + 1), values, ".-")
    value_axes.set_title("Singular values of W")
    value_axes.set_xlabel("rank")
    value_axes.set_ylim(bottom=0)
    bins = np.histogram_bin_edges(np.concatenate([left, right]), 30)
    bias_axes.hist([left, right], bins, stacked=True, label=["left", "right"])
    bias_axes.set_title("Biases")
    bias_axes.set_xlabel("nats")
    bias_axes.set_ylabel("units")
    bias_axes.legend()
    for axes in (value_axes, bias_axes):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    return figure_png(figure)


@own_style()
def graph_png(graph: Graph, biases: np.ndarray, couplings: np.ndarray) -> bytes:
    """A machine on a graph: its units by their biases [D], its edges by their couplings [M], nats.

    The units are where `graphs.layout` puts them. Strong couplings are drawn over weak ones, and wider.
    """
    biases, couplings = np.asarray(biases), np.asarray(couplings)
    for name, values, size in (
        ("biases", biases, graph.num_units),
        ("couplings", couplings, graph.num_edges),
    ):
        if values.shape != (size,):
            raise ValueError(f"{name}: expected shape [{size}] for {graph}, got {values.shape}")
    points = layout(graph)
    figure = matplotlib.figure.Figure(figsize=(8, 6), layout="constrained")
    axes = figure.add_subplot()
    order = np.argsort(np.abs(couplings))
    strength = _symmetric(couplings)
    lines = matplotlib.collections.LineCollection(
        points[graph.edges[order]],
        cmap="RdBu_r",
        norm=strength,
        array=couplings[order],
        linewidths=0.3 + 1.7 * np.minimum(np.abs(couplings[order]) / strength.vmax, 1),
    )
    axes.add_collection(lines)
    units = axes.scatter(
        points[:, 0],
        points[:, 1],
        s=float(np.clip(6000 / graph.num_units, 3, 120)),
        c=biases,
        cmap="PuOr_r",
        norm=_symmetric(biases),
        edgecolors="0.3",
        linewidths=0.4,
        zorder=2,
    )
    figure.colorbar(lines, ax=axes, extend="both", label="couplings, nats")
    figure.colorbar(units, ax=axes, extend="both", label="biases, nats")
    axes.set_title(f"{graph.num_units:,} units, {graph.num_edges:,} edges, {graph.num_colors} colors")
    axes.axis("off")
    return figure_png(figure)


def _symmetric(values: np.ndarray) -> matplotlib.colors.Normalize:
    """Colors around 0. A few strong values must not leave the others white; a factorial prior has none."""
    bound = (np.quantile(np.abs(values), 0.995) if values.size else 0.0) or 1.0
    return matplotlib.colors.Normalize(-bound, bound)

"""The pictures of a report on trained runs, as PNG files: each takes seconds, not another evaluation."""

import io
import pathlib
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.figure
import matplotlib.image
import matplotlib.ticker
import numpy as np
import tensorflow as tf

from . import evaluation, plots
from .config import Recipe
from .data import Images, likely_shape
from .models import DVAE
from .numerics import Tag, fold_in, split
from .rbm import RBM
from .run_folder import RunFolder
from .training import History, TrainingWarning

# Draws of the prior and test images whose energies are compared; images are what takes memory.
_NUM_DRAWS = 2_000
_NUM_IMAGES = 1_000
_COLUMNS = 12
_NUM_SAMPLES = 8 * _COLUMNS
_NUM_PAIRS = 4 * _COLUMNS
# Of a sheet of images, at least; browsers blur what they enlarge.
_SHEET_WIDTH = 1_000


class _Draws(NamedTuple):
    """Draws of a model's prior: pixel means [N, X] of the first, and energies of all in nats."""

    images: np.ndarray
    energies: np.ndarray


class _Codes(NamedTuple):
    """Test images as the model encodes them.

    Attributes:
      originals: [N, X], some of the images.
      reconstructions: [N, X], their pixel means from the code.
      activations: [D], the mean of q(z = 1 | x) over the images.
      active: [D], whether it varies over the images.
      energies: of one z ~ q(z | x) for each image, in nats.
    """

    originals: np.ndarray
    reconstructions: np.ndarray
    activations: np.ndarray
    active: np.ndarray
    energies: np.ndarray


def read_history(folder: pathlib.Path, recipe: Recipe) -> History | None:
    """The validations of a run, from its newest intact checkpoint; None where there is no checkpoint.

    Raises:
      StorageError: as of `RunFolder.read_checkpoint`.
    """
    checkpoint = RunFolder(folder).read_checkpoint(recipe)
    if checkpoint is None:
        return None
    for reason in checkpoint.damaged.values():
        warnings.warn(f"{reason}; taking {checkpoint.file}", TrainingWarning, stacklevel=2)
    return History.from_arrays(checkpoint.groups.get("history", {}), checkpoint.file)


def curves_png(runs: Mapping[str, tuple[Recipe, History]]) -> bytes:
    """Validation NLL, training objective and log Z of all runs by iteration; `runs` by their labels."""
    figure = matplotlib.figure.Figure(figsize=(12, 3.8), layout="constrained")
    nll_axes, objective_axes, log_z_axes = figure.subplots(1, 3)
    nlls, objectives = [], []
    for label, (recipe, history) in runs.items():
        (line,) = nll_axes.plot(history.step, history.val_nll, label=label)
        if (best := history.best) is not None:
            nll_axes.plot(history.step[best], history.val_nll[best], "o", c=line.get_color())
        # During the warm-up the objective is another one.
        warm = np.asarray(history.step) > recipe.kl_warmup_fraction * recipe.num_train_iter
        negated = -np.asarray(history.objective)[warm]
        objective_axes.plot(np.asarray(history.step)[warm], negated, c=line.get_color())
        log_z_axes.plot(history.step, history.log_partition, c=line.get_color())
        nlls += history.val_nll
        objectives += negated.tolist()
    plots.show_the_end(nll_axes, nlls)
    plots.show_the_end(objective_axes, objectives)
    nll_axes.set_title("Validation NLL (dot: the one tested)")
    objective_axes.set_title("Training objective, negated, after warm-up")
    log_z_axes.set_title("log Z, as measured at validations")
    nll_axes.set_ylabel("nats")
    nll_axes.legend()
    for axes in (nll_axes, objective_axes, log_z_axes):
        axes.set_xlabel("iterations")
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axes.grid(alpha=0.3)
    return plots.png(figure)


def pictures(model: DVAE, images: Images | None) -> dict[str, bytes]:
    """Draws what can be seen of a model.

    Args:
      model: as trained.
      images: of which the test images are encoded, evenly chosen where there are many; None leaves out
        what needs them.

    Returns:
      PNG files by name: `samples` and `energies`; `reconstructions` and `usage` with images; `machine`
      where the prior has one.

    Raises:
      ValueError: if the images do not fit the model.
    """
    for_prior, for_codes = split(fold_in((0, model.recipe.seed), Tag.PICTURES))
    draws = _draw(model, for_prior)
    shape = likely_shape(draws.images.shape[1]) if images is None else images.image_shape
    codes = None if images is None else _encode(model, images.test, for_codes)
    found = {"samples": _sheet(draws.images, shape), "energies": _energies_png(draws, codes)}
    if codes is not None:
        found |= {"reconstructions": _reconstructions_png(codes, shape), "usage": _usage_png(codes)}
    rbm = getattr(model.prior, "rbm", None)
    return found if rbm is None else found | {"machine": _machine_png(rbm)}


def _draw(model: DVAE, seed: tf.Tensor) -> _Draws:
    z = model.prior.sample_binary(_NUM_DRAWS, 1000, seed)
    return _Draws(model.decode(z[:_NUM_SAMPLES]).numpy(), _energies(model, z))


def _encode(model: DVAE, images: np.ndarray, seed: tf.Tensor) -> _Codes:
    images = _evenly(images, _NUM_IMAGES)
    # Checks the images, too.
    active = evaluation.active_units(model, images, seed)
    code = model.encode(images, 1, seed)
    probs = tf.math.sigmoid(code.logits[0]).numpy()
    return _Codes(
        _evenly(images, _NUM_PAIRS),
        model.decode(_evenly(code.z[0].numpy(), _NUM_PAIRS)).numpy(),
        probs.mean(0),
        active,
        _energies(model, code.z[0]),
    )


def _evenly(rows: np.ndarray, at_most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(at_most, len(rows))).astype(int)]


def _energies(model: DVAE, z: tf.Tensor) -> np.ndarray:
    return -model.prior.binary().unnormalized_log_prob(z).numpy()


def _reconstructions_png(codes: _Codes, image_shape: tuple[int, int]) -> bytes:
    """Rows of test images, and below each row their reconstructions."""
    rows = []
    for start in range(0, len(codes.originals), _COLUMNS):
        for images in (codes.originals, codes.reconstructions):
            row = images[start : start + _COLUMNS]
            # Grey fills up a short last row, so that each pair stays in its column.
            rows.append(np.pad(row, ((0, _COLUMNS - len(row)), (0, 0)), constant_values=0.5))
    return _sheet(np.concatenate(rows), image_shape)


def _sheet(images: np.ndarray, image_shape: tuple[int, int]) -> bytes:
    sheet, buffer = plots.tile(images, image_shape, _COLUMNS), io.BytesIO()
    scale = -(-_SHEET_WIDTH // sheet.shape[1])
    sheet = sheet.repeat(scale, 0).repeat(scale, 1)
    matplotlib.image.imsave(buffer, sheet, format="png", cmap="gray", vmin=0, vmax=1)
    return buffer.getvalue()


def _usage_png(codes: _Codes) -> bytes:
    """Each unit's mean activation in rising order, and their histogram."""
    figure = matplotlib.figure.Figure(figsize=(5.4, 3.4), layout="constrained")
    sorted_axes, histogram_axes = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    order = np.argsort(codes.activations)
    groups = []
    for active, label, colour in ((True, "active", "C0"), (False, "not active", "C3")):
        ranks = np.flatnonzero(codes.active[order] == active)
        values = codes.activations[order][ranks]
        sorted_axes.plot(ranks, values, ".", c=colour, label=f"{len(ranks)} {label}")
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
    return plots.png(figure)


def _energies_png(draws: _Draws, codes: _Codes | None) -> bytes:
    """Histograms of the energies of the prior's draws and of the codes of test images."""
    figure = matplotlib.figure.Figure(figsize=(5.4, 3.4), layout="constrained")
    axes = figure.add_subplot()
    shown = {f"{len(draws.energies):,} draws of the prior": draws.energies}
    if codes is not None:
        shown[f"codes of {len(codes.energies):,} test images"] = codes.energies
    bins = np.histogram_bin_edges(np.concatenate([*shown.values()]), 50)
    for index, (label, energies) in enumerate(shown.items()):
        mean, colour = energies.mean(), f"C{index}"
        axes.hist(
            energies, bins.tolist(), density=True, alpha=0.5, color=colour, label=f"{label}: mean {mean:.1f}"
        )
        axes.axvline(mean, c=colour, ls="--")
    axes.set_xlabel("energy, nats")
    axes.set_ylabel("density")
    # Room for the legend above the bars.
    axes.margins(y=0.35)
    axes.legend(loc="upper left")
    return plots.png(figure)


def _machine_png(rbm: RBM) -> bytes:
    """The weights of a Boltzmann machine as an image, their singular values, the biases' histogram."""
    left, right, weights = (np.asarray(parameter) for parameter in rbm)
    figure = matplotlib.figure.Figure(figsize=(12, 3.8), layout="constrained")
    image_axes, value_axes, bias_axes = figure.subplots(1, 3)
    # A few strong couplings would leave the others white; a factorial prior has none.
    bound = np.quantile(np.abs(weights), 0.995) or 1.0
    shown = image_axes.imshow(weights, cmap="RdBu_r", vmin=-bound, vmax=bound, interpolation="nearest")
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
    return plots.png(figure)

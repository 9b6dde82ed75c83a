"""Pictures of a run: samples of the prior, reconstructions beside their originals, the learning curve."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib.axes
import matplotlib.figure
import numpy as np

from . import storage
from .config import PublishedNLL
from .data import Images
from .models import DVAE
from .numerics import Tag, fold_in

_COLUMNS = 12
_DPI = 144


def tile(images: np.ndarray, image_shape: tuple[int, int], columns: int) -> np.ndarray:
    """Lays out [N, X] images in rows of `columns`, a pixel of grey between: one [height, width] array."""
    height, width = image_shape
    rows = -(-len(images) // columns)
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), 0.5, np.float32)
    for index, image in enumerate(images):
        top = (index // columns) * (height + 1) + 1
        left = (index % columns) * (width + 1) + 1
        sheet[top : top + height, left : left + width] = image.reshape(image_shape)
    return sheet


def png(figure: matplotlib.figure.Figure) -> bytes:
    """The content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def show_the_end(axes: matplotlib.axes.Axes, values: Sequence[float]) -> None:
    """Limits the height of a learning curve: the first validations are far above the others."""
    if values:
        low = min(values)
        spread = max(np.quantile(values, 0.8) - low, 1.0)
        axes.set_ylim(low - 0.1 * spread, low + 1.6 * spread)


def write_run_pictures(
    folder: pathlib.Path,
    model: DVAE,
    images: Images,
    history: Any,
    published: PublishedNLL | None = None,
) -> None:
    """Writes `samples.png`, `reconstructions.png` and `learning_curve.png` into a run folder."""
    seed = fold_in((0, model.recipe.seed), Tag.PICTURES)
    samples = model.sample(8 * _COLUMNS, seed).images.numpy()
    title = f"{model.recipe.baseline}, {model.recipe.struct}, {model.recipe.dataset}"
    sheet = tile(samples, images.image_shape, _COLUMNS)
    _write_sheet(folder / "samples.png", sheet, f"{title}: pixel means at samples of the prior")

    chosen = images.test[np.linspace(0, len(images.test) - 1, 4 * _COLUMNS).astype(int)]
    means = model.decode(model.encode(chosen, 1, seed).z[0]).numpy()
    rows = []
    for start in range(0, len(chosen), _COLUMNS):
        rows += [chosen[start : start + _COLUMNS], means[start : start + _COLUMNS]]
    sheet = tile(np.concatenate(rows), images.image_shape, _COLUMNS)
    title += ": test images, and below each its reconstruction from the code"
    _write_sheet(folder / "reconstructions.png", sheet, title)
    _write_curve(folder / "learning_curve.png", model, history, published)


def _write_sheet(path: pathlib.Path, sheet: np.ndarray, title: str) -> None:
    height, width = sheet.shape
    figure = matplotlib.figure.Figure(figsize=(8, 8 * height / width + 0.4), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=8)
    axes.axis("off")
    storage.write_bytes(path, png(figure))


def _write_curve(path: pathlib.Path, model: DVAE, history: Any, published: PublishedNLL | None) -> None:
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(history.step, history.val_nll, label="validation NLL (discrete model)")
    # During the warm-up the objective is another one.
    recipe = model.recipe
    warm = np.asarray(history.step) > recipe.kl_warmup_fraction * recipe.num_train_iter
    steps, training = np.asarray(history.step)[warm], -np.asarray(history.objective)[warm]
    axes.plot(steps, training, label="training objective, negated (relaxed)", alpha=0.7)
    best = history.best
    axes.plot(history.step[best], history.val_nll[best], "o", label="best, the one tested")
    if published is not None:
        axes.axhline(published.mean, ls="--", c="gray", label="published test NLL (1M iterations)")
    show_the_end(axes, [*history.val_nll, *training, *([published.mean] if published else [])])
    for start, _ in recipe.lr_steps[1:]:
        axes.axvline(start * recipe.num_train_iter, c="gray", lw=0.5, alpha=0.5)
    axes.set_xlabel("iterations (vertical lines: learning-rate steps)")
    axes.set_ylabel("nats per image")
    axes.legend(fontsize=8)
    storage.write_bytes(path, png(figure))

"""Learning curves of one run, or of several in one figure."""

from collections.abc import Mapping, Sequence

import matplotlib.axes
import matplotlib.figure
import matplotlib.ticker
import numpy as np

from ..config import Recipe
from ..runs import History
from .png import figure_png, own_style


@own_style()
def learning_curve_png(recipe: Recipe, history: History) -> bytes:
    """Validation NLL and training objective of a run, with the published NLL of its cell."""
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(history.step, history.val_nll, label="validation NLL (discrete model)")
    steps, negated = _after_warmup(recipe, history)
    axes.plot(steps, negated, label="training objective, negated (relaxed)", alpha=0.7)
    if (best := history.best) is not None:
        axes.plot(history.step[best], history.val_nll[best], "o", label="best, tested")
    published = recipe.published
    if published is not None:
        axes.axhline(published.mean, ls="--", c="gray", label="published test NLL (1M iterations)")
    _focus_on_end(axes, [*history.val_nll, *negated, *([published.mean] if published else [])])
    for start, _ in recipe.lr_steps[1:]:
        axes.axvline(start * recipe.num_train_iter, c="gray", lw=0.5, alpha=0.5)
    axes.set_xlabel("iterations (vertical lines: learning-rate steps)")
    axes.set_ylabel("nats per image")
    axes.legend(fontsize=8)
    return figure_png(figure)


@own_style()
def curves_png(runs: Mapping[str, tuple[Recipe, History]]) -> bytes:
    """Validation NLL, training objective and log Z of several runs; `runs` maps a label to each."""
    figure = matplotlib.figure.Figure(figsize=(12, 3.8), layout="constrained")
    nll_axes, objective_axes, log_z_axes = figure.subplots(1, 3)
    nlls, objectives = [], []
    for label, (recipe, history) in runs.items():
        (line,) = nll_axes.plot(history.step, history.val_nll, label=label)
        if (best := history.best) is not None:
            nll_axes.plot(history.step[best], history.val_nll[best], "o", c=line.get_color())
        steps, negated = _after_warmup(recipe, history)
        objective_axes.plot(steps, negated, c=line.get_color())
        log_z_axes.plot(history.step, history.log_partition, c=line.get_color())
        nlls += history.val_nll
        objectives += negated.tolist()
    _focus_on_end(nll_axes, nlls)
    _focus_on_end(objective_axes, objectives)
    nll_axes.set_title("Validation NLL (dot: the weights tested)")
    objective_axes.set_title("Training objective, negated, after warm-up")
    log_z_axes.set_title("log Z, measured at validations")
    nll_axes.set_ylabel("nats")
    nll_axes.legend()
    for axes in (nll_axes, objective_axes, log_z_axes):
        axes.set_xlabel("iterations")
        axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
        axes.grid(alpha=0.3)
    return figure_png(figure)


@own_style()
def race_png(curves: Sequence[tuple[str, Sequence[History]]]) -> bytes:
    """Validation NLL against minutes of training; `curves` are pairs of a label and a history per seed."""
    figure = matplotlib.figure.Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for number, (label, histories) in enumerate(curves):
        for seed, history in enumerate(histories):
            minutes = np.asarray(history.seconds) / 60
            axes.plot(minutes, history.val_nll, c=f"C{number}", alpha=0.8, label=label if seed == 0 else None)
    _focus_on_end(axes, [nll for _, each in curves for history in each for nll in history.val_nll])
    axes.set_xlabel("minutes of training, validations included")
    axes.set_ylabel("validation NLL (nats)")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure_png(figure)


def _after_warmup(recipe: Recipe, history: History) -> tuple[np.ndarray, np.ndarray]:
    """Steps and negated training objectives after the KL warm-up, which changes the objective."""
    steps = np.asarray(history.step)
    warm = steps > max(recipe.kl_warmup_steps, recipe.local_kl_warmup_steps)
    return steps[warm], -np.asarray(history.objective)[warm]


def _focus_on_end(axes: matplotlib.axes.Axes, values: Sequence[float]) -> None:
    """Limits the vertical axis to the end of the curves: the first validations are far above the others."""
    if values:
        low = min(values)
        spread = max(np.quantile(values, 0.8) - low, 1.0)
        axes.set_ylim(low - 0.1 * spread, low + 1.6 * spread)

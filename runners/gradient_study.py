"""Bias, noise and cost of every gradient: relaxations of the bits beside estimators that keep them.

All methods are asked for the same numbers at the same weights, with four evaluations of the decoder: the
gradient of a bound in the encoder's log-odds, an offset of each unit for each image. The bias is the distance
of the mean from the gradient of the bits, the noise the root of the total variance; both per image.

exact   two units under linear networks, where the gradient of the bits is known by enumeration. There the
        biases of relaxed objectives are also computed without noise, as they sharpen.
others  trained models, by short name or folder, where the gradient of the bits is the mean of very many draws
        of an unbiased estimator.
"""

import time
from collections.abc import Sequence
from typing import Any

import matplotlib.figure
import numpy as np
from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import plots, storage
from dvae_tf.runs import provenance

from . import common, exact_bias, recipe_flags, timing
from . import exact_model as exact
from .gradients import BUDGET, METHODS, Gradient, Moments, Weights, exact_weights, trained_weights

# Draws of the reference on a trained model for each draw of a method.
_REFERENCE = 4
# Draws on the exact model for each draw on a trained one, which costs much more.
_EXACT = 50
_ROUNDS = 15
# The methods whose mean is the reference of a trained model, and the one whose cost is 1.
_REFERENCES = {"elbo": "DisARM", "importance_weighted": "VIMCO"}
_UNIT_OF_COST = "GumBolt, τ = 1/7"


def main() -> None:
    """Entry point."""
    flags.DEFINE_list(
        "model",
        ["exact", "binarized_mnist", "digits"],
        "What to study: exact, and short names or folders of trained models with a Boltzmann prior.",
    )
    flags.DEFINE_integer("num_images", 20, "Number of test images of a trained model.")
    flags.DEFINE_integer("num_draws", 10_000, "Number of gradients of each method for each image.")
    flags.DEFINE_integer("seed", 0, "The seed of all random numbers.")
    flags.DEFINE_string(
        "out",
        "gradient_study.json",
        "A JSON file, whose entries of other models are kept; the figure is a PNG file beside it.",
    )
    recipe_flags.define_data_flags()
    common.start(_study, __doc__)


def _study(_: Sequence[str]) -> None:
    values = flags.FLAGS
    for name, least in (("num_images", 1), ("num_draws", 2)):
        if getattr(values, name) < least:
            raise ValueError(f"{name}: expected at least {least}, got {getattr(values, name)}")
    console = Console()
    out = storage.as_path(values.out)
    for name in values.model:
        started = time.monotonic()
        found = _exact(console) if name == "exact" else _trained(console, name)
        found["seconds"] = time.monotonic() - started
        # Read again, because another process may have written to it.
        known = storage.read_json(out) if out.exists() else {}
        known[name] = found | {"seed": values.seed} | provenance.describe()
        storage.write_json(out, known)
        with plots.own_style():
            picture = plots.figure_png(figure(known))
        storage.write_bytes(out.with_suffix(".png"), picture)
        console.print(f"{out}, {out.with_suffix('.png')}")


# The two kinds of models.


def _exact(console: Console) -> dict[str, Any]:
    x = exact_bias.X[np.newaxis].astype(np.float32)
    num_draws = _EXACT * flags.FLAGS.num_draws
    settings = {}
    for num_groups in (1, 2):
        parameters = exact_bias.parameters(num_groups)
        references = {bound: exactly(parameters, num_groups, bound) for bound in _REFERENCES}
        title = f"exact, {num_groups} group{'s' * (num_groups > 1)}"
        weights = exact_weights(parameters, num_groups)
        settings[title] = _compare(console, title, weights, x, num_draws, references)
    return {"settings": settings, "bias_by_sharpness": exact_bias.all_biases()}


def exactly(parameters: exact.Parameters, num_groups: int, bound: str) -> Moments:
    """The gradient of a bound of the bits in the log-odds, which is that in the encoders' biases."""
    biases = {name: value for name, value in parameters.items() if _is_offset(name)}

    def value(moved: exact.Parameters) -> float:
        moved = parameters | moved
        if bound == "elbo":
            return exact.discrete_elbo(moved, exact_bias.X, num_groups)
        terms = exact.bits(), exact.boltzmann_bits
        return exact.importance_weighted(moved, exact_bias.X, *terms, num_groups, BUDGET)

    found = exact.gradient(value, biases)
    mean = np.concatenate([found[f"encoder_{group}/bias"] for group in range(num_groups)])[np.newaxis]
    return Moments(mean, np.zeros_like(mean), 1)


def _is_offset(name: str) -> bool:
    return name.startswith("encoder") and name.endswith("/bias")


def _trained(console: Console, name: str) -> dict[str, Any]:
    values = flags.FLAGS
    weights = trained_weights(name)
    x = recipe_flags.load_images(weights.recipe.dataset).test[: values.num_images]
    references = {}
    for bound, label in _REFERENCES.items():
        method = next(each for each in METHODS if (each.label, each.bound) == (label, bound))
        # Other draws than those of the method itself.
        references[bound] = Gradient(weights, method, x).moments(
            _REFERENCE * values.num_draws, (values.seed, 1)
        )
    return {"settings": {name: _compare(console, name, weights, x, values.num_draws, references)}}


# The comparison.


def _compare(
    console: Console,
    title: str,
    weights: Weights,
    x: np.ndarray,
    num_draws: int,
    references: dict[str, Moments],
) -> dict[str, Any]:
    groups = weights.recipe.structure.num_groups
    methods = [each for each in METHODS if each.fits(groups)]
    gradients = {f"{each.label}, {each.bound}": Gradient(weights, each, x) for each in methods}
    timings = timing.in_turn({name: each.call for name, each in gradients.items()}, _ROUNDS)
    unit = timings[f"{_UNIT_OF_COST}, elbo"].median
    rows = []
    for method, (name, gradient) in zip(methods, gradients.items(), strict=True):
        found = gradient.moments(num_draws, (flags.FLAGS.seed, 0))
        repeats = BUDGET / gradient.evaluations
        rows.append(
            method._asdict()
            | {"changes": dict(method.changes)}
            | bias(found, references[method.bound])
            | {
                "k": gradient.k,
                "evaluations": gradient.evaluations,
                "noise": found.noise / np.sqrt(repeats),
                "milliseconds_per_row": timings[name].median * repeats / gradient.rows,
                "relative_cost": timings[name].median * repeats / unit,
            }
        )
    norms = {bound: norm(each.mean) for bound, each in references.items()}
    console.print(_table(title, norms, rows))
    return {
        "reference_norm": norms,
        "num_images": len(x),
        "num_draws": num_draws,
        "reference_draws": references["elbo"].num_draws,
        "gradients": rows,
    }


def norm(values: np.ndarray) -> float:
    """The root of the mean square over images of the norms of [B, D]."""
    return float(np.sqrt((values**2).sum() / len(values)))


def bias(found: Moments, reference: Moments) -> dict[str, float]:
    """The distance of two means, its square freed of what their errors add, and the most that it may be.

    With errors of variance v_i in the differences d_i, sum_i d_i^2 - v_i is unbiased for the squared
    distance, and has variance sum_i 2 v_i^2 + 4 v_i b_i^2 for biases b_i. `bias_at_most` is two of its errors
    up.
    """
    difference = found.mean - reference.mean
    variance = found.variance / found.num_draws + reference.variance / reference.num_draws
    squares = difference**2 - variance
    error = np.sqrt((2 * variance**2 + 4 * variance * np.maximum(squares, 0)).sum())
    square = max(squares.sum(), 0.0)
    images = len(difference)
    return {
        "bias": float(np.sqrt(square / images)),
        "bias_at_most": float(np.sqrt((square + 2 * error) / images)),
    }


def _table(title: str, norms: dict[str, float], rows: list[dict[str, Any]]) -> Table:
    shown = Table(
        "method",
        "K",
        "bias",
        "at most",
        "noise",
        "cost",
        title=f"{title}: gradients with {BUDGET} evaluations of the decoder",
    )
    for bound, size in norms.items():
        shown.add_section()
        shown.add_row(f"[bold]{bound}, norm of the gradient {size:.3g}")
        for row in rows:
            if row["bound"] == bound:
                shown.add_row(
                    row["label"],
                    str(row["k"]),
                    *(f"{row[name]:.3g}" for name in ("bias", "bias_at_most", "noise")),
                    f"{row['relative_cost']:.2f}",
                )
    return shown


# The figure.


def figure(known: dict[str, Any]) -> matplotlib.figure.Figure:
    """Bias against noise of the gradients of the ELBO, relative to the gradient; areas are costs."""
    settings = {title: each for model in known.values() for title, each in model["settings"].items()}
    width = max(7.0, 4.2 * len(settings))
    drawn = matplotlib.figure.Figure(figsize=(width, 5.6), layout="constrained")
    panels = drawn.subplots(1, max(1, len(settings)), squeeze=False)[0]
    families = list(dict.fromkeys(each.family for each in METHODS if each.bound == "elbo"))
    handles = {}
    for axes, (title, setting) in zip(panels, settings.items(), strict=False):
        size = setting["reference_norm"]["elbo"]
        for number, family in enumerate(families):
            rows = [row for row in setting["gradients"] if (row["family"], row["bound"]) == (family, "elbo")]
            biases, noises = ([row[name] / size for row in rows] for name in ("bias", "noise"))
            areas = [70 * row["relative_cost"] for row in rows]
            # Methods without a sharpness keep the bits.
            sharpnesses = [row["label"].rpartition(", ")[2] if row["changes"] else "" for row in rows]
            style = {"color": f"C{number}", "marker": "o" if any(sharpnesses) else "s"}
            axes.plot(biases, noises, color=f"C{number}", linewidth=1)
            axes.scatter(biases, noises, areas, zorder=2, alpha=0.8, **style)
            if rows:
                handles[family] = axes.scatter([], [], 70, **style)
            for text, *place in zip(sharpnesses, biases, noises, strict=True):
                axes.annotate(text, place, (7, 4), textcoords="offset points", fontsize=8)
        largest = {
            name: max(row[name] for row in setting["gradients"] if row["bound"] == "elbo") / size
            for name in ("bias", "noise")
        }
        # Room for the labels.
        axes.set_xlim(-0.05 * largest["bias"], 1.25 * largest["bias"])
        axes.set_ylim(0, 1.1 * largest["noise"])
        axes.set_title(title)
        axes.set_xlabel("bias / norm of the gradient")
    panels[0].set_ylabel("noise / norm of the gradient")
    columns = 3 if width < 10 else 5
    drawn.legend(handles.values(), handles, loc="outside lower center", ncols=columns, fontsize=9)
    drawn.suptitle(
        f"Gradients of the ELBO, {BUDGET} evaluations of the decoder: relaxations (circles) and the bits\n"
        "(squares); the area of a mark is the cost",
        fontsize=11,
    )
    return drawn


if __name__ == "__main__":
    main()

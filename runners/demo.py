"""Trains a discrete VAE on binarized MNIST and compares it with simpler models and with a long training.

The model is trained with a Boltzmann prior, and with its couplings W held at 0. Both are compared with a
mixture of Bernoullis and with committed weights of a long training, on the same test images.
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.figure
import numpy as np
from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import config, data, evaluation, models, plots, runs, storage, training

from . import bernoulli_mixture, common, recipe_flags, show

_DATASET = "binarized_mnist"
_PICTURE = "demo.png"
# Samples in a row of the picture, and rows.
_COLUMNS, _ROWS = 10, 8
_SEED = (0, 0)


class Measured(NamedTuple):
    """A row of the table: a model and the NLL of each test image, nats."""

    name: str
    image_nll: np.ndarray
    bracket: tuple[float, float] | None = None


def main() -> None:
    """Entry point."""
    recipe_flags.define_flags(struct="1-layer-nonlin", num_train_iter=6_000)
    for name, value in (
        ("log_dir", "runs/demo"),
        ("baseline", "gumbolt"),
        ("num_validations", 3),
        ("eval_iw_samples", 100),
        ("eval_batchsize", 500),
    ):
        flags.FLAGS.set_default(name, value)
    common.start(_demo, __doc__)


def _demo(_: Sequence[str]) -> None:
    console = Console()
    folder = storage.as_path(flags.FLAGS.log_dir)
    images = data.load(_DATASET)
    quick = {"validation_iw_samples": 10, "ais_temperatures": 1_000}
    recipe = recipe_flags.recipe_from_flags(_DATASET, **quick)
    cells = {
        "boltzmann": recipe_flags.recipe_from_flags(_DATASET, couplings=True, **quick),
        "factorial": recipe_flags.recipe_from_flags(_DATASET, couplings=False, **quick),
    }
    for name, cell in cells.items():
        training.check_run(cell, images, folder / name)
    if flags.FLAGS.dry_run:
        show.announce(console, recipe, images)
        return
    console.print(
        f"{len(images.train):,} images of binarized MNIST, {images.source}; {recipe.baseline}, "
        f"{recipe.struct}, {recipe.num_train_iter:,} training steps with each prior."
    )
    rows = []
    for name, title in (("boltzmann", "Boltzmann prior"), ("factorial", "W = 0")):
        console.rule(title)
        target = folder / name
        result = training.train(cells[name], images, target, [training.ProgressBar(console)], verbose=False)
        rows.append(Measured(f"{title}, {recipe.num_train_iter:,} steps", runs.read_image_nll(target)))
        console.print(f"{result.seconds or 0:.0f} s of training")
    console.rule("mixture of Bernoullis")
    with console.status("Fitting by expectation maximization."):
        mixture = bernoulli_mixture.fit(images.train, images.validation, recipe.seed)
        rows.append(Measured(f"mixture of {len(mixture.means)} Bernoullis", mixture.nll(images.test)))
    console.rule("committed weights of a long training")
    best = models.load("binarized_mnist_gumbolt")
    with console.status("Measuring the test images."):
        measured = evaluation.evaluate(
            best,
            images.test,
            recipe.eval_iw_samples,
            _SEED,
            recipe.eval_batchsize,
            recipe.ais_temperatures,
        )
    name = f"{best.recipe.baseline}, {best.recipe.struct}, {best.recipe.num_train_iter:,} steps"
    rows.append(Measured(name, measured.image_nll, measured.nll_bracket))
    console.print(_table(rows, recipe.eval_iw_samples))
    picture = folder / _PICTURE
    short = models.load(folder / "boltzmann")
    panels = {
        f"{recipe.num_train_iter:,} steps, test NLL {rows[0].image_nll.mean():.1f} nats": short,
        f"{best.recipe.num_train_iter:,} steps, test NLL {measured.nll:.1f} nats": best,
    }
    storage.write_bytes(picture, _picture(panels, images.image_shape))
    console.print(f"Samples of both models: {picture}; more pictures: {folder / 'boltzmann'}")


def _table(rows: Sequence[Measured], num_importance_samples: int) -> Table:
    """The test NLL of every model, and its paired difference from the first."""
    table = Table(
        "model",
        "test NLL",
        "difference",
        title=f"Binarized MNIST, {len(rows[0].image_nll):,} test images, K = {num_importance_samples}",
        caption="Nats per image. Difference from the first row on the same images, with its standard error.",
    )
    for row in rows:
        nll = f"{row.image_nll.mean():.2f}"
        if row.bracket is not None:
            nll += " ({:.2f} to {:.2f} by both sides of log Z)".format(*row.bracket)
        difference = evaluation.paired_difference(rows[0].image_nll, row.image_nll)
        text = "" if row is rows[0] else f"{difference.mean:+.2f} ± {difference.standard_error:.2f}"
        table.add_row(row.name, nll, text)
    return table


@plots.own_style()
def _picture(panels: dict[str, models.DVAE], image_shape: config.ImageShape) -> bytes:
    """Sheets of samples of several models side by side, each with its title."""
    figure = matplotlib.figure.Figure(figsize=(6 * len(panels), 5.2), layout="constrained")
    for axes, (title, model) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        samples = model.sample(_COLUMNS * _ROWS, _SEED).images.numpy()
        axes.imshow(plots.tile(samples, image_shape, _COLUMNS), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title)
        axes.axis("off")
    return plots.figure_png(figure)


if __name__ == "__main__":
    main()

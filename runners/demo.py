"""The main job on the embedded digits: train, measure, compare, and leave pictures.

Beside the model stand the same one with its couplings W held at 0, and a mixture of Bernoullis fitted to
the same pixels; the Boltzmann prior has to beat both.
"""

import pathlib
from collections.abc import Sequence

from absl import flags
from rich.console import Console
from rich.table import Table

from dvae_tf import config, data, training
from dvae_tf.runs import Result

from . import common
from .bernoulli_mixture import fitted_test_nll


def main() -> None:
    """Entry point."""
    common.define_flags(struct="1-layer-small", num_train_iter=8_000)
    # Small images, small gradients: beside the published epsilon of Adam they take a higher rate.
    for name, value in (("log_dir", "runs/demo"), ("k", 5), ("base_lr", 1e-2)):
        flags.FLAGS.set_default(name, value)
    common.start(_demo, __doc__)


def _demo(_: Sequence[str]) -> None:
    console = Console()
    folder = pathlib.Path(flags.FLAGS.log_dir)
    images = data.load("digits")
    recipe = common.recipe_from_flags("digits")
    common.announce(console, recipe, images)
    if flags.FLAGS.dry_run:
        return
    results = []
    for couplings in (True, False):
        changed = common.recipe_from_flags("digits", couplings=couplings)
        name = "boltzmann" if couplings else "factorial"
        console.rule(f"{name} prior")
        progress = training.ProgressBar(console, name)
        results.append(training.train(changed, images, folder / name, [progress], verbose=False))
    console.rule("mixture of Bernoullis")
    nll, error, components = fitted_test_nll(images.train, images.validation, images.test, seed=recipe.seed)
    console.print(_comparison(recipe, results, (nll, error, components)))
    console.print(f"Pictures: {folder / 'boltzmann'}/{{samples,reconstructions,learning_curve}}.png")


def _comparison(recipe: config.Recipe, results: list[Result], mixture: tuple[float, float, int]) -> Table:
    table = Table("model", "test NLL (nats)", "log Z (nats)", "active units", title="digits")
    for name, result in zip(("Boltzmann prior", "the same, W = 0"), results, strict=True):
        table.add_row(
            f"{recipe.baseline}, {name}",
            f"{result.test_nll:.2f} ± {result.test_nll_standard_error:.2f}",
            common.log_partition_text(result),
            f"{result.active_units} of {result.num_units}",
        )
    nll, error, components = mixture
    table.add_row(f"mixture of {components} Bernoullis", f"{nll:.2f} ± {error:.2f}", "", "")
    return table


if __name__ == "__main__":
    main()

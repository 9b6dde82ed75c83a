"""Evaluates a trained run again, with any number of importance samples, temperatures, seed and batch size."""

from collections.abc import Sequence

import numpy as np
from absl import flags
from rich.console import Console

from dvae_tf import config, evaluation, models, training
from dvae_tf.runs import provenance

from . import common, recipe_flags, show


def main() -> None:
    """Entry point."""
    flags.DEFINE_string(
        "log_dir", None, "A run folder, or a folder of committed results.", allow_override=True
    )
    recipe_flags.define_data_flags()
    flags.DEFINE_string(
        "test", None, "A file of your own test images, as for `custom`, instead of the dataset's."
    )
    flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "The images to evaluate on.")
    flags.DEFINE_integer("eval_iw_samples", 4000, "Number of importance samples, K.")
    flags.DEFINE_integer("eval_batchsize", 100, "Number of images per batch; limits memory.")
    flags.DEFINE_integer("ais_temperatures", 10_000, "Number of temperatures of the estimate of log Z.")
    flags.DEFINE_integer("seed", 0, "The seed of all random numbers.")
    common.start(_evaluate, __doc__)


def _evaluate(_: Sequence[str]) -> None:
    values = flags.FLAGS
    console = Console()
    if not values.log_dir:
        raise ValueError("log_dir: expected the folder of a run, got none")
    model = models.load(values.log_dir)
    measured = evaluation.evaluate(
        model,
        _images(model.recipe),
        values.eval_iw_samples,
        (0, values.seed),
        values.eval_batchsize,
        values.ais_temperatures,
    )
    console.print(f"{values.split} images: {measured.num_images:,}, K = {values.eval_iw_samples:,}")
    show.show_result(console, training.result_of(model, measured, **provenance.describe()))


def _images(recipe: config.Recipe) -> np.ndarray:
    images = recipe_flags.load_test_images(recipe.dataset, recipe.likelihood)
    if images is None:
        raise ValueError(
            f"test: expected a file with images of {recipe.dataset}, which are your own; got none"
        )
    return images.test if flags.FLAGS.test else getattr(images, flags.FLAGS.split)


if __name__ == "__main__":
    main()

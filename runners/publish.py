"""Copies a finished run into `results/`: configuration, result, pictures, and weights if asked.

The folder's name says what it is: <dataset>/<struct>/<baseline>-k<k>-<iterations>-seed<seed>.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from dvae_tf import storage
from dvae_tf.config import Recipe
from dvae_tf.models.store import BEST_FILE, CONFIG_FILE, WEIGHTS_FILE
from dvae_tf.run_folder import RESULT_FILE

from . import common
from .cells import cell_folder

_FILES = (
    CONFIG_FILE,
    RESULT_FILE,
    "samples.png",
    "reconstructions.png",
    "learning_curve.png",
)
# A headline cell's weights are kept in the repository, so they have to stay small.
_MAX_WEIGHT_BYTES = 4_000_000


def main() -> None:
    """Entry point."""
    flags.DEFINE_string("log_dir", None, "The finished run.", allow_override=True)
    flags.DEFINE_string("results_dir", "results", "Where results are collected.")
    flags.DEFINE_bool("weights", False, "Also keep the weights (at most 4 MB).")
    common.start(_publish)


def _publish(_: Sequence[str]) -> None:
    values = flags.FLAGS
    source = pathlib.Path(values.log_dir or "")
    if not values.log_dir or not (source / RESULT_FILE).is_file():
        raise FileNotFoundError(f"log_dir: expected a finished run with {RESULT_FILE}, got {source}")
    recipe = Recipe.from_json(storage.read_json(source / CONFIG_FILE))
    target = pathlib.Path(values.results_dir) / cell_folder(recipe)
    contents = {name: (source / name).read_bytes() for name in _FILES}
    if values.weights:
        contents[WEIGHTS_FILE] = (source / BEST_FILE).read_bytes()
        if len(contents[WEIGHTS_FILE]) > _MAX_WEIGHT_BYTES:
            raise ValueError(
                f"weights: expected at most {_MAX_WEIGHT_BYTES:,} bytes, got {len(contents[WEIGHTS_FILE]):,}"
            )
    target.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        storage.write_bytes(target / file, content)
    print(target)


if __name__ == "__main__":
    main()

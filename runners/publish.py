"""Copies finished runs into `results/`: configuration, inputs, result, pictures and, on request, weights.

Folders are named <dataset>/<struct>/<baseline>-k<k>-<iterations>-seed<seed>.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from dvae_tf import storage
from dvae_tf.runs import (
    BEST_FILE,
    CONFIG_FILE,
    INPUTS_FILE,
    RESULT_FILE,
    WEIGHTS_FILE,
    config_differences,
    file_in,
    read_recipe,
)

from . import common
from .cells import cell_folder

_FILES = (CONFIG_FILE, RESULT_FILE)
# Weights are kept in the repository, so they must be small.
_MAX_WEIGHT_BYTES = 4_000_000


def main() -> None:
    """Entry point."""
    flags.DEFINE_list("log_dir", [], "Folders of finished runs.", allow_override=True)
    flags.DEFINE_string("results_dir", "results", "The folder of all results.")
    flags.DEFINE_bool("pictures", True, "Whether to copy the pictures.")
    flags.DEFINE_bool("weights", False, "Whether to copy the weights (at most 4 MB).")
    common.start(_publish, __doc__)


def _publish(_: Sequence[str]) -> None:
    folders = [storage.as_path(folder) for folder in flags.FLAGS.log_dir]
    if not folders or not all((folder / RESULT_FILE).is_file() for folder in folders):
        raise FileNotFoundError(
            f"log_dir: expected finished runs with {RESULT_FILE}, got {[*map(str, folders)]}"
        )
    for folder in folders:
        print(_publish_one(folder))


def _publish_one(source: pathlib.Path) -> pathlib.Path:
    values = flags.FLAGS
    recipe = read_recipe(source)
    target = storage.as_path(values.results_dir) / cell_folder(recipe)
    files = list(_FILES)
    if values.pictures:
        pictures = sorted(file.name for file in source.glob("*.png"))
        if not pictures:
            raise FileNotFoundError(
                f"log_dir: expected pictures in {source}, got none; --nopictures does without"
            )
        files += pictures
    if (source / INPUTS_FILE).exists():
        files.append(INPUTS_FILE)
    contents = {name: file_in(source, name).read_bytes() for name in files}
    if values.weights:
        contents[WEIGHTS_FILE] = file_in(source, BEST_FILE).read_bytes()
        if len(contents[WEIGHTS_FILE]) > _MAX_WEIGHT_BYTES:
            raise ValueError(
                f"weights: expected at most {_MAX_WEIGHT_BYTES:,} bytes, got {len(contents[WEIGHTS_FILE]):,}"
            )
    # The name of the folder does not determine the whole recipe.
    if target.exists() and (differences := config_differences(read_recipe(target), recipe)):
        raise ValueError(f"log_dir: {target} holds another run than {source}. {'; '.join(differences)}")
    target.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        storage.write_bytes(target / file, content)
    return target


if __name__ == "__main__":
    main()

"""Folders of finished runs without a training: configuration, inputs, NLL of every test image, result."""

import dataclasses

import numpy as np

from dvae_tf import config
from dvae_tf.runs import Inputs, Result, RunFolder, write_inputs
from dvae_tf.storage import write_json
from support.results import REQUIRED


def write(folder, image_nll, test="0" * 64, parts=(), source="digits", **changes):
    """Writes a run of `config.recipe` with `changes`, on test images of a digest; returns its folder."""
    recipe = config.recipe(
        **{"dataset": "digits", "struct": "1-layer-small", "baseline": "dvaes_power", "k": 1} | changes
    )
    folder.mkdir(parents=True)
    image_nll = np.asarray(image_nll, np.float64)
    digests = {"train": "1" * 64, "validation": "2" * 64, "test": test}
    write_inputs(folder, Inputs(source, (8, 8), digests, dict(parts)))
    write_json(folder / "config.json", recipe.to_json())
    shared = {name: value for name, value in recipe.to_json().items() if name in REQUIRED}
    result = Result.from_json(REQUIRED | shared)
    result = dataclasses.replace(
        result,
        test_nll=float(image_nll.mean()),
        num_test_images=len(image_nll),
        log_partition_standard_error=0.0,
    )
    RunFolder(folder).finish(result, image_nll)
    return folder

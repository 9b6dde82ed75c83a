"""The pictures of a trained model: samples, reconstructions, usage and energies of its codes, its machine."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from .. import evaluation
from ..data import Images, likely_shape
from ..models import DVAE
from ..numerics import Tag, fold_in, split
from .machine import energies_png, machine_png, usage_png
from .sheets import COLUMNS, interleave, sheet_png, titled_sheet_png

_NUM_SAMPLES = 8 * COLUMNS
_NUM_PAIRS = 4 * COLUMNS
# Draws of the prior and test images whose energies are compared.
_NUM_DRAWS = 2_000
_NUM_IMAGES = 1_000


def _check_size(model: DVAE, images: Images) -> None:
    expected, found = model.mean_x.shape[0], images.test.shape[1:]
    if found != (expected,):
        got = ", ".join(map(str, ("N", *found)))
        raise ValueError(f"images: expected [N, {expected}], as the model was trained on, got [{got}]")


class RunPictures(NamedTuple):
    """PNG files of a run folder."""

    samples: bytes
    reconstructions: bytes


def run_pictures(model: DVAE, images: Images) -> RunPictures:
    """Samples of the prior, and reconstructions of test images, each with a title.

    Raises:
      ValueError: if the images do not fit the model.
    """
    _check_size(model, images)
    seed = fold_in((0, model.recipe.seed), Tag.PICTURES)
    title = f"{model.recipe.baseline}, {model.recipe.struct}, {model.recipe.dataset}"
    samples = model.sample(_NUM_SAMPLES, seed).images.numpy()
    chosen = _evenly_spaced(images.test, _NUM_PAIRS)
    reconstructions = model.decode(model.encode(chosen, 1, seed).z[0]).numpy()
    pairs = interleave(chosen, reconstructions)
    return RunPictures(
        titled_sheet_png(samples, images.image_shape, f"{title}: pixel means at samples of the prior"),
        titled_sheet_png(
            pairs,
            images.image_shape,
            f"{title}: test images, each above its reconstruction",
        ),
    )


def report_pictures(model: DVAE, images: Images | None) -> dict[str, bytes]:
    """The pictures of a report on a model.

    Args:
      model: a trained model.
      images: images whose test split is encoded, evenly spaced ones if there are many; None omits the
        pictures that need them.

    Returns:
      PNG files by name: `samples` and `energies`; `reconstructions` and `usage` with images; `machine` if
      the prior is a Boltzmann machine.

    Raises:
      ValueError: if the images do not fit the model.
    """
    if images is not None:
        _check_size(model, images)
    for_prior, for_codes = split(fold_in((0, model.recipe.seed), Tag.PICTURES))
    z = model.prior.sample_binary(_NUM_DRAWS, 1000, for_prior)
    samples = model.decode(z[:_NUM_SAMPLES]).numpy()
    draws = _energies(model, z)
    found = {}
    if images is None:
        shape, codes = model.image_shape or likely_shape(samples.shape[1]), None
    else:
        shape, test = images.image_shape, _evenly_spaced(images.test, _NUM_IMAGES)
        active = evaluation.active_units(model, test, for_codes)
        code = model.encode(test, 1, for_codes)
        codes = _energies(model, code.z[0])
        chosen = _evenly_spaced(test, _NUM_PAIRS)
        reconstructions = model.decode(_evenly_spaced(code.z[0].numpy(), _NUM_PAIRS)).numpy()
        found["reconstructions"] = sheet_png(interleave(chosen, reconstructions), shape)
        found["usage"] = usage_png(tf.math.sigmoid(code.logits[0]).numpy().mean(0), active)
    found["samples"] = sheet_png(samples, shape)
    found["energies"] = energies_png(draws, codes)
    machine = getattr(model.prior, "machine", None)
    return found if machine is None else found | {"machine": machine_png(machine)}


def _evenly_spaced(rows: np.ndarray, at_most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(at_most, len(rows))).astype(int)]


def _energies(model: DVAE, z: tf.Tensor) -> np.ndarray:
    return -model.prior.binary().unnormalized_log_prob(z).numpy()

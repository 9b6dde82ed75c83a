"""The pictures of a trained model: samples, reconstructions, usage and energies of its codes, its machine."""

from typing import Any

import numpy as np
import tensorflow as tf

from .. import evaluation
from ..data import Images, likely_shape
from ..models import DVAE, LocalCode
from ..numerics import Seed, Tag, fold_in, normal, split
from .machine import energies_png, machine_png, usage_png
from .sheets import COLUMNS, interleave, sheet_png, titled_sheet_png

_NUM_SAMPLES = 8 * COLUMNS
_NUM_PAIRS = 4 * COLUMNS
# Rows of a sheet that holds one half of the code.
_ROWS = 6
# Draws of the prior and test images whose energies are compared.
_NUM_DRAWS = 2_000
_NUM_IMAGES = 1_000


def _check_size(model: DVAE, images: Images) -> None:
    expected, found = model.mean_x.shape[0], images.test.shape[1:]
    if found != (expected,):
        got = ", ".join(map(str, ("N", *found)))
        raise ValueError(f"images: expected [N, {expected}], as the model was trained on, got [{got}]")


def run_pictures(model: DVAE, images: Images) -> dict[str, bytes]:
    """The pictures of a run folder, each with a title.

    Returns:
      PNG files by name: `samples` of the prior, `reconstructions` of test images; `bits_held` and
      `local_held` if there are local variables (`local_sheets`).

    Raises:
      ValueError: if the images do not fit the model.
    """
    _check_size(model, images)
    seed = fold_in((0, model.recipe.seed), Tag.PICTURES)
    chosen = _evenly_spaced(images.test, _NUM_PAIRS)
    pairs = interleave(chosen, model.reconstruct(chosen, seed).numpy())
    sheets = {
        "samples": (model.sample(_NUM_SAMPLES, seed).images.numpy(), "pixel means at samples of the prior"),
        "reconstructions": (pairs, "test images, each above its reconstruction"),
    }
    if model.num_local:
        for_bits, for_local = split(fold_in(seed, Tag.LOCAL))
        held = local_sheets(model, model.prior.sample_binary(_NUM_SAMPLES, 1000, for_bits), for_local)
        sheets |= {
            "bits_held": (held["bits_held"], "bits of each row, local variables drawn anew"),
            "local_held": (held["local_held"], "local noise of each row, bits of each column"),
        }
    about = f"{model.recipe.baseline}, {model.recipe.struct}, {model.recipe.dataset}"
    return {
        name: titled_sheet_png(each, images.image_shape, f"{about}: {title}")
        for name, (each, title) in sheets.items()
    }


def report_pictures(model: DVAE, images: Images | None) -> dict[str, bytes]:
    """The pictures of a report on a model.

    Args:
      model: a trained model.
      images: images whose test split is encoded, evenly spaced ones if there are many; None omits the
        pictures that need them.

    Returns:
      PNG files by name: `samples` and `energies`; `reconstructions` and `usage` (of bits) with images;
      `machine` if the prior is a Boltzmann machine; `bits_held` and `local_held` if there are local variables
      (`local_sheets`).

    Raises:
      ValueError: if the images do not fit the model.
    """
    if images is not None:
        _check_size(model, images)
    for_prior, for_codes = split(fold_in((0, model.recipe.seed), Tag.PICTURES))
    z = model.prior.sample_binary(_NUM_DRAWS, 1000, for_prior)
    shown = z[:_NUM_SAMPLES]
    samples = model.decode(shown, model.draw_local(shown, for_prior) if model.num_local else None).numpy()
    draws = _energies(model, z)
    found = {}
    shape: Any
    if images is None:
        shape, codes = model.image_shape or likely_shape(samples.shape[1]), None
    else:
        shape, test = model.image_shape or images.image_shape, _evenly_spaced(images.test, _NUM_IMAGES)
        active = evaluation.active_units(model, test, for_codes)
        code = model.encode(test, 1, for_codes)
        codes = _energies(model, code.z[0])
        chosen = _evenly_spaced(test, _NUM_PAIRS)
        drawn = [code.z[0], code.local[0]] if isinstance(code, LocalCode) else [code.z[0]]
        drawn = [_evenly_spaced(each.numpy(), _NUM_PAIRS) for each in drawn]
        reconstructions = model.decode(*drawn).numpy()
        found["reconstructions"] = sheet_png(interleave(chosen, reconstructions), shape)
        if model.posterior.has_bits:
            found["usage"] = usage_png(tf.math.sigmoid(code.logits[0]).numpy().mean(0), active)
    found["samples"] = sheet_png(samples, shape)
    found["energies"] = energies_png(draws, codes)
    if model.num_local:
        found |= {
            name: sheet_png(each, shape)
            for name, each in local_sheets(model, z, fold_in(for_prior, Tag.PICTURES)).items()
        }
    machine = getattr(model.prior, "machine", None)
    return found if machine is None else found | {"machine": machine_png(machine)}


def local_sheets(model: DVAE, z: tf.Tensor, seed: Seed) -> dict[str, np.ndarray]:
    """Samples of the prior that show what is in the bits, and what in the local variables.

    Args:
      model: a model with local variables.
      z: draws of the prior, at least `COLUMNS`, [N, D].
      seed: an `int32[2]` seed.

    Returns:
      Images [_ROWS COLUMNS, X] by name. `bits_held`: each row of the sheet has bits of its own and draws the
      local variables anew in each column. `local_held`: each row holds the noise of the local variables, and
      draws the bits anew in each column.
    """
    seeds = split(seed)
    anew = normal([_ROWS * COLUMNS, model.num_local], seeds[0], tf.float32)
    held = tf.repeat(normal([_ROWS, model.num_local], seeds[1], tf.float32), COLUMNS, 0)
    found = {}
    for name, bits, noise in (
        ("bits_held", tf.repeat(z[:_ROWS], COLUMNS, 0), anew),
        ("local_held", tf.tile(z[:COLUMNS], [_ROWS, 1]), held),
    ):
        found[name] = model.decode(bits, model.draw_local(bits, noise=noise)).numpy()
    return found


def _evenly_spaced(rows: np.ndarray, at_most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(at_most, len(rows))).astype(int)]


def _energies(model: DVAE, z: tf.Tensor) -> np.ndarray:
    return -model.prior.binary().unnormalized_log_prob(z).numpy()

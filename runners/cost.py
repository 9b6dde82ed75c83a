"""A rough estimate of the time of a run, from its matrix products and their speed on this machine."""

import itertools
import math
import time
from collections.abc import Sequence

import tensorflow as tf

from dvae_tf.config import Recipe, Structure
from dvae_tf.data import Images
from dvae_tf.models import Likelihood
from dvae_tf.models.systems import LIKELIHOODS
from dvae_tf.networks import grid_of

# The factor accounts for random numbers, elementwise work and batch norm, the constants for the overhead of
# calls, which dominates in small models.
_OVERHEAD = 1.7
_STEP_SECONDS = 2e-3
_VALIDATION_SECONDS = 0.3
_COMPILATION_SECONDS = 25.0


def estimate_seconds(recipe: Recipe, images: Images) -> float:
    """Estimates the seconds of training, validations and test, within about a factor of two."""
    structure = recipe.structure
    left = structure.num_units // 2
    code_row, image_row = _network_products(recipe, images)
    sweep = 2 * left * (structure.num_units - left)
    batch = recipe.train_batchsize
    num_samples = _mean_samples(recipe)
    mean_field = num_samples * batch * (recipe.num_mean_field_iterations + 1) * sweep
    forward = batch * (image_row + num_samples * code_row)
    step = recipe.num_chains * recipe.num_sweeps * sweep + 3 * forward + mean_field
    training = recipe.num_train_iter * step
    validation = recipe.num_validations * (
        len(images.validation) * recipe.validation_iw_samples * code_row
        + recipe.validation_ais_temperatures * recipe.ais_chains * sweep
    )
    test = (
        len(images.test) * recipe.eval_iw_samples * code_row
        + recipe.ais_temperatures * recipe.ais_chains * sweep
    )
    fixed = recipe.num_train_iter * _STEP_SECONDS + recipe.num_validations * _VALIDATION_SECONDS
    products = _OVERHEAD * (training + validation + test) / _products_per_second()
    return products + fixed + _COMPILATION_SECONDS


def _mean_samples(recipe: Recipe) -> float:
    """The number of importance samples of a step, on average over the run."""
    if recipe.late_start is None or recipe.late_k is None:
        return recipe.k
    return recipe.late_start * recipe.k + (1 - recipe.late_start) * recipe.late_k


def _num_outputs(recipe: Recipe, images: Images) -> int:
    """The number of outputs of the decoder, as far as the likelihood tells."""
    likelihood, mean_x = LIKELIHOODS[recipe.likelihood], images.train[0]
    if not isinstance(likelihood, Likelihood):
        return len(mean_x)
    return len(likelihood.of_images(images.image_shape).initial_outputs(mean_x))


def _network_products(recipe: Recipe, images: Images) -> tuple[float, float]:
    """The multiplications of a forward pass: (per code, per image)."""
    structure = recipe.structure
    if structure.channels:
        return _convolutional_products(structure, images.image_shape, _num_outputs(recipe, images))

    def later(sizes: list[int]) -> int:
        return sum(a * b for a, b in itertools.pairwise(sizes))

    units, hidden = structure.units_per_group, list(structure.hidden_units)
    per_code = later([structure.num_units, *hidden, _num_outputs(recipe, images)])
    per_image = 0
    for group in range(structure.num_groups):
        tail = [*hidden, units]
        per_image += images.train.shape[1] * tail[0] + (later(tail) if group == 0 else 0)
        per_code += 0 if group == 0 else group * units * tail[0] + later(tail)
    return float(per_code), float(per_image)


def _convolutional_products(
    structure: Structure, image_shape: Sequence[int], num_outputs: int
) -> tuple[float, float]:
    """The same of convolutional networks (`dvae_tf.networks`)."""
    depth, last = len(structure.channels), structure.channels[-1]
    places = [math.prod(grid_of(image_shape, level)) for level in range(depth + 1)]
    sizes = [structure.num_units, *structure.hidden_units]
    inputs = [math.prod(image_shape) // places[0], *structure.channels]
    # Convolutions of 3 x 3 places at the finest halving, then each four places as one.
    halvings = sum(
        places[level + 1] * 4 * inputs[level] * inputs[level + 1] * (9 if level == 0 else 1)
        for level in range(depth)
    )
    block = 2 * 9 * places[-1] * last**2
    # The decoder doubles what the encoder halves, but ends in the outputs of the likelihood.
    doublings = halvings + places[1] * 4 * 9 * structure.channels[0] * (num_outputs // places[0] - inputs[0])
    of_bits = structure.num_units * places[-1] * (last // 2)
    joining = 9 * places[-1] * (last // 2) * last
    per_image = halvings + block + places[-1] * last * sizes[-1] + 9 * places[-1] * last**2
    per_code = doublings + block + (1 + 2 * structure.num_local_groups) * (of_bits + joining)
    return float(per_code), float(per_image)


def _products_per_second() -> float:
    """Measures the multiply-adds per second of a [1000, 200] by [200, 200] product."""
    left, right = tf.random.stateless_normal([1000, 200], (0, 1)), tf.eye(200)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(20):
            left = tf.matmul(left, right)
        left.numpy()
        seconds.append(time.perf_counter() - start)
    return 20 * 1000 * 200 * 200 / min(seconds)

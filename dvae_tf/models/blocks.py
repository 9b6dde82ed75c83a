"""Blocks of a likelihood estimate, which bound its memory."""

from typing import Any

import numpy as np
import tensorflow as tf

from .likelihoods import Likelihood

# Rows (images x samples) in one block of a likelihood estimate; bounds its memory. Convolutional networks
# hold several numbers for each pixel of a row.
_ROWS = 10_000
_CONVOLUTIONAL_ROWS = 1_000


def block_size(num_samples: int, num_images: int | tf.Tensor, rows: int) -> int | tf.Tensor:
    """Samples in one block of a likelihood estimate: as many as memory allows."""
    if isinstance(num_images, int):
        return min(int(num_samples), max(1, rows // max(1, num_images)))
    return tf.minimum(num_samples, tf.maximum(1, rows // tf.maximum(1, num_images)))


def block_rows(likelihood: Any, mean_x: np.ndarray, is_convolutional: bool) -> int:
    """Rows of a block: fewer where a pixel has more than a few outputs, or networks are convolutional."""
    rows = _CONVOLUTIONAL_ROWS if is_convolutional else _ROWS
    if not isinstance(likelihood, Likelihood):
        return rows
    return rows // max(1, len(likelihood.initial_outputs(mean_x)) // (2 * len(mean_x)))

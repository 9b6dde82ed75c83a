"""The 8x8 digits that come with scikit-learn: they need no file and train in minutes."""

import os

import numpy as np

from . import binarization, images

_NUM_TRAIN = 1297
_NUM_VALIDATION = 250
_MAX_LEVEL = 16


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads the digits, permuted once by seed 0 into 1,297 / 250 / 250 images.

    The grey levels over 16 are pixel probabilities. `train` keeps them; `validation` and `test`
    are binarised once, with `VALIDATION_SEED` and `TEST_SEED` of `binarization`.

    Args:
      data_dir: Not used, no file is needed.
      manual_dir: Not used, no file is needed.

    Returns:
      The digits, image_shape (8, 8).
    """
    del data_dir, manual_dir
    from sklearn import datasets  # Slow to import.

    probs = (datasets.load_digits().data / _MAX_LEVEL).astype(np.float32)
    probs = probs[np.random.default_rng(0).permutation(len(probs))]
    train, validation, test = np.split(probs, [_NUM_TRAIN, _NUM_TRAIN + _NUM_VALIDATION])
    return images.Images(
        train=train,
        validation=binarization.binarize_once(validation, binarization.VALIDATION_SEED),
        test=binarization.binarize_once(test, binarization.TEST_SEED),
        image_shape=(8, 8),
        name="digits",
        source="load_digits of scikit-learn, grey levels / 16 as pixel probabilities",
    )

"""Images small enough for trainings of seconds, and a recipe's settings to go with them."""

import numpy as np

from dvae_tf import data

SMALL = {
    "num_train_iter": 120,
    "num_validations": 4,
    "train_batchsize": 20,
    "ais_chains": 50,
    "ais_temperatures": 50,
    "validation_ais_temperatures": 20,
    "validation_iw_samples": 5,
    "eval_iw_samples": 20,
}


def tiny_images(count=300, seed=0, is_binary=True):
    """Noisy copies of three patterns of 2 x 3 pixels; gray training images where not binary."""
    rng = np.random.default_rng(seed)
    modes = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]])
    chosen = modes[rng.integers(0, 3, 3 * count)]
    x = (chosen ^ (rng.random(chosen.shape) < 0.05)).astype(np.float32)
    train = x[:count] if is_binary else np.clip(x[:count], 0.1, 0.8)
    return data.Images(train, x[count : 2 * count], x[2 * count :], (2, 3), "tiny", "a test")

"""The effect of the treatment of saturated zeta on training, measured because float32 forces a choice."""

import numpy as np
import pytest
import tensorflow as tf

from dvae_tf import config, data, training
from dvae_tf.smoothing import power


def symmetric_floor(zeta):
    """The alternative: the same distance to both vertices, which caps |b| at 16."""
    limits = np.finfo(zeta.dtype.as_numpy_dtype)
    return tf.clip_by_value(zeta, limits.epsneg, 1 - limits.epsneg)


@pytest.mark.soak
def test_the_floor_at_zero_makes_no_difference_to_training(tmp_path, monkeypatch):
    images = data.load("digits")
    nll = {}
    for name, floor in (("nearest", power.inside_unit_interval), ("symmetric", symmetric_floor)):
        monkeypatch.setattr(power, "inside_unit_interval", floor)
        nll[name] = []
        for seed in (0, 1, 2):
            recipe = config.recipe(
                "digits",
                "1-layer-small",
                "dvaes_power",
                1,
                seed=seed,
                num_train_iter=4000,
                num_validations=5,
                ais_temperatures=2000,
                eval_iw_samples=1000,
            )
            nll[name].append(training.train(recipe, images, tmp_path / f"{name}{seed}").test_nll)
    spread = np.std(list(nll.values()), axis=1, ddof=1).max()
    print(f"\ntest NLL on digits, three seeds: {nll}")
    assert abs(np.mean(nll["nearest"]) - np.mean(nll["symmetric"])) < 4 * spread / np.sqrt(3) + 0.02

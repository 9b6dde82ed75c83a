"""Round trips through Keras's own files, compared bit for bit."""

import keras
import numpy as np


def saved_and_loaded(model, folder):
    """The model as `keras.saving.load_model` gives it back, without a warning of Keras."""
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def assert_same_variables(found, expected):
    """Equal values, shapes and dtypes, in the same order; Keras numbers some of the names."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other, other.path)


def assert_same_state(found, expected):
    """Equal variables, and equal variables of the optimizer."""
    assert_same_variables(found.variables, expected.variables)
    assert_same_variables(found.optimizer.variables, expected.optimizer.variables)

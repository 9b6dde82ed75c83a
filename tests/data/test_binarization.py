"""Binarization of pixel probabilities."""

import numpy as np
import pytest

from dvae_tf import data


def test_binarize_once_is_a_function_of_the_seed():
    probs = np.full((50, 20), 0.5, np.float32)
    first = data.binarize_once(probs, 3)
    np.testing.assert_array_equal(first, data.binarize_once(probs, 3))
    assert np.any(first != data.binarize_once(probs, 4))


def test_binarize_once_has_the_right_probabilities():
    num = 20_000
    probs = np.tile(np.linspace(0, 1, 11), (num, 1))
    drawn = data.binarize_once(probs, 0)
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    standard_error = np.sqrt(probs[0] * (1 - probs[0]) / num)
    # The ends have a standard error of 0: probability 0 never fires, probability 1 always.
    assert np.all(np.abs(drawn.mean(0, dtype=np.float64) - probs[0]) <= 5 * standard_error)


def test_binarize_once_refuses():
    with pytest.raises(
        ValueError, match=r"probs: expected finite values in \[0, 1\], got .* from 0.5 to 1.5"
    ):
        data.binarize_once(np.array([[0.5, 1.5]]), 0)
    with pytest.raises(ValueError, match="probs: .*, got values from nan to nan"):
        data.binarize_once(np.array([[0.5, np.nan]]), 0)
    with pytest.raises(ValueError, match="seed: expected at least 0, got -1"):
        data.binarize_once(np.array([[0.5]]), -1)

"""Datasets by name."""

import numpy as np
import pytest

from dvae_tf import data


def test_load_names_the_known_datasets():
    names = "binarized_mnist, caltech101_silhouettes, cifar10, digits, mnist, omniglot"
    with pytest.raises(ValueError, match=f"name: expected one of {names}, got 'emnist'.*data.from_arrays"):
        data.load("emnist")


def test_levels_are_kept_on_request():
    bits, levels = data.load("digits"), data.load("digits", pixels="levels")
    np.testing.assert_array_equal(levels.train, bits.train)
    assert len(np.unique(levels.test)) == 17
    np.testing.assert_array_equal(data.binarize_once(levels.test, 2), bits.test)
    with pytest.raises(ValueError, match="pixels: expected one of bits, levels, or None; got 'gray'"):
        data.load("digits", pixels="gray")

"""Datasets by name."""

import pytest

from dvae_tf import data


def test_load_names_the_known_datasets():
    names = "binarized_mnist, caltech101_silhouettes, digits, omniglot"
    with pytest.raises(ValueError, match=f"name: expected one of {names}, got 'mnist'.*data.from_arrays"):
        data.load("mnist")

"""The digits of scikit-learn."""

import numpy as np
from sklearn import datasets

from dvae_tf import data


def test_digits():
    images = data.load("digits")
    assert [len(split) for split in images[:3]] == [1297, 250, 250]
    assert images.image_shape == (8, 8)
    np.testing.assert_array_equal(images.train * 16, np.round(images.train * 16))
    assert len(np.unique(images.train)) == 17
    # Pinned: reported likelihoods are those of this set, and another binarization is another set.
    assert (images.validation.sum(), images.test.sum()) == (4908, 4869)
    for one, other in zip(images[:3], data.load("digits")[:3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_digits_are_split_without_loss():
    images = data.load("digits")
    levels = datasets.load_digits().data
    order = np.random.default_rng(0).permutation(len(levels))
    np.testing.assert_array_equal(images.train, (levels / 16)[order[:1297]])
    for split, rows in ((images.validation, order[1297:1547]), (images.test, order[1547:])):
        probs = levels[rows] / 16
        standard_error = np.sqrt(np.sum(probs * (1 - probs)))
        assert abs(split.sum() - probs.sum()) < 5 * standard_error
        assert np.all(split[probs == 0] == 0)
        assert np.all(split[probs == 1] == 1)

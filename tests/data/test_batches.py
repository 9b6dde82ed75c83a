"""The training examples of each step."""

import numpy as np
import pytest

from dvae_tf import data


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 8, 17, 23])
def test_batch_indices_do_not_depend_on_how_steps_are_split(cut):
    whole = data.batch_indices(5, 2, 23, 17, 4)
    parts = [data.batch_indices(5, 2, cut, 17, 4), data.batch_indices(5, 2 + cut, 23 - cut, 17, 4)]
    assert whole.shape == (23, 4)
    assert whole.dtype == np.int32
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_batch_indices_repeat_no_example_within_an_epoch():
    epochs = data.batch_indices(0, 0, 12, 17, 4).reshape(3, 16)
    for epoch in epochs:
        assert len(set(epoch)) == 16
        assert 0 <= epoch.min() <= epoch.max() < 17
    assert np.any(epochs[0] != epochs[1])
    assert np.any(epochs[0] != data.batch_indices(1, 0, 4, 17, 4).ravel())


def test_batch_indices_use_every_example_in_the_long_run():
    counts = np.bincount(data.batch_indices(0, 0, 4000, 17, 4).ravel(), minlength=17)
    # 1,000 epochs leave out one of 17 examples each: a binomial with mean 1,000 / 17.
    expected, deviation = 1000 * 16 / 17, np.sqrt(1000 * 16) / 17
    assert np.all(np.abs(counts - expected) < 5 * deviation)


def test_batch_indices_of_a_batch_as_large_as_the_data():
    batches = data.batch_indices(0, 3, 2, 6, 6)
    np.testing.assert_array_equal(np.sort(batches, axis=1), np.tile(np.arange(6), (2, 1)))


def test_batch_indices_are_the_callers_own():
    first = data.batch_indices(0, 0, 2, 6, 3)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(data.batch_indices(0, 0, 2, 6, 3), kept)
    assert data.batch_indices(0, 5, 0, 6, 3).shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((0, 0, 1, 10, 11), "batch_size: expected from 1 to 10, .*, got 11"),
        ((0, 0, 1, 10, 0), "batch_size: .* got 0"),
        ((-1, 0, 1, 10, 2), "seed: expected at least 0, got -1"),
        ((0, -1, 1, 10, 2), "start_step: expected at least 0, got -1"),
        ((0, 0, -1, 10, 2), "num_steps: expected at least 0, got -1"),
    ],
)
def test_batch_indices_refuse(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.batch_indices(*arguments)

"""The checks that every dataset passes."""

import numpy as np
import pytest

from dvae_tf import data


def _images(**changes):
    rng = np.random.default_rng(0)
    binary = rng.integers(0, 2, (5, 6)).astype(np.float32)
    images = data.Images(
        train=rng.random((7, 6), np.float32),
        validation=binary,
        test=binary.copy(),
        image_shape=(2, 3),
        name="toy",
        source="a test",
    )
    return images._replace(**changes)


def test_levels_of_8_bits():
    levels = np.arange(256, dtype=np.uint8).astype(np.float32).reshape(1, 256) / np.float32(255)
    images = data.Images(levels, levels, levels, (16, 16), "toy", "a test")
    data.check(images, "8-bit levels")
    for split in ("train", "test"):
        between = images._replace(**{split: np.abs(levels - np.float32(0.2 / 255))})
        data.check(between, "levels")
        with pytest.raises(data.DataError, match=f"{split}: expected the 256 levels n / 255"):
            data.check(between, "8-bit levels")


def _with(value):
    pixels = np.zeros((5, 6), np.float32)
    pixels[2, 3] = value
    return pixels


def test_check_accepts_gray_train_and_binary_rest():
    data.check(_images())
    data.check(_images(image_shape=np.array([2, 3])))
    data.check(_images(image_shape=(2, 1, 3)))


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"train": _with(np.nan)}, data.DataError, "train: expected finite"),
        ({"test": _with(np.inf)}, data.DataError, "test: expected finite"),
        ({"train": _with(1.001)}, data.DataError, r"train: .* in \[0, 1\], got values from 0.0 to 1.001"),
        ({"validation": _with(-1)}, data.DataError, r"validation: .* in \[0, 1\], got values from -1.0"),
        (
            {"validation": _with(0.5)},
            data.DataError,
            "validation: expected binary pixels.*data.binarize_once",
        ),
        ({"test": _with(0.5)}, data.DataError, "test: expected binary pixels"),
        (
            {"test": np.zeros((0, 6), np.float32)},
            data.DataError,
            "test: expected at least one image, got none",
        ),
        (
            {"test": np.zeros((5, 2, 3), np.float32)},
            ValueError,
            r"test: expected shape \[N, 6\] .*, got \[5, 2, 3\]",
        ),
        ({"train": np.zeros((5, 8), np.float32)}, ValueError, r"train: expected shape \[N, 6\]"),
        ({"image_shape": (2, 4)}, ValueError, r"shape \[N, 8\]"),
        ({"image_shape": (6,)}, ValueError, r"image_shape: expected two positive .*, got \(6,\)"),
        ({"image_shape": (2.0, 3.0)}, ValueError, r"image_shape: expected two positive .*, got \(2.0"),
        ({"image_shape": 6}, ValueError, "image_shape: expected two positive .*, got 6"),
        ({"train": np.zeros((5, 6))}, TypeError, "float32 NumPy array, got float64"),
        ({"train": [[0.0] * 6]}, TypeError, "float32 NumPy array, got list"),
    ],
)
def test_check_refuses(changes, error, match):
    with pytest.raises(error, match=match):
        data.check(_images(**changes))

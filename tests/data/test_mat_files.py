"""Matrices of MATLAB files: those that are asked for, of the sizes that are asked for."""

import numpy as np
import pytest
import scipy.io

from dvae_tf import data
from dvae_tf.data import files

SHAPES = {"images": (4, "n"), "labels": (1, "n")}
GOOD = {"images": np.arange(12.0).reshape(4, 3), "labels": np.ones((1, 3), np.int16)}


def test_matrices_are_read(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", GOOD | {"other": "text"})
    found = files.read_mat(tmp_path / "a.mat", SHAPES)
    assert set(found) == set(GOOD)
    for name, array in GOOD.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.ones((1, 4))}, r"labels must have shape \(1, 3\), got \(1, 4\)"),
        ({"images": np.ones((5, 3))}, r"images must have shape \(4, 3\), got \(5, 3\)"),
        ({"images": np.ones((4, 3, 2))}, "images must be a matrix of numbers, got float64"),
        ({"images": {"field": 1}}, "images must be a matrix of numbers"),
        ({"images": np.ones((4, 3), complex)}, "images must be a matrix of numbers, got complex"),
    ],
)
def test_others_are_refused(tmp_path, changes, message):
    scipy.io.savemat(tmp_path / "a.mat", GOOD | changes)
    with pytest.raises(data.DataError, match=f"a.mat: {message}"):
        files.read_mat(tmp_path / "a.mat", SHAPES)


def test_what_is_missing_or_damaged_is_named(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"images": GOOD["images"]})
    with pytest.raises(data.DataError, match="a.mat: labels must be a matrix of numbers, got NoneType"):
        files.read_mat(tmp_path / "a.mat", SHAPES)
    (tmp_path / "a.mat").write_bytes(b"x" * 200)
    for name in ("a.mat", "none.mat", "a"):
        with pytest.raises(data.DataError, match=f"{name} cannot be read"):
            files.read_mat(tmp_path / name, SHAPES)

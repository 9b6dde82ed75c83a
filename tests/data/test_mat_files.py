"""Matrices of MATLAB files: only the requested ones, of the requested shapes."""

import numpy as np
import pytest
import scipy.io

from dvae_tf import data
from dvae_tf.data import mat_files

SHAPES = {"images": (4, "n"), "labels": (1, "n")}
GOOD = {"images": np.arange(12.0).reshape(4, 3), "labels": np.ones((1, 3), np.int16)}


def test_matrices_are_read(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", GOOD | {"other": "text"})
    found = mat_files.read(tmp_path / "a.mat", SHAPES)
    assert set(found) == set(GOOD)
    for name, array in GOOD.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.ones((1, 4))}, r"labels: expected shape \(1, 3\), got \(1, 4\)"),
        ({"images": np.ones((5, 3))}, r"images: expected shape \(4, 3\), got \(5, 3\)"),
        ({"images": np.ones((4, 3, 2))}, "images: expected a matrix of numbers, got float64"),
        ({"images": {"field": 1}}, "images: expected a matrix of numbers, got "),
        ({"images": np.ones((4, 3), complex)}, "images: expected a matrix of numbers, got complex"),
    ],
)
def test_others_are_refused(tmp_path, changes, message):
    scipy.io.savemat(tmp_path / "a.mat", GOOD | changes)
    with pytest.raises(data.DataError, match=f"a.mat: {message}"):
        mat_files.read(tmp_path / "a.mat", SHAPES)


def test_a_missing_matrix_or_a_damaged_file_is_named(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"images": GOOD["images"]})
    with pytest.raises(data.DataError, match="a.mat: labels: expected a matrix of numbers, got NoneType"):
        mat_files.read(tmp_path / "a.mat", SHAPES)
    (tmp_path / "a.mat").write_bytes(b"x" * 200)
    for name in ("a.mat", "none.mat", "a"):
        with pytest.raises(data.DataError, match=f"{name}: expected a MATLAB file"):
            mat_files.read(tmp_path / name, SHAPES)

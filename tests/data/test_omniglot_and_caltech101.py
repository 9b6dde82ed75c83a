"""OMNIGLOT and Caltech-101 Silhouettes from the real files."""

import shutil

import numpy as np
import pytest
import scipy.io

from dvae_tf import data
from dvae_tf.data.builders import omniglot28x28

_FILES = {"omniglot": "chardata.mat", "caltech101_silhouettes": "caltech101_silhouettes_28_split1.mat"}
each = pytest.mark.parametrize("name", list(_FILES))


@pytest.fixture(scope="module")
def loaded(benchmark_data, tmp_path_factory):
    """Loads each dataset twice: the second time without its file."""
    folder = tmp_path_factory.mktemp("tfds")
    first = {name: data.load(name, data_dir=folder, manual_dir=benchmark_data) for name in _FILES}
    return first, {name: data.load(name, data_dir=folder, manual_dir=folder) for name in _FILES}


def _upright(columns):
    """Converts `[N, 784]` from column-major to row-major pixels."""
    return columns.reshape(-1, 28, 28).transpose(0, 2, 1).reshape(-1, 784)


@pytest.mark.slow
@pytest.mark.data
def test_omniglot_holds_what_the_file_holds(loaded, benchmark_data):
    images = loaded[0]["omniglot"]
    file = scipy.io.loadmat(benchmark_data / _FILES["omniglot"])
    assert [len(split) for split in images[:3]] == [23_000, 1_345, 8_070]
    pixels = _upright(file["data"].T)
    np.testing.assert_array_equal(images.train, pixels[:23_000])
    np.testing.assert_array_equal(images.validation, data.binarize_once(pixels[23_000:], 1))
    np.testing.assert_array_equal(images.test, data.binarize_once(_upright(file["testdata"].T), 2))
    assert not images.is_binary
    assert "downsampled anew" in images.source


@pytest.mark.data
def test_caltech_holds_what_the_file_holds(loaded, benchmark_data):
    images = loaded[0]["caltech101_silhouettes"]
    file = scipy.io.loadmat(benchmark_data / _FILES["caltech101_silhouettes"])
    for split, prefix in zip(images[:3], ("train", "val", "test"), strict=True):
        np.testing.assert_array_equal(split, _upright(file[f"{prefix}_data"]))
    assert [len(split) for split in images[:3]] == [4_100, 2_264, 2_307]
    assert images.is_binary
    assert "the published file" in images.source


@pytest.mark.data
@each
def test_prepared_datasets_are_read_again_without_files(loaded, name):
    for one, other in zip(loaded[0][name], loaded[1][name], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.data
@each
def test_one_changed_byte_is_refused_before_parsing(name, benchmark_data, tmp_path, monkeypatch):
    shutil.copy(benchmark_data / _FILES[name], tmp_path)
    with (tmp_path / _FILES[name]).open("r+b") as file:
        file.seek(1000)
        file.write(b"!")
    monkeypatch.setattr(scipy.io, "loadmat", None)
    with pytest.raises(data.DataError, match=f"{_FILES[name]}: expected the published file"):
        data.load(name, data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    assert not (tmp_path / "prepared").exists()


@each
def test_missing_files_are_named(name, tmp_path):
    with pytest.raises(data.DataError, match=f"manual_dir: expected .* in {tmp_path}, got no {_FILES[name]}"):
        data.load(name, data_dir=tmp_path / "prepared", manual_dir=tmp_path)


def test_omniglot_distinguishes_its_two_files(tmp_path, monkeypatch):
    (tmp_path / "chardata.mat").write_bytes(b"")
    monkeypatch.setattr(omniglot28x28, "_GIT_BLOB_ID", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391")
    assert omniglot28x28.identify(tmp_path / "chardata.mat") == "the published file"

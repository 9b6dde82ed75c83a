"""Datasets from the user's images: accepted arrays, files, errors."""

import io
import warnings
import zipfile

import numpy as np
import pytest

from dvae_tf import data

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (20, 4, 3))
LEVELS = RNG.integers(0, 256, (20, 4, 3))


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (BITS.astype(bool), BITS),
        (BITS.astype(np.uint8), BITS),
        (BITS.astype(np.float64), BITS),
        (LEVELS.astype(np.uint8), LEVELS / 255),
        (LEVELS.astype(np.float32), LEVELS / 255),
        (LEVELS / 255, LEVELS / 255),
        (LEVELS[..., np.newaxis], LEVELS / 255),
        (LEVELS.reshape(20, 12), LEVELS / 255),
        (BITS.tolist(), BITS),
        (np.ma.array(BITS, mask=False), BITS),
    ],
    ids=[
        "bool",
        "uint8 bits",
        "float bits",
        "uint8",
        "whole floats",
        "floats",
        "NHW1",
        "ND",
        "lists",
        "no mask",
    ],
)
def test_accepted_arrays(train, expected):
    images = data.from_arrays(train, BITS, BITS)
    np.testing.assert_allclose(images.train, expected.reshape(20, 12), rtol=1e-6)
    assert images.train.dtype == np.float32
    assert images.is_binary == (expected is BITS)


def test_held_out_splits_are_binarized_once():
    images = data.from_arrays(LEVELS, LEVELS, LEVELS)
    for split, seed in ((images.validation, 1), (images.test, 2)):
        np.testing.assert_array_equal(split, data.binarize_once(images.train, seed))


def test_without_validation_images_the_last_tenth_of_the_training_images_is_held_out():
    images = data.from_arrays(BITS, BITS)
    np.testing.assert_array_equal(images.train, BITS[:18].reshape(18, 12))
    np.testing.assert_array_equal(images.validation, BITS[18:].reshape(2, 12))


@pytest.mark.parametrize(
    ("shape", "given", "expected"),
    [
        ((5, 4, 3), None, (4, 3)),
        ((5, 16), None, (4, 4)),
        ((5, 12), None, (1, 12)),
        ((5, 12), (3, 4), (3, 4)),
        ((5, 12), np.array([3, 4]), (3, 4)),
        ((5, 12), [np.uint8(3), 4], (3, 4)),
        ((5, 12), np.array([3, 4, 1]), (3, 4)),
        ((5, 12), np.array([4, 1, 3]), (4, 1, 3)),
        ((5, 4, 3, 1), None, (4, 3)),
        ((5, 4, 5, 3), None, (4, 5, 3)),
    ],
)
def test_image_shape(shape, given, expected):
    found = data.from_arrays(np.zeros(shape), np.zeros(shape), image_shape=given).image_shape
    assert found == expected
    assert {type(side) for side in found} == {int}


def test_colors_stay_side_by_side():
    levels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) + np.uint8(100)
    images = data.from_arrays(levels, levels, levels, binarize="none")
    assert images.train.shape == (2, 60)
    np.testing.assert_array_equal(images.train.reshape(2, 4, 5, 3)[:, 1, 2, 2] * 255, levels[:, 1, 2, 2])


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"train": np.zeros(5)}, ["train: expected images as [N, H, W]", "[5]"]),
        ({"train": np.zeros((0, 4, 3))}, ["train", "[0, 4, 3]"]),
        ({"test": np.full((2, 4, 3), 300)}, ["test", "from 300 to 300", "255"]),
        ({"test": np.full((2, 4, 3), -1)}, ["test", "-1", "Scale"]),
        ({"train": np.full((5, 4, 3), 1.5)}, ["train", "1.5", "whole numbers"]),
        ({"train": np.full((5, 4, 3), np.nan)}, ["train", "nan"]),
        ({"train": np.full((5, 4, 3), "a")}, ["train", "<U1", "numbers"]),
        ({"train": np.zeros((5, 4, 3), complex)}, ["train", "complex"]),
        ({"train": [[[0, 1]], [[0]]]}, ["train: expected an array"]),
        ({"test": np.zeros((2, 3, 4))}, ["one shape", "train (4, 3), test (3, 4)"]),
        ({"test": np.zeros((2, 13))}, ["one shape", "(13,)"]),
        ({"image_shape": (3, 4)}, ["one shape", "test (4, 3), image_shape (3, 4)"]),
        ({"image_shape": (4.0, 3.0)}, ["image_shape: expected two positive integers", "got (4.0, 3.0)"]),
        ({"image_shape": (3, 2, 2)}, ["image_shape: expected two positive integers", "3 channels"]),
        ({"image_shape": (1, 4, 1, 3)}, ["image_shape: expected two positive integers"]),
        ({"image_shape": 12}, ["image_shape: expected two positive integers", "got 12"]),
        ({"image_shape": "43"}, ["image_shape: expected two positive integers", "got '43'"]),
        ({"train": np.zeros((5, 4, 3, 2))}, ["train: expected images as [N, H, W]", "[5, 4, 3, 2]"]),
        ({"train": np.zeros((5, 2, 2, 3))}, ["one shape", "train (2, 2, 3), test (4, 3)"]),
        ({"image_shape": (12, 0)}, ["image_shape: expected two positive integers"]),
        ({"image_shape": ()}, ["image_shape: expected two positive integers"]),
        ({"train": (BITS, np.zeros(20))}, ["train: expected an array of images, got a tuple of 2"]),
        ({"train": [np.zeros((4, 3)), np.zeros((4, 5))]}, ["train: expected an array"]),
        ({"train": np.ma.array(BITS, mask=BITS > 0)}, ["without masked", f"got {BITS.sum()} of them"]),
        ({"test": [np.ma.array(BITS[0], mask=True)] * 2}, ["test", "without masked", "got 24 of them"]),
        ({"train": BITS.astype(object)}, ["train", "object", "numbers"]),
        ({"train": np.zeros((1, 4, 3))}, ["train", "at least 2", "got 1", "Pass validation images"]),
    ],
    ids=lambda value: str(value)[:20],
)
def test_errors_report_what_was_found(changes, messages):
    with pytest.raises(data.DataError) as error:
        data.from_arrays(**{"train": BITS, "test": BITS} | changes)
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize("highest", [2, 16, 100])
def test_whole_numbers_of_another_scale_are_warned_of(highest):
    levels = LEVELS % (highest + 1)
    with pytest.warns(UserWarning, match=f"a.npy: whole numbers from 0 to {highest} .*divide.* by {highest}"):
        images = data.from_arrays(levels, levels.astype(float), source="a.npy")
    assert images.train.max() == np.float32(highest / 255)


@pytest.mark.parametrize("train", [BITS, LEVELS, LEVELS / 255, np.clip(LEVELS, 0, 128)])
def test_usual_scales_are_not_warned_of(train):
    with warnings.catch_warnings(action="error"):
        data.from_arrays(train, BITS)


@pytest.mark.parametrize("order", ["C", "F"])
def test_files(tmp_path, order):
    array = np.asarray(LEVELS.astype(np.uint8), order=order)
    np.save(tmp_path / "one.npy", array)
    np.savez_compressed(tmp_path / "one.npz", array)
    np.savez(tmp_path / "two.npz", a=array, b=BITS)
    for path in (tmp_path / "one.npy", f"{tmp_path}/one.npz", f"{tmp_path}/two.npz:a"):
        found = data.read_array(path)
        np.testing.assert_array_equal(found, LEVELS)
        assert found.dtype == np.uint8


def _header(shape, descr="'|u1'"):
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npy", None, "expected a file, got nothing"),
        ("text.txt", b"1", "expected a .npy or .npz file, got '.txt'"),
        ("empty.npy", b"", "expected a readable .npy file"),
        ("short.npy", _header((1000,)) + b"1", "promises 1,000 bytes, there are 1"),
        ("long.npy", _header((2,)) + b"1234", "promises 2 bytes, there are 4"),
        ("large.npy", _header((10**15,)) + b"1", "promises 1,000,000,000,000,000 bytes"),
        ("large.npz", {"a.npy": _header((10**15,)) + b"1"}, "promises 1,000,000,000,000,000 bytes"),
        ("text.npz", b"1", "expected a readable .npz file"),
        (
            "object.npz",
            {"a.npy": _header((1,), "'|O'") + b"12345678"},
            "expected a dtype of booleans or numbers",
        ),
        (
            "two.npz",
            {"a.npy": b"", "b.npy": b""},
            "expected one array, got 2: a, b. Select one as .*two.npz:name",
        ),
        ("none.npz", {}, "expected one array, got 0"),
    ],
)
def test_files_that_are_refused(tmp_path, name, content, message):
    file = tmp_path / name
    if isinstance(content, dict):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for member, data_of_member in content.items():
                archive.writestr(member, data_of_member)
        content = buffer.getvalue()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(data.DataError, match=message) as error:
        data.read_array(file)
    assert str(file) in str(error.value)


def test_a_file_of_python_2_is_read(tmp_path):
    """It may write the sides of a shape as long integers."""
    file = tmp_path / "old.npy"
    file.write_bytes(_header("(2L, 3L, 10L)") + bytes(range(60)))
    np.testing.assert_array_equal(data.read_array(file), np.arange(60).reshape(2, 3, 10))
    file.write_bytes(_header("(2L, 3LL, 10)") + bytes(60))
    with pytest.raises(data.DataError, match="its header is damaged"):
        data.read_array(file)


def test_a_path_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "one.npy", BITS)
    np.savez(tmp_path / "two.npz", a=BITS, b=LEVELS)
    for path in ("~/one.npy", "~/two.npz:a"):
        np.testing.assert_array_equal(data.read_array(path), BITS)
    with pytest.raises(data.DataError, match=f"{tmp_path}/none.npy: expected a file, got nothing"):
        data.read_array("~/none.npy")


def test_pickled_objects_are_not_read(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}, []], object), allow_pickle=True)
    with pytest.raises(data.DataError, match="expected a readable .npy file"):
        data.read_array(tmp_path / "objects.npy")


def test_an_array_that_is_not_in_the_file(tmp_path):
    np.savez(tmp_path / "two.npz", a=BITS, b=BITS)
    with pytest.raises(data.DataError, match="expected an array 'c', got a, b"):
        data.read_array(f"{tmp_path}/two.npz:c")


def test_a_rejection_names_the_files(tmp_path):
    np.save(tmp_path / "odd.npy", np.full((5, 4, 3), 1.5))
    odd = data.read_array(tmp_path / "odd.npy")
    with pytest.raises(data.DataError, match=r"odd.npy: train: expected .*, got float64 .* values from 1.5"):
        data.from_arrays(odd, odd, source=f"{tmp_path}/odd.npy")

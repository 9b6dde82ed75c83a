"""Binarized MNIST as it comes with the package."""

import bz2
import hashlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from dvae_tf import data
from dvae_tf.data.embedded import mnist, pack

_FILES = {
    "train": "binarized_mnist_train.amat",
    "validation": "binarized_mnist_valid.amat",
    "test": "binarized_mnist_test.amat",
}


@pytest.fixture(scope="module")
def embedded():
    return data.load("binarized_mnist")


def _sorted_rows(pixels):
    return np.sort(np.packbits(pixels.astype(bool), axis=1).view("V98").ravel())


def test_splits(embedded):
    assert [split.shape for split in embedded[:3]] == [(50_000, 784), (10_000, 784), (10_000, 784)]
    assert [split.dtype for split in embedded[:3]] == [np.float32] * 3
    assert embedded.is_binary
    assert embedded[3:] == ((28, 28), "binarized_mnist", "embedded in dvae_tf")
    # Counted in the published files.
    assert [int(split.sum(dtype=np.float64)) for split in embedded[:3]] == [5_118_041, 1_028_036, 1_038_896]


def test_rows_are_in_the_order_of_tensorflow_datasets(embedded):
    """Training is a function of the order of the images, so it must never change."""
    digests = [hashlib.sha256(split.astype(bool).tobytes()).hexdigest()[:16] for split in embedded[:3]]
    assert digests == ["0804906eb23d6aed", "d71adae465f76e42", "3e41c0f6bd30b15b"]


def test_packing_is_the_inverse_of_reading(embedded):
    packed = mnist.pack({split: getattr(embedded, split) for split in mnist.SIZES})
    assert hashlib.sha256(packed).hexdigest() == mnist.SHA256


def _flip_a_bit(content):
    packed = bytearray(bz2.decompress(content))
    packed[1000] ^= 1
    return bz2.compress(bytes(packed))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: None, "got FileNotFoundError"),
        (lambda content: b"", "got EOFError"),
        (lambda content: b"not compressed", "got OSError"),
        (lambda content: content[:1_000_000], "got EOFError"),
        (lambda content: content[:1_000_000] + b"?" + content[1_000_001:], "got OSError"),
        (_flip_a_bit, "expected content with SHA-256"),
        (lambda content: content + bz2.compress(b"more"), "expected content with SHA-256"),
    ],
    ids=["missing", "empty", "other", "short", "byte", "bit", "long"],
)
def test_a_damaged_file_is_refused_by_name(damage, message, tmp_path, monkeypatch):
    file = tmp_path / "file.bz2"
    content = damage(mnist.FILE.read_bytes())
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(mnist, "FILE", file)
    with pytest.raises(data.DataError, match=f"{file}: .*{message}.* Reinstall dvae_tf, or pass"):
        data.load("binarized_mnist")


def test_an_undamaged_copy_is_loaded(embedded, tmp_path, monkeypatch):
    """The control of the test above."""
    monkeypatch.setattr(mnist, "FILE", shutil.copy(mnist.FILE, tmp_path))
    np.testing.assert_array_equal(data.load("binarized_mnist").test, embedded.test)


def test_loading_is_lazy_and_needs_neither_network_nor_tensorflow_datasets():
    code = """
import bz2, socket, sys
opened, bz2.open = bz2.open, None
import dvae_tf.data
bz2.open, socket.socket = opened, None
assert len(dvae_tf.data.load("binarized_mnist").train) == 50_000
assert not {"tensorflow", "tensorflow_datasets"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.data
@pytest.mark.parametrize("split", list(_FILES))
def test_images_are_those_of_the_published_file(embedded, benchmark_data, split):
    text = np.fromfile(benchmark_data / _FILES[split], np.uint8)
    published = (text[::2] == ord("1")).reshape(-1, 784)
    np.testing.assert_array_equal(_sorted_rows(getattr(embedded, split)), _sorted_rows(published))


@pytest.mark.data
@pytest.mark.slow
def test_the_file_can_be_made_again(benchmark_data, tmp_path, monkeypatch):
    committed = bz2.decompress(mnist.FILE.read_bytes())
    monkeypatch.setattr(mnist, "FILE", tmp_path / "again.bz2")
    monkeypatch.setattr(sys, "argv", ["pack", str(benchmark_data)])
    pack.main()
    assert bz2.decompress(mnist.FILE.read_bytes()) == committed

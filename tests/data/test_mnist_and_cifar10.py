"""MNIST and CIFAR-10 from small files in the published layouts, and what is said where there are none."""

import hashlib
import pickle
import time
import urllib.error
import urllib.request
import warnings

import numpy as np
import pytest
import tensorflow_datasets as tfds

from dvae_tf import config, data
from dvae_tf.data import builders, cifar10, cifar_batches, mnist
from dvae_tf.data.builders import cifar10_python
from support.published import cifar_archive, cifar_batch, idx

_FILES = {
    "mnist": [
        f"{split}-{kind}-ubyte.gz" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
    ],
    "cifar10": ["cifar-10-python.tar.gz"],
}
each = pytest.mark.parametrize("name", list(_FILES))


def _batches():
    """Colors [N, 32, 32, 3] and labels of each file of the archive."""
    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return {name: (rng.integers(0, 256, (2, 32, 32, 3), np.uint8), rng.integers(0, 10, 2)) for name in names}


def _pickled(pixels, labels):
    """Images are published channel by channel."""
    return cifar_batch(pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1), labels)


def _take_for_published(monkeypatch, builder_cls, folder):
    """Makes TFDS take the files of a folder for the published ones."""
    infos = {}
    for url, info in builder_cls.url_infos.items():
        if not (folder / info.filename).exists():  # not the file of this builder
            continue
        content = (folder / info.filename).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        infos[url] = type(info)(size=len(content), checksum=digest, filename=info.filename)
    monkeypatch.setattr(builder_cls, "url_infos", infos)


def test_cifar10_holds_what_the_archive_holds(tmp_path, monkeypatch):
    batches = _batches()
    cifar_archive(
        tmp_path / _FILES["cifar10"][0], {name: _pickled(*batch) for name, batch in batches.items()}
    )
    _take_for_published(monkeypatch, builders.Cifar10Python, tmp_path)
    monkeypatch.setattr(cifar10_python, "identify", lambda path: "a small archive")
    monkeypatch.setattr(cifar10_python, "_NUM_VALIDATION", 3)
    monkeypatch.setattr(cifar10, "_SIZES", {"train": 7, "validation": 3, "test": 2})
    images = data.load("cifar10", data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    assert images.image_shape == (32, 32, 3)
    *train, test = (pixels for pixels, _ in batches.values())
    expected = np.concatenate(train).reshape(10, -1)
    np.testing.assert_array_equal(np.concatenate([images.train, images.validation]) * 255, expected)
    np.testing.assert_array_equal(np.rint(images.test * 255), test.reshape(2, -1))
    data.check(images, "8-bit levels")
    assert images.source.endswith("from a small archive")
    bits = data.load("cifar10", data_dir=tmp_path / "prepared", manual_dir=tmp_path, pixels="bits")
    np.testing.assert_array_equal(bits.train, images.train)
    data.check(bits, "bits")


def test_batches_are_those_that_python_would_unpickle(tmp_path):
    """Python's own unpickler, which would run whatever a pickle names, and NumPy's."""
    pixels, labels = _batches()["test_batch"]
    content = _pickled(pixels, labels)
    with warnings.catch_warnings(action="ignore"):
        found = pickle.loads(content, encoding="bytes")
    cifar_archive(tmp_path / "archive.tar.gz", {"test_batch": content})
    (batch,) = cifar_batches.read(tmp_path / "archive.tar.gz", ["cifar-10-batches-py/test_batch"])
    np.testing.assert_array_equal(batch.pixels.transpose(0, 3, 1, 2).reshape(2, -1), found[b"data"])
    np.testing.assert_array_equal(batch.pixels, pixels)
    assert batch.labels.tolist() == found[b"labels"] == labels.tolist()


def _hostile():
    pixels = np.zeros((2, 3072), np.uint8)
    good = cifar_batch(pixels, [0, 1])
    return {
        "calls a function": (b"cos\nsystem\n(S'touch {marker}'\ntR.", "expected an array, got os.system"),
        "calls NumPy": (
            good.replace(b"_reconstruct", b"fromstring__"),
            "got numpy.core.multiarray.fromstring__",
        ),
        "names a class": (pickle.dumps(warnings.catch_warnings), "got warnings.catch_warnings"),
        "another type": (good.replace(b"u1", b"u2"), "expected 6144 bytes"),
        "too few pixels": (cifar_batch(pixels[:, :3000], [0, 1]), "expected 6144 bytes"),
        "another label": (cifar_batch(pixels, [0, 10]), "expected labels from 0 to 9"),
        "no array": (pickle.dumps({b"data": [1, 2], b"labels": [1]}, 2), "got _codecs.encode"),
        "no dictionary": (b"\x80\x02K\x01.", "AttributeError"),
        "cut off": (good[:-3000], "truncated"),
        "no pickle": (b"hello", "UnpicklingError"),
    }


@pytest.mark.parametrize("case", _hostile())
def test_other_pickles_are_refused(case, tmp_path):
    content, message = _hostile()[case]
    marker = tmp_path / "marker"
    cifar_archive(
        tmp_path / "archive.tar.gz", {"test_batch": content.replace(b"{marker}", str(marker).encode())}
    )
    with pytest.raises(data.DataError, match=rf"archive\.tar\.gz: expected batches .*{message}"):
        cifar_batches.read(tmp_path / "archive.tar.gz", ["cifar-10-batches-py/test_batch"])
    assert not marker.exists()


def test_other_archives_are_refused(tmp_path):
    file = tmp_path / "archive.tar.gz"
    file.write_bytes(b"no archive")
    with pytest.raises(data.DataError, match="expected batches of CIFAR-10: ReadError"):
        cifar_batches.read(file, ["cifar-10-batches-py/test_batch"])
    cifar_archive(file, {"data_batch_1": b""})
    with pytest.raises(data.DataError, match="test_batch.* not found"):
        cifar_batches.read(file, ["cifar-10-batches-py/test_batch"])


def test_mnist_holds_what_the_files_hold(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pixels = {
        "train": rng.integers(0, 256, (6, 28, 28), np.uint8),
        "t10k": rng.integers(0, 256, (3, 28, 28), np.uint8),
    }
    for split, levels in pixels.items():
        idx(tmp_path / f"{split}-images-idx3-ubyte.gz", levels)
        idx(tmp_path / f"{split}-labels-idx1-ubyte.gz", rng.integers(0, 10, len(levels)).astype(np.uint8))
    builder_cls = tfds.builder_cls("mnist")
    _take_for_published(monkeypatch, builder_cls, tmp_path)
    monkeypatch.setattr(f"{builder_cls.__module__}._TRAIN_EXAMPLES", 6)
    monkeypatch.setattr(f"{builder_cls.__module__}._TEST_EXAMPLES", 3)
    parts = {"train": "train[:4]", "validation": "train[4:]", "test": "test"}
    monkeypatch.setattr(mnist, "_PARTS", parts)
    monkeypatch.setattr(mnist, "_SIZES", dict(zip(parts.values(), (4, 2, 3), strict=True)))
    images = data.load("mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path, pixels="levels")

    def rows(levels):
        return sorted(map(tuple, np.rint(np.reshape(levels, (len(levels), -1)) * 1.0).tolist()))

    assert rows(np.concatenate([images.train, images.validation]) * 255) == rows(pixels["train"])
    assert rows(images.test * 255) == rows(pixels["t10k"])
    data.check(images, "8-bit levels")
    bits = data.load("mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    np.testing.assert_array_equal(bits.train, images.train)
    np.testing.assert_array_equal(bits.test, data.binarize_once(images.test, 2))
    assert config.recipe("mnist", "1-layer-small", "dvaes_power", 1).dynamic_binarization


@each
def test_missing_files_are_named_at_once(name, tmp_path, monkeypatch):
    def hang(*arguments, **keywords):
        time.sleep(5)
        raise urllib.error.URLError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", hang)
    with pytest.raises(data.DataError, match="Put them there") as given:
        data.load(name, data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    started = time.monotonic()
    with pytest.raises(data.DataError, match=r"no answer in time.* pass it as manual_dir") as downloaded:
        data.load(name, data_dir=tmp_path / "prepared")
    assert time.monotonic() - started < 2
    for file in _FILES[name]:
        assert file in str(given.value)
        assert file in str(downloaded.value)


@each
def test_another_file_is_refused_before_it_is_read(name, tmp_path, monkeypatch):
    for file in _FILES[name]:
        (tmp_path / file).write_bytes(b"another file")
    monkeypatch.setattr(cifar_batches, "read", None)
    with pytest.raises(
        data.DataError, match=f"{min(_FILES[name])}: expected the published file with SHA-256"
    ):
        data.load(name, data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    assert not list((tmp_path / "prepared").glob(f"{name}*"))


def test_the_known_digest_of_cifar10():
    info = builders.Cifar10Python.url_infos[cifar10_python.URL]
    assert info.checksum == cifar10_python._SHA256
    assert info.size == 170_498_071

"""Tests of the datasets, the batch order and the binarisation."""

import functools
import hashlib
import http.server
import pathlib
import shutil
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn import datasets

from dvae_tf import data
from dvae_tf.data import binarized_mnist

_FILES = {
    "train": "binarized_mnist_train.amat",
    "validation": "binarized_mnist_valid.amat",
    "test": "binarized_mnist_test.amat",
}


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


def _with(value):
    pixels = np.zeros((5, 6), np.float32)
    pixels[2, 3] = value
    return pixels


# --- check -------------------------------------------------------------------------------------


def test_check_accepts_grey_train_and_binary_rest():
    data.check(_images())


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"train": _with(np.nan)}, data.DataError, "train must be finite"),
        ({"test": _with(np.inf)}, data.DataError, "test must be finite"),
        ({"train": _with(1.001)}, data.DataError, r"within \[0, 1\]"),
        ({"validation": _with(-1)}, data.DataError, r"within \[0, 1\]"),
        ({"validation": _with(0.5)}, data.DataError, "validation must be binary"),
        ({"test": _with(0.5)}, data.DataError, "test must be binary"),
        ({"test": np.zeros((0, 6), np.float32)}, data.DataError, "test must hold at least one"),
        ({"test": np.zeros((5, 2, 3), np.float32)}, ValueError, r"test must have shape \[N, 6\]"),
        ({"train": np.zeros((5, 8), np.float32)}, ValueError, r"train must have shape \[N, 6\]"),
        ({"image_shape": (2, 4)}, ValueError, r"shape \[N, 8\]"),
        ({"image_shape": (6,)}, ValueError, "image_shape must be two"),
        ({"train": np.zeros((5, 6))}, TypeError, "float32 NumPy array, got float64"),
        ({"train": [[0.0] * 6]}, TypeError, "float32 NumPy array, got list"),
    ],
)
def test_check_refuses(changes, error, match):
    with pytest.raises(error, match=match):
        data.check(_images(**changes))


# --- binarize_once -----------------------------------------------------------------------------


def test_binarize_once_is_a_function_of_the_seed():
    probs = np.full((50, 20), 0.5, np.float32)
    first = data.binarize_once(probs, 3)
    np.testing.assert_array_equal(first, data.binarize_once(probs, 3))
    assert np.any(first != data.binarize_once(probs, 4))


def test_binarize_once_has_the_right_probabilities():
    num = 20_000
    probs = np.tile(np.linspace(0, 1, 11), (num, 1))
    drawn = data.binarize_once(probs, 0)
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0.0, 1.0}
    standard_error = np.sqrt(probs[0] * (1 - probs[0]) / num)
    # The ends have a standard error of 0: probability 0 never fires, probability 1 always.
    assert np.all(np.abs(drawn.mean(0, dtype=np.float64) - probs[0]) <= 5 * standard_error)


def test_binarize_once_refuses():
    with pytest.raises(ValueError, match="probs"):
        data.binarize_once(np.array([[0.5, 1.5]]), 0)
    with pytest.raises(ValueError, match="probs"):
        data.binarize_once(np.array([[0.5, np.nan]]), 0)
    with pytest.raises(ValueError, match="seed"):
        data.binarize_once(np.array([[0.5]]), -1)


# --- batch_indices -----------------------------------------------------------------------------


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
        ((0, 0, 1, 10, 11), "batch_size must be between 1 and .* 10, got 11"),
        ((0, 0, 1, 10, 0), "batch_size"),
        ((-1, 0, 1, 10, 2), "seed"),
        ((0, -1, 1, 10, 2), "start_step"),
        ((0, 0, -1, 10, 2), "num_steps"),
    ],
)
def test_batch_indices_refuse(arguments, match):
    with pytest.raises(ValueError, match=match):
        data.batch_indices(*arguments)


# --- load, digits ------------------------------------------------------------------------------


def test_load_names_the_known_datasets():
    with pytest.raises(
        ValueError, match="binarized_mnist, caltech101_silhouettes, digits, omniglot, got 'mnist'"
    ):
        data.load("mnist")


def test_digits():
    images = data.load("digits")
    assert [len(split) for split in images[:3]] == [1297, 250, 250]
    assert images.image_shape == (8, 8)
    np.testing.assert_array_equal(images.train * 16, np.round(images.train * 16))
    assert len(np.unique(images.train)) == 17
    # Pinned: reported likelihoods are those of this set, and another binarisation is another set.
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


# --- binarized_mnist, without the published files ----------------------------------------------


@pytest.mark.parametrize("present", [(), ("binarized_mnist_valid.amat",)])
def test_mnist_missing_files_are_named_at_once(tmp_path, present):
    for name in present:
        (tmp_path / name).write_text("0 1\n")
    start = time.monotonic()
    with pytest.raises(data.DataError) as caught:
        data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    assert time.monotonic() - start < 2
    for name in _FILES.values():
        assert (name in str(caught.value)) == (name not in present)
    assert str(tmp_path) in str(caught.value)
    assert "manual_dir" in str(caught.value)


def _refuse(*arguments, **keywords):
    raise urllib.error.URLError("no route to host")


def _hang(*arguments, **keywords):
    time.sleep(5)
    raise urllib.error.URLError("timed out")


@pytest.mark.parametrize(("urlopen", "reason"), [(_refuse, "no route to host"), (_hang, "no answer in time")])
def test_mnist_without_files_or_network(tmp_path, monkeypatch, urlopen, reason):
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    start = time.monotonic()
    with pytest.raises(data.DataError, match=f"{reason}.*pass it as manual_dir") as caught:
        data.load("binarized_mnist", data_dir=tmp_path)
    assert time.monotonic() - start < 3
    for name in _FILES.values():
        assert name in str(caught.value)


def test_mnist_wrong_digest_is_refused_before_parsing(tmp_path, monkeypatch):
    for name in _FILES.values():
        (tmp_path / name).write_text("0 1\n")
    monkeypatch.setattr(np, "loadtxt", _refuse)
    with pytest.raises(data.DataError, match=r"binarized_mnist_test\.amat.*SHA-256 should be e66"):
        data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    assert not (tmp_path / "prepared" / "binarized_mnist").exists()


def test_mnist_damaged_prepared_dataset(tmp_path):
    folder = tmp_path / "binarized_mnist" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "features.json").write_text("{")
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(data.DataError, match=f"{tmp_path} is damaged"):
        data.load("binarized_mnist", data_dir=tmp_path)


def test_mnist_prepared_folder_without_its_description(tmp_path):
    folder = tmp_path / "binarized_mnist" / "1.0.0"
    folder.mkdir(parents=True)
    with pytest.raises(data.DataError, match=f"{folder} cannot be read. Remove"):
        data.load("binarized_mnist", data_dir=tmp_path)


class _Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def toy_server(tmp_path, monkeypatch):
    """Serves three images per split, and tells TFDS that these are the published files."""
    folder = tmp_path / "served"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = {split: rng.integers(0, 2, (3, 784)) for split in _FILES}
    for split, name in _FILES.items():
        np.savetxt(folder / name, pixels[split], fmt="%d")
    handler = functools.partial(_Server, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    builder_cls = tfds.builder_cls("binarized_mnist")
    info_cls = type(next(iter(builder_cls.url_infos.values())))
    infos = {}
    for name in _FILES.values():
        content = (folder / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        infos[url + name] = info_cls(size=len(content), checksum=digest, filename=name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(builder_cls, "url_infos", infos)
    monkeypatch.setattr(f"{builder_cls.__module__}._URL", url)
    monkeypatch.setattr(binarized_mnist, "_SIZES", dict.fromkeys(_FILES, 3))
    yield folder, pixels
    server.shutdown()
    server.server_close()


def _assert_same_rows(loaded, expected):
    assert sorted(map(tuple, loaded)) == sorted(map(tuple, expected))


def test_mnist_is_downloaded_quietly(toy_server, tmp_path, capfd):
    images = data.load("binarized_mnist", data_dir=tmp_path / "prepared")
    for split, expected in toy_server[1].items():
        _assert_same_rows(getattr(images, split), expected)
    out, err = capfd.readouterr()
    assert not out
    assert "examples" not in err
    shutil.rmtree(toy_server[0])
    data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir="/does/not/exist")


def test_mnist_damaged_cached_download_is_not_used(toy_server, tmp_path):
    folder = tmp_path / "prepared"
    data.load("binarized_mnist", data_dir=folder)
    shutil.rmtree(folder / "binarized_mnist")
    cached = [path for path in (folder / "downloads").rglob("*.amat") if path.is_file()]
    assert len(cached) == 3
    for path in cached:
        path.write_text(("1 " * 784).strip() + "\n")
    images = data.load("binarized_mnist", data_dir=folder)
    _assert_same_rows(images.test, toy_server[1]["test"])


def test_mnist_damaged_download_is_refused(toy_server, tmp_path):
    (toy_server[0] / _FILES["test"]).write_text("0 1\n")
    with pytest.raises(data.DataError, match="cannot be downloaded.*wrong checksum"):
        data.load("binarized_mnist", data_dir=tmp_path / "prepared")
    assert not (tmp_path / "prepared" / "binarized_mnist").exists()


def test_mnist_unwritable_data_dir(toy_server, tmp_path):
    blocked = tmp_path / "a_file"
    blocked.write_text("")
    with pytest.raises(data.DataError, match=f"cannot be prepared in data_dir {blocked}"):
        data.load("binarized_mnist", data_dir=blocked, manual_dir=toy_server[0])


def test_mnist_left_over_of_a_killed_preparation_is_harmless(toy_server, tmp_path):
    (tmp_path / "prepared" / "binarized_mnist" / "incomplete.ABCDEF_1.0.0").mkdir(parents=True)
    images = data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=toy_server[0])
    _assert_same_rows(images.train, toy_server[1]["train"])


def test_mnist_failed_preparation_leaves_nothing(toy_server, tmp_path, monkeypatch):
    monkeypatch.setattr(np, "loadtxt", _refuse)
    with pytest.raises(data.DataError, match="cannot be prepared"):
        data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=toy_server[0])
    assert not list((tmp_path / "prepared").glob("binarized_mnist/*"))


def test_mnist_prepared_by_another_process_meanwhile(toy_server, tmp_path, monkeypatch):
    folder = tmp_path / "prepared"
    parse = np.loadtxt

    def slow(*arguments, **keywords):
        monkeypatch.setattr(np, "loadtxt", parse)
        data.load("binarized_mnist", data_dir=folder, manual_dir=toy_server[0])
        return parse(*arguments, **keywords)

    monkeypatch.setattr(np, "loadtxt", slow)
    images = data.load("binarized_mnist", data_dir=folder, manual_dir=toy_server[0])
    _assert_same_rows(images.test, toy_server[1]["test"])
    assert [path.name for path in (folder / "binarized_mnist").iterdir()] == ["1.0.0"]


# --- binarized_mnist, the published files ------------------------------------------------------


@pytest.fixture(scope="session")
def prepared(benchmark_data, tmp_path_factory):
    """Prepares the published files once; gives the data_dir and the images."""
    folder = tmp_path_factory.mktemp("tfds")
    return folder, data.load("binarized_mnist", data_dir=folder, manual_dir=benchmark_data)


@pytest.mark.data
@pytest.mark.slow
def test_mnist_splits(prepared):
    _, images = prepared
    assert [split.shape for split in images[:3]] == [(50_000, 784), (10_000, 784), (10_000, 784)]
    assert set(np.unique(images.train)) == {0.0, 1.0}
    # Static MNIST has a mean pixel of 0.13; black is 0.
    assert 0.125 < images.train.mean(dtype=np.float64) < 0.135
    assert images.image_shape == (28, 28)
    assert images.name == "binarized_mnist"


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("split", list(_FILES))
def test_mnist_holds_the_rows_of_the_files(prepared, benchmark_data, split):
    loaded = {row.tobytes() for row in getattr(prepared[1], split).astype(np.uint8)}
    rows = np.loadtxt(pathlib.Path(benchmark_data) / _FILES[split], np.uint8, max_rows=20)
    assert rows.shape == (20, 784)
    assert all(row.tobytes() in loaded for row in rows)


@pytest.mark.data
@pytest.mark.slow
def test_mnist_prepared_is_read_again_without_files(prepared, tmp_path):
    images = data.load("binarized_mnist", data_dir=prepared[0], manual_dir=tmp_path)
    for one, other in zip(images[:3], prepared[1][:3], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.data
def test_mnist_one_changed_pixel_is_refused(benchmark_data, tmp_path):
    for name in _FILES.values():
        shutil.copy(pathlib.Path(benchmark_data) / name, tmp_path / name)
    with (tmp_path / _FILES["train"]).open("r+b") as file:
        file.write(b"1")
    with pytest.raises(data.DataError, match=r"binarized_mnist_train\.amat is not the published"):
        data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path)


@pytest.mark.data
@pytest.mark.slow
def test_mnist_truncated_prepared_dataset(prepared, tmp_path):
    shutil.copytree(prepared[0] / "binarized_mnist", tmp_path / "binarized_mnist")
    (record,) = tmp_path.rglob("*-test.tfrecord*")
    record.write_bytes(record.read_bytes()[:100_000])
    with pytest.raises(data.DataError, match="cannot be read. Remove"):
        data.load("binarized_mnist", data_dir=tmp_path)

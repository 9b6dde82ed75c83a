"""Static binarized MNIST as TensorFlow Datasets prepares it from the published files."""

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

from dvae_tf import data
from dvae_tf.data.embedded import mnist

_FILES = {
    "train": "binarized_mnist_train.amat",
    "validation": "binarized_mnist_valid.amat",
    "test": "binarized_mnist_test.amat",
}


@pytest.mark.parametrize("present", [(), ("binarized_mnist_valid.amat",)])
def test_mnist_missing_files_are_named_at_once(tmp_path, present):
    for name in present:
        (tmp_path / name).write_text("0 1\n")
    start = time.monotonic()
    with pytest.raises(data.DataError) as caught:
        data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    assert time.monotonic() - start < 60  # TFDS alone would retry a download for 204 s
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
    with pytest.raises(
        data.DataError,
        match=f"cannot be downloaded .*{reason}.*pass it as manual_dir; without .* the copy embedded",
    ) as caught:
        data.load("binarized_mnist", data_dir=tmp_path)
    assert time.monotonic() - start < 60  # TFDS alone would retry for 204 s
    for name in _FILES.values():
        assert name in str(caught.value)


def test_mnist_wrong_digest_is_refused_before_parsing(tmp_path, monkeypatch):
    for name in _FILES.values():
        (tmp_path / name).write_text("0 1\n")
    monkeypatch.setattr(np, "loadtxt", _refuse)
    with pytest.raises(data.DataError, match=r"binarized_mnist_test\.amat: expected .* SHA-256 e66"):
        data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    assert not (tmp_path / "prepared" / "binarized_mnist").exists()


def test_mnist_damaged_prepared_dataset(tmp_path):
    folder = tmp_path / "binarized_mnist" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "features.json").write_text("{")
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(data.DataError, match=f"{tmp_path}: expected an undamaged dataset"):
        data.load("binarized_mnist", data_dir=tmp_path)


def test_mnist_prepared_folder_without_its_description(tmp_path):
    folder = tmp_path / "binarized_mnist" / "1.0.0"
    folder.mkdir(parents=True)
    with pytest.raises(data.DataError, match=f"{folder}: expected a readable dataset.* Remove this folder"):
        data.load("binarized_mnist", data_dir=tmp_path)


class _Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def toy_server(tmp_path, monkeypatch):
    """Serves three images per split, and makes TFDS take them for the published files."""
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
    monkeypatch.setattr(mnist, "SIZES", dict.fromkeys(_FILES, 3))
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


def test_mnist_manual_dir_without_the_files_is_said_where_the_dataset_is_prepared(
    toy_server, tmp_path, caplog
):
    folder, pixels = toy_server
    data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=folder)
    caplog.clear()
    data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=folder)
    assert not caplog.messages
    (folder / _FILES["test"]).unlink()
    images = data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=folder)
    _assert_same_rows(images.test, pixels["test"])
    (message,) = caplog.messages
    assert message.startswith(
        f"manual_dir: {folder} holds no {_FILES['test']}; reading what was prepared in "
    )
    with pytest.raises(data.DataError, match="manual_dir: expected a folder, got /does/not/exist"):
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
    with pytest.raises(data.DataError, match="expected to download binarized_mnist to it.*wrong checksum"):
        data.load("binarized_mnist", data_dir=tmp_path / "prepared")
    assert not (tmp_path / "prepared" / "binarized_mnist").exists()


def test_mnist_unwritable_data_dir(toy_server, tmp_path):
    blocked = tmp_path / "a_file"
    blocked.write_text("")
    with pytest.raises(
        data.DataError, match=f"data_dir {blocked}: expected to prepare binarized_mnist in it"
    ):
        data.load("binarized_mnist", data_dir=blocked, manual_dir=toy_server[0])


def test_mnist_ignores_the_remains_of_a_killed_preparation(toy_server, tmp_path):
    (tmp_path / "prepared" / "binarized_mnist" / "incomplete.ABCDEF_1.0.0").mkdir(parents=True)
    images = data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=toy_server[0])
    _assert_same_rows(images.train, toy_server[1]["train"])


def test_mnist_failed_preparation_leaves_nothing(toy_server, tmp_path, monkeypatch):
    monkeypatch.setattr(np, "loadtxt", _refuse)
    with pytest.raises(data.DataError, match="expected to prepare binarized_mnist in it"):
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


# --- The published files ---


@pytest.fixture(scope="session")
def prepared(benchmark_data, tmp_path_factory):
    """Prepares the published files once; returns the data_dir and the images."""
    folder = tmp_path_factory.mktemp("tfds")
    return folder, data.load("binarized_mnist", data_dir=folder, manual_dir=benchmark_data)


@pytest.mark.data
@pytest.mark.slow
def test_mnist_prepared_equals_the_embedded_copy(prepared):
    _, images = prepared
    for one, other in zip(images[:4], data.load("binarized_mnist")[:4], strict=True):
        np.testing.assert_array_equal(one, other)
    assert images.source == "TensorFlow Datasets binarized_mnist/1.0.0"


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
    with pytest.raises(data.DataError, match=r"binarized_mnist_train\.amat: expected the published file"):
        data.load("binarized_mnist", data_dir=tmp_path / "prepared", manual_dir=tmp_path)


@pytest.mark.data
@pytest.mark.slow
def test_mnist_truncated_prepared_dataset(prepared, tmp_path):
    shutil.copytree(prepared[0] / "binarized_mnist", tmp_path / "binarized_mnist")
    (record,) = tmp_path.rglob("*-test.tfrecord*")
    record.write_bytes(record.read_bytes()[:100_000])
    with pytest.raises(data.DataError, match="expected a readable dataset.* Remove this folder"):
        data.load("binarized_mnist", data_dir=tmp_path)

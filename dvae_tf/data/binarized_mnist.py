"""Static binarised MNIST, prepared by TensorFlow Datasets from three verified text files."""

import contextlib
import http.client
import io
import os
import pathlib
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
from absl import logging

from . import files, images

_NAME = "binarized_mnist"
_IMAGE_SHAPE = (28, 28)
_SIZES = {"train": 50_000, "validation": 10_000, "test": 10_000}
_PROBE_SECONDS = 1.5
_READ_BATCH = 1000


def load(
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
) -> images.Images:
    """Loads static binarised MNIST, 50,000 / 10,000 / 10,000 images, preparing it if need be.

    The rows come in the order in which TensorFlow Datasets stores them: fixed, but not that of
    the published files.

    Args:
      data_dir: The folder of prepared datasets; None is the default of TensorFlow Datasets.
      manual_dir: The folder with the published files, needed when they cannot be downloaded and
        the dataset is not prepared yet; None is `downloads/manual` in `data_dir`.

    Returns:
      The images, all three splits binary, image_shape (28, 28).

    Raises:
      DataError: If a file is missing or not the published one, or if the dataset can be neither
        prepared in `data_dir` nor read from it.
    """
    # Slow to import.
    import tensorflow_datasets as tfds

    if data_dir is not None:
        data_dir = pathlib.Path(data_dir).expanduser()
    with _as_data_error(f"The dataset {_NAME} in {data_dir or 'the default data_dir'} is damaged"):
        builder = tfds.builder(_NAME, data_dir=data_dir)
    # TFDS moves the folder into place when it is whole, and never prepares into one that exists.
    if not builder.data_path.exists():
        _prepare(builder, manual_dir)
        builder = tfds.builder(_NAME, data_dir=data_dir)
    advice = f"Remove {builder.data_dir} and it is prepared again"
    with _as_data_error(f"The prepared dataset {builder.data_dir} cannot be read. {advice}"):
        splits = {split: _read(builder, split, size) for split, size in _SIZES.items()}
    return images.Images(
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        image_shape=_IMAGE_SHAPE,
        name=_NAME,
        source=f"TensorFlow Datasets {builder.info.full_name}",
    )


def _prepare(builder: Any, manual_dir: str | os.PathLike[str] | None) -> None:
    """Prepares the dataset from files in `manual_dir` or, without one, from the network."""
    import tensorflow_datasets as tfds

    downloads = builder.data_dir_root / "downloads"
    folder = pathlib.Path(manual_dir or downloads / "manual").expanduser()
    digests = {info.filename: info.checksum for info in builder.url_infos.values()}
    absent = files.missing(folder, digests)
    if not absent:
        files.check_digests(folder, digests)
    elif manual_dir is not None:
        raise images.DataError(_missing_message(absent, folder, "manual_dir names that folder"))
    elif (url := next(iter(builder.url_infos))) and (reason := _unreachable(url)):
        raise images.DataError(
            _missing_message(absent, folder, f"they cannot be downloaded from {url} ({reason})")
        )
    logging.info("Preparing %s in %s, which takes about a minute.", _NAME, builder.data_dir)
    failure = f"{_NAME} cannot be prepared in data_dir {builder.data_dir_root}"
    with _quiet():
        if absent:
            with _as_data_error(f"{_NAME} cannot be downloaded to {downloads}"):
                # TFDS hashes what it downloads but not what an earlier run left in the cache:
                # so the cache is filled anew.
                tfds.download.DownloadManager(
                    download_dir=downloads,
                    url_infos=builder.url_infos,
                    dataset_name=builder.name,
                    force_download=True,
                ).download(list(builder.url_infos))
        try:
            with _as_data_error(failure):
                builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
        except images.DataError:
            # Another process may have prepared it meanwhile, and TFDS does not overwrite.
            if not builder.data_path.exists():
                raise


def _read(builder: Any, split: str, size: int) -> np.ndarray:
    """Reads one split as float32 [size, X]."""
    import tensorflow_datasets as tfds

    found = builder.info.splits[split].num_examples
    if found != size:
        raise ValueError(f"split {split} must hold {size} images, got {found}")
    # The autocache keeps decoded images for a second pass; there is none.
    config = tfds.ReadConfig(try_autocache=False)
    dataset = builder.as_dataset(split=split, batch_size=_READ_BATCH, read_config=config)
    pixels = np.empty((size, np.prod(_IMAGE_SHAPE)), np.float32)
    start = 0
    for batch in dataset.as_numpy_iterator():
        rows = batch["image"].reshape(-1, pixels.shape[1])
        pixels[start : start + len(rows)] = rows
        start += len(rows)
    return pixels


def _missing_message(absent: list[str], folder: pathlib.Path, why: str) -> str:
    """Says which files are missing, where they were looked for, and what to do."""
    return (
        f"{_NAME} is not prepared yet, and of its files {', '.join(absent)} "
        f"{'is' if len(absent) == 1 else 'are'} not in {folder}; {why}. Put the published files "
        "into a folder and pass it as manual_dir."
    )


def _unreachable(url: str) -> str | None:
    """Asks for the header of a file; returns why that failed, or None if it did not.

    Without a network TFDS would retry for minutes. The thread is there because the timeout of a
    socket does not cover the name look-up.
    """
    outcome: list[str | None] = ["no answer in time"]

    def probe() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
                outcome[0] = None
        except (OSError, http.client.HTTPException) as error:
            outcome[0] = str(error)

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return outcome[0]


@contextlib.contextmanager
def _as_data_error(what: str) -> Iterator[None]:
    """Turns what TFDS, TensorFlow and protobuf raise, each its own kind, into a DataError."""
    try:
        yield
    except Exception as error:
        raise images.DataError(f"{what}: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the progress bars and messages of TFDS when nobody watches them on a terminal."""
    if sys.stderr.isatty():
        yield
        return
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield

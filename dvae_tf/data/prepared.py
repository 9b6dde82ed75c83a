"""Datasets that TensorFlow Datasets prepares once, from verified files, and reads from then on."""

import contextlib
import http.client
import io
import os
import pathlib
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from . import files, images

_PROBE_SECONDS = 1.5
_READ_BATCH = 1000


class Published(NamedTuple):
    """The files that a dataset is prepared from.

    Attributes:
      urls: where they can be had.
      identify: checks a file and says what it is; raises DataError if it is not one of those known.
    """

    urls: Sequence[str]
    identify: Callable[[pathlib.Path], str]


class Prepared(NamedTuple):
    """The splits of a prepared dataset, float32 [N, X] each, and where they came from."""

    splits: dict[str, np.ndarray]
    source: str


def load(
    make_builder: Callable[..., Any],
    published: Callable[[Any], Published],
    sizes: dict[str, int],
    data_dir: str | os.PathLike[str] | None,
    manual_dir: str | os.PathLike[str] | None,
) -> Prepared:
    """Loads a dataset, preparing it if need be.

    Args:
      make_builder: gives the TFDS builder for a `data_dir`.
      published: gives the files of a builder.
      sizes: images of each split.
      data_dir: the folder of prepared datasets; None is the default of TensorFlow Datasets.
      manual_dir: the folder with the published files, needed when they cannot be downloaded and the
        dataset is not prepared yet; None is `downloads/manual` in `data_dir`.

    Raises:
      DataError: if a file is missing or not the published one, or if the dataset can be neither prepared
        in `data_dir` nor read from it.
    """
    if data_dir is not None:
        data_dir = pathlib.Path(data_dir).expanduser()
    with as_data_error(f"The dataset in {data_dir or 'the default data_dir'} is damaged"):
        builder = make_builder(data_dir=data_dir)
    # TFDS moves the folder into place when it is whole, and never prepares into one that exists.
    if not builder.data_path.exists():
        _prepare(builder, published(builder), manual_dir)
        builder = make_builder(data_dir=data_dir)
    advice = f"Remove {builder.data_dir} and it is prepared again"
    with as_data_error(f"The prepared dataset {builder.data_dir} cannot be read. {advice}"):
        splits = {split: _read(builder, split, size) for split, size in sizes.items()}
        origin = (builder.info.metadata or {}).get("source")
    source = f"TensorFlow Datasets {builder.info.full_name}"
    return Prepared(splits, f"{source}, from {origin}" if origin else source)


def _prepare(builder: Any, published: Published, manual_dir: str | os.PathLike[str] | None) -> None:
    """Prepares a dataset from files in `manual_dir` or, without one, from the network."""
    import tensorflow_datasets as tfds

    downloads = builder.data_dir_root / "downloads"
    folder = pathlib.Path(manual_dir or downloads / "manual").expanduser()
    names = [url.rsplit("/", 1)[1] for url in published.urls]
    absent = files.missing(folder, names)
    if not absent:
        for name in sorted(names):
            published.identify(folder / name)
    elif manual_dir is not None:
        raise images.DataError(_missing_message(builder, absent, folder, "manual_dir names that folder"))
    elif reason := _unreachable(published.urls[0]):
        why = f"they cannot be downloaded from {published.urls[0]} ({reason})"
        raise images.DataError(_missing_message(builder, absent, folder, why))
    logging.info("Preparing %s in %s, which takes about a minute.", builder.name, builder.data_dir)
    failure = f"{builder.name} cannot be prepared in data_dir {builder.data_dir_root}"
    with _quiet():
        if absent:
            with as_data_error(f"{builder.name} cannot be downloaded to {downloads}"):
                # TFDS hashes what it downloads but not what an earlier run left in the cache:
                # so the cache is filled anew.
                tfds.download.DownloadManager(
                    download_dir=downloads,
                    url_infos=builder.url_infos,
                    dataset_name=builder.name,
                    force_download=True,
                ).download(list(published.urls))
        try:
            with as_data_error(failure):
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
    pixels = np.empty((size, np.prod(builder.info.features["image"].shape)), np.float32)
    start = 0
    for batch in dataset.as_numpy_iterator():
        rows = batch["image"].reshape(-1, pixels.shape[1])
        pixels[start : start + len(rows)] = rows
        start += len(rows)
    return pixels


def _missing_message(builder: Any, absent: list[str], folder: pathlib.Path, why: str) -> str:
    """Says which files are missing, where they were looked for, and what to do."""
    return (
        f"{builder.name} is not prepared yet, and of its files {', '.join(absent)} "
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
def as_data_error(what: str) -> Iterator[None]:
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

"""Datasets that TensorFlow Datasets prepares once from verified files."""

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

from .. import storage
from . import digests, images

_PROBE_SECONDS = 1.5
_READ_BATCH = 1000


class Published(NamedTuple):
    """The files that a dataset is prepared from.

    Attributes:
      urls: The address of each.
      identify: Returns the description of a file; raises DataError if it is not a known one.
      alternative: Appended to the message about missing files.
    """

    urls: Sequence[str]
    identify: Callable[[pathlib.Path], str]
    alternative: str = ""

    @property
    def files(self) -> list[str]:
        """The names of the files."""
        return [url.rsplit("/", 1)[1] for url in self.urls]


def known_by_tfds(builder: Any, alternative: str) -> Published:
    """The files of a builder that comes with TensorFlow Datasets, which knows their digests."""
    names = {info.filename: info.checksum for info in builder.url_infos.values()}
    return Published(
        list(builder.url_infos),
        lambda path: digests.identify(path, {names[path.name]: path.name}),
        alternative,
    )


def to_levels(pixels: np.ndarray) -> np.ndarray:
    """Whole numbers n from 0 to 255 as levels n / 255, in place."""
    return np.divide(pixels, np.float32(255), out=pixels)


class Prepared(NamedTuple):
    """The splits of a prepared dataset, float32 `[N, X]` each, and their origin."""

    splits: dict[str, np.ndarray]
    source: str


def load(
    make_builder: Callable[..., Any],
    published: Callable[[Any], Published],
    sizes: dict[str, int],
    data_dir: str | os.PathLike[str] | None,
    manual_dir: str | os.PathLike[str] | None,
) -> Prepared:
    """Loads a dataset, after preparing it if necessary.

    Args:
      make_builder: Returns the TFDS builder for a `data_dir`.
      published: Returns the published files of a builder.
      sizes: The number of images of each split, or part of a split (`train[:100]`).
      data_dir: The folder of prepared datasets; None is the default of TensorFlow Datasets.
      manual_dir: A folder with the published files, which are then not downloaded; None is
        `downloads/manual` in `data_dir`. If the dataset is prepared already, they are not read.

    Raises:
      DataError: If a file is missing or not the published one, or if the dataset can be neither prepared
        in `data_dir` nor read from it.
    """
    if data_dir is not None:
        data_dir = storage.as_path(data_dir)
    if manual_dir is not None and not storage.as_path(manual_dir).is_dir():
        raise images.DataError(f"manual_dir: expected a folder, got {manual_dir}")
    with _as_data_error(f"{data_dir or 'default data_dir'}: expected an undamaged dataset"):
        builder = make_builder(data_dir=data_dir)
    # TFDS moves a complete folder into place, and never prepares into an existing one.
    if not builder.data_path.exists():
        _prepare(builder, published(builder), manual_dir)
        builder = make_builder(data_dir=data_dir)
    elif manual_dir is not None and (absent := _absent(published(builder), storage.as_path(manual_dir))):
        logging.warning(
            "manual_dir: %s holds no %s; reading what was prepared in %s",
            manual_dir,
            ", ".join(absent),
            builder.data_dir,
        )
    remedy = "Remove this folder, and the dataset is prepared again"
    with _as_data_error(f"{builder.data_dir}: expected a readable dataset", remedy):
        splits = {split: _read(builder, split, size) for split, size in sizes.items()}
        origin = (builder.info.metadata or {}).get("source")
    source = f"TensorFlow Datasets {builder.info.full_name}"
    return Prepared(splits, f"{source}, from {origin}" if origin else source)


def _prepare(builder: Any, published: Published, manual_dir: str | os.PathLike[str] | None) -> None:
    """Prepares a dataset from the files in `manual_dir` or, if it is None, from downloads."""
    import tensorflow_datasets as tfds

    downloads = builder.data_dir_root / "downloads"
    folder = storage.as_path(manual_dir or downloads / "manual")
    absent = _absent(published, folder)
    found = f"expected the published files in {folder}, got no {', '.join(absent)}"
    if not absent:
        for name in sorted(published.files):
            published.identify(folder / name)
    elif manual_dir is not None:
        raise images.DataError(f"manual_dir: {found}. Put them there{published.alternative}")
    elif reason := _unreachable(published.urls[0]):
        raise images.DataError(
            f"{builder.name}: {found}, and {published.urls[0]} cannot be downloaded ({reason}). Put the "
            f"files into a folder and pass it as manual_dir{published.alternative}"
        )
    logging.warning("Preparing %s in %s, which takes about a minute.", builder.name, builder.data_dir)
    with _quiet():
        if absent:
            with _as_data_error(f"{downloads}: expected to download {builder.name} to it"):
                # TFDS verifies downloads but not files that an earlier run left in its cache.
                tfds.download.DownloadManager(
                    download_dir=downloads,
                    url_infos=builder.url_infos,
                    dataset_name=builder.name,
                    force_download=True,
                ).download(list(published.urls))
        try:
            with _as_data_error(
                f"data_dir {builder.data_dir_root}: expected to prepare {builder.name} in it"
            ):
                builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=folder))
        except images.DataError:
            # Another process may have prepared it meanwhile, and TFDS does not overwrite.
            if not builder.data_path.exists():
                raise


def _absent(published: Published, folder: pathlib.Path) -> list[str]:
    """The published files that a folder lacks."""
    return sorted(name for name in published.files if not (folder / name).is_file())


def _read(builder: Any, split: str, size: int) -> np.ndarray:
    """Reads one split as float32 `[size, X]`."""
    import tensorflow_datasets as tfds

    found = builder.info.splits[split].num_examples
    if found != size:
        raise ValueError(f"{split}: expected {size} images, got {found}")
    # Without the cache of decoded images, which is for a second pass.
    config = tfds.ReadConfig(try_autocache=False)
    dataset = builder.as_dataset(split=split, batch_size=_READ_BATCH, read_config=config)
    pixels = np.empty((size, np.prod(builder.info.features["image"].shape)), np.float32)
    start = 0
    for batch in dataset.as_numpy_iterator():
        rows = batch["image"].reshape(-1, pixels.shape[1])
        pixels[start : start + len(rows)] = rows
        start += len(rows)
    return pixels


def _unreachable(url: str) -> str | None:
    """Requests the header of a file; returns the reason if that fails, otherwise None.

    Without a network TFDS would retry for minutes. The request runs in a thread because the timeout of a
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
def _as_data_error(expected: str, remedy: str = "") -> Iterator[None]:
    """Converts the many error types of TFDS, TensorFlow and protobuf into a DataError."""
    try:
        yield
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise images.DataError(f"{expected}, got {got}" + (f". {remedy}" if remedy else "")) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hides the progress bars and messages of TFDS unless stderr is a terminal."""
    if sys.stderr.isatty():
        yield
        return
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink):
        yield

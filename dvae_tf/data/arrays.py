"""The user's own images: NumPy arrays, or `.npy` and `.npz` files of them."""

import math
import os
import pathlib
from typing import Any, BinaryIO

import numpy as np

from .. import storage
from . import binarization, images

_MAX_LEVEL = 255
# Part of the training images that is held out where no validation images are given.
_HELD_OUT = 0.1
# Of one array in a file: more is a damaged header, or does not fit anyway.
_MAX_BYTES = 1 << 34


def from_arrays(
    train: Any,
    test: Any,
    validation: Any = None,
    *,
    name: str = "custom",
    image_shape: tuple[int, int] | None = None,
    source: str = "arrays",
) -> images.Images:
    """Makes a dataset of arrays: booleans, grey levels in [0, 1], or whole numbers from 0 to 255.

    Grey levels are taken as pixel probabilities. `train` keeps them, to be binarised afresh for every batch;
    `validation` and `test` are binarised once, with `VALIDATION_SEED` and `TEST_SEED` of `binarization`.

    Args:
      train: [N, H, W], [N, H, W, 1] or [N, D].
      test: alike.
      validation: alike; None takes the last tenth of `train`.
      name: of the dataset, for folders and tables.
      image_shape: (H, W) for arrays [N, D]; None takes a square where D is one, otherwise a line of pixels.
      source: where the images came from, one line for people.

    Raises:
      DataError: if an array is none of these, or two disagree; the message names the source, and says what
        was found.
    """
    try:
        return _from_arrays(train, test, validation, name, image_shape, source)
    except images.DataError as error:
        raise images.DataError(f"{source}: {error}") from error


def _from_arrays(
    train: Any, test: Any, validation: Any, name: str, image_shape: tuple[int, int] | None, source: str
) -> images.Images:
    splits = {"train": train, "validation": validation, "test": test}
    given = {split: np.asarray(array) for split, array in splits.items() if array is not None}
    levels = {split: _levels(split, array) for split, array in given.items()}
    shape = _image_shape(levels, image_shape)
    flat = {split: array.reshape(len(array), -1) for split, array in levels.items()}
    if validation is None:
        count = math.ceil(_HELD_OUT * len(flat["train"]))
        if count >= len(flat["train"]):
            raise images.DataError("train must hold at least 2 images, of which a tenth is for validation.")
        flat["train"], flat["validation"] = np.split(flat["train"], [-count])
    found = images.Images(**binarization.binarize_held_out(flat), image_shape=shape, name=name, source=source)
    images.check(found)
    return found


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads an array from a `.npy` file, or from a `.npz` file that holds one; nothing is unpickled.

    Args:
      path: the file; `file.npz:key` chooses one of several arrays.

    Raises:
      DataError: if there is no such array; the message says what was found.
    """
    text, _, key = os.fspath(path).partition(".npz:")
    file = pathlib.Path(f"{text}.npz" if key else text)
    if not file.is_file():
        raise images.DataError(f"{file} is not a file.")
    if file.suffix not in (".npy", ".npz"):
        raise images.DataError(f"{file} must end with .npy or .npz.")
    try:
        with file.open("rb") as opened:
            return storage.read_npy(opened) if file.suffix == ".npy" else _read_npz(opened, file, key)
    except (OSError, storage.ArchiveError, MemoryError) as error:
        raise images.DataError(f"{file} cannot be read: {error}") from error


def _read_npz(opened: BinaryIO, file: pathlib.Path, key: str) -> np.ndarray:
    with storage.NpzFile(opened, _MAX_BYTES) as archive:
        names = sorted(archive.sizes)
        if key and key not in names:
            raise images.DataError(f"{file} holds no array {key!r}, but {', '.join(names)}.")
        if not key and len(names) != 1:
            raise images.DataError(
                f"{file} must hold one array, got {len(names)}: {', '.join(names)}. "
                f"Choose one as {file}:name."
            )
        return archive.read(key or names[0])


def _levels(split: str, array: np.ndarray) -> np.ndarray:
    """The pixels as float32 in [0, 1]."""
    found = f"{split}: found {array.dtype} of shape {list(array.shape)}"
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or not array.size:
        raise images.DataError(f"{found}; expected images as [N, H, W] or [N, D].")
    if array.dtype.kind not in "buif":
        raise images.DataError(f"{found}; expected booleans or numbers.")
    low, high = array.min(), array.max()
    # NaN compares false.
    if low >= 0 and high <= 1:
        return array.astype(np.float32)
    if low >= 0 and high <= _MAX_LEVEL and (array == np.round(array)).all():
        return array.astype(np.float32) / np.float32(_MAX_LEVEL)
    raise images.DataError(
        f"{found}, values from {low} to {high}; expected booleans, grey levels in [0, 1], or whole numbers "
        f"from 0 to {_MAX_LEVEL}."
    )


def _image_shape(levels: dict[str, np.ndarray], given: tuple[int, int] | None) -> tuple[int, int]:
    """(H, W) of all splits: as the arrays say, as given, or a square."""
    shapes = {split: array.shape[1:] for split, array in levels.items()}
    known = {shape for shape in shapes.values() if len(shape) == 2} | ({tuple(given)} if given else set())
    if len(known) > 1 or len({math.prod(shape) for shape in (*shapes.values(), *known)}) > 1:
        asked = f", and image_shape {given}" if given else ""
        raise images.DataError(f"Images of the splits must have one shape, got {shapes}{asked}.")
    if known:
        height, width = known.pop()
        return height, width
    return likely_shape(*shapes["train"])


def likely_shape(num_pixels: int) -> tuple[int, int]:
    """(H, W) of images of so many pixels, where nobody says: a square if it can be one, otherwise a line."""
    side = math.isqrt(num_pixels)
    return (side, side) if side * side == num_pixels else (1, num_pixels)

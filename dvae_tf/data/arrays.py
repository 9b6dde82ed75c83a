"""Datasets from the user's images: NumPy arrays, or `.npy` and `.npz` files."""

import math
import os
import pathlib
import warnings
from typing import Any, BinaryIO

import numpy as np

from .. import storage
from ..config import ImageShape, as_image_shape
from . import binarization, images

_MAX_LEVEL = 255
# Whole numbers that stay below it are probably levels of another scale, such as 0 to 15 or 0 to 100.
_LIKELY_LEVEL = 128
# Fraction of the training images that is held out if no validation images are given.
_HELD_OUT = 0.1
# The largest array that is read: a larger size means a damaged header, or does not fit into memory.
_MAX_BYTES = 1 << 34


def from_arrays(
    train: Any,
    test: Any,
    validation: Any = None,
    *,
    name: str = "custom",
    image_shape: ImageShape | None = None,
    source: str = "arrays",
    binarize: str = "random",
) -> images.Images:
    """Makes a dataset from arrays of booleans, levels in [0, 1], or whole numbers from 0 to 255.

    Levels are those of gray or of each color. Whole numbers are divided by 255, with a warning if none is
    near it.

    Args:
      train: `[N, H, W]`, `[N, H, W, 1]`, `[N, H, W, 3]` in color, or `[N, D]`.
      test: Like `train`.
      validation: Like `train`; None holds out the last tenth of `train`.
      name: The name of the dataset, for folders and tables.
      image_shape: (H, W) or (H, W, 3) for arrays `[N, D]`; None is a square if D is a square number,
        otherwise (1, D).
      source: The origin of the images, in one line; errors begin with it.
      binarize: What levels are. "random": pixel probabilities, which `train` keeps, to be binarized
        afresh for every batch, while `validation` and `test` are binarized once, with `VALIDATION_SEED` and
        `TEST_SEED` of `binarization`. "threshold": bits, 1 from 1/2 on. "none": levels, for a likelihood of
        levels.

    Raises:
      ValueError: If `binarize` is something else.
      DataError: If an array has another shape, type or range, or if the shapes of two arrays disagree.
    """
    if binarize not in binarization.BINARIZATIONS:
        known = ", ".join(binarization.BINARIZATIONS)
        raise ValueError(f"binarize: expected one of {known}, got {binarize!r}")
    try:
        return _from_arrays(train, test, validation, name, image_shape, source, binarize)
    except (images.DataError, ValueError) as error:
        raise images.DataError(f"{source}: {error}") from error


def _from_arrays(
    train: Any,
    test: Any,
    validation: Any,
    name: str,
    image_shape: ImageShape | None,
    source: str,
    binarize: str,
) -> images.Images:
    splits = {"train": train, "validation": validation, "test": test}
    arrays = {split: _array(split, given) for split, given in splits.items() if given is not None}
    shape = _image_shape(arrays, None if image_shape is None else as_image_shape(image_shape))
    levels = {split: _levels(split, array) for split, array in arrays.items()}
    highest = max(array.max() for array in arrays.values())
    if 1 < highest < _LIKELY_LEVEL:
        warnings.warn(
            f"{source}: whole numbers from 0 to {highest:g} are taken as gray levels of {_MAX_LEVEL}, so the "
            f"brightest pixel is 1 with probability {highest / _MAX_LEVEL:.2g}. If {highest:g} is white, "
            f"divide the arrays by {highest:g}",
            UserWarning,
            stacklevel=3,
        )
    flat = {split: array.reshape(len(array), -1) for split, array in levels.items()}
    if validation is None:
        total = len(flat["train"])
        if total < 2:
            raise images.DataError(
                f"train: expected at least 2 images to hold out a tenth, got {total}. Pass validation images"
            )
        count = math.ceil(_HELD_OUT * total)
        flat["train"], flat["validation"] = np.split(flat["train"], [-count])
    binarized = binarization.BINARIZATIONS[binarize](flat)
    found = images.Images(**binarized, image_shape=shape, name=name, source=source)
    images.check(found, "levels" if binarize == "none" else "bits")
    return found


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads an array from a `.npy` or `.npz` file, without unpickling.

    Args:
      path: The file; `file.npz:key` selects one of several arrays.

    Raises:
      DataError: If the file cannot be read, or does not hold the array.
    """
    text, _, key = os.fspath(path).partition(".npz:")
    file = storage.as_path(f"{text}.npz" if key else text)
    if not file.is_file():
        got = "a folder" if file.is_dir() else "nothing"
        raise images.DataError(f"{file}: expected a file, got {got}")
    if file.suffix not in (".npy", ".npz"):
        raise images.DataError(f"{file}: expected a .npy or .npz file, got {file.suffix!r}")
    try:
        with file.open("rb") as opened:
            return storage.read_npy(opened) if file.suffix == ".npy" else _read_npz(opened, file, key)
    except (OSError, storage.ArchiveError, MemoryError) as error:
        raise images.DataError(f"{file}: expected a readable {file.suffix} file: {error}") from error


def _read_npz(opened: BinaryIO, file: pathlib.Path, key: str) -> np.ndarray:
    with storage.NpzFile(opened, _MAX_BYTES) as archive:
        names = sorted(archive.sizes)
        if key and key not in names:
            raise images.DataError(f"{file}: expected an array {key!r}, got {', '.join(names) or 'none'}")
        if not key and len(names) != 1:
            raise images.DataError(
                f"{file}: expected one array, got {len(names)}: {', '.join(names)}. Select one as {file}:name"
            )
        return archive.read(key or names[0])


def _array(split: str, given: Any) -> np.ndarray:
    """Returns the numbers of a split, [N, H, W], [N, H, W, 3] or [N, D]."""
    if isinstance(given, tuple):
        raise images.DataError(
            f"{split}: expected an array of images, got a tuple of {len(given)}. Pass images without labels"
        )
    masked = sum(np.ma.count_masked(each) for each in (given if isinstance(given, list) else [given]))
    if masked:
        raise images.DataError(
            f"{split}: expected an array without masked pixels, got {masked:,} of them. "
            "Fill them, for example with .filled(0)"
        )
    try:
        array = np.asarray(given)
    except (ValueError, TypeError) as error:
        raise images.DataError(f"{split}: expected an array: {error}") from error
    got = _kind(array)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    color = array.ndim == 4 and array.shape[-1] == 3
    if not (color or array.ndim in (2, 3)) or not array.size:
        raise images.DataError(
            f"{split}: expected images as [N, H, W], [N, H, W, 1], [N, H, W, 3] or [N, D], got {got}"
        )
    if array.dtype.kind not in "buif":
        raise images.DataError(f"{split}: expected booleans or numbers, got {got}")
    return array


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {list(array.shape)}"


def _levels(split: str, array: np.ndarray) -> np.ndarray:
    """Returns the pixels as float32 in [0, 1]."""
    low, high = array.min(), array.max()
    # Comparisons with NaN are false.
    if low >= 0 and high <= 1:
        return array.astype(np.float32)
    if low >= 0 and high <= _MAX_LEVEL and (array == np.round(array)).all():
        return array.astype(np.float32) / np.float32(_MAX_LEVEL)
    raise images.DataError(
        f"{split}: expected booleans, gray levels in [0, 1], or whole numbers from 0 to {_MAX_LEVEL}, "
        f"got {_kind(array)} with values from {low} to {high}. Scale them to [0, 1]"
    )


def _image_shape(arrays: dict[str, np.ndarray], given: ImageShape | None) -> ImageShape:
    """Returns the shape of the images of all splits: that of the arrays, the given one, or a likely one."""
    shapes = {split: array.shape[1:] for split, array in arrays.items()}
    known = {shape for shape in shapes.values() if len(shape) > 1} | ({given} if given else set())
    if len(known) > 1 or len({math.prod(shape) for shape in (*shapes.values(), *known)}) > 1:
        all_shapes = shapes | ({"image_shape": given} if given else {})
        got = ", ".join(f"{name} {shape}" for name, shape in all_shapes.items())
        raise images.DataError(f"images: expected one shape, got {got}")
    if known:
        return as_image_shape(known.pop())
    return likely_shape(*shapes["train"])


def likely_shape(num_pixels: int) -> tuple[int, int]:
    """Returns a likely (H, W) for images of `num_pixels` pixels: a square if possible, otherwise a line."""
    side = math.isqrt(num_pixels)
    return (side, side) if side * side == num_pixels else (1, num_pixels)

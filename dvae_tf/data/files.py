"""Files that a user puts in place by hand: found and hashed before anything parses them."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from . import images

_BLOCK = 1 << 20


def missing(folder: pathlib.Path, names: Iterable[str]) -> list[str]:
    """Names the files that are not in a folder, sorted."""
    return sorted(name for name in names if not (folder / name).is_file())


def identify(
    path: pathlib.Path, sha256: Mapping[str, str], git_blob_ids: Mapping[str, str] | None = None
) -> str:
    """Says which of the known files a file is, by its digest.

    Args:
      path: The file.
      sha256: Hexadecimal SHA-256 digests of known files, and what each is called.
      git_blob_ids: The same by the ids under which Git stores them.

    Returns:
      What the file is called.

    Raises:
      DataError: If it cannot be read or is none of them.
    """
    try:
        digest, blob_id = _digests(path)
    except OSError as error:
        raise images.DataError(f"{path} cannot be read: {error}.") from error
    known = {**sha256, **(git_blob_ids or {})}
    for key in (digest, blob_id):
        if key in known:
            return known[key]
    also = f", or its Git blob id {' or '.join(git_blob_ids)}" if git_blob_ids else ""
    raise images.DataError(
        f"{path} is not the published file: its SHA-256 should be {' or '.join(sha256)}{also}, but is "
        f"{digest}. Replace it by an undamaged copy."
    )


def read_mat(path: pathlib.Path, shapes: Mapping[str, tuple[int | str, int | str]]) -> dict[str, np.ndarray]:
    """Reads matrices of a MATLAB file, which `identify` has to know: the parser is not made for others.

    Args:
      path: The file.
      shapes: The matrices by name, and how large they have to be: a number, or a name for what is of any
        size but of one where it occurs twice.

    Raises:
      DataError: If a matrix is not there, or not of numbers, or not of its shape.
    """
    import scipy.io  # Slow to import.

    try:
        with path.open("rb") as file:
            found = scipy.io.loadmat(file, variable_names=list(shapes))
    except Exception as error:  # Any kind, for files that are damaged.
        raise images.DataError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    sizes: dict[int | str, int] = {}
    for name, shape in shapes.items():
        array = found.get(name)
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "biuf":
            kind = f"{array.dtype}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise images.DataError(f"{path}: {name} must be a matrix of numbers, got {kind}.")
        expected = tuple(
            each if isinstance(each, int) else sizes.setdefault(each, size)
            for each, size in zip(shape, array.shape, strict=True)
        )
        if array.shape != expected:
            raise images.DataError(f"{path}: {name} must have shape {expected}, got {array.shape}.")
    return {name: found[name] for name in shapes}


def _digests(path: pathlib.Path) -> tuple[str, str]:
    """The SHA-256 of a file, and its Git blob id: the SHA-1 of its size and content."""
    digest = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            blob.update(block)
    return digest.hexdigest(), blob.hexdigest()

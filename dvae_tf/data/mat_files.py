"""Matrices of MATLAB files, read with checks of type and shape."""

import pathlib
from collections.abc import Mapping

import numpy as np

from . import images


def read(path: pathlib.Path, shapes: Mapping[str, tuple[int | str, int | str]]) -> dict[str, np.ndarray]:
    """Reads matrices of a MATLAB file.

    SciPy's parser may crash on a damaged file: pass only files that `digests.identify` recognizes.

    Args:
      path: The file.
      shapes: The expected shape of each matrix by its name. A string in place of a number stands for any
        size, and for the same size wherever it occurs.

    Raises:
      DataError: If a matrix is missing, is not numeric, or has another shape.
    """
    import scipy.io  # Slow to import.

    try:
        with path.open("rb") as file:
            found = scipy.io.loadmat(file, variable_names=list(shapes))
    # SciPy raises errors of many types for damaged files.
    except Exception as error:
        raise images.DataError(f"{path}: expected a MATLAB file: {type(error).__name__}: {error}") from error
    sizes: dict[int | str, int] = {}
    for name, shape in shapes.items():
        array = found.get(name)
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "biuf":
            kind = f"{array.dtype}{array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise images.DataError(f"{path}: {name}: expected a matrix of numbers, got {kind}")
        expected = tuple(
            each if isinstance(each, int) else sizes.setdefault(each, size)
            for each, size in zip(shape, array.shape, strict=True)
        )
        if array.shape != expected:
            raise images.DataError(f"{path}: {name}: expected shape {expected}, got {array.shape}")
    return {name: found[name] for name in shapes}

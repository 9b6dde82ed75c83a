"""Values of Keras variables as named arrays, and back: exactly the same names, shapes and dtypes."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .files import StorageError


def variable_arrays(variables: Sequence[Any]) -> dict[str, np.ndarray]:
    """The values of Keras variables by path.

    Raises:
      ValueError: if two variables share a path.
    """
    arrays = {variable.path: np.asarray(variable) for variable in variables}
    if len(arrays) < len(variables):
        paths = [variable.path for variable in variables]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        raise ValueError(
            f"variables: expected distinct paths, got {twice} twice; name the layers differently"
        )
    return arrays


def check_variables(variables: Sequence[Any], arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> None:
    """Checks that arrays have exactly the paths, shapes and dtypes of Keras variables.

    Raises:
      StorageError: if any is missing, unexpected or different.
    """
    expected = variable_arrays(variables)
    if set(expected) != set(arrays):
        raise StorageError(
            f"{source}: missing variables {sorted(set(expected) - set(arrays))}, "
            f"unexpected variables {sorted(set(arrays) - set(expected))}"
        )
    for path, array in expected.items():
        if (array.shape, array.dtype) != (arrays[path].shape, arrays[path].dtype):
            raise StorageError(
                f"{source}: {path} expected {array.dtype}{array.shape}, "
                f"got {arrays[path].dtype}{arrays[path].shape}"
            )


def assign_variables(
    variables: Sequence[Any], arrays: Mapping[str, np.ndarray], source: pathlib.Path
) -> None:
    """Assigns arrays to Keras variables.

    Raises:
      StorageError: as `check_variables`; then nothing has been assigned.
    """
    check_variables(variables, arrays, source)
    for variable in variables:
        variable.assign(arrays[variable.path])

"""Values of named Keras variables as arrays, and back: exactly the same names, shapes and dtypes."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from .files import StorageError


def variable_arrays(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The values of variables by name."""
    return {name: np.asarray(variable) for name, variable in variables.items()}


def check_variables(
    variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray], source: pathlib.Path
) -> None:
    """Checks that arrays have exactly the names, shapes and dtypes of variables.

    Raises:
      StorageError: if any is missing, unexpected or different.
    """
    if set(variables) != set(arrays):
        raise StorageError(
            f"{source}: missing variables {sorted(set(variables) - set(arrays))}, "
            f"unexpected variables {sorted(set(arrays) - set(variables))}"
        )
    for name, array in variable_arrays(variables).items():
        if (array.shape, array.dtype) != (arrays[name].shape, arrays[name].dtype):
            raise StorageError(
                f"{source}: {name} expected {array.dtype}{array.shape}, "
                f"got {arrays[name].dtype}{arrays[name].shape}"
            )


def assign_variables(
    variables: Mapping[str, Any], arrays: Mapping[str, np.ndarray], source: pathlib.Path
) -> None:
    """Assigns arrays to variables.

    Raises:
      StorageError: as `check_variables`; then nothing has been assigned.
    """
    check_variables(variables, arrays, source)
    for name, variable in variables.items():
        variable.assign(arrays[name])

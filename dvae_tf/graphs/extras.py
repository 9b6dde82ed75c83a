"""Packages that only some graphs need, imported when they do."""

import importlib
import types
import warnings


def import_extra(name: str, wanted_by: str) -> types.ModuleType:
    """Imports an optional module, such as `networkx`.

    Args:
      name: of the module.
      wanted_by: what the message names, such as a function.

    Raises:
      ImportError: if it is not installed; the message says what to install.
    """
    try:
        with warnings.catch_warnings():
            # dwave-networkx announces its successor at each import.
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module(name)
    except ImportError as error:
        package = name.replace("_", "-")
        raise ImportError(
            f"{wanted_by}: expected the package {package} to be installed: pip install {package}, "
            "or the extra dvae_tf[graphs]"
        ) from error

"""Names of a model's variables in files: by their place in the model, not by how Keras has named the layers.

Keras numbers the names of unnamed layers by what else the process has made; the networks of users are such
layers. Their variables are named by the part that they belong to and their number in it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

# Parts of the paths of variables that versions before 0.2 named otherwise: old -> new.
_RENAMED = {"witness_": "tracking_", "num_witnessed": "num_tracked"}
# A shifted Gaussian, which Keras numbered before 0.2; also within the name of an optimizer's variable.
_NUMBERED = re.compile(r"shifted_gaussian(?:_(\d+))?(?=[/_]s(?:_|$))")


def named_variables(model: Any) -> dict[str, Any]:
    """All variables of a `DVAE` by their name in files.

    Raises:
      ValueError: if two variables share a name.
    """
    places = _places(model)
    return _distinct((places.get(id(each)) or _path(model, each), each) for each in model.variables)


def named_state(model: Any) -> dict[str, Any]:
    """The variables of a compiled `DVAE` and of its optimizer by their name in files.

    An optimizer names its variables after those that it trains.

    Raises:
      ValueError: if two variables share a name.
    """
    names = {id(variable): name for name, variable in named_variables(model).items()}
    # Longest first, because a path may be the beginning of another.
    trained = sorted(model.trainable_variables, key=lambda variable: -len(variable.path))
    used: set[tuple[int, str]] = set()

    def name_of(slot: Any) -> str:
        for variable in trained:
            prefix = f"{model.optimizer.name}/{variable.path.replace('/', '_')}_"
            kind = slot.path.removeprefix(prefix)
            # Variables of two layers of one name have the same path, and their slots come in their order.
            if slot.path.startswith(prefix) and (id(variable), kind) not in used:
                used.add((id(variable), kind))
                return f"{model.optimizer.name}/{names[id(variable)].replace('/', '_')}_{kind}"
        return slot.path

    slots = _distinct((name_of(each), each) for each in model.optimizer.variables)
    return _distinct([*named_variables(model).items(), *slots.items()])


def current_names(arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays by the names that their variables have today; files of earlier versions use older ones.

    Args:
      arrays: in the order of the file.
      expected: variables by name, in the order in which files hold them.
    """
    numbers = sorted({int(found[1] or 0) for name in arrays for found in _NUMBERED.finditer(name)})

    def renumbered(found: re.Match[str]) -> str:
        number = numbers.index(int(found[1] or 0))
        return f"shifted_gaussian_{number}" if number else "shifted_gaussian"

    renamed = {}
    for path, array in arrays.items():
        folder, slash, name = _NUMBERED.sub(renumbered, path).rpartition("/")
        for old, new in _RENAMED.items():
            name = new + name.removeprefix(old) if name.startswith(old) else name
        renamed[folder + slash + name] = array
    return _by_order(renamed, expected)


def _by_order(arrays: dict[str, np.ndarray], expected: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Names own networks by their place, which files had by Keras's names: if all of them fit in order."""
    missing = [name for name in expected if name not in arrays and _OWN in name]
    unknown = [name for name in arrays if name not in expected]

    def fits(old: str, new: str) -> bool:
        array, last = arrays[old], new.rpartition(".")[2]
        return array.shape == tuple(expected[new].shape) and old.endswith(last)

    if len(missing) != len(unknown) or not all(map(fits, unknown, missing)):
        return arrays
    new_names = dict(zip(unknown, missing, strict=True))
    return {new_names.get(name, name): array for name, array in arrays.items()}


# Marks the name of a variable of the user's own part, before its number.
_OWN = "/own."


def _places(model: Any) -> dict[int, str]:
    """The names of the variables of the user's own parts, by the identity of the variable."""
    own: list[tuple[str, keras.layers.Layer]] = []
    if "encoder" in model.own_parts:
        own += [
            (f"dvae/posterior/encoder_{group}", each) for group, each in enumerate(model.posterior.encoders)
        ]
    for part, networks in (("encoder", "encoders"), ("prior", "priors")):
        if f"local_{part}" in model.own_parts:
            layers = getattr(model.local, networks)
            own += [(f"dvae/local/{part}_{group}", each) for group, each in enumerate(layers)]
    if "relaxation" in model.own_parts:
        different = dict.fromkeys(model.posterior.relaxations)
        own += [(f"dvae/posterior/relaxation_{group}", each) for group, each in enumerate(different)]
    own += [
        (f"dvae/{part}", getattr(model, part)) for part in ("decoder", "prior") if part in model.own_parts
    ]
    places: dict[int, str] = {}
    for place, layer in own:
        for number, variable in enumerate(layer.variables):
            # A layer that two parts share keeps its first place.
            places.setdefault(id(variable), f"{place}{_OWN}{number}.{variable.name}")
    return places


def _path(model: Any, variable: Any) -> str:
    """The path of a variable of the library's parts, whatever the name of the model."""
    root = f"{model.name}/"
    return f"dvae/{variable.path.removeprefix(root)}" if variable.path.startswith(root) else variable.path


def _distinct(named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(named)
    if len(found := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"variables: expected distinct names, got {twice} twice; name the layers differently"
        )
    return found

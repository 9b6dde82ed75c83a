"""Finds the public names of the library, so that the suite misses nothing new."""

import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow_probability as tfp

import dvae_tf
from dvae_tf.samplers import Sampler

_BASES = (keras.layers.Layer, tfp.distributions.Distribution, Sampler)


def found_names() -> dict[str, Any]:
    """Dotted name below `dvae_tf` -> object: public names of modules, then registered and derived classes."""
    found = {}
    for info in pkgutil.iter_modules(dvae_tf.__path__):
        if not info.name.startswith("_"):
            found |= _offered(importlib.import_module(f"dvae_tf.{info.name}"))
    public = {id(value) for value in found.values()}
    for each in (*registered(), *_derived_classes()):
        if id(each) not in public:
            found[_below(f"{each.__module__}.{each.__qualname__}")] = each
    return found


def registered() -> list[Any]:
    """Objects that are registered with Keras under the package `dvae_tf`."""
    known = keras.saving.get_custom_objects().items()
    return [each for name, each in known if name.startswith("dvae_tf>") and _is_ours(each)]


def _offered(module: types.ModuleType) -> dict[str, Any]:
    """Names in `__all__` (recursively for modules), or else public functions and classes defined there."""
    if hasattr(module, "__all__"):
        values = {name: getattr(module, name) for name in module.__all__}
    else:
        values = {
            name: value
            for name, value in vars(module).items()
            if callable(value) and not name.startswith("_") and value.__module__ == module.__name__
        }
    found = {}
    for name, value in values.items():
        if inspect.ismodule(value):
            found |= _offered(value)
        else:
            found[_below(f"{module.__name__}.{name}")] = value
    return found


def _derived_classes() -> set[type]:
    """Layers, distributions and samplers of the library whose names are not private."""
    return {
        each
        for base in _BASES
        for each in _subclasses(base)
        if _is_ours(each) and not each.__name__.startswith("_")
    }


def _subclasses(base: type) -> Iterator[type]:
    for each in base.__subclasses__():
        yield each
        yield from _subclasses(each)


def _is_ours(each: Any) -> bool:
    return each.__module__.split(".")[0] == "dvae_tf"


def _below(name: str) -> str:
    return name.removeprefix("dvae_tf.")

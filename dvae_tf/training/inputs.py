"""Digests of images and descriptions of a user's own parts: how a run folder knows what it was given."""

import codecs
import collections
import functools
import hashlib
import inspect
import json
import marshal
import platform
import types
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import storage
from ..config import as_image_shape
from ..data import Images
from ..runs import BEST_FILE, Inputs, RunFolder, file_in, read_inputs

_SPLITS = ("train", "validation", "test")
# Keys of a Keras configuration that depend on where a class is defined, or on whether a layer has been built.
_CIRCUMSTANCES = {
    "module",
    "registered_name",
    "build_config",
    "build_input_shape",
    "compile_config",
    "shared_object_id",
}
# Packages whose code is recorded by their versions, in the result.
_LIBRARIES = {"builtins", "dvae_tf", "keras", "numpy", "tensorflow", "tensorflow_probability", "tf_keras"}
# Longer lists are recorded by their digest.
_MAX_LIST = 100


def inputs_of(images: Images, parts: Mapping[str, Any], graph: str | None = None) -> Inputs:
    """What a run is given beside its recipe.

    Args:
      images: the dataset.
      parts: your own parts, as `models.DVAE` takes them.
      graph: the digest of the graph of the machine; None where it is not known.
    """
    return Inputs(
        images.source,
        as_image_shape(images.image_shape),
        {split: _array_digest(getattr(images, split)) for split in _SPLITS},
        {name: describe(part) for name, part in parts.items() if part is not None},
        graph,
    )


def check_mean_image(folder: RunFolder, images: Images) -> None:
    """Compares images with what a folder without `inputs.json` knows of its own: their mean, their number.

    Raises:
      ValueError: if they are others.
    """
    if read_inputs(folder.path) is not None:
        return
    try:
        best = storage.read_arrays(file_in(folder.path, BEST_FILE))
    except storage.StorageError:
        best = {}
    means = [array for path, array in best.items() if path.endswith("/mean_x")]
    mean = images.train.mean(0)
    result = folder.result
    if any(each.shape != mean.shape or not np.allclose(each, mean, atol=1e-5) for each in means) or (
        result is not None and result.num_test_images != len(images.test)
    ):
        raise ValueError(
            f"log_dir: {folder.path} belongs to a run of other images than those of {images.source}; "
            "choose another folder"
        )


def describe(part: Any) -> Any:
    """JSON values that tell a part of a model from another: class, configuration, and code of the user's own.

    They are the same in every process: the names that Keras numbers, and whether a layer has been built, do
    not count. Neither do weights, nor what a function calls or reads from its module.
    """
    try:
        return _described(part)
    except Exception:  # it refers to itself, or cannot be looked into
        return {"class_name": type(part).__name__}


def _described(part: Any) -> Any:
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, list | tuple):
        return [_described(each) for each in part]
    if isinstance(part, dict):
        return {str(key): _described(each) for key, each in part.items()}
    if isinstance(part, np.ndarray | np.generic | tf.Tensor):
        return _array_digest(part)
    if isinstance(part, functools.partial):
        return {"partial": _described(part.func), "given": _described([part.args, part.keywords])}
    part = inspect.unwrap(part) if callable(part) else part
    if inspect.isroutine(part):
        return _function(part)
    if isinstance(part, type):
        return {"class_name": part.__name__} | _code_of_classes(part)
    layers = part.layers if isinstance(part, keras.Model) else ()
    return _configured(part) | _code_of_classes(type(part), *map(type, layers))


def _function(function: Any) -> dict[str, Any]:
    """A function or method: its name, and if it is the user's own its code and the values that it holds."""
    found = {"function": function.__name__}
    if not hasattr(function, "__code__") or _is_of_a_library(function):
        return found
    captured = [cell.cell_contents for cell in function.__closure__ or ()]
    held = [function.__defaults__, function.__kwdefaults__, captured]
    if inspect.ismethod(function):
        held.append(function.__self__)
    return found | _code(_code_text(function.__code__)) | {"values": _described(held)}


def _configured(part: Any) -> dict[str, Any]:
    """The class of an object, and the configuration of a layer or the plain attributes of another object."""
    if isinstance(part, keras.layers.Layer):
        try:
            with warnings.catch_warnings(action="ignore"):  # of lambdas, which are not loaded here
                saved = keras.saving.serialize_keras_object(part)
        except Exception:  # whatever a `get_config` may raise
            return {"class_name": type(part).__name__}
        return _without_circumstances(saved, _stable_names(saved))
    if _is_of_a_library(type(part)):
        return {"class_name": type(part).__name__}
    plain = bool | int | float | str | list | tuple | dict | np.ndarray | np.generic | types.FunctionType
    values = {name: value for name, value in sorted(vars(part).items()) if isinstance(value, plain)}
    return {"class_name": type(part).__name__, "config": _described(values)}


def _stable_names(saved: Any) -> dict[str, str]:
    """The names of the layers of a Keras configuration, and others that do not depend on the process."""
    names: dict[str, str] = {}
    counts: collections.Counter[str] = collections.Counter()
    for name, kind in _layer_names(saved):
        if name not in names:
            counts[kind] += 1
            names[name] = f"{kind} {counts[kind]}"
    return names


def _layer_names(saved: Any) -> Iterator[tuple[str, str]]:
    """(name, class) of each layer, in the order of the configuration."""
    if isinstance(saved, dict):
        config, kind = saved.get("config"), str(saved.get("class_name"))
        if isinstance(config, dict) and isinstance(config.get("name"), str) and "DTypePolicy" not in kind:
            yield config["name"], kind
        saved = list(saved.values())
    if isinstance(saved, list | tuple):
        for each in saved:
            yield from _layer_names(each)


def _without_circumstances(saved: Any, names: Mapping[str, str]) -> Any:
    """A Keras configuration as JSON values that do not depend on the process."""
    if isinstance(saved, dict):
        if (code := _lambda(saved)) is not None:
            return {"function": "<lambda>"} | _code(_code_text(code))
        kept = {str(key): value for key, value in saved.items() if key not in _CIRCUMSTANCES}
        return {key: _without_circumstances(value, names) for key, value in kept.items()}
    if isinstance(saved, list | tuple):
        found = [_without_circumstances(each, names) for each in saved if not _is_input_layer(each)]
        return found if len(found) <= _MAX_LIST else _digest(json.dumps(found).encode())
    if isinstance(saved, str):
        return names.get(saved, saved)
    return saved if saved is None or isinstance(saved, bool | int | float) else type(saved).__name__


def _is_input_layer(saved: Any) -> bool:
    """A `Sequential` that has been built has one more."""
    return isinstance(saved, dict) and saved.get("class_name") == "InputLayer"


def _lambda(saved: dict[str, Any]) -> types.CodeType | None:
    """The code of a lambda as Keras writes it, by itself or as an activation: marshalled, with its file."""
    held = saved.get("config") if saved.get("class_name") == "__lambda__" else saved
    match held:
        case {"code": str(text), "defaults": _, "closure": _} | {"value": [str(text), _, _]}:
            return marshal.loads(codecs.decode(text.encode(), "base64"))
    return None


def _code_of_classes(*classes: type) -> dict[str, str]:
    """The code of those classes that are not of a library."""
    own = [base for kind in classes for base in kind.__mro__ if not _is_of_a_library(base)]
    members = [inspect.unwrap(each) for base in own for each in vars(base).values() if callable(each)]
    texts = [_code_text(each.__code__) for each in members if inspect.isfunction(each)]
    return _code("".join(texts)) if own else {}


def _is_of_a_library(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] in _LIBRARIES


def _code(text: str) -> dict[str, str]:
    # Another version of Python compiles to other code.
    return {"python": ".".join(platform.python_version_tuple()[:2]), "code": _digest(text.encode())}


def _code_text(code: types.CodeType) -> str:
    """What determines the behavior of compiled code, without the places in its file."""
    constants = [
        _code_text(each)
        if isinstance(each, types.CodeType)
        else repr(sorted(each, key=repr) if isinstance(each, frozenset) else each)
        for each in code.co_consts
    ]
    return repr((code.co_code, code.co_names, code.co_varnames, constants))


def _array_digest(array: Any) -> str:
    """SHA-256 of the dtype, the shape and the content of an array."""
    array = np.asarray(array, order="C")
    return _digest(f"{array.dtype.str} {array.shape} ".encode(), array.data)


def _digest(*contents: Any) -> str:
    found = hashlib.sha256()
    for content in contents:
        found.update(content)
    return found.hexdigest()

"""The axes of a table: a field of the recipe and its values, `field=value,value,…`."""

import dataclasses
import itertools
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dvae_tf.config import Recipe

# Field -> values.
Axes = dict[str, list[Any]]

_TYPES = {field.name: field.type for field in dataclasses.fields(Recipe)}
_EXPECTED = {
    bool: "true or false",
    int: "integers",
    float: "numbers",
    tuple: "lists in brackets, as [64,64],[]",
}
_BOOLS = {"true": True, "false": False}


def parse(given: Sequence[str]) -> Axes:
    """Reads axes; values have the type of the field: `none` where it may be None, and lists in brackets.

    Raises:
      ValueError: if a field is unknown or there twice, or a value is not of its type or there twice; the
        message names the field.
    """
    axes: Axes = {}
    for each in given:
        name, equals, text = each.partition("=")
        if not equals:
            raise ValueError(f"axis: expected field=value,value,…, got {each!r}")
        if name not in _TYPES:
            raise ValueError(f"axis: expected one of the fields {', '.join(_TYPES)}; got {name!r}")
        if name in axes:
            raise ValueError(f"axis: expected every field once, got {name} twice")
        axes[name] = _values(name, text)
    return axes


def combinations(axes: Axes) -> Iterator[Mapping[str, Any]]:
    """Every combination of values, the last axis changing fastest."""
    for values in itertools.product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _values(name: str, text: str) -> list[Any]:
    kinds = typing.get_args(_TYPES[name]) or (_TYPES[name],)
    kind = typing.get_origin(kinds[0]) or kinds[0]
    try:
        if kind is tuple:
            values: list[Any] = [_tuple(item) for item in json.loads(f"[{text}]")]
        else:
            values = [
                None if item == "none" and len(kinds) > 1 else _READ[kind](item) for item in text.split(",")
            ]
    except (ValueError, KeyError) as error:
        raise ValueError(f"axis: {name}: expected {_EXPECTED.get(kind, 'texts')}, got {text!r}") from error
    if repeated := [value for index, value in enumerate(values) if value in values[:index]]:
        raise ValueError(f"axis: {name}: expected different values, got {repeated[0]} twice")
    if not values:
        raise ValueError(f"axis: {name}: expected values, got none")
    return values


def _text(item: str) -> str:
    if not item:
        raise ValueError
    return item


def _tuple(item: Any) -> tuple[Any, ...]:
    if not isinstance(item, list):
        raise ValueError
    return tuple(tuple(each) if isinstance(each, list) else each for each in item)


_READ: dict[Any, Any] = {bool: lambda item: _BOOLS[item.lower()], int: int, float: float, str: _text}

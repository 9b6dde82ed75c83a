"""What a run was given beside its recipe: its images, and the user's own parts of the model.

`config.json` holds the recipe, `inputs.json` these. Folders of version 0.2 and earlier have no `inputs.json`.
"""

import dataclasses
import pathlib
import reprlib
from collections.abc import Iterator
from typing import Any, Self

from .. import storage
from ..config import ImageShape, as_image_shape
from .files import INPUTS_FILE, file_in

_FIELDS = {"data_source": str, "image_shape": list, "digests": dict, "parts": dict}
# Digits of a digest in messages.
_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The inputs of a run that its recipe does not name.

    Attributes:
      data_source: where the images came from; the same images from another place are the same input.
      image_shape: of the images (`config.as_image_shape`).
      digests: split -> SHA-256 of its images.
      parts: each part of the model that is the user's own (`encoder`, `prior`, …) -> its description in JSON.
      graph: the digest of the graph of the machine (`Graph.digest`); None for a restricted one, for a prior
        of the user's own, and in folders of version 0.2 and earlier.
    """

    data_source: str
    image_shape: ImageShape
    digests: dict[str, str]
    parts: dict[str, Any]
    graph: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The inputs as JSON values."""
        return dataclasses.asdict(self) | {"image_shape": list(self.image_shape)}

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """The inverse of `to_json`.

        Raises:
          ValueError: if a field is missing or has the wrong type; the message names it.
        """
        if not isinstance(values, dict):
            raise ValueError(f"expected the inputs of a run, got {type(values).__name__}")
        for name, kind in _FIELDS.items():
            if not isinstance(values.get(name), kind):
                raise ValueError(f"{name}: expected {kind.__name__}, got {values.get(name)!r}")
        digests = values["digests"]
        if not all(isinstance(digest, str) for digest in digests.values()):
            raise ValueError(f"digests: expected texts, got {digests!r}")
        graph = values.get("graph")
        if not isinstance(graph, str | None):
            raise ValueError(f"graph: expected a digest, got {graph!r}")
        found = {name: values[name] for name in _FIELDS}
        return cls(**found | {"image_shape": as_image_shape(values["image_shape"]), "graph": graph})

    def check_graph(self, found: str | None) -> None:
        """Checks that a graph, by its digest, is the one that the run was trained with; None is not compared.

        Raises:
          ValueError: if its edges or their colors are others.
        """
        if None not in (self.graph, found) and found != self.graph:
            raise ValueError(
                "graph: expected the edges and colors that the run was trained with "
                f"(SHA-256 {str(self.graph)[:_SHOWN]}…), got others ({str(found)[:_SHOWN]}…)"
            )

    def differences(self, requested: "Inputs") -> list[str]:
        """The images and parts in which the inputs of a folder differ from the requested ones, in words."""
        found = []
        for split, digest in self.digests.items():
            if (other := requested.digests.get(split)) != digest:
                found.append(
                    f"{split} images: folder has those of {self.data_source} (SHA-256 {digest[:_SHOWN]}…), "
                    f"requested others, of {requested.data_source} ({str(other)[:_SHOWN]}…)"
                )
        try:
            self.check_graph(requested.graph)
        except ValueError as error:
            found.append(str(error))
        if self.image_shape != requested.image_shape:
            found.append(f"image_shape: folder has {self.image_shape}, requested {requested.image_shape}")
        for name in sorted(self.parts.keys() | requested.parts.keys()):
            old, new = self.parts.get(name), requested.parts.get(name)
            if old is None or new is None:
                owner = ("its own", "that of the library")
                found.append(f"{name}: folder has {owner[old is None]}, requested {owner[new is None]}")
            else:
                found += _different(name, old, new)
        return found


def _different(name: str, old: Any, new: Any) -> Iterator[str]:
    """The places where two JSON values differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        # The digests of code are those of one version of Python.
        ignored = {"code", "python"} if old.get("python") != new.get("python") else set()
        for key in sorted(old.keys() - ignored):
            yield from _different(f"{name}.{key}", old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _different(f"{name}.{index}", *pair)
    elif old != new:
        yield f"{name}: folder has {reprlib.repr(old)}, requested {reprlib.repr(new)}"


def read_inputs(folder: pathlib.Path) -> Inputs | None:
    """The inputs of a run folder, from its `inputs.json`; None if the folder has none.

    Raises:
      StorageError: if the file is damaged, or holds something else; the message names it.
    """
    path = file_in(folder, INPUTS_FILE)
    if not path.exists():
        return None
    try:
        return Inputs.from_json(storage.read_json(path))
    except ValueError as error:
        raise storage.StorageError(f"{path}: {error}") from error


def write_inputs(folder: pathlib.Path, inputs: Inputs) -> None:
    """Writes `inputs.json`, atomically."""
    storage.write_json(storage.as_path(folder) / INPUTS_FILE, inputs.to_json())

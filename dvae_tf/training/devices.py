"""The devices that a run has been trained on, in the form that checkpoints keep.

A run that is continued on another kind of device ends close to where it would have, but not to the last bit:
devices round differently.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Self

import numpy as np

from ..storage import StorageError

_NAME = "names"


@dataclasses.dataclass(frozen=True)
class Devices:
    """Devices in the order in which they took over.

    Attributes:
      spans: pairs of the number of steps that were behind the run then, and the device.
    """

    spans: tuple[tuple[int, str], ...] = ()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> Self:
        """Reads the devices from a checkpoint; one of version 0.2 or earlier has none.

        Raises:
          StorageError: if the arrays are something else; the message names the source.
        """
        if not arrays:
            return cls()
        try:
            spans = tuple((int(step), str(device)) for step, device in json.loads(arrays[_NAME].tobytes()))
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(f"{source}: devices: expected pairs of a step and a name") from error
        return cls(spans)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of a checkpoint."""
        return {_NAME: np.frombuffer(json.dumps(self.spans).encode(), np.uint8)}

    def then(self, step: int, device: str | None) -> "Devices":
        """The devices with one that takes over after a number of steps; the same if it is the last one."""
        if device is None or (self.spans and self.spans[-1][1] == device):
            return self
        return Devices((*self.spans, (step, device)))

    def __str__(self) -> str:
        first, *others = self.spans
        return "; ".join([first[1], *(f"from step {step:,} on {device}" for step, device in others)])

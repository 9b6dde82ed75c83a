"""The history of a run: what its validations measured."""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping
from typing import Self

import numpy as np

from ..storage import StorageError


@dataclasses.dataclass
class History:
    """Parallel lists with one entry for each validation so far; nats and seconds."""

    step: list[float] = dataclasses.field(default_factory=list)
    objective: list[float] = dataclasses.field(default_factory=list)
    val_nll: list[float] = dataclasses.field(default_factory=list)
    log_partition: list[float] = dataclasses.field(default_factory=list)
    # log Z just before it was measured: tracked, or as measured last.
    log_partition_before: list[float] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> Self:
        """Reads the history from a checkpoint.

        Raises:
          StorageError: if the arrays are not lists of equal length with these names; the message names the
            source.
        """
        check_float64_arrays(source, "history", arrays, cls().arrays())
        shapes = {array.shape for array in arrays.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            raise StorageError(f"{source}: history: expected lists of one length, got {sorted(shapes)}")
        return cls(**{name: array.tolist() for name, array in arrays.items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of a checkpoint."""
        return {name: np.asarray(values, np.float64) for name, values in dataclasses.asdict(self).items()}

    def append(self, step: int, seconds: float, report: Mapping[str, float]) -> None:
        """Adds the validation after `step` steps, from its report."""
        self.step.append(step)
        self.objective.append(report["objective"])
        self.val_nll.append(report["val_nll"])
        self.log_partition.append(report["log_partition"])
        self.log_partition_before.append(report["log_partition_before"])
        self.seconds.append(seconds)

    @property
    def best(self) -> int | None:
        """The index of the lowest validation NLL."""
        return int(np.argmin(self.val_nll)) if self.val_nll else None


def check_float64_arrays(
    source: pathlib.Path, what: str, arrays: Mapping[str, np.ndarray], expected: Collection[str]
) -> None:
    """Checks that a checkpoint holds float64 arrays of exactly these names.

    Raises:
      StorageError: otherwise; the message names the source.
    """
    found = {name: array.dtype.name for name, array in arrays.items()}
    if found != dict.fromkeys(expected, "float64"):
        raise StorageError(f"{source}: {what}: expected float64 {sorted(expected)}, got {found}")

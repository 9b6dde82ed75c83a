"""What a run has measured so far, in the form that checkpoints keep."""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping
from typing import Self

import numpy as np

from ..models import StepReport
from ..storage import StorageError


@dataclasses.dataclass
class History:
    """The validations so far: parallel lists, one entry each; nats."""

    step: list[float] = dataclasses.field(default_factory=list)
    objective: list[float] = dataclasses.field(default_factory=list)
    val_nll: list[float] = dataclasses.field(default_factory=list)
    log_partition: list[float] = dataclasses.field(default_factory=list)
    # Just before it was measured: tracked, or as measured last.
    log_partition_before: list[float] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> Self:
        """The history that a checkpoint holds.

        Raises:
          StorageError: if it is not as many lists of numbers, of one length; the message names the source.
        """
        _check_names(source, "history", arrays, cls().arrays())
        shapes = {array.shape for array in arrays.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            raise StorageError(f"{source}: history: expected lists of one length, got {sorted(shapes)}")
        return cls(**{name: array.tolist() for name, array in arrays.items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {name: np.asarray(values, np.float64) for name, values in dataclasses.asdict(self).items()}

    @property
    def best(self) -> int | None:
        """The index of the lowest validation NLL."""
        return int(np.argmin(self.val_nll)) if self.val_nll else None


@dataclasses.dataclass
class Progress:
    """What a run carries from one call of the compiled loop to the next, beside the model.

    Attributes:
      sums: of the reports of the steps since the last validation.
      count: of these steps.
      first_objective: mean objective of the run's first call, nats; NaN before it.
      seconds: of training so far.
      stopped: whether a callback has ended the training.
    """

    sums: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(len(StepReport._fields)))
    count: float = 0.0
    first_objective: float = float("nan")
    seconds: float = 0.0
    stopped: float = 0.0

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> Self:
        """What a checkpoint holds.

        Raises:
          StorageError: if it is something else; the message names the source.
        """
        expected = cls().arrays()
        _check_names(source, "progress", arrays, expected)
        if {name: array.shape for name, array in arrays.items()} != {
            name: array.shape for name, array in expected.items()
        }:
            raise StorageError(f"{source}: progress: expected {len(StepReport._fields)} sums and scalars")
        scalars = {name: float(array) for name, array in arrays.items() if name != "sums"}
        return cls(arrays["sums"], **scalars)

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {name: np.asarray(value, np.float64) for name, value in dataclasses.asdict(self).items()}

    def add(self, reports: np.ndarray) -> None:
        """Takes in the reports of some steps, one after the other: sums do not depend on how they come."""
        for report in reports:
            self.sums = self.sums + report
        self.count += len(reports)

    def clear(self) -> None:
        """A validation is done."""
        self.sums, self.count = np.zeros_like(self.sums), 0.0


def _check_names(
    source: pathlib.Path, what: str, arrays: Mapping[str, np.ndarray], expected: Collection[str]
) -> None:
    """Whether there are float64 arrays of these names and no others."""
    found = {name: array.dtype.name for name, array in arrays.items()}
    if found != dict.fromkeys(expected, "float64"):
        raise StorageError(f"{source}: {what}: expected float64 {sorted(expected)}, got {found}")

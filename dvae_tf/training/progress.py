"""Progress of a run between two calls of the compiled loop, in the form that checkpoints keep."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Self

import numpy as np

from ..models import StepReport
from ..runs.history import check_float64_arrays
from ..storage import StorageError


@dataclasses.dataclass
class Progress:
    """State of a run that is neither in the model nor in its optimizer.

    Attributes:
      sums: of the reports of all steps since the last validation.
      count: number of these steps.
      first_objective: objective of the first step, nats; NaN before it.
      seconds: of training so far.
      stopped: whether a callback has stopped the training.
    """

    sums: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(len(StepReport._fields)))
    count: float = 0.0
    first_objective: float = float("nan")
    seconds: float = 0.0
    stopped: float = 0.0

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], source: pathlib.Path) -> Self:
        """Reads the progress from a checkpoint.

        Raises:
          StorageError: if the arrays have other names, types or shapes; the message names the source.
        """
        expected = cls().arrays()
        check_float64_arrays(source, "progress", arrays, expected)
        if {name: array.shape for name, array in arrays.items()} != {
            name: array.shape for name, array in expected.items()
        }:
            raise StorageError(f"{source}: progress: expected {len(StepReport._fields)} sums and scalars")
        scalars = {name: float(array) for name, array in arrays.items() if name != "sums"}
        return cls(arrays["sums"], **scalars)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of a checkpoint."""
        return {name: np.asarray(value, np.float64) for name, value in dataclasses.asdict(self).items()}

    def add(self, reports: np.ndarray) -> None:
        """Adds the reports of some steps, one by one: the sums do not depend on the length of a call."""
        for report in reports:
            self.sums = self.sums + report
        self.count += len(reports)

    def clear(self) -> None:
        """Starts anew after a validation."""
        self.sums, self.count = np.zeros_like(self.sums), 0.0

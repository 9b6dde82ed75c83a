"""What a run has measured so far, in the form that checkpoints keep."""

import dataclasses
from collections.abc import Mapping
from typing import Self

import numpy as np

from ..models import StepReport


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
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The history that a checkpoint holds."""
        return cls(**{field.name: arrays[field.name].tolist() for field in dataclasses.fields(cls)})

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
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """What a checkpoint holds."""
        scalars = {field.name: float(arrays[field.name]) for field in dataclasses.fields(cls)[1:]}
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

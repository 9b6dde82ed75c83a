"""What a training tells whoever watches."""

import warnings

from ..config import Recipe
from ..models import DVAE
from .faults import TrainingWarning


class Monitor:
    """Silent here, but for warnings."""

    def start(self, recipe: Recipe, model: DVAE, step: int) -> None:
        """Training begins, or goes on from `step`."""

    def steps(self, step: int, report: dict[str, float]) -> None:
        """Some more steps are done."""

    def live(self, step: int, report: dict[str, float]) -> None:
        """A quick look between validations, where log Z is tracked: `live_val_nll`."""

    def validation(self, step: int, report: dict[str, float], is_best: bool) -> None:
        """A validation is done."""

    def warning(self, text: str) -> None:
        """Something that the user should know; a `TrainingWarning` here."""
        warnings.warn(text, TrainingWarning, stacklevel=2)

    def test(self, done: int, total: int) -> None:
        """So many test images are measured."""

    def close(self) -> None:
        """Nothing more comes: the run is complete, or has failed, or was interrupted."""

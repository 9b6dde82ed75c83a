"""Training: many steps in one compiled loop, validations, checkpoints, and the measured result.

The next state is a function of the variables, the seed and the step alone, so a run resumed from its newest
checkpoint ends as if it had not been interrupted.
"""

from .faults import TrainingError, TrainingWarning
from .interruption import Interrupted
from .loop import STEPS_PER_CALL, TrainingLoop, compiled_loop
from .measuring import result_of
from .progress_bar import ProgressBar, readable_seconds
from .run import check_run, train

__all__ = [
    "STEPS_PER_CALL",
    "Interrupted",
    "ProgressBar",
    "TrainingError",
    "TrainingLoop",
    "TrainingWarning",
    "check_run",
    "compiled_loop",
    "readable_seconds",
    "result_of",
    "train",
]

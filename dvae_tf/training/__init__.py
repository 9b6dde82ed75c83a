"""Training: many steps in one compiled loop, validation, checkpoints, and the measured result.

The next state is a function of the variables, the seed and the step alone, so a run that is started
again goes on from its newest checkpoint as if it had never stopped.
"""

from .faults import TrainingError, TrainingWarning
from .history import History
from .interruption import Interrupted
from .loop import STEPS_PER_CALL, TrainingLoop, compiled_loop
from .monitor import Monitor
from .result import result_record
from .run import train

__all__ = [
    "STEPS_PER_CALL",
    "History",
    "Interrupted",
    "Monitor",
    "TrainingError",
    "TrainingLoop",
    "TrainingWarning",
    "compiled_loop",
    "result_record",
    "train",
]

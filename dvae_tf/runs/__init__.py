"""Run folders: the files that a run leaves behind, its history, its result, and where numbers come from."""

from .files import (
    BEST_FILE,
    CONFIG_FILE,
    IMAGE_NLL_FILE,
    INPUTS_FILE,
    RESULT_FILE,
    WEIGHTS_FILE,
    file_in,
    read_recipe,
)
from .folder import Checkpoint, RunFolder, config_differences, read_history, read_image_nll
from .history import History
from .inputs import Inputs, read_inputs, write_inputs
from .result import Result, read_result, write_result

__all__ = [
    "BEST_FILE",
    "CONFIG_FILE",
    "IMAGE_NLL_FILE",
    "INPUTS_FILE",
    "RESULT_FILE",
    "WEIGHTS_FILE",
    "Checkpoint",
    "History",
    "Inputs",
    "Result",
    "RunFolder",
    "config_differences",
    "file_in",
    "read_history",
    "read_image_nll",
    "read_inputs",
    "read_recipe",
    "read_result",
    "write_inputs",
    "write_result",
]

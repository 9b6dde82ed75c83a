"""Imports TensorFlow without the start-up messages that say nothing about a run.

TensorFlow's native libraries report build options and the absence of CUDA while they are imported, before any
log level applies. These messages are dropped. So are warnings that a compiled kernel is traced again: the
library's kernels are compiled for each shape. All other messages are shown.
"""

import contextlib
import logging
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator

_STDERR = 2
# Informative messages, and the failure to initialize CUDA on a machine without a GPU.
_INFORMATIVE = re.compile(
    r"I\d{4} |WARNING: All log messages before absl::InitializeLog|To enable the following"
)
_NO_CUDA = re.compile(r"E\d{4} .*failed call to cuInit")


def import_tensorflow() -> None:
    """Imports TensorFlow, and looks for GPUs."""
    if "tensorflow" in sys.modules:
        return
    # Level 1 drops informative messages, such as those of XLA.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with _captured() as messages:
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
    tf.get_logger().addFilter(_is_no_retracing)
    has_gpu = any(pathlib.Path("/dev").glob("nvidia[0-9]*"))
    for message in messages:
        if not _INFORMATIVE.match(message) and (has_gpu or not _NO_CUDA.match(message)):
            print(message, file=sys.stderr)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    return "triggered tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def _captured() -> Iterator[list[str]]:
    """Collects the lines that native code writes to standard error; prints them if the context fails."""
    lines: list[str] = []
    sys.stderr.flush()
    saved = os.dup(_STDERR)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), _STDERR)
        try:
            yield lines
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()
            if sys.exc_info()[0] is not None:
                print(*lines, sep="\n", file=sys.stderr)


import_tensorflow()

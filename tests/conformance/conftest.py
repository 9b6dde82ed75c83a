"""What of the conformance suite is a soak test."""

import pytest
import tensorflow as tf

from conformance.cases import Program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks float64 of programs that take long to compile, which run in float32 among the slow tests."""
    for item in items:
        values = item.callspec.params if hasattr(item, "callspec") else {}
        program = values.get("program")
        if isinstance(program, Program) and program.slow and values.get("dtype") == tf.float64:
            item.add_marker(pytest.mark.soak)

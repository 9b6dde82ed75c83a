"""What a watcher sees: the objective, the rate and the time left, in lines or in a bar."""

import io

import pytest
from rich.console import Console

from runners import console


@pytest.mark.parametrize("terminal", [False, True])
def test_rate_and_time_left_are_shown_without_the_compilation(terminal, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    out = io.StringIO()
    watcher = console.ConsoleMonitor(Console(file=out, force_terminal=terminal, width=120))
    watcher.start(type("Recipe", (), {"num_train_iter": 1000})(), None, 0)
    for step, seconds in ((50, 100.0), (100, 101.0), (500, 109.0), (900, 125.0)):
        clock[0] = seconds
        watcher.steps(step, {"objective": -12.345})
        if watcher.bar is not None:
            watcher.bar.refresh()
    watcher.close()
    text = out.getvalue()
    assert "objective -12.3" in text  # -12.35 or -12.34
    assert "34 steps/s, 3 s left" in text  # (900 - 50) steps in 25 s: compilation took the first 100
    assert ("━" in text) is terminal

"""The progress bar: the objective, the rate and the time left, as plain lines or as a bar."""

import io
import types

import pytest
from rich.console import Console

from dvae_tf.training import ProgressBar, progress_bar, readable_seconds


@pytest.mark.parametrize("terminal", [False, True])
def test_rate_and_time_left_do_not_count_the_compilation(terminal, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress_bar.time, "monotonic", lambda: clock[0])
    out = io.StringIO()
    bar = ProgressBar(Console(file=out, force_terminal=terminal, width=120))
    bar.set_model(types.SimpleNamespace(recipe=types.SimpleNamespace(num_train_iter=1000)))
    bar.on_train_begin({"step": 0})
    for step, seconds in ((50, 100.0), (100, 101.0), (500, 109.0), (900, 125.0)):
        clock[0] = seconds
        bar.on_train_batch_end(step, {"objective": -12.345})
        if bar._bar is not None:
            bar._bar.refresh()
    bar.close()
    text = out.getvalue()
    assert "objective -12.3" in text  # -12.35 or -12.34
    assert "34 steps/s, 3 s left" in text  # (900 - 50) steps in 25 s: compilation took the first 100
    assert ("━" in text) is terminal


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "±"), ("ascii", "+/-")])
def test_errors_are_shown_in_any_encoding(encoding, sign):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    logs = {"step": 30, "val_nll": 2.0, "is_best": True, "log_partition": 3.0, "log_partition_converged": 1.0}
    bar = ProgressBar(Console(file=out, width=120))
    bar.on_epoch_end(0, logs | {"log_partition_standard_error": 0.5})
    out.seek(0)
    assert out.read() == f"step 30: validation NLL 2.00 (best), log Z 3.00 {sign} 0.500\n"


@pytest.mark.parametrize(("seconds", "text"), [(3.2, "3 s"), (90, "1.5 min"), (7200, "2.0 h")])
def test_seconds_are_readable(seconds, text):
    assert readable_seconds(seconds) == text

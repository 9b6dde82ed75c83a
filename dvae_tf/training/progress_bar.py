"""Progress of a run on the terminal: a live bar, or plain lines where there is no terminal."""

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

# Interval of the plain lines.
_LINE_SECONDS = 15.0


class ProgressBar(keras.callbacks.Callback):
    """Shows the objective, steps per second, the time left, each validation, and the test.

    Args:
      console: where to print; None means standard output.
      label: shown before the bar.
    """

    def __init__(self, console: Console | None = None, label: str = "training") -> None:
        super().__init__()
        self.console, self.label = console or Console(), label
        self._bar: Progress | None = None
        self._total = 0
        self._first_step: int | None = None
        self._live = ""
        self._started = self._last_line = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Opens the bar."""
        step = int((logs or {}).get("step", 0))  # Keras passes the numbers of logs as floats
        self._total = self.model.recipe.num_train_iter
        self._first_step = None
        self._last_line = time.monotonic()
        if step:
            self.console.print(f"Resuming from step {step:,}.")
        if step < self._total:
            self.console.print("Compiling the training loop (10 to 30 seconds).")
            self._open(self.label, self._total, step)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar; the clock starts after the first call, which compiles."""
        step, now, logs = batch, time.monotonic(), logs or {}
        if "live_val_nll" in logs:
            self._live = f", live validation NLL {logs['live_val_nll']:.2f}"
        note = f"objective {logs['objective']:.2f}{self._live}"
        if self._first_step is None:
            self._first_step, self._started = step, now
        elif now > self._started:
            rate = (step - self._first_step) / (now - self._started)
            note += f", {rate:.0f} steps/s, {readable_seconds((self._total - step) / rate)} left"
        self._advance(self.label, step, self._total, note)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Prints the validation."""
        logs = logs or {}
        error = logs["log_partition_standard_error"]
        sign = "+/-" if self.console.options.ascii_only else "±"
        error = f" {sign} {error:.3f}" if error else ""
        converged = "" if logs["log_partition_converged"] else " (not converged)"
        self.console.print(
            f"step {logs['step']:,.0f}: validation NLL {logs['val_nll']:.2f}"
            f"{' (best)' if logs['is_best'] else ''}, log Z {logs['log_partition']:.2f}{error}{converged}"
        )

    def on_train_end(self, logs: Any = None) -> None:
        """Closes the bar."""
        self.close()

    def on_test_begin(self, logs: Any = None) -> None:
        """Announces the test."""
        self._last_line = time.monotonic()
        self.console.print("Measuring log Z and the test images.")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Advances the bar of the test."""
        total = int((logs or {})["num_images"])
        if self._bar is None:
            self._open("test", total, 0)
        self._advance("test", batch, total, "images")

    def on_test_end(self, logs: Any = None) -> None:
        """Closes the bar."""
        self.close()

    def close(self) -> None:
        """Removes the bar, so that later output is not mixed with it."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _advance(self, label: str, done: int, total: int, note: str) -> None:
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, note=note)
        elif now - self._last_line >= _LINE_SECONDS:
            self._last_line = now
            self.console.print(f"{label}: {done:,} of {total:,}, {note}")

    def _open(self, label: str, total: int, done: int) -> None:
        if not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )
        self._bar.add_task(label, total=total, completed=done, note="")
        self._bar.start()


def readable_seconds(seconds: float) -> str:
    """Seconds as hours, minutes or seconds."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"

"""Progress of a run on the terminal: a live bar, or plain lines where there is no terminal."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from dvae_tf.config import Recipe
from dvae_tf.models import DVAE
from dvae_tf.training import Monitor

from .cost import readable

# Between two plain lines, or two refreshed rates.
_LINE_SECONDS = 15.0


class ConsoleMonitor(Monitor):
    """Shows the objective, steps per second, the time left, and each validation."""

    def __init__(self, console: Console, label: str = "training") -> None:
        self.console, self.label = console, label
        self.bar: Progress | None = None
        self.total = 0
        self.first_step: int | None = None
        self.live_note = ""
        self.started = self.last_line = 0.0

    def start(self, recipe: Recipe, model: DVAE, step: int) -> None:
        """Opens the bar."""
        self.total = recipe.num_train_iter
        self.first_step = None
        self.last_line = time.monotonic()
        if step:
            self.console.print(f"Going on from step {step:,}.")
        self.console.print("Compiling the training loop (10 to 30 seconds).")
        self._open(self.label, self.total, step)

    def steps(self, step: int, report: dict[str, float]) -> None:
        """Moves the bar; the first call starts the clock, so that compilation does not count."""
        now = time.monotonic()
        note = f"objective {report['objective']:.2f}{self.live_note}"
        if self.first_step is None:
            self.first_step, self.started = step, now
        elif now > self.started:
            rate = (step - self.first_step) / (now - self.started)
            note += f", {rate:.0f} steps/s, {readable((self.total - step) / rate)} left"
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=step, note=note)
        elif now - self.last_line >= _LINE_SECONDS:
            self.last_line = now
            self.console.print(f"{self.label}: step {step:,} of {self.total:,}, {note}")

    def live(self, step: int, report: dict[str, float]) -> None:
        """Shows the latest value beside the objective."""
        self.live_note = f", live validation NLL {report['live_val_nll']:.2f}"

    def validation(self, step: int, report: dict[str, float], is_best: bool) -> None:
        """Prints a line."""
        doubt = "" if report["log_partition_converged"] else " (not converged)"
        self.console.print(
            f"step {step:,}: validation NLL {report['val_nll']:.2f}{' (best)' if is_best else ''}, "
            f"log Z {report['log_partition']:.2f} ± {report['log_partition_standard_error']:.3f}{doubt}"
        )
        if step >= self.total:
            self.close()

    def warning(self, text: str) -> None:
        """Prints it."""
        self.console.print(f"warning: {text}", markup=False)

    def test(self, done: int, total: int) -> None:
        """Moves the bar of the test, or prints a line now and then."""
        now = time.monotonic()
        if self.label != "test":
            self.close()
            self.label = "test"
            self.started = self.last_line = now
            self._open("test", total, 0)
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, note="images")
        elif now - self.last_line >= _LINE_SECONDS:
            self.last_line = now
            self.console.print(f"test: {done:,} of {total:,} images")
        if done == total:
            self.close()

    def close(self) -> None:
        """Takes the bar away, so that what is printed next is not mixed with it."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def _open(self, label: str, total: int, done: int) -> None:
        if not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )
        self.bar.add_task(label, total=total, completed=done, note="")
        self.bar.start()

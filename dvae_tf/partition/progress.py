"""Progress of an estimate on the terminal."""

import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

# Stretches in which progress is shown, and the interval of the lines where there is no terminal.
_NUM_STRETCHES = 20
_LINE_SECONDS = 15.0


def stretches(label: str, total: int, verbose: bool) -> Iterator[tuple[int, int]]:
    """Divides steps into stretches, (first, end), and shows progress after each; a single one unless verbose.

    Args:
      label: what the steps are.
      total: the number of steps.
      verbose: whether to show a bar on a terminal, otherwise a line every 15 seconds and at the end.
    """
    if not verbose:
        yield 0, total
        return
    console, started = Console(), time.monotonic()
    last_line = started
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        size = max(1, -(-total // _NUM_STRETCHES))
        for first in range(0, total, size):
            end = min(first + size, total)
            yield first, end
            bar.update(task, completed=end)
            if not console.is_terminal and time.monotonic() - last_line >= _LINE_SECONDS and end < total:
                last_line = time.monotonic()
                console.print(f"{label}: {end:,} of {total:,}")
    console.print(f"{label}: {total:,} steps in {time.monotonic() - started:.0f} s")

"""Other packages in processes of their own, which execute one task at a time for a benchmark.

A peer's script runs in an environment that has the package. It reads one JSON task per line, first
{"task": "load", ...}, and answers each with one number per line.
"""

import contextlib
import json
import pathlib
import subprocess
from typing import Any


class Peer:
    """The process of a peer, with its machine loaded."""

    def __init__(self, flag: str, python: str, script: str, **load: Any) -> None:
        """Starts the process.

        Args:
          flag: the flag that names the interpreter, for messages.
          python: the interpreter of an environment that has the package.
          script: a file beside this one.
          **load: the first task.

        Raises:
          FileNotFoundError: if there is no such interpreter.
          ValueError: if the process ends.
        """
        if not pathlib.Path(python).is_file():
            raise FileNotFoundError(f"{flag}: expected a Python interpreter, got {python}")
        self._flag = flag
        command = [python, str(pathlib.Path(__file__).with_name(script))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask(task="load", **load)

    def ask(self, **task: Any) -> float:
        """Sends one task and returns its answer."""
        tasks, answers = self._process.stdin, self._process.stdout
        if tasks is None or answers is None:
            raise RuntimeError("the peer's pipes are closed")
        try:
            tasks.write(json.dumps(task) + "\n")
            tasks.flush()
            answer = answers.readline()
        except OSError:
            answer = ""
        if not answer:
            raise ValueError(f"{self._flag}: the process ended; see its message above")
        return float(json.loads(answer))

    def close(self) -> None:
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

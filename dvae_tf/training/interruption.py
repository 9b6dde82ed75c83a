"""SIGTERM and Ctrl-C: training is asked to stop, and does so between two calls of the compiled loop."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and has; the message says how to go on.

    Attributes:
      signal: the one that asked.
    """

    def __init__(self, message: str, asked: signal.Signals) -> None:
        super().__init__(message)
        self.signal = asked


class Request:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None


@contextlib.contextmanager
def watch() -> Iterator[Request]:
    """Takes the first SIGTERM or SIGINT as a request to stop; a second one does what it did before.

    Signals belong to the main thread: a training in another one is not watched.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.getsignal(each) for each in signals}

    def restore() -> None:
        for each, handler in before.items():
            # None: not set from Python, so not to be set by it.
            if handler is not None:
                signal.signal(each, handler)

    def ask(number: int, _: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        restore()

    for each in signals:
        signal.signal(each, ask)
    try:
        yield request
    finally:
        restore()

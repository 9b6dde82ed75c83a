"""SIGTERM and Ctrl-C request a stop, which happens between two calls of the compiled loop."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training has stopped because of a signal; the message says how to resume it.

    Attributes:
      signal: the signal received.
    """

    def __init__(self, message: str, received: signal.Signals) -> None:
        super().__init__(message)
        self.signal = received


class Request:
    """A request to stop.

    Attributes:
      signal: the signal received; None if there was none.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def interrupted(self, when: str) -> Interrupted:
        """The exception that ends the run; `when` completes the name of the signal."""
        received = self.signal or signal.SIGTERM
        return Interrupted(f"{received.name} {when}. Start the same run again to resume it.", received)


@contextlib.contextmanager
def watch() -> Iterator[Request]:
    """Turns the first SIGTERM or SIGINT into a request; a second one has its previous effect.

    Python handles signals in the main thread only: training in another thread is not watched.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.getsignal(each) for each in signals}

    def restore() -> None:
        for each, handler in before.items():
            # None: a handler that Python did not install and cannot restore.
            if handler is not None:
                signal.signal(each, handler)

    def receive(number: int, _: FrameType | None) -> None:
        request.signal = signal.Signals(number)
        restore()

    for each in signals:
        signal.signal(each, receive)
    try:
        yield request
    finally:
        restore()

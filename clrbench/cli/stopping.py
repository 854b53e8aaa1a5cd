"""What a signal that stops a command does: it raises, but not in the middle of an import."""

import os
import signal
import threading
import time
from types import FrameType

POSTPONED_SECONDS = 0.05
MAX_POSTPONED_SECONDS = 5.0
"""Longer than any library here takes to import; a file of the user's own may do anything while it is imported."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP came; not an Exception, so that nothing on the way up takes it for an error."""


class Stop:
    """Handles SIGINT, SIGTERM and SIGHUP.

    A C extension whose initialization is broken off by an exception says "initialization failed", or takes Python down with it.
    So a signal that comes during an import is sent once more a moment later.
    """

    def __init__(self) -> None:
        self._postponed_until: float | None = None

    def handle_signals(self) -> None:
        """Handle them from now on, but for those that are ignored, as SIGHUP is under nohup."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise what stops the command, or send the signal again where a module is being imported.

        Raises:
            KeyboardInterrupt: It is SIGINT.
            Terminated: It is another one.
        """
        now = time.monotonic()
        if self._postponed_until is None:
            self._postponed_until = now + MAX_POSTPONED_SECONDS
        if now < self._postponed_until and _is_importing(frame):
            again = threading.Timer(POSTPONED_SECONDS, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        self._postponed_until = None
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether Python's import stands among the callers of a frame."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False

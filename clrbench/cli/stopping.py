"""What a signal that stops a command does: it raises, but not where that would be ignored or leave something half done."""

import os
import signal
import sys
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

    A C extension whose initialization is broken off by an exception says "initialization failed", or takes Python down with it;
    `logging` would keep its lock, for which every other thread then waits. So a signal that comes there is sent once more a
    moment later. So is one whose exception Python ignores, as in a finalizer or beside a fork.
    """

    def __init__(self) -> None:
        self._postponed_until: float | None = None
        self._raised_for: int | None = None
        self._report_unraisable = sys.unraisablehook

    def handle_signals(self) -> None:
        """Handle them from now on, but for those that are ignored, as SIGHUP is under nohup."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self)
        sys.unraisablehook = self._on_unraisable

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise what stops the command, or send the signal again where nothing may be broken off.

        Raises:
            KeyboardInterrupt: It is SIGINT.
            Terminated: It is another one.
        """
        now = time.monotonic()
        if self._postponed_until is None:
            self._postponed_until = now + MAX_POSTPONED_SECONDS
        if now < self._postponed_until and _may_not_be_broken_off(frame):
            _send_again(number)
            return
        self._postponed_until = None
        self._raised_for = number
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    def _on_unraisable(self, ignored: "sys.UnraisableHookArgs") -> None:
        """Send the signal again whose exception was ignored; anything else is reported as before."""
        if self._raised_for is not None and issubclass(ignored.exc_type, KeyboardInterrupt | Terminated):
            _send_again(self._raised_for)
        else:
            self._report_unraisable(ignored)


def _send_again(number: int) -> None:
    again = threading.Timer(POSTPONED_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True
    again.start()


def _may_not_be_broken_off(frame: FrameType | None) -> bool:
    """Return whether an import, or `logging`, stands among the callers of a frame."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib") or frame.f_globals.get("__name__") == "logging":
            return True
        frame = frame.f_back
    return False

"""A training script as a process: started behind a guardian, asked whether it has ended, and ended with all that it started."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from clrbench.execution import guardian

GRACE_SECONDS = 2.0
"""Time that a script has between SIGTERM and SIGKILL; less than a worker has to reach a checkpoint."""


@dataclass(frozen=True)
class Ended:
    """How a script ended.

    Attributes:
        code: Its exit code, or the negative number of the signal that ended it; None where it could not be started.
        reason: Why it could not.
        left: Processes that it had started and that outlived it, until they were ended.
    """

    code: int | None
    reason: str = ""
    left: int = 0

    @property
    def words(self) -> str:
        """The same in words; empty where it ended well."""
        if self.code is None:
            return f"its command could not be started ({self.reason})"
        if self.code > 0:
            return f"its command ended with exit code {self.code}"
        if self.code < 0:
            name = signal.Signals(-self.code).name if -self.code in set(signal.Signals) else f"signal {-self.code}"
            why = ", perhaps for lack of memory: try fewer workers" if -self.code == signal.SIGKILL else ""
            return f"its command was ended by {name}{why}"
        return ""


class ScriptProcess:
    """A script that runs as long as the `with` statement that it is started in, and no process of it any longer."""

    def __init__(self, command: Sequence[str], folder: Path, run_folder: Path, log: Path) -> None:
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, str(log), str(GRACE_SECONDS), *command],
            cwd=folder,
            env={**os.environ, guardian.MARK: str(run_folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._ended: Ended | None = None

    def __enter__(self) -> Self:
        """Return the running script."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the script, if it has not ended."""
        self.stop()

    def wait(self, seconds: float) -> Ended | None:
        """Wait for so long at most; return how the script ended, or None while it runs."""
        if self._ended is None and self._guardian.stdout is not None:
            ready, _, _ = select.select([self._guardian.stdout], [], [], seconds)
            if ready:
                self._ended = self._read_end()
        return self._ended

    def stop(self) -> Ended:
        """Tell the script to stop, wait until it has, and return how it ended."""
        if self._guardian.stdin is not None:
            with suppress(OSError):
                self._guardian.stdin.close()
        while (ended := self.wait(60.0)) is None:
            pass
        return ended

    def _read_end(self) -> Ended:
        output = b"" if self._guardian.stdout is None else self._guardian.stdout.read()
        for pipe in (self._guardian.stdin, self._guardian.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._guardian.wait()
        try:
            found = json.loads(output)
        except ValueError:  # somebody has killed the guardian
            return Ended(None, "the process that watched over it was killed")
        if "error" in found:
            return Ended(None, str(found["error"]))
        return Ended(int(found["code"]), left=int(found["left"]))

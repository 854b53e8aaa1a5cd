"""Live progress on stderr: a bar with the time left on a terminal, one line in a notebook, plain lines elsewhere, or nothing."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from clrbench.counted import counted

PLAIN_LINES_SECONDS = 10.0
"""Least time between two lines where there is no terminal; the last run of a phase has its line anyway, once."""


class _Stderr:
    """The standard error of this moment; where nobody reads it any more, what goes there is lost, and nothing else is."""

    def write(self, text: str) -> int:
        """Write a text."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        self._try(lambda stream: stream.flush())

    def __getattr__(self, name: str) -> object:
        return getattr(sys.stderr, name)

    def _try(self, use: Callable[[TextIO], object]) -> None:
        if sys.stderr is None:
            return
        try:
            use(sys.stderr)
        except (OSError, ValueError):
            # What is left in the buffer must not be tried again, neither now nor when the interpreter ends.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class Display:
    """Shows the progress of runs; if `quiet`, only warnings."""

    def __init__(self, *, quiet: bool) -> None:
        self._in_notebook = Console(quiet=True).is_jupyter
        stderr = cast(TextIO, _Stderr())
        # In a notebook rich would display each line for itself, and none of them could be written over.
        self._console = Console(file=stderr, stderr=True, quiet=quiet, highlight=False, force_jupyter=False)
        self._warnings = Console(file=stderr, stderr=True, highlight=False, force_jupyter=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._last_line = -PLAIN_LINES_SECONDS
        self._ended = ""
        self._open_line = 0
        self._warned: set[str] = set()
        self._begin("", 0, 0.0)

    @property
    def is_quiet(self) -> bool:
        """Whether it writes nothing but warnings."""
        return self._console.quiet

    def note(self, text: str) -> None:
        """Write a line."""
        self._end_line()
        self._console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Write a warning, once, which `quiet` does not hide."""
        if text in self._warned:
            return
        self._warned.add(text)
        self._end_line()
        console = self._warnings if self.is_quiet else self._console
        console.print(f"Warning: {text}", markup=False, soft_wrap=True)

    @property
    def count(self) -> str:
        """How many of the runs shown are finished, in words."""
        return f"{self._finished} of {counted(self._num_runs, 'run')}"

    @contextmanager
    def showing(self, what: str, num_runs: int, work: float) -> Iterator[None]:
        """Show progress while runs are made, whose `work` in all is in the unit of `advance` and `skip`."""
        self._begin(what, num_runs, work)
        if not self._console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as self._bar:
            self._task = self._bar.add_task(what, total=max(work, 1.0), left="")
            yield
        self._bar = None

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show progress of something other than runs, such as a download; yield a function that adds to the amount done.

        `total` is the amount in all; 0 where it is not known.
        """
        if self._console.is_terminal:
            with Progress(console=self._console, transient=True) as bar:
                task = bar.add_task(what, total=total or None)
                yield lambda amount: bar.update(task, advance=amount)
            return
        done, last_line = 0, time.monotonic()
        self.note(what)

        def advance(amount: int) -> None:
            nonlocal done, last_line
            done += amount
            if total and time.monotonic() - last_line >= PLAIN_LINES_SECONDS:
                last_line = time.monotonic()
                self.note(f"{what}: {min(done / total, 1):.0%}")

        yield advance

    def watch(self, step_work: Mapping[str, float]) -> "Watch":
        """Return what shows the progress of runs, by ID, each with the work of one update."""
        return Watch(self, step_work)

    def skip(self, work: float) -> None:
        """Count a run that is stored already."""
        self._finished += 1
        self._skipped_work += work
        self._update()
        if self._work_done > 0:
            self._tell(f"{self._what}: {self.count}; {self._time_left()}")

    def advance(self, work: float) -> None:
        """Count work that is done."""
        self._work_done += work
        self._update()

    def finish(self, run_id: str) -> None:
        """Count a run as finished."""
        self._finished += 1
        self._update()
        self._tell(f"{self._what}: {self.count}, last {run_id}; {self._time_left()}")

    def _begin(self, what: str, num_runs: int, work: float) -> None:
        self._what, self._num_runs, self._work = what, num_runs, work
        self._finished = 0
        self._work_done = self._skipped_work = 0.0
        self._started = time.monotonic()

    def _tell(self, state: str) -> None:
        """Say where the runs are, where no bar shows it, and unless that was said a moment ago."""
        if self._bar is not None or self.is_quiet:
            return
        is_end = self._finished == self._num_runs and self._ended != self._what
        if not is_end and time.monotonic() - self._last_line < PLAIN_LINES_SECONDS:
            return
        self._last_line = time.monotonic()
        if is_end:
            self._ended = self._what
        if self._in_notebook:
            # A carriage return, which rich leaves out, has the next state take the place of this one.
            self._console.file.write(f"\r{state:<{self._open_line}}")
            self._open_line = len(state)
        else:
            self.note(state)

    def _end_line(self) -> None:
        """Begin a new line after a state that the next one would take the place of."""
        if self._open_line:
            self._console.file.write("\n")
            self._open_line = 0

    def _update(self) -> None:
        if self._bar is not None:
            completed = self._skipped_work + self._work_done
            self._bar.update(self._task, completed=completed, left=f"{self.count}, {self._time_left()}")

    def _time_left(self) -> str:
        if self._finished == self._num_runs:
            return "done"
        if self._work_done == 0:
            return "starting"
        elapsed = time.monotonic() - self._started
        left = max(0.0, self._work - self._skipped_work - self._work_done) / self._work_done * elapsed
        return f"about {timedelta(seconds=round(left))} left"


@dataclass(frozen=True)
class Watch:
    """Shows the progress of runs that an executor makes; `step_work` is the work of one update of each, by its ID."""

    display: Display
    step_work: Mapping[str, float]

    def advance(self, run_id: str, steps: int) -> None:
        """Count updates of a run."""
        self.display.advance(self.step_work[run_id] * steps)

    def finish(self, run_id: str) -> None:
        """Count a run as finished."""
        self.display.finish(run_id)

    def warn(self, text: str) -> None:
        """Write a warning."""
        self.display.warn(text)

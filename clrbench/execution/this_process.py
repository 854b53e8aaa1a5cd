"""Runs made in this very process, one after the other, where the system allows no worker processes."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from clrbench import backends
from clrbench.execution.executor import THREAD_VARIABLES, Resources, Watch
from clrbench.execution.task import Task, execute

P = ParamSpec("P")
T = TypeVar("T")


class ThisProcess:
    """An executor without processes of its own; the numbers are those of a worker."""

    name = "local"

    def __init__(self, resources: Resources, reason: str) -> None:
        for variable in THREAD_VARIABLES:
            os.environ[variable] = str(resources.threads)
        self._backend = backends.load(resources.backend)
        self._backend.set_threads(resources.threads)
        self._reason: str | None = reason

    def find_device(self, wanted: str) -> str:
        """Return the device that `wanted` (auto, cpu, cuda or mps) stands for on this machine."""
        return self._backend.find_device(wanted)

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns, now that the backend is loaded."""
        return function(*args, **kwargs)

    def run(self, tasks: Sequence[Task], watch: Watch) -> None:
        """Make runs, one at a time; those that other processes are making are waited for last."""
        if self._reason is not None and tasks:
            watch.warn(
                f"no worker processes can be started ({self._reason}; is /dev/shm read-only or full, or ulimit -n low?): "
                "runs are made one at a time in this process, with the same numbers"
            )
            self._reason = None
        busy = [task for task in tasks if not self._make(task, watch, wait=False)]
        for task in busy:
            self._make(task, watch, wait=True)

    def close(self) -> None:
        """Do nothing: there is nothing to end."""

    def _make(self, task: Task, watch: Watch, *, wait: bool) -> bool:
        """Return whether a run is stored now, and not left to another process."""
        is_stored = execute(task, _RunWatcher(task.run_id, watch), wait=wait) in {"made", "there"}
        if is_stored:
            watch.finish(task.run_id)
        return is_stored


@dataclass(frozen=True)
class _RunWatcher:
    """Tells of one run; Ctrl-C ends this process itself, so no run is asked to stop."""

    run_id: str
    watch: Watch

    def advance(self, steps: int) -> None:
        self.watch.advance(self.run_id, steps)

    def warn(self, text: str) -> None:
        self.watch.warn(text)

    def stopping(self) -> bool:
        return False

"""Workers that stay from one phase of a command to the next, and start before they are needed: starting takes seconds."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Thread

from clrbench.errors import ClrbenchError
from clrbench.execution.executor import Executor, OpenExecutor, Resources, Watch


class KeptWorkers:
    """The executors of a command, one a backend, which stay open until `stack` is closed.

    Args:
        open_executor: Opens each of them, once.
        most: Runs made at a time in the phase that has most of them; a worker more than a phase needs never starts.
    """

    def __init__(self, open_executor: OpenExecutor, stack: ExitStack, most: int) -> None:
        self._open_executor = open_executor
        self._stack = stack
        self._most = most
        self._opened: dict[str, Executor] = {}
        self._warm: set[str] = set()

    @contextmanager
    def open(self, resources: Resources) -> Iterator[Executor]:
        """Yield the executor of a backend, which is opened the first time and closed with all others."""
        yield self._executor(resources)

    def warm_up(self, resources: Resources, device: str) -> None:
        """Have so many workers load their backend meanwhile, unless that was asked for before; whoever needs them sees errors."""
        if resources.backend in self._warm:
            return
        self._warm.add(resources.backend)
        with suppress(ClrbenchError):
            executor = self._executor(resources)
            for _ in range(resources.workers):
                Thread(target=_load, args=(executor, device), daemon=True).start()

    def _executor(self, resources: Resources) -> Executor:
        if resources.backend not in self._opened:
            opening = self._open_executor(replace(resources, workers=max(self._most, resources.workers)))
            self._opened[resources.backend] = self._stack.enter_context(opening)
        return self._opened[resources.backend]


@dataclass
class EndWatch:
    """Passes on the progress of runs, and calls a function, perhaps repeatedly, once a worker has none of them left to make."""

    watch: Watch
    left: int
    workers: int
    near_the_end: Callable[[], None]

    def advance(self, run_id: str, steps: int) -> None:
        """Count updates of a run."""
        self.watch.advance(run_id, steps)

    def finish(self, run_id: str) -> None:
        """Count a run as finished."""
        self.watch.finish(run_id)
        self.left -= 1
        if self.left < self.workers:
            self.near_the_end()

    def warn(self, text: str) -> None:
        """Pass on a warning."""
        self.watch.warn(text)


def _load(executor: Executor, device: str) -> None:
    # RuntimeError: the executor was closed meanwhile.
    with suppress(ClrbenchError, RuntimeError):
        executor.find_device(device)

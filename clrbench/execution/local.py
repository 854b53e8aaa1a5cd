"""Many runs at once, in worker processes of this machine."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import Empty
from types import FrameType
from typing import Any, ParamSpec, TypeAlias, TypeVar

from clrbench import backends
from clrbench.backends.protocol import Backend
from clrbench.errors import BackendError, ClrbenchError
from clrbench.execution.task import Outcome, Task, execute

P = ParamSpec("P")
T = TypeVar("T")

POLL_SECONDS = 0.1


NOT_FOR_WORKERS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 3.5
"""Workers that are told to stop get so long to reach a checkpoint."""


@dataclass(frozen=True)
class Progress:
    """News of a run: some updates more, its end, or what the user must know."""

    run_id: str
    steps: int = 0
    finished: bool = False
    warning: str | None = None


OnProgress: TypeAlias = Callable[[Progress], None]


class LocalWorkers:
    """Worker processes that all use one backend, each with its own threads.

    They end when this process does, however it ends: each holds one end of a pipe, and exits once the other end closes.
    They hear no Ctrl-C and no SIGTERM of their own, which reach a whole process group: this process tells them.
    """

    name = "local"

    def __init__(self, backend: str, num_workers: int, threads: int) -> None:
        context = get_context("spawn")
        self._lifeline, self._open_end = context.Pipe(duplex=False)
        self._news: Any = context.Queue()
        # Without a lock, which a worker that is killed could hold for ever.
        self._stop: Any = context.RawValue("b", 0)
        self._futures: set[Future[Any]] = set()
        self._pool = ProcessPoolExecutor(
            num_workers,
            mp_context=context,
            initializer=_start_worker,
            initargs=(_Worker(backend, threads, self._news, self._stop), self._lifeline),
        )

    def find_device(self, wanted: str) -> str:
        """Return the device that `wanted` (auto, cpu, cuda or mps) means for the backend on this machine.

        Raises:
            BackendError: If there is no such device, or the backend cannot be loaded.
        """
        return _result(self._submit(_find_device, wanted))

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a module-level function returns in a worker that has loaded its backend."""
        return _result(self._submit(_call, partial(function, *args, **kwargs)))

    def run(self, tasks: list[Task], on_progress: OnProgress) -> None:
        """Make runs, as many at a time as there are workers; those that other processes are making are waited for last.

        Raises:
            ClrbenchError: What the first run to fail raised; runs that are done stay on disk.
        """
        busy = self._run(tasks, on_progress, wait_for_others=False)
        if busy:
            on_progress(
                Progress(busy[0].run_id, warning=f"waiting for {len(busy)} runs that another process is making")
            )
            self._run(busy, on_progress, wait_for_others=True)

    def _run(self, tasks: list[Task], on_progress: OnProgress, *, wait_for_others: bool) -> list[Task]:
        """Return the runs that another process is making."""
        asked_for = {self._submit(_execute, task, wait=wait_for_others): task for task in tasks}
        busy = []
        self._futures = set(asked_for)
        while self._futures:
            done, self._futures = wait(self._futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._tell(on_progress)
            for future in done:
                task = asked_for[future]
                if _result(future) == "busy":
                    busy.append(task)
                else:
                    on_progress(Progress(task.run_id, finished=True))
        return busy

    def close(self) -> None:
        """End the workers; what they are doing stops at a checkpoint first, where that is near."""
        try:
            self._stop.value = 1
            for future in self._futures:
                future.cancel()
            wait(self._futures, timeout=GRACE_SECONDS)
        finally:
            self._open_end.close()
            self._pool.shutdown(cancel_futures=True)
            self._lifeline.close()
            self._news.close()

    def _submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        # A process that this starts inherits the mask, so no Ctrl-C hits it before it can ignore one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_WORKERS)
        try:
            return self._pool.submit(function, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _tell(self, on_progress: OnProgress) -> None:
        while True:
            try:
                on_progress(self._news.get_nowait())
            except Empty:
                return


@contextmanager
def local_workers(backend: str, num_workers: int, threads: int) -> Iterator[LocalWorkers]:
    """Start workers, and end them whatever happens."""
    workers = LocalWorkers(backend, num_workers, threads)
    try:
        yield workers
    finally:
        workers.close()


def available_cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _result(future: "Future[T]") -> T:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, ClrbenchError):
        raise error
    if isinstance(error, BrokenProcessPool):
        raise BackendError(
            "a worker process died, perhaps for want of memory; finished runs are kept; try again with fewer --workers"
        ) from error
    raise BackendError(f"a run failed: {type(error).__name__}: {error}; finished runs are kept") from error


@dataclass(frozen=True)
class _Worker:
    """What a worker process is told once, before any task."""

    backend: str
    threads: int
    news: Any
    stop: Any


@dataclass(frozen=True)
class _RunWatcher:
    """Passes on what is said of a run."""

    run_id: str
    worker: _Worker

    def advance(self, steps: int) -> None:
        self.worker.news.put(Progress(self.run_id, steps))

    def warn(self, text: str) -> None:
        self.worker.news.put(Progress(self.run_id, warning=text))

    def stopping(self) -> bool:
        return bool(self.worker.stop.value)


_this_worker: list[_Worker] = []


def _start_worker(worker: _Worker, lifeline: Connection) -> None:
    _hear(lambda _signal, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_FOR_WORKERS)
    # What a function of the user's own starts is not to be deaf as well.
    os.register_at_fork(after_in_child=partial(_hear, signal.SIG_DFL))
    threading.Thread(target=_exit_with_parent, args=(lifeline,), daemon=True).start()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(worker.threads)
    _this_worker[:] = [worker]


def _hear(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for stop in NOT_FOR_WORKERS:
        signal.signal(stop, handler)


@cache
def _load_backend() -> Backend:
    (worker,) = _this_worker
    backend = backends.load(worker.backend)
    backend.set_threads(worker.threads)
    return backend


def _exit_with_parent(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def _find_device(wanted: str) -> str:
    return _load_backend().find_device(wanted)


def _call(function: Callable[[], T]) -> T:
    _load_backend()
    return function()


def _execute(task: Task, *, wait: bool) -> Outcome:
    _load_backend()
    (worker,) = _this_worker
    return execute(task, _RunWatcher(task.run_id, worker), wait=wait)

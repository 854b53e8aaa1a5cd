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
from typing import Any, ParamSpec, TypeAlias, TypeVar

from clrbench import backends
from clrbench.backends import Backend
from clrbench.errors import BackendError, ClrbenchError
from clrbench.training import Task, execute

P = ParamSpec("P")
T = TypeVar("T")

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Progress:
    """News of a run: some updates more, or its end."""

    run_id: str
    steps: int
    finished: bool


OnProgress: TypeAlias = Callable[[Progress], None]


class LocalWorkers:
    """Worker processes that all use one backend, each with its own threads.

    They end when this process does, however it ends: each holds one end of a pipe, and exits once the other end closes.
    """

    name = "local"

    def __init__(self, backend: str, num_workers: int, threads: int) -> None:
        context = get_context("spawn")
        self._lifeline, self._open_end = context.Pipe(duplex=False)
        self._news: Any = context.Queue()
        self._pool = ProcessPoolExecutor(
            num_workers,
            mp_context=context,
            initializer=_start_worker,
            initargs=(_Worker(backend, threads, self._news), self._lifeline),
        )

    def find_device(self, wanted: str) -> str:
        """Return the device that `wanted` (auto, cpu, cuda or mps) means for the backend on this machine.

        Raises:
            BackendError: If there is no such device, or the backend cannot be loaded.
        """
        return _result(self._pool.submit(_find_device, wanted))

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a module-level function returns in a worker that has loaded its backend."""
        return _result(self._pool.submit(_call, partial(function, *args, **kwargs)))

    def run(self, tasks: list[Task], on_progress: OnProgress) -> None:
        """Make runs, as many at a time as there are workers.

        Raises:
            ClrbenchError: What the first run to fail raised; runs that are done stay on disk.
        """
        run_ids = {self._pool.submit(_execute, task): task.run_id for task in tasks}
        waiting = set(run_ids)
        while waiting:
            done, waiting = wait(waiting, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            self._tell(on_progress)
            for future in done:
                _result(future)
                on_progress(Progress(run_ids[future], 0, finished=True))

    def close(self, *, at_once: bool) -> None:
        """End the workers, after what they are doing or at once."""
        if at_once:
            self._open_end.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._open_end.close()
        self._lifeline.close()
        self._news.close()

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
    finished = False
    try:
        yield workers
        finished = True
    finally:
        workers.close(at_once=not finished)


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


_this_worker: list[_Worker] = []


def _start_worker(worker: _Worker, lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(lifeline,), daemon=True).start()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(worker.threads)
    _this_worker[:] = [worker]


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


def _execute(task: Task) -> None:
    _load_backend()
    (worker,) = _this_worker
    execute(task, lambda steps: worker.news.put(Progress(task.run_id, steps, finished=False)))

"""The local executor: worker processes of this machine."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from ctypes import c_byte
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import current_process, get_context
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue, SimpleQueue
from pathlib import Path
from queue import Empty
from types import FrameType
from typing import ParamSpec, TypeAlias, TypeVar

from clrbench import backends
from clrbench.backends.protocol import Backend
from clrbench.errors import BackendError, ClrbenchError
from clrbench.execution.executor import (
    GRACE_SECONDS,
    POLL_SECONDS,
    THREAD_VARIABLES,
    Resources,
    Watch,
    load_backend,
    say_waiting,
)
from clrbench.execution.placement import Present, pinned
from clrbench.execution.task import Outcome, Task, execute
from clrbench.silence import silence_libraries

P = ParamSpec("P")
T = TypeVar("T")

NOT_FOR_WORKERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_News: TypeAlias = tuple[str, int | str]
"""What a worker tells of a run, by its ID: updates made, or a warning."""


@dataclass(frozen=True)
class _Worker:
    """What a worker process is told once, before any task."""

    resources: Resources
    news: "Queue[_News]"
    stop: c_byte
    pins: "SimpleQueue[Mapping[str, str]]"
    """Environment variables, those of a device for each worker; empty where none is pinned."""


class LocalWorkers:
    """Worker processes that all use one backend, each with its own threads.

    They end when this process does, however it ends: each holds one end of a pipe, and exits once the other end closes.
    A Ctrl-C or SIGTERM, which reaches a whole process group, is left to this process, which tells them to stop.
    """

    name = "local"

    def __init__(self, resources: Resources) -> None:
        if getattr(current_process(), "_inheriting", False):
            # A worker that runs the user's script again has come to the call that started it: the one that did says why.
            raise SystemExit(1)
        pins = _pins(resources)
        context = get_context("spawn")
        self._lifeline, self._open_end = context.Pipe(duplex=False)
        self._news: Queue[_News] = context.Queue()
        # Without a lock, which a worker that is killed could hold for ever.
        self._stop: c_byte = context.RawValue("b", 0)
        places: SimpleQueue[Mapping[str, str]] = context.SimpleQueue()
        for pin in pins:
            places.put(pin)
        self._futures: set[Future[Outcome]] = set()
        self._pool = ProcessPoolExecutor(
            len(pins) or resources.workers,
            mp_context=context,
            initializer=_start_worker,
            initargs=(_Worker(resources, self._news, self._stop, places), self._lifeline),
        )

    def find_device(self, wanted: str) -> str:
        """Return the device that `wanted` (auto, cpu, cuda or mps) stands for on this machine."""
        return _result(self._submit(_find_device, wanted))

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a module-level function returns in a worker that has loaded its backend."""
        return _result(self._submit(_call, partial(function, *args, **kwargs)))

    def run(self, tasks: Sequence[Task], watch: Watch) -> None:
        """Make runs, one a worker at a time; those that other processes are making are waited for last."""
        busy = self._run(tasks, watch, wait_for_others=False)
        if busy:
            say_waiting(watch, len(busy))
            self._run(busy, watch, wait_for_others=True)

    def _run(self, tasks: Sequence[Task], watch: Watch, *, wait_for_others: bool) -> list[Task]:
        """Make runs; return those that another process is making, unless they are to be waited for."""
        asked_for: dict[Future[Outcome], Task] = {}
        busy: list[Task] = []

        def tell(future: "Future[Outcome]") -> None:
            task = asked_for[future]
            if _result(future) == "busy":
                busy.append(task)
            else:
                watch.finish(task.run_id)

        try:
            # The first run may have to be stopped while the worker of the next one still starts.
            with _signals_held_back():
                asked_for |= {self._started(_execute, task, wait=wait_for_others): task for task in tasks}
                self._futures = set(asked_for)
            while self._futures:
                done, self._futures = wait(self._futures, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                self._pass_on_news(watch)
                for future in done:
                    tell(future)
        except BaseException:
            for future in self._stop_runs():
                tell(future)
            raise
        return busy

    def close(self) -> None:
        """End the workers; their runs stop at a checkpoint first, where that is near."""
        try:
            self._stop_runs()
        finally:
            self._open_end.close()
            self._pool.shutdown(cancel_futures=True)
            self._lifeline.close()
            self._news.close()

    def _stop_runs(self) -> "list[Future[Outcome]]":
        """Have the runs under way stop at their next checkpoint; return those that were finished before they came to it."""
        self._stop.value = 1
        asked_for, self._futures = self._futures, set()
        stopped = wait((future for future in asked_for if not future.cancel()), timeout=GRACE_SECONDS).done
        return [future for future in stopped if future.exception() is None and future.result() in {"made", "there"}]

    def _submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        with _signals_held_back():
            return self._started(function, *args, **kwargs)

    def _started(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Hand a function to the workers, whose processes start with the first ones."""
        try:
            return self._pool.submit(function, *args, **kwargs)
        except OSError as err:
            raise BackendError(
                f"no worker process can be started ({err.strerror or err}); finished runs are kept; raise the limit (ulimit "
                "-n for open files, ulimit -u for processes), or try again with fewer workers"
            ) from err
        except BrokenProcessPool as err:
            raise BackendError(_died()) from err

    def _pass_on_news(self, watch: Watch) -> None:
        with suppress(Empty):
            while True:
                run_id, news = self._news.get_nowait()
                if isinstance(news, str):
                    watch.warn(news)
                else:
                    watch.advance(run_id, news)


def _pins(resources: Resources) -> tuple[Mapping[str, str], ...]:
    """Return the environment variables of each worker; none where no device is asked for.

    What there is a framework says, which this process must not import.
    """
    if resources.devices is None:
        return ()
    alone = LocalWorkers(replace(resources, workers=1, devices=None))
    try:
        present = alone.call(_present, resources.backend)
    finally:
        alone.close()
    return pinned(resources.devices, present, resources.workers, os.environ)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back; a process that starts meanwhile inherits this, so none hits it before it can ignore them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_WORKERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(future: "Future[T]") -> T:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, ClrbenchError):
        raise error
    if isinstance(error, BrokenProcessPool):
        raise BackendError(_died()) from error
    raise BackendError(f"a run failed: {type(error).__name__}: {error}; finished runs are kept") from error


def _died() -> str:
    """Return what to say where a worker process has gone, perhaps before it began."""
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is None and Path(getattr(main, "__file__", None) or "").suffix == ".py":
        return (
            "a worker process died, perhaps because each of them runs your script again up to the call; put what it does under "
            "if __name__ == '__main__': (or memory was too short: try fewer workers); finished runs are kept"
        )
    return "a worker process died, perhaps for lack of memory; finished runs are kept; try again with fewer workers"


@dataclass(frozen=True)
class _RunWatcher:
    """Sends the news of one run to the process that started the workers."""

    run_id: str
    worker: _Worker

    def advance(self, steps: int) -> None:
        self.worker.news.put((self.run_id, steps))

    def warn(self, text: str) -> None:
        self.worker.news.put((self.run_id, text))

    def stopping(self) -> bool:
        return bool(self.worker.stop.value)


_this_worker: list[_Worker] = []


def _start_worker(worker: _Worker, lifeline: Connection) -> None:
    silence_libraries()
    _handle_signals(lambda _signal, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_FOR_WORKERS)
    # A process that a function of the user's own starts must not ignore them as well.
    os.register_at_fork(after_in_child=partial(_handle_signals, signal.SIG_DFL))
    threading.Thread(target=_exit_with_parent, args=(lifeline,), daemon=True).start()
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(worker.resources.threads)
    if worker.resources.devices is not None:
        # Before a framework looks for devices, as it does once.
        os.environ.update(worker.pins.get())
    _this_worker[:] = [worker]


def _handle_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for stop in NOT_FOR_WORKERS:
        signal.signal(stop, handler)


def _load_backend() -> Backend:
    (worker,) = _this_worker
    return load_backend(worker.resources.backend, worker.resources.threads)


def _exit_with_parent(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def _find_device(wanted: str) -> str:
    return _load_backend().find_device(wanted)


def _present(name: str) -> Present:
    backend = backends.load(name)
    kind = backend.find_device("auto")
    return Present(kind, backend.count_devices(kind))


def _call(function: Callable[[], T]) -> T:
    _load_backend()
    return function()


def _execute(task: Task, *, wait: bool) -> Outcome:
    _load_backend()
    (worker,) = _this_worker
    return execute(task, _RunWatcher(task.run_id, worker), wait=wait)

"""What makes many runs at once, and how to open one by its name in `EXECUTORS`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import ParamSpec, Protocol, TypeAlias, TypeVar

from clrbench.execution.task import Task
from clrbench.machine import available_cpus

P = ParamSpec("P")
T = TypeVar("T")

EXECUTORS = {"local": "clrbench.execution.local:LocalWorkers"}
"""The class of each executor, by name; imported when it is opened, and made from `Resources`."""


THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which libraries that backends use learn how many threads they may start."""


@dataclass(frozen=True)
class Resources:
    """What an executor may use: runs made at a time, and CPU threads of each of them (both >= 1)."""

    backend: str
    workers: int
    threads: int


class Watch(Protocol):
    """Follows the progress of many runs."""

    def advance(self, run_id: str, steps: int) -> None:
        """Count updates of a run that have been made, or that a checkpoint has saved it."""

    def finish(self, run_id: str) -> None:
        """Count a run as finished, whoever made it."""

    def warn(self, text: str) -> None:
        """Pass on a warning to the user."""


class Executor(Protocol):
    """Makes runs of one backend, several at a time."""

    @property
    def name(self) -> str:
        """The name that `run.json` records."""

    def find_device(self, wanted: str) -> str:
        """Return the device that `wanted` (auto, cpu, cuda or mps) stands for; raise BackendError if there is none."""

    def run(self, tasks: Sequence[Task], watch: Watch) -> None:
        """Make runs and store them, waiting for those that another process is making; the first error is raised."""

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a module-level function returns in a worker that has loaded its backend."""

    def close(self) -> None:
        """Stop at the next checkpoints, where these are near, and end the workers."""


OpenExecutor: TypeAlias = Callable[[Resources], AbstractContextManager[Executor]]
"""Opens an executor for the length of a `with` statement."""


@contextmanager
def open_executor(name: str, resources: Resources) -> Iterator[Executor]:
    """Open an executor by its name in `EXECUTORS`, and close it whatever happens.

    Where the system does not let it start, the runs are made in this process, one at a time.
    """
    module, _, factory = EXECUTORS[name].partition(":")
    executor: Executor
    try:
        executor = getattr(import_module(module), factory)(resources)
    except OSError as err:  # such as a /dev/shm that cannot be written: without it there are no semaphores
        executor = import_module("clrbench.execution.this_process").ThisProcess(resources, err.strerror or str(err))
    try:
        yield executor
    finally:
        executor.close()


def num_workers(wanted: int | None, threads: int, num_runs: int | None = None) -> int:
    """Return how many of `num_runs` runs (None: of any number) to make at a time; at most `wanted`, or what processors allow."""
    most = wanted or max(1, available_cpus() // threads)
    return most if num_runs is None else min(most, num_runs)

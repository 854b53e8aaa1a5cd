"""What makes many runs at once, what all such executors share, and how to open one by its name in `EXECUTORS`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import ParamSpec, Protocol, TypeAlias, TypeVar

from clrbench import backends
from clrbench.backends.protocol import Backend
from clrbench.counted import counted
from clrbench.errors import BackendError
from clrbench.execution.placement import Devices
from clrbench.execution.task import Task
from clrbench.machine import available_cpus

P = ParamSpec("P")
T = TypeVar("T")

EXECUTORS = {"local": "clrbench.execution.local:LocalWorkers", "ray": "clrbench.execution.ray:RayWorkers"}
"""The class of each executor, by name; imported when it is opened, and made from `Resources`."""

PACKAGES = {"ray": "ray"}
"""The package that an executor needs beside those of clrbench, by its name, which is that of the extra that brings it."""

POLL_SECONDS = 0.1
"""Time between two looks at the runs under way."""

GRACE_SECONDS = 3.5
"""Time that runs have to reach a checkpoint once they are told to stop."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which libraries that backends use learn how many threads they may start."""


@dataclass(frozen=True)
class Resources:
    """What an executor may use.

    Attributes:
        workers: Runs made at a time, at most (>= 1).
        threads: CPU threads of each of them (>= 1).
        devices: Accelerators of this machine that have a worker each; None to pin no worker.
        address: Of a Ray cluster; None for a Ray of this machine's own.
        gpu_for_script: Whether each run of a script, which takes its device itself, is to have a GPU of the cluster to itself.
    """

    backend: str
    workers: int
    threads: int
    devices: Devices | None = None
    address: str | None = None
    gpu_for_script: bool = False


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


def say_waiting(watch: Watch, num_runs: int) -> None:
    """Say that the runs which other processes are making are all that is left to wait for."""
    watch.warn(f"waiting for {counted(num_runs, 'run')} that another process is making")


@cache
def load_backend(name: str, threads: int) -> Backend:
    """Return a backend, its threads set; a worker process has but one."""
    backend = backends.load(name)
    backend.set_threads(threads)
    return backend


OpenExecutor: TypeAlias = Callable[[Resources], AbstractContextManager[Executor]]
"""Opens an executor for the length of a `with` statement."""


@contextmanager
def open_executor(name: str, resources: Resources) -> Iterator[Executor]:
    """Open an executor by its name in `EXECUTORS`, and close it whatever happens.

    Where the system does not let it start, the runs are made in this process, one at a time.
    """
    check_installed(name)
    module, _, factory = EXECUTORS[name].partition(":")
    executor: Executor
    try:
        executor = getattr(import_module(module), factory)(resources)
    except ImportError as err:
        raise BackendError(
            f"executor {name}: a package that it needs cannot be imported ({err}); {_install(name)}"
        ) from err
    except OSError as err:  # such as a /dev/shm that cannot be written: without it there are no semaphores
        if name != "local" or resources.devices is not None:
            what = "--devices" if name == "local" else f"executor {name}"
            raise BackendError(
                f"{what}: the system lets no worker processes start ({err.strerror or err}); is /dev/shm or the folder for "
                "temporary files read-only or full, or ulimit -n low?"
            ) from err
        executor = import_module("clrbench.execution.this_process").ThisProcess(resources, err.strerror or str(err))
    try:
        yield executor
    finally:
        executor.close()


def check_installed(name: str) -> None:
    """Raise BackendError where the package that an executor needs is missing; nothing is imported."""
    package = PACKAGES.get(name)
    if package is not None and find_spec(package) is None:
        raise BackendError(f"executor {name} needs the package {package}, which is not installed; {_install(name)}")


def _install(name: str) -> str:
    return f"run pip install 'clrbench[{name}]' (on every machine that is to make runs), or use executor local"


def num_workers(wanted: int | None, threads: int, num_runs: int | None = None) -> int:
    """Return how many of `num_runs` runs (None: of any number) to make at a time; at most `wanted`, or what processors allow."""
    most = wanted or max(1, available_cpus() // threads)
    return most if num_runs is None else min(most, num_runs)

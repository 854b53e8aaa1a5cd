"""Workers that stay from one phase of a command to the next, and start before they are needed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Semaphore
from typing import Any

import pytest
from fakes import FakeExecutor, FakeWatch
from specs import CLR, write_spec

from clrbench.commands.compare import compare
from clrbench.commands.setup import Job, Setup
from clrbench.data import Library
from clrbench.errors import BackendError
from clrbench.execution.executor import Resources
from clrbench.execution.runner import Options, Runner
from clrbench.execution.workers import EndWatch, KeptWorkers
from clrbench.planning.runs import training_runs
from clrbench.progress import Display

TORCH = Resources("torch", 2, 1)
WAIT_SECONDS = 30


@dataclass
class Opener:
    """Opens executors that note what is asked of them; `find` stands for finding a device."""

    find: Callable[[], str] = lambda: "cpu"
    opened: list[Resources] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    was_asked: Semaphore = field(default_factory=lambda: Semaphore(0))

    @contextmanager
    def open(self, resources: Resources) -> Iterator[Any]:
        self.opened.append(resources)
        yield Opened(self, resources.backend)
        self.closed.append(resources.backend)

    def wait_for(self, number: int) -> None:
        """Wait until a device was asked for so many times."""
        for _ in range(number):
            assert self.was_asked.acquire(timeout=WAIT_SECONDS)


@dataclass
class Opened:
    opener: Opener
    backend: str

    def find_device(self, wanted: str) -> str:
        self.opener.asked.append((self.backend, wanted))
        self.opener.was_asked.release()
        return self.opener.find()


def test_an_executor_is_opened_once_for_the_phase_with_most_runs_and_closed_at_the_end() -> None:
    opener = Opener()
    with ExitStack() as stack:
        kept = KeptWorkers(opener.open, stack, most=4)
        with kept.open(replace(TORCH, workers=1)) as first:
            pass
        with kept.open(TORCH) as second, kept.open(replace(TORCH, backend="keras")) as other:
            assert (first is second, first is other) == (True, False)
        assert opener.closed == []
    assert opener.opened == [Resources("torch", 4, 1), Resources("keras", 4, 1)]
    assert opener.closed == ["keras", "torch"]


def test_as_many_workers_as_a_phase_needs_load_their_backend_once() -> None:
    opener = Opener()
    with ExitStack() as stack:
        kept = KeptWorkers(opener.open, stack, most=4)
        for _ in range(3):
            kept.warm_up(TORCH, "auto")
        opener.wait_for(2)
    assert opener.asked == [("torch", "auto")] * 2
    assert len(opener.opened) == 1


@pytest.mark.parametrize("error", [BackendError("no cuda"), RuntimeError("cannot schedule new futures after shutdown")])
def test_what_goes_wrong_meanwhile_is_left_to_whoever_needs_the_workers(error: Exception) -> None:
    def fail() -> str:
        raise error

    opener = Opener(fail)
    with ExitStack() as stack:
        kept = KeptWorkers(opener.open, stack, most=1)
        kept.warm_up(TORCH, "cuda")
        opener.wait_for(2)
        with kept.open(TORCH) as executor, pytest.raises(type(error)):
            executor.find_device("cuda")


def test_a_backend_that_cannot_be_opened_meanwhile_says_so_once_it_is_needed() -> None:
    @contextmanager
    def refuse(_resources: Resources) -> Iterator[Any]:
        raise BackendError("no process can be started")
        yield

    with ExitStack() as stack:
        kept = KeptWorkers(refuse, stack, most=1)
        kept.warm_up(TORCH, "auto")
        with pytest.raises(BackendError, match="no process"), kept.open(TORCH):
            pass


def test_the_end_is_near_once_a_worker_has_nothing_left_to_do() -> None:
    watch, calls = FakeWatch(), list[int]()
    seen = EndWatch(watch, left=4, workers=2, near_the_end=lambda: calls.append(len(watch.finished)))
    for run in "abcd":
        seen.advance(run, 5)
        seen.finish(run)
    seen.warn("careful")
    assert calls == [3, 4]
    assert (watch.steps, watch.finished, watch.warnings) == (dict.fromkeys("abcd", 5), [*"abcd"], ["careful"])


@dataclass
class Phases(FakeExecutor):
    """A fake executor that notes how many runs are stored when it is opened for a backend."""

    folder: Path = Path()
    stored: list[int] = field(default_factory=list)

    @contextmanager
    def open(self, resources: Resources) -> Iterator[FakeExecutor]:
        self.stored.append(len(list(self.folder.glob("results/test/runs/*"))))
        with super().open(resources) as executor:
            yield executor


def job(folder: Path, executor: FakeExecutor, **options: Any) -> Job:
    """Return the job of a tuned arm and another on both backends, of two seeds."""
    arms = {"a": {"schedule": {"name": "constant", "lr": [0.01, 0.02, 0.04]}, "tune": {"seeds": 1}}, "b": CLR}
    path = write_spec(
        folder,
        data={"dataset": "mnist", "validation": "100 rows", "train_rows": 100},
        batch_size=50,
        duration="2 epochs",
        seeds=2,
        backends=["torch", "keras"],
        arms=arms,
    )
    options_ = Options(workers=2, **options)
    return Job(
        path, folder / "results", Library(None), options_, Display(quiet=True), Setup(open_executor=executor.open)
    )


@pytest.mark.usefixtures("undrawn")
def test_the_workers_of_a_backend_are_opened_once_a_command(tmp_path: Path) -> None:
    executor = Phases(lambda rate: 0.5 + rate, folder=tmp_path)
    compare(job(tmp_path, executor))
    assert [resources.backend for resources in executor.opened] == ["torch", "keras"]
    assert len(executor.rounds) > 4


def test_those_of_the_next_backend_start_while_the_last_runs_finish(tmp_path: Path) -> None:
    executor = Phases(lambda rate: 0.5 + rate, folder=tmp_path)
    runner = job(tmp_path, executor).runner(job(tmp_path, executor).open())
    runner.begin()
    with runner.keeping_workers() as keeping, keeping.keeping_workers() as again:
        assert again is keeping
        make_all(keeping)
    assert [resources.backend for resources in executor.opened] == ["torch", "keras"]
    # Of the two runs on torch one is finished: one of the two workers has no run left.
    assert executor.stored == [0, 1]


def make_all(runner: Runner) -> None:
    """Make runs at one rate on both backends."""
    experiment = runner.experiment
    runs = training_runs(experiment.spec, experiment.sizes, experiment.backends, {})
    runner.make(runner.folder, [run for run in runs if run.arm == "b"], "runs")

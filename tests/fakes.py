"""Stand-ins for what trains, follows and makes runs; the command line with other parameters than its own."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from clrbench.execution.executor import GRACE_SECONDS, Executor, Resources, Watch, open_executor
from clrbench.execution.task import Task
from clrbench.records import (
    Evaluation,
    FloatArray,
    Hits,
    IntArray,
    OptimizerSettings,
    Provenance,
    RunLog,
    Scores,
    Split,
    SplitRows,
    SplitSizes,
    StepLog,
    Timing,
    TrainPlan,
)
from clrbench.store import ResultsFolder, RunRecord

NO_TIME = Timing(0.0, 0.0, 0.0, 0.0, num_images=0)
PROVENANCE = Provenance(
    versions={"torch": "1"},
    protocol=3,
    python="3",
    machine="m",
    system="s",
    libc=None,
    processor="p",
    logical_cpus=1,
    build={},
    environment={},
    git_commit=None,
    device="cpu",
    threads=1,
    executor="fake",
    data_checksum="abc",
    rows=SplitSizes(train=100, validation=100, test=100),
    standardisation=None,
)


@dataclass
class ScriptedTrainer:
    """Returns losses from a list, and scores that tell how many updates were made; its state is that number."""

    losses: FloatArray
    updates_done: int = 0
    stretches: list[int] = field(default_factory=list)
    evaluated_after: list[int] = field(default_factory=list)
    bad_evaluation: int | None = None
    num_rows: int = 4
    network: None = None

    def train(self, batches: IntArray, lr: FloatArray) -> StepLog:
        first = self.updates_done
        self.updates_done += len(batches)
        self.stretches.append(len(batches))
        return StepLog(lr, self.losses[first : self.updates_done], np.full(len(lr), 0.5, np.float32))

    def evaluate(self, split: Split) -> Scores:
        self.evaluated_after.append(self.updates_done)
        loss = math.nan if self.updates_done == self.bad_evaluation else float(self.updates_done)
        return Scores(loss, np.arange(self.num_rows) % 4 == self.updates_done % 4)

    def feed(self, batches: IntArray) -> None:
        raise AssertionError

    def state(self) -> dict[str, Any]:
        return {"updates_done": np.array(self.updates_done)}

    def restore(self, state: Any) -> None:
        self.updates_done = int(state["updates_done"])


def make_plan(num_steps: int, evaluation_steps: list[int], **changes: Any) -> TrainPlan:
    """Return a plan of batches of two rows, its rate rising from 0.1 to 1."""
    rows = np.arange(4, dtype=np.int32)
    plan = TrainPlan(
        layers=(),
        weights={},
        optimizer=OptimizerSettings(),
        batches=np.zeros((num_steps, 2), np.int32),
        lr=np.linspace(0.1, 1, num_steps, dtype=np.float32),
        rows=SplitRows(rows, rows, rows),
        validation_classes=np.array([0, 1, 1, 1], np.int32),
        test_classes=np.array([0, 0, 0, 1], np.int32),
        num_classes=3,
        evaluation_steps=np.array(evaluation_steps, np.int32),
        evaluated_splits=(Split.VALIDATION, Split.TEST),
        steps_per_epoch=10,
        dropout_seed=0,
    )
    return replace(plan, **changes)


@dataclass
class FakeWatcher:
    """Notes what it hears of a run, and stops it after so many questions."""

    patience: int = 10**6
    told: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def advance(self, steps: int) -> None:
        self.told.append(steps)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def stopping(self) -> bool:
        self.patience -= 1
        return self.patience < 0


@dataclass
class FakeWatch:
    """Notes what it hears of many runs."""

    steps: dict[str, int] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def advance(self, run_id: str, steps: int) -> None:
        self.steps[run_id] = self.steps.get(run_id, 0) + steps

    def finish(self, run_id: str) -> None:
        self.finished.append(run_id)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@dataclass
class FakeExecutor:
    """Trains nothing: notes what it is asked for, round by round, and writes runs with the accuracy of their rate."""

    accuracy: Callable[[float], float]
    rounds: list[list[str]] = field(default_factory=list)
    opened: list[Resources] = field(default_factory=list)
    name: str = "fake"

    @contextmanager
    def open(self, resources: Resources) -> Iterator[FakeExecutor]:
        self.opened.append(resources)
        yield self

    def find_device(self, wanted: str) -> str:
        return "cpu" if wanted == "auto" else wanted

    def run(self, tasks: Sequence[Task], watch: Watch) -> None:
        if tasks:
            self.rounds.append([f"{task.run.arm} s{task.run.seed}" for task in tasks])
        for task in tasks:
            schedule = task.run.schedule.model_dump()
            write_run(task, self.accuracy(schedule.get("lr", schedule.get("max_lr"))))
            watch.advance(task.run_id, task.run.num_steps)
            watch.finish(task.run_id)


def write_run(task: Task, accuracy: float) -> None:
    """Write a run of a constant accuracy."""
    ResultsFolder(task.root).write_run(*made_run(task, accuracy))


def made_run(task: Task, accuracy: float) -> tuple[RunRecord, RunLog]:
    """Return what is stored of a run of a constant accuracy."""
    run = task.run
    ends = np.array(run.evaluation_steps, np.int32)
    values = np.ones(run.num_steps, np.float32)
    found = {
        Split(split): (Evaluation(1 - accuracy, accuracy, accuracy),) * len(ends) for split in run.evaluated_splits
    }
    hits = np.arange(100) < round(100 * accuracy)
    log = RunLog(
        StepLog(values, values, values),
        ends,
        found,
        "finished",
        None,
        Timing(1.0, 0.5, 0.0, 0.0, 500),
        Hits(hits, tuple(int(of_class.sum()) for of_class in hits.reshape(10, 10).T)) if Split.TEST in found else None,
    )
    provenance = replace(PROVENANCE, device=task.circumstances.device, threads=task.circumstances.threads)
    return RunRecord(task.run_id, task.identity, run, 10, (10,) * 10, (10,) * 10, provenance), log


@dataclass
class MadeRuns:
    """Passes on the progress of runs, and notes in a file each that is trained at all."""

    watch: Watch
    file: Path
    seen: set[str] = field(default_factory=set)

    def advance(self, run_id: str, steps: int) -> None:
        if run_id not in self.seen:
            self.seen.add(run_id)
            with self.file.open("a") as file:
                file.write(f"{run_id}\n")
        self.watch.advance(run_id, steps)

    def finish(self, run_id: str) -> None:
        self.watch.finish(run_id)

    def warn(self, text: str) -> None:
        self.watch.warn(text)


@dataclass(frozen=True)
class CountingExecutor:
    """The local executor, which notes in a file the runs that it really makes."""

    executor: Executor
    file: Path

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def run(self, tasks: Sequence[Task], watch: Watch) -> None:
        self.executor.run(tasks, MadeRuns(watch, self.file))


def counting(file: str) -> Callable[[Resources], Any]:
    """Return what opens a `CountingExecutor`."""

    @contextmanager
    def open_counting(resources: Resources) -> Iterator[CountingExecutor]:
        with open_executor("local", resources) as executor:
            yield CountingExecutor(executor, Path(file))

    return open_counting


HASTY = "pace=Pace(stretch_seconds=0.05, checkpoint_seconds=0.0, checkpoint_share=1.0)"
"""Short stretches and a checkpoint after each: there is more to kill."""

UNHURRIED = "pace=Pace(first_stretch_steps=10**9)"
"""Stretches from one evaluation to the next: no checkpoint is near."""

_PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
# What the command line imports late, and then answers Ctrl-C for.
try:
    from clrbench.cli import main
    from clrbench.commands.setup import Setup
    from clrbench.execution import local
    from clrbench.execution.session import Pace
    from fakes import counting
except KeyboardInterrupt:
    sys.exit(130)
local.GRACE_SECONDS = {grace_seconds}
main(prog_name="clrbench", obj=Setup({setup}))
"""


def command(setup: str | None = None, grace_seconds: float = GRACE_SECONDS) -> tuple[str, ...]:
    """Return the command line as a program; `setup` are arguments of `Setup`, as code; only with them a grace counts."""
    if setup is None:
        return (sys.executable, "-m", "clrbench")
    return (
        sys.executable,
        "-c",
        _PROGRAM.format(tests=str(Path(__file__).parent), setup=setup, grace_seconds=grace_seconds),
    )


def never() -> bool:
    """Ask for nothing."""
    return False


@dataclass
class Watching:
    """Follows a run; asks it to stop once `stops` says so."""

    stops: Callable[[], bool] = never
    warnings: list[str] = field(default_factory=list)
    steps: int = 0

    def advance(self, steps: int) -> None:
        self.steps += steps

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def stopping(self) -> bool:
        return self.stops()

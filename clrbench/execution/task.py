"""One run: task -> plan -> trainer -> run files."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from clrbench import backends
from clrbench.data import Library
from clrbench.errors import DataError
from clrbench.execution.provenance import Circumstances, describe, processor, versions
from clrbench.execution.session import Pace, Session, Watcher
from clrbench.parity import nudged as nudge
from clrbench.planning.plan import make_plan, run_identity
from clrbench.records import Dataset, FloatArray, RunLog, Timing, TrainPlan
from clrbench.spec import RunSpec
from clrbench.store import Checkpoints, ResultsFolder


@dataclass(frozen=True)
class Task:
    """A run to be made, with all that a worker needs for it.

    Attributes:
        run: The run.
        identity: sha256, in hex, of everything that decides its numbers.
        library: Holds the data set.
        root: The results folder that it is stored in.
        device: cpu, cuda or mps.
        threads: CPU threads.
        data_checksum: sha256, in hex, of the data set.
        executor: The name of what makes it.
        git_commit: The commit that the folder of the spec is at; None outside of git.
        pace: How long to train between breaks and checkpoints.
        redo: Whether to make it even if it is stored already.
    """

    run: RunSpec
    identity: str
    library: Library
    root: Path
    device: str
    threads: int
    data_checksum: str
    executor: str
    git_commit: str | None
    pace: Pace
    redo: bool = False

    @property
    def run_id(self) -> str:
        """The name of its folder."""
        return f"{self.run.backend}-{self.run.arm}-s{self.run.seed}-{self.identity[:8]}"


def make_task(
    run: RunSpec, dataset: Dataset, how: Circumstances, library: Library, root: Path, pace: Pace
) -> Task:
    """Return the task of a run.

    Args:
        run: The run.
        dataset: Its data set.
        how: The circumstances under which it is made.
        library: Holds the data set.
        root: The results folder that it is stored in.
        pace: How long to train between breaks and checkpoints.
    """
    return Task(
        run=run,
        identity=run_identity(run, dataset, how.device, how.threads),
        library=library,
        root=root,
        device=how.device,
        threads=how.threads,
        data_checksum=dataset.checksum,
        executor=how.executor,
        git_commit=how.git_commit,
        pace=pace,
    )


Outcome: TypeAlias = Literal["made", "there", "busy", "stopped"]
"""A run was made now, was stored already, is being made by another process, or was stopped at a checkpoint."""


def execute(task: Task, watcher: Watcher, *, wait: bool) -> Outcome:
    """Make a run and store it, unless it is stored already; a run that was stopped or killed continues from its checkpoint.

    Args:
        task: The run.
        watcher: Follows the run, and may stop it.
        wait: Whether to wait for another process that is making the run.

    Raises:
        BackendError: If the framework fails.
        ResultsError: If the disk does not take it.
    """
    if watcher.stopping():
        return "stopped"
    folder = ResultsFolder(task.root)
    with folder.run_lock(task.run_id, give_up=lambda: not wait or watcher.stopping()) as held:
        if not held:
            return "stopped" if watcher.stopping() else "busy"
        checkpoints = folder.checkpoints(task.run_id, _belongs_to(task))
        if not task.redo and folder.is_finished(task.run_id, task.run.evaluation_steps):
            checkpoints.remove()
            return "there"
        if not _make(task, folder, checkpoints, watcher):
            return "stopped"
        checkpoints.remove()
        return "made"


def _make(task: Task, folder: ResultsFolder, checkpoints: Checkpoints, watcher: Watcher) -> bool:
    """Return whether the run was made and stored, rather than stopped at a checkpoint."""
    started = time.perf_counter()
    dataset = load_dataset(task.library, task.run)
    _check_unchanged(dataset, task)
    plan = make_plan(task.run, dataset)
    load_seconds = time.perf_counter() - started
    started = time.perf_counter()
    trainer = backends.load(task.run.backend).make_trainer(plan, dataset, task.device)
    trainer.train(plan.batches[:0], plan.lr[:0])
    compile_seconds = time.perf_counter() - started
    limit = task.run.divergence_factor * math.log(dataset.num_classes)
    timing = Timing(0.0, 0.0, compile_seconds, load_seconds, num_images=0)
    session = Session(trainer, plan, limit, watcher, checkpoints.write, timing, task.pace)
    last, problems = checkpoints.read()
    if problems:
        where = "the beginning" if last is None else f"update {last.updates_done}"
        watcher.warn(f"{task.run_id} continues from {where}: " + "; ".join(problems))
    if last is not None:
        session.resume(last)
    log = session.run()
    if log is None:
        return False
    folder.write_run(task.run_id, plan.steps_per_epoch, log, _run_info(task, plan, dataset, log))
    return True


def _belongs_to(task: Task) -> dict[str, Any]:
    """Return what a checkpoint must have in common with the run, for the run to continue as if it had never stopped."""
    return {
        "identity": task.identity,
        "evaluation_steps": list(task.run.evaluation_steps),
        "versions": versions(task.run.backend),
        "processor": processor(),
    }


def _check_unchanged(dataset: Dataset, task: Task) -> None:
    if dataset.checksum != task.data_checksum:
        raise DataError(
            f"{dataset.name}: got checksum {dataset.checksum}, but the experiment was started with {task.data_checksum}; the "
            "data has changed meanwhile, or its function gives other arrays at every call; start again once it is stable"
        )


def first_losses(library: Library, run: RunSpec, device: str, num_steps: int, *, nudged: bool) -> FloatArray:
    """Return the mini-batch losses of the first steps of a run, float32[num_steps]; nothing is stored.

    Args:
        library: Holds the data set.
        run: The run.
        device: cpu, cuda or mps.
        num_steps: Number of steps, cut to those of the run.
        nudged: Whether every initial weight is first moved by one float32 rounding.
    """
    dataset = load_dataset(library, run)
    plan = make_plan(run, dataset)
    if nudged:
        plan = replace(plan, weights=nudge(plan.weights))
    trainer = backends.load(run.backend).make_trainer(plan, dataset, device)
    return trainer.train(plan.batches[:num_steps], plan.lr[:num_steps]).loss


def load_dataset(library: Library, run: RunSpec) -> Dataset:
    """Return the data set of a run; the last one is kept in memory, since the next run of a worker has the same."""
    return _load(library, run.data.dataset)


@lru_cache(maxsize=1)
def _load(library: Library, dataset: str) -> Dataset:
    return library.load(dataset)


def _run_info(task: Task, plan: TrainPlan, dataset: Dataset, log: RunLog) -> Mapping[str, Any]:
    timing = log.timing
    return {
        "run_id": task.run_id,
        "identity": task.identity,
        "status": log.status,
        "reason": log.reason,
        "num_classes": dataset.num_classes,
        "spec": task.run.model_dump(mode="json", exclude_none=True),
        "provenance": describe(
            Circumstances(
                backend=task.run.backend,
                device=task.device,
                threads=task.threads,
                executor=task.executor,
                git_commit=task.git_commit,
                data_checksum=task.data_checksum,
            ),
            plan,
        ),
        "timing": {
            "train_seconds": timing.train_seconds,
            "evaluation_seconds": timing.evaluation_seconds,
            "compile_seconds": timing.compile_seconds,
            "load_seconds": timing.load_seconds,
            "images_per_second": timing.num_images / timing.train_seconds,
        },
    }

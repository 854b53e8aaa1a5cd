"""One run: plan -> trainer -> what it left behind, on disk."""

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
from clrbench.parity import nudged
from clrbench.plan import make_plan
from clrbench.provenance import Circumstances, describe, processor, versions
from clrbench.records import Dataset, FloatArray, RunLog, Timing, TrainPlan
from clrbench.session import Session, Watcher
from clrbench.spec import RunSpec
from clrbench.store import Checkpoints, ResultsFolder


@dataclass(frozen=True)
class Task:
    """A run to be made, and all that its folder is to say about it.

    Attributes:
        run_id: Names its folder.
        identity: sha256 of everything that decides its numbers.
        run: What to train.
        library: Has the data set.
        root: The results folder.
        device: cpu, cuda or mps.
        threads: Threads of its own.
        data_checksum: sha256 of the data set.
        executor: What carries it out.
        git_commit: Of the folder that the spec lies in, or None.
        redo: Whether to make it even where it lies there already.
    """

    run_id: str
    identity: str
    run: RunSpec
    library: Library
    root: Path
    device: str
    threads: int
    data_checksum: str
    executor: str
    git_commit: str | None
    redo: bool = False


Outcome: TypeAlias = Literal["made", "there", "busy", "stopped"]
"""Of a run that was asked for: made now, stored already, in the making by another process, or stopped at a checkpoint."""


def execute(task: Task, watcher: Watcher, *, wait: bool) -> Outcome:
    """Make a run and store it, unless it has been stored meanwhile; one that was stopped or killed goes on.

    Args:
        task: The run.
        watcher: Is told how it gets on, and may stop it.
        wait: Whether to wait for another process that is making it.

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
    """Return whether the run is made and stored; else it was stopped at a checkpoint."""
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
    session = Session(trainer, plan, limit, watcher, checkpoints.write, timing)
    last, problems = checkpoints.read()
    if problems:
        where = "the beginning" if last is None else f"update {last.updates_done}"
        watcher.warn(f"{task.run_id} goes on from {where}: " + "; ".join(problems))
    if last is not None:
        session.go_on_from(last)
    log = session.run()
    if log is None:
        return False
    folder.write_run(task.run_id, plan.steps_per_epoch, log, _run_info(task, plan, dataset, log))
    return True


def _belongs_to(task: Task) -> dict[str, Any]:
    """Return what a checkpoint must agree in, for the run to go on as if it had never stopped."""
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
            "data changed meanwhile, or its function gives other arrays at every call; start again once it does not"
        )


def first_losses(library: Library, run: RunSpec, device: str, num_steps: int, *, control: int | None) -> FloatArray:
    """Return the mini-batch losses of the first steps of a run; nothing is stored.

    Args:
        library: Has the data set.
        run: What to train.
        device: cpu, cuda or mps.
        num_steps: How many steps (at most all of the run's).
        control: Which control to train, from `nudged` weights; None for the run as planned.

    Returns:
        float32[num_steps]
    """
    dataset = load_dataset(library, run)
    plan = make_plan(run, dataset)
    if control is not None:
        plan = replace(plan, weights=nudged(plan.weights, control))
    trainer = backends.load(run.backend).make_trainer(plan, dataset, device)
    return trainer.train(plan.batches[:num_steps], plan.lr[:num_steps]).loss


def load_dataset(library: Library, run: RunSpec) -> Dataset:
    """Return the data set of a run; that of the last one is kept, as a worker's next run has the same.

    Args:
        library: Has the data set.
        run: What is to be trained.
    """
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

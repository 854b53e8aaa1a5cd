"""One run: plan -> trainer -> what it left behind, on disk."""

import math
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from clrbench import __version__, backends
from clrbench.backends import Trainer
from clrbench.data import Library
from clrbench.errors import DataError
from clrbench.parity import nudged as nudge
from clrbench.plan import make_plan
from clrbench.records import Dataset, Evaluation, FloatArray, RunLog, Split, Standardisation, StepLog, Timing, TrainPlan
from clrbench.spec import RunSpec
from clrbench.store import ResultsFolder

ReportProgress: TypeAlias = Callable[[int], None]
"""Is told how many updates have been made since it was last told."""

STRETCH_SECONDS = 2.0
FIRST_STRETCH_STEPS = 20
"""The first stretch only finds out how long an update takes."""


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


def execute(task: Task, report_progress: ReportProgress) -> None:
    """Make a run and store it, unless it has been stored meanwhile.

    Raises:
        BackendError: If the framework fails.
        ResultsError: If the disk does not take it.
    """
    folder = ResultsFolder(task.root)
    with folder.run_lock(task.run_id):
        if folder.is_finished(task.run_id) and not task.redo:
            return
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
        log = _Session(trainer, plan, limit, report_progress).run(load_seconds, compile_seconds)
        folder.write_run(task.run_id, plan.steps_per_epoch, log, _run_info(task, plan, dataset, log))


@dataclass
class _Session:
    """A run under way."""

    trainer: Trainer
    plan: TrainPlan
    loss_limit: float
    report_progress: ReportProgress
    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    stretches: list[StepLog] = field(default_factory=list)

    def run(self, load_seconds: float, compile_seconds: float) -> RunLog:
        evaluations: dict[Split, list[Evaluation]] = {split: [] for split in self.plan.evaluated_splits}
        diverged_step: int | None = None
        done = 0
        for target in self.plan.evaluation_steps.tolist():
            if diverged_step is None:
                diverged_step = self._train_to(done, target)
                done = target
            for split, found in evaluations.items():
                found.append(self._evaluate(split) if diverged_step is None else Evaluation(math.nan, math.nan))
        steps = _whole_log(self.stretches, self.plan.num_steps, diverged_step)
        timing = Timing(
            train_seconds=self.train_seconds,
            evaluation_seconds=self.evaluation_seconds,
            compile_seconds=compile_seconds,
            load_seconds=load_seconds,
            num_images=sum(len(stretch.loss) for stretch in self.stretches) * self.plan.batches.shape[1],
        )
        return RunLog(
            steps=steps,
            evaluation_steps=self.plan.evaluation_steps,
            evaluations={split: tuple(found) for split, found in evaluations.items()},
            status="finished" if diverged_step is None else "diverged",
            reason=None if diverged_step is None else self._reason(diverged_step, steps),
            timing=timing,
        )

    def _train_to(self, done: int, target: int) -> int | None:
        """Train up to a step, a stretch at a time; return the first update whose loss is beyond bounds, if any."""
        for start, stop in self._stretches(done, target):
            started = time.perf_counter()
            log = self.trainer.train(self.plan.batches[start:stop], self.plan.lr[start:stop])
            self.train_seconds += time.perf_counter() - started
            self.stretches.append(log)
            self.report_progress(stop - start)
            beyond = np.flatnonzero(~(log.loss <= self.loss_limit))
            if beyond.size > 0:
                return start + int(beyond[0])
        return None

    def _stretches(self, start: int, target: int) -> Iterator[tuple[int, int]]:
        while start < target:
            trained = sum(len(stretch.loss) for stretch in self.stretches)
            length = FIRST_STRETCH_STEPS
            if trained > 0:
                length = max(1, int(STRETCH_SECONDS * trained / self.train_seconds))
            stop = min(start + length, target)
            yield start, stop
            start = stop

    def _evaluate(self, split: Split) -> Evaluation:
        started = time.perf_counter()
        evaluation = self.trainer.evaluate(split)
        self.evaluation_seconds += time.perf_counter() - started
        return evaluation

    def _reason(self, diverged_step: int, steps: StepLog) -> str:
        loss = steps.loss[diverged_step]
        what = f"past {self.loss_limit:.4g}" if math.isfinite(loss) else "not finite"
        lr = steps.lr[diverged_step]
        return f"the loss of update {diverged_step + 1} is {loss:.4g}, {what}, at a learning rate of {lr:.4g}"


def _whole_log(stretches: list[StepLog], num_steps: int, diverged_step: int | None) -> StepLog:
    """Return one log of all planned updates, nan after the one that diverged, wherever its stretch happened to end."""
    kept = num_steps if diverged_step is None else diverged_step + 1

    def join(parts: list[FloatArray]) -> FloatArray:
        values = np.full(num_steps, np.nan, dtype=np.float32)
        values[:kept] = np.concatenate(parts)[:kept]
        return values

    return StepLog(
        lr=join([stretch.lr for stretch in stretches]),
        loss=join([stretch.loss for stretch in stretches]),
        accuracy=join([stretch.accuracy for stretch in stretches]),
    )


def _check_unchanged(dataset: Dataset, task: Task) -> None:
    if dataset.checksum != task.data_checksum:
        raise DataError(
            f"{dataset.name}: got checksum {dataset.checksum}, but the experiment was started with {task.data_checksum}; the "
            "data changed meanwhile, or its function gives other arrays at every call; start again once it does not"
        )


def first_losses(library: Library, run: RunSpec, device: str, num_steps: int, *, nudged: bool) -> FloatArray:
    """Return the mini-batch losses of the first steps of a run; nothing is stored.

    Args:
        library: Has the data set.
        run: What to train.
        device: cpu, cuda or mps.
        num_steps: How many steps (at most all of the run's).
        nudged: Whether every initial weight is first moved by one float32 rounding.

    Returns:
        float32[num_steps]
    """
    dataset = load_dataset(library, run)
    plan = make_plan(run, dataset)
    if nudged:
        plan = replace(plan, weights=nudge(plan.weights))
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
        "provenance": {
            "versions": {
                "clrbench": __version__,
                "numpy": np.__version__,
                **backends.load(task.run.backend).versions(),
            },
            "python": platform.python_version(),
            "machine": platform.machine(),
            "system": platform.system(),
            "git_commit": task.git_commit,
            "device": task.device,
            "threads": task.threads,
            "executor": task.executor,
            "data_checksum": task.data_checksum,
            "rows": {
                "train": len(plan.rows.train),
                "validation": len(plan.rows.validation),
                "test": len(plan.rows.test),
            },
            "standardisation": _as_lists(plan.standardisation),
        },
        "timing": {
            "train_seconds": timing.train_seconds,
            "evaluation_seconds": timing.evaluation_seconds,
            "compile_seconds": timing.compile_seconds,
            "load_seconds": timing.load_seconds,
            "images_per_second": timing.num_images / timing.train_seconds,
        },
    }


def _as_lists(standardisation: Standardisation | None) -> dict[str, list[float]] | None:
    if standardisation is None:
        return None
    return {"mean": standardisation.mean.tolist(), "deviation": standardisation.deviation.tolist()}

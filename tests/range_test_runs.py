"""Range tests on disk whose curves are known, or whose trainings come from a toy world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import specs
from fakes import PROVENANCE, FakeExecutor
from rates_world import World
from runs_on_disk import provenance, run_record

from clrbench.analysis.bounds import RangeTest, read_range_test
from clrbench.execution.executor import Watch
from clrbench.execution.task import Task, load_dataset
from clrbench.hits import count_by_class
from clrbench.planning.plan import split_rows
from clrbench.planning.runs import RANGE_TEST_ARM, own_range_test
from clrbench.planning.trials import trial_run
from clrbench.rates import Run
from clrbench.records import DoubleArray, Evaluation, Hits, RunLog, Split, SplitSizes, StepLog, Timing
from clrbench.spec import Clock, RunSpec, Spec
from clrbench.store import ResultsFolder, RunRecord

Curve = Callable[[DoubleArray], DoubleArray]
"""From learning rates to accuracies."""

STEPS = 120
ROWS = SplitSizes(train=1000, validation=400, test=400)
LIMITS = {"start_lr": 1e-3, "end_lr": 1.0, "ramp": "exponential"}


def make_spec(seeds: int = 2, backends: tuple[str, ...] = ("torch",), **changes: Any) -> Spec:
    """Return an experiment with no arms and a range test that is not confirmed."""
    test = {"seeds": list(range(seeds)), **LIMITS, "duration": f"{STEPS} steps", "confirm": False, **changes}
    return specs.make_spec(arms=None, duration=None, backends=list(backends), range_test=test)


def peak_at(rate: float, onset: float = 0.01) -> Curve:
    """Return a curve that rises from the onset to a peak at this rate and falls from there."""
    return lambda lr: np.interp(np.log10(lr), np.log10([onset, rate, 10 * rate]), [0.1, 0.9, 0.2])


def flat(lr: DoubleArray) -> DoubleArray:
    """A curve that never rises."""
    return np.full(len(lr), 0.1)


def nan_from_start(lr: DoubleArray) -> DoubleArray:
    """A curve of a sweep that diverged at once."""
    return np.full(len(lr), np.nan)


def write_sweep(
    folder: ResultsFolder, seed: int, curve: Curve, spec: Spec | None = None, backend: str = "torch"
) -> None:
    """Write a sweep of a range test, evaluated on validation rows."""
    spec = spec or make_spec()
    test = spec.range_test
    assert test.start_lr is not None
    assert test.end_lr is not None
    run = Run(test.ramp, test.start_lr, test.end_lr, seed, int(test.duration.amount))
    name = "torch" if backend == "torch" else "keras"
    planned = trial_run(spec, own_range_test(spec), ROWS, name, run, RANGE_TEST_ARM)
    accuracy = curve(run.lr())
    record = run_record(planned, provenance(backend, rows=ROWS), (40,) * 10)
    folder.create()
    folder.write_run(replace(record, validation_rows_by_class=(40,) * 10), log_of(planned, accuracy))
    folder.add_runs("spec", backend, [*folder.index().runs.get(backend, []), record.run_id], {})


def log_of(run: RunSpec, accuracy: DoubleArray, validation: DoubleArray | None = None) -> RunLog:
    """Return the log of a run whose accuracy after every update is known, nan from a divergence on."""
    points = np.array(run.evaluation_steps, np.int32)
    lr = run.schedule.table(Clock(run.steps_per_epoch, run.num_steps))
    loss = np.where(np.isnan(accuracy), np.nan, 2.3 - 2 * accuracy + 0.01 * np.sin(lr)).astype(np.float32)
    diverged = bool(np.isnan(accuracy).any())
    reached = accuracy if validation is None else validation
    evaluations = tuple(Evaluation(2.3 - 2 * value, value, value) for value in reached[points - 1].tolist())
    hits = np.arange(400) < np.nan_to_num(reached[-1]) * 400
    rates = np.where(np.isnan(accuracy), np.nan, lr)
    return RunLog(
        StepLog(rates.astype(np.float32), loss, accuracy.astype(np.float32)),
        points,
        {Split(split): evaluations for split in run.evaluated_splits},
        "diverged" if diverged else "finished",
        "the loss is nan" if diverged else None,
        Timing(1.0, 0.5, 0.0, 0.0, 500),
        Hits(hits, count_by_class((np.arange(400) % 10)[hits], 10)) if "test" in run.evaluated_splits else None,
    )


def write_test(root: Path, curve: Curve, seeds: int = 2) -> ResultsFolder:
    """Write a range test of alike seeds."""
    folder = ResultsFolder(root)
    for seed in range(seeds):
        write_sweep(folder, seed, curve)
    return folder


def read_test(root: Path, curve: Curve, seeds: int = 2) -> RangeTest:
    """Return what such a range test comes to."""
    return read(write_test(root, curve, seeds), make_spec(seeds))


def read(folder: ResultsFolder, spec: Spec) -> RangeTest:
    """Return what the range test of a spec itself comes to."""
    return read_range_test(folder, spec, own_range_test(spec))


@dataclass
class WorldExecutor(FakeExecutor):
    """Trains nothing: writes runs that reach what they would in a toy world, on the rows of the data set."""

    accuracy: Callable[[float], float] = lambda _: 0.5
    world: World = field(default_factory=World)

    def run(self, tasks: Sequence[Task], watch: Watch) -> None:
        if tasks:
            self.rounds.append([f"{task.run.arm} s{task.run.seed}" for task in tasks])
        for task in tasks:
            write_world_run(task, self.world)
            watch.finish(task.run_id)


def write_world_run(task: Task, world: World) -> None:
    """Write a run as it would be in a toy world, of a jitter that its seed decides."""
    run = task.run
    dataset = load_dataset(task.library, run.data.dataset, run.reading())
    rows = split_rows(run.data, dataset)
    sizes = SplitSizes(len(rows.train), len(rows.validation), 400)
    accuracy = world.accuracy(run.schedule.table(Clock(run.steps_per_epoch, run.num_steps)))
    rng = np.random.default_rng([run.seed, run.num_steps])
    validation = np.clip(accuracy + rng.normal(0, world.jitter, len(accuracy)), 0, 1)
    made_with = replace(PROVENANCE, device=task.circumstances.device, threads=task.circumstances.threads, rows=sizes)
    by_class = count_by_class(dataset.y_train[rows.validation], dataset.num_classes)
    record = RunRecord(task.run_id, task.identity, run, dataset.num_classes, by_class, (40,) * 10, made_with)
    ResultsFolder(task.root).write_run(record, log_of(run, accuracy, validation))

"""Range tests on disk whose curves are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import specs
from runs_on_disk import run_record, run_spec

from clrbench.analysis.bounds import RangeTest, read_range_test
from clrbench.records import DoubleArray, Evaluation, RunLog, Split, StepLog, Timing
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

Curve = Callable[[DoubleArray], DoubleArray]
"""From learning rates to accuracies."""

STEPS = 120
MAX_POINTS = 60


def make_spec(seeds: int = 2, backends: tuple[str, ...] = ("torch",)) -> Spec:
    """Return an experiment with a range test and no arms."""
    return specs.make_spec(arms=None, duration=None, backends=backends, range_test={"seeds": list(range(seeds))})


def peak_at(rate: float, onset: float = 0.01) -> Curve:
    """Return a curve that rises from the onset to a peak at this rate and falls from there."""
    return lambda lr: np.interp(np.log10(lr), np.log10([onset, rate, 10 * rate]), [0.1, 0.9, 0.2])


def flat(lr: DoubleArray) -> DoubleArray:
    """A curve that never rises."""
    return np.full(len(lr), 0.1)


def nan_from_start(lr: DoubleArray) -> DoubleArray:
    """A curve of a sweep that diverged at once."""
    return np.full(len(lr), np.nan)


def write_sweep(folder: ResultsFolder, seed: int, curve: Curve, steps: int = STEPS, **changes: Any) -> None:
    """Write the run of a range test from 0.001 to 1, evaluated on validation rows."""
    lr = np.geomspace(1e-3, 1, steps)
    points = np.linspace(0, steps, min(MAX_POINTS, steps) + 1)[1:].round().astype(np.int32)
    accuracy = curve(lr)
    diverged = bool(np.isnan(accuracy).any())
    loss = np.where(np.isnan(accuracy), np.nan, 2.3 - 2 * accuracy + 0.01 * np.sin(lr)).astype(np.float32)
    log = RunLog(
        StepLog(lr.astype(np.float32), loss, accuracy.astype(np.float32)),
        points,
        {Split.VALIDATION: tuple(Evaluation(1.0, accuracy[point - 1]) for point in points)},
        "diverged" if diverged else "finished",
        "the loss is nan" if diverged else None,
        Timing(1.0, 0.5, 0.0, 0.0, 500),
    )
    spec = {"num_steps": steps, "steps_per_epoch": 10, "evaluation_steps": points.tolist(), "evaluated_splits": []}
    record = run_record(run_spec("range-test", seed, **{**spec, **changes}))
    folder.create()
    folder.write_run(record, log)
    backend = record.spec.backend
    folder.add_runs("spec", backend, [*folder.index().runs.get(backend, []), record.run_id], {})


def write_pair(root: Path, whole: Curve, half: Curve | None, half_steps: int = STEPS // 2) -> ResultsFolder:
    """Write a range test with two seeds, and the same test at half the length, if any."""
    folder = ResultsFolder(root)
    for seed in range(2):
        write_sweep(folder, seed, whole)
        if half is not None:
            write_sweep(folder.half_length(), seed, half, half_steps)
    return folder


def read_pair(root: Path, whole: Curve, half: Curve | None, half_steps: int = STEPS // 2) -> RangeTest:
    """Return what such a range test comes to."""
    return read_range_test(write_pair(root, whole, half, half_steps), make_spec())

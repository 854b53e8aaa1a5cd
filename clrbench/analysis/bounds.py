"""The runs of a range test -> its curve, and the bounds that they suggest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import TRAIN_COLUMNS, VALIDATION_COLUMNS, metrics_table
from clrbench.errors import ResultsError
from clrbench.planning.runs import BoundsTable
from clrbench.range_test import suggest_bounds
from clrbench.records import Bounds, HalfLengthBounds, StoppedSweep
from clrbench.spec import BackendName, Spec
from clrbench.store import ResultsFolder, StoredRun

MAX_LR_TOLERANCE_DECADES = 0.15
"""Within this distance lies `max_lr` of 19 in 20 simulated curves of known peak, so a smaller difference says nothing."""

BASE_LR_TOLERANCE_DECADES = 0.3
"""An onset, where a curve bends slowly, is known half as well."""

BASE_LR_TOLERANCE_SHARE = 0.05
"""Of `max_lr`. The first points of a linear ramp lie a decade apart: there noise moves `base_lr` further, but by less."""

CURVE_COLUMNS = ("backend", "seed", "step", "lr", *TRAIN_COLUMNS, *VALIDATION_COLUMNS)


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The finished sweeps of a range test, and what they suggest.

    Attributes:
        runs: Its sweeps, by backend in the order of the spec.
        half_runs: The sweeps at half the length, where there is one for each run of a backend.
    """

    folder: ResultsFolder
    runs: tuple[StoredRun, ...]
    half_runs: tuple[StoredRun, ...]
    bounds: Mapping[BackendName, Bounds]

    @property
    def has_answer(self) -> bool:
        """Whether every backend has bounds."""
        return all(found.reason is None for found in self.bounds.values())


def read_range_test(folder: ResultsFolder, spec: Spec) -> RangeTest:
    """Return a range test by its finished runs; those that the spec does not ask for are left out.

    Raises:
        ResultsError: If no run is finished, or one is damaged.
    """
    stored = [run for run in folder.counted_runs() if run.key.seed in spec.range_test.seeds]
    backends = [run.spec.backend for name in spec.backends for run in stored if run.spec.backend == name]
    runs = {name: tuple(run for run in stored if run.spec.backend == name) for name in dict.fromkeys(backends)}
    if not runs:
        raise ResultsError(f"{folder.root}: no run is finished; run `clrbench range-test` again")
    halves = {backend: _half_length_runs(folder.half_length(), of_backend) for backend, of_backend in runs.items()}
    return RangeTest(
        folder=folder,
        runs=tuple(run for of_backend in runs.values() for run in of_backend),
        half_runs=tuple(run for half in halves.values() for run in half),
        bounds={backend: _with_half_length(_find_bounds(runs[backend]), halves[backend]) for backend in runs},
    )


def bounds_table(range_tests: Mapping[str | None, RangeTest]) -> BoundsTable:
    """Return the bounds of several range tests by backend and `RangeTestGroup.arm`, without the refusals."""
    return {
        (backend, arm): found
        for arm, test in range_tests.items()
        for backend, found in test.bounds.items()
        if found.reason is None
    }


def curve_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return every update's raw loss and accuracy, and the validation values where there are any, else nan."""
    tables = []
    for run in runs:
        validation = run.evaluations.set_index("step")[list(VALIDATION_COLUMNS)]
        steps = run.steps.astype(dict.fromkeys(("lr", *TRAIN_COLUMNS), np.float32))
        tables.append(steps.join(validation, on="step").assign(backend=run.key.backend, seed=run.key.seed))
    return pd.concat(tables, ignore_index=True)[list(CURVE_COLUMNS)]


def accuracy_column(table: pd.DataFrame) -> str:
    """Return which accuracy the bounds are read off: that of the validation rows, where there are any."""
    return "validation_accuracy" if table["validation_accuracy"].notna().any() else "train_accuracy"


@lru_cache(maxsize=64)
def _find_bounds(runs: tuple[StoredRun, ...]) -> Bounds:
    """Return what the seeds of one backend suggest, rates to three significant digits."""
    points = [metrics_table("", [run]) for run in runs]
    longest = max(points, key=lambda table: table["lr"].notna().sum())
    accuracy = accuracy_column(pd.concat(points))
    found = suggest_bounds(
        longest["lr"].to_numpy(np.float64),
        np.array([table["train_loss"] for table in points]),
        np.array([table[accuracy] for table in points]),
    )
    return replace(
        found,
        base_lr=_rounded(found.base_lr),
        max_lr=_rounded(found.max_lr),
        constant_lr=_rounded(found.constant_lr),
        accuracy=accuracy,
        seed_base_lr=tuple(map(_rounded, found.seed_base_lr)),
        seed_max_lr=tuple(map(_rounded, found.seed_max_lr)),
        loss_rules={name: _rounded(rate) for name, rate in found.loss_rules.items()},
        stopped=tuple(StoppedSweep(run.key.seed, run.reason) for run in runs if run.reason),
    )


def _half_length_runs(folder: ResultsFolder, runs: Sequence[StoredRun]) -> tuple[StoredRun, ...]:
    """Return the run at half the length of each of these; none where one is missing, or was made otherwise."""
    stored = folder.counted_runs() if folder.has_runs() else []
    found = tuple(half for run in runs for half in stored if _is_half_of(half, run))
    return found if len(found) == len(runs) else ()


def _is_half_of(half: StoredRun, run: StoredRun) -> bool:
    """Return whether a run differs from another in nothing but half the length."""
    shorter = run.spec.model_copy(
        update={"num_steps": run.spec.num_steps // 2, "evaluation_steps": half.spec.evaluation_steps}
    )
    return half.spec == shorter and half.provenance.data_checksum == run.provenance.data_checksum


def _with_half_length(whole: Bounds, half_runs: tuple[StoredRun, ...]) -> Bounds:
    if not half_runs:
        return whole
    half = _find_bounds(half_runs)
    holds = whole.reason is None and half.reason is None and _agree(whole, half)
    return replace(whole, half_length=HalfLengthBounds(half.base_lr, half.max_lr, half.reason, holds))


def _agree(whole: Bounds, half: Bounds) -> bool:
    (base_lr, max_lr), (half_base_lr, half_max_lr) = whole.rates, half.rates
    max_decades, base_decades = abs(math.log10(half_max_lr / max_lr)), abs(math.log10(half_base_lr / base_lr))
    base_share = abs(half_base_lr - base_lr) / max_lr
    base_agrees = base_decades <= BASE_LR_TOLERANCE_DECADES or base_share <= BASE_LR_TOLERANCE_SHARE
    return max_decades <= MAX_LR_TOLERANCE_DECADES and base_agrees


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else float(f"{rate:.3g}")

"""The runs of a range test -> the rates that they come to, and its tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clrbench.analysis.course import Course, Trial, circumstances, follow
from clrbench.analysis.metrics import TRAIN_COLUMNS, VALIDATION_COLUMNS
from clrbench.errors import ResultsError
from clrbench.planning.runs import BoundsTable, RangeTestGroup
from clrbench.rates import Rates
from clrbench.rates.reading import LAST_PART, end_of
from clrbench.spec import BackendName, Spec
from clrbench.store import ResultsFolder, StoredRun
from clrbench.store.curve_fits import fits_of

CURVE_COLUMNS = ("backend", "seed", "step", "lr", *TRAIN_COLUMNS, *VALIDATION_COLUMNS)
SWEEP_COLUMNS = ("stage", "attempt", *CURVE_COLUMNS)
CONFIRMATION_COLUMNS = ("backend", "kind", "lr", "seed", "step", *VALIDATION_COLUMNS, "diverged")


@dataclass(frozen=True, eq=False)
class RangeTest:
    """The finished trainings of a range test, by backend in the order of the spec, and what they come to."""

    folder: ResultsFolder
    courses: Mapping[BackendName, Course]

    @property
    def bounds(self) -> dict[BackendName, Rates]:
        """What each backend comes to."""
        return {backend: course.rates for backend, course in self.courses.items()}

    @property
    def runs(self) -> list[StoredRun]:
        """All runs that led there."""
        return [trial.stored for course in self.courses.values() for trial in course.trials]

    @property
    def sweeps(self) -> list[StoredRun]:
        """The runs that the curve comes from."""
        return [trial.stored for course in self.courses.values() for trial in course.sweeps]

    @property
    def has_answer(self) -> bool:
        """Whether every backend has rates."""
        return all(found.reason is None for found in self.bounds.values())


def read_range_test(folder: ResultsFolder, spec: Spec, group: RangeTestGroup) -> RangeTest:
    """Return a range test by its finished runs; those that the spec does not ask for are left out.

    Raises:
        ResultsError: If no run is finished, or one is damaged.
    """
    stored = folder.indexed_runs()
    courses: dict[BackendName, Course] = {}
    fits = fits_of(folder)
    for name in spec.backends:
        runs = [run for run in stored if run.spec.backend == name]
        if runs:
            courses[runs[0].spec.backend] = follow(circumstances(spec, group, runs[0]), fits, runs)
    found = {backend: course for backend, course in courses.items() if course.trials}
    if not found:
        raise ResultsError(f"{folder.root}: no run is finished; run `clrbench range-test` again")
    return RangeTest(folder, found)


def bounds_table(range_tests: Mapping[str | None, RangeTest]) -> BoundsTable:
    """Return what several range tests found by backend and `RangeTestGroup.arm`, without the refusals."""
    return {
        (backend, arm): found
        for arm, test in range_tests.items()
        for backend, found in test.bounds.items()
        if found.reason is None
    }


def curve_table(runs: Iterable[StoredRun]) -> pd.DataFrame:
    """Return curve.csv: every update of these runs, with the validation scores where they were evaluated."""
    tables = [_updates(run) for run in runs]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(CURVE_COLUMNS))


def sweeps_table(test: RangeTest) -> pd.DataFrame:
    """Return sweeps.csv: every update of the trainings that looked for where rates are worth trying."""
    tables = [
        _updates(trial.stored).assign(stage=trial.stage, attempt=trial.attempt)
        for trial in _trials(test)
        if trial.stage in {"find", "sweep"}
    ]
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return found.reindex(columns=list(SWEEP_COLUMNS))


def confirmation_table(test: RangeTest) -> pd.DataFrame:
    """Return confirmation.csv: what each training at a rate reached, from the lowest rate to the highest.

    `lr` is the upper bound of triangles; loss and accuracy are those that rates were chosen by: of the validation rows,
    over the last part of the training, and accuracy balanced where the classes are unequal.
    """
    rows = [_reached(trial) for trial in _trials(test) if trial.stage in {"confirm", "triangles"}]
    table = pd.DataFrame(rows, columns=list(CONFIRMATION_COLUMNS))
    order = {backend: place for place, backend in enumerate(test.courses)}
    return table.sort_values(
        ["backend", "kind", "lr", "step", "seed"],
        key=lambda column: column.map(order) if column.name == "backend" else column,
        ignore_index=True,
    )


def accuracy_column(table: pd.DataFrame) -> str:
    """Return which accuracy the curve shows: that of the validation rows, where there are any."""
    return "validation_accuracy" if table["validation_accuracy"].notna().any() else "train_accuracy"


def is_exponential(curve: pd.DataFrame) -> bool:
    """Tell whether the rate at half the steps is nearer the geometric than the arithmetic mean of the ends."""
    lr = curve.groupby("step")["lr"].first().dropna().to_numpy(np.float64)
    middle = float(np.interp((len(lr) - 1) / 2, np.arange(len(lr)), lr))
    geometric, arithmetic = float(np.sqrt(lr[0] * lr[-1])), float(lr[0] + lr[-1]) / 2
    return abs(math.log(middle / geometric)) < abs(math.log(middle / arithmetic))


def _trials(test: RangeTest) -> Sequence[Trial]:
    return [trial for course in test.courses.values() for trial in course.trials]


def _reached(trial: Trial) -> tuple[object, ...]:
    run = trial.run
    # The rate of triangles is low at the end of their last cycle only.
    loss, accuracy = end_of(trial.outcome, part=1 / (4 * run.cycles) if run.cycles else LAST_PART)
    backend, diverged = trial.stored.key.backend, trial.outcome.diverged
    return backend, run.kind, run.high, run.seed, run.num_steps, loss, accuracy, diverged


def _updates(run: StoredRun) -> pd.DataFrame:
    validation = run.evaluations.set_index("step")[list(VALIDATION_COLUMNS)]
    steps = run.steps.astype(dict.fromkeys(("lr", *TRAIN_COLUMNS), np.float32))
    return steps.join(validation, on="step").assign(backend=run.key.backend, seed=run.key.seed)[list(CURVE_COLUMNS)]

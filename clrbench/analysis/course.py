"""The trainings of a range test, in the order in which they were asked for, from the finished runs on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import metrics_table
from clrbench.analysis.script_outcome import script_outcome
from clrbench.planning.runs import RangeTestGroup, split_sizes
from clrbench.planning.trials import range_test_problem, trial_label, trial_run
from clrbench.rates import Outcome, Problem, Rates, Request, Run
from clrbench.rates.course import next_step
from clrbench.rates.records import Stage
from clrbench.records import SplitSizes
from clrbench.spec import BackendName, RunSpec, Spec
from clrbench.store import StoredRun
from clrbench.store.curve_fits import CurveFits

NOT_FINISHED = "not finished: some of its trainings are missing; run clrbench range-test again"
MAX_CACHED_OUTCOMES = 2000


@dataclass(frozen=True, eq=False)
class Trial:
    """A finished training of a range test.

    Attributes:
        attempt: Number of the request of its stage that asked for it, from 1.
    """

    stage: Stage
    attempt: int
    run: Run
    stored: StoredRun
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class Course:
    """How far a range test has come on one backend.

    Attributes:
        rates: What it comes to, rates to three digits; a refusal where it is not finished.
        trials: Its finished trainings, in the order in which they were asked for.
        missing: The trainings that it needs next; none where it is finished.
    """

    problem: Problem
    rates: Rates
    trials: tuple[Trial, ...]
    missing: tuple[RunSpec, ...] = ()

    @property
    def sweeps(self) -> tuple[Trial, ...]:
        """The sweeps that the curve comes from: the last ones, unless those before them show more."""
        all_sweeps = [trial for trial in self.trials if trial.stage == "sweep"]
        last = all_sweeps[-1] if all_sweeps else None
        limits = self.rates.limits or (last and (last.run.low, last.run.high))
        return tuple(trial for trial in all_sweeps if (trial.run.low, trial.run.high) == limits)


@dataclass(frozen=True)
class Circumstances:
    """What decides which trainings a range test asks for on a backend, beside what they come to."""

    spec: Spec
    group: RangeTestGroup
    backend: BackendName
    rows: SplitSizes
    validation_rows_by_class: tuple[int, ...]


def follow(
    how: Circumstances, fits: CurveFits, stored: Iterable[StoredRun], *, among: Iterable[RunSpec] | None = None
) -> Course:
    """Return how far a range test has come with these finished runs; those that it does not ask for change nothing.

    `fits` are of its folder, and `among` the only runs that count; None for all.
    """
    problem = range_test_problem(how.spec, how.group, how.rows, how.validation_rows_by_class)
    by_spec = {_comparable(run.spec): run for run in stored if run.spec.backend == how.backend}
    if among is not None:
        counted = set(map(_comparable, among))
        by_spec = {spec: run for spec, run in by_spec.items() if spec in counted}
    evidence: dict[Run, Outcome] = {}
    trials: list[Trial] = []
    attempts: Counter[Stage] = Counter()
    while isinstance(step := next_step(problem, evidence, fits.read), Request):
        stage = step.stage
        attempts[stage] += 1
        missing = []
        for run in step.runs:
            label = trial_label(stage, attempts[stage], run)
            planned = trial_run(how.spec, how.group, how.rows, how.backend, run, label)
            found = by_spec.get(_comparable(planned))
            if found is None or not found.has_evaluations(planned.evaluation_steps):
                missing.append(planned)
                continue
            there = found.evaluated_at(planned.evaluation_steps)
            evidence[run] = _outcome(found, planned.evaluation_steps, balanced=problem.floor.uses_balanced_accuracy)
            trials.append(Trial(stage, attempts[stage], run, there, evidence[run]))
        if missing:
            return Course(problem, Rates(reason=NOT_FINISHED), tuple(trials), tuple(missing))
    return Course(problem, step.rounded(), tuple(trials))


def circumstances(spec: Spec, group: RangeTestGroup, run: StoredRun) -> Circumstances:
    """Return the circumstances that a finished run of a range test was made in."""
    record = run.record
    # How many rows a script has is not known, and not recorded; see `Train.sizes`.
    rows = split_sizes(spec, spec.train.sizes) if spec.train is not None else record.provenance.rows
    return Circumstances(spec, group, run.spec.backend, rows, record.validation_rows_by_class)


def _comparable(run: RunSpec) -> RunSpec:
    """Return a run without what changes none of its numbers: its name, its evaluations, and where its data lies."""
    data = run.data.model_copy(update={"dataset": ""})
    return run.model_copy(update={"arm": "", "evaluation_steps": (), "data": data})


@lru_cache(maxsize=MAX_CACHED_OUTCOMES)
def _outcome(run: StoredRun, evaluation_steps: tuple[int, ...], *, balanced: bool) -> Outcome:
    """Return what a run left behind, always the same object, by which the fit of a curve is remembered.

    Without validation rows, the mean of the mini-batches since the evaluation before stands for these.
    """
    run = run.evaluated_at(evaluation_steps)
    if run.spec.train is not None:
        return script_outcome(run)
    train_loss = run.steps["train_loss"].to_numpy(np.float64, copy=True)
    if run.has_diverged and len(train_loss) > 1:
        # Also where it was the last update that went past the limit.
        train_loss[-1] = np.nan
    table: pd.DataFrame = run.evaluations if run.spec.evaluated_splits else metrics_table("", [run])
    split = "validation" if run.spec.evaluated_splits else "train"
    accuracy = f"{split}_balanced_accuracy" if balanced else f"{split}_accuracy"
    loss, accuracies = (table[column].to_numpy(np.float64) for column in (f"{split}_loss", accuracy))
    return Outcome(train_loss, table["step"].to_numpy(np.float64), loss, accuracies)

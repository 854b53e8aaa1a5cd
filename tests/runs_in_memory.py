"""Finished runs with known values that lie on no disk, and the results that they make up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import specs
from runs_on_disk import NUM_CLASSES, hits_by_class, provenance, run_record, run_spec
from specs import CONSTANT

from clrbench.analysis.bounds import RangeTest
from clrbench.analysis.course import Course, Trial
from clrbench.analysis.results import Results
from clrbench.analysis.search import CHOSEN_COLUMNS, SEARCH_COLUMNS, Search
from clrbench.hits import pack
from clrbench.rates import Outcome, Problem, Rates, Run
from clrbench.records import BoolArray, FloatArray, IntArray, SplitSizes
from clrbench.spec import BackendName, Spec
from clrbench.store import ResultsFolder, StoredRun
from clrbench.store.run import EVALUATION_COLUMNS, RunTiming

STEPS_PER_EPOCH = 10
TWO_ARMS: dict[str, Any] = {"seeds": 2, "backends": ("torch",), "arms": {"constant": CONSTANT, "clr": CONSTANT}}
NO_SEARCH = Search(
    runs=(),
    tries=pd.DataFrame(columns=list(SEARCH_COLUMNS)),
    chosen=pd.DataFrame(columns=list(CHOSEN_COLUMNS)),
    given_runs=(),
)


def make_spec(**changes: Any) -> Spec:
    """Return an experiment of two arms with constant rates on torch, with two seeds."""
    return specs.make_spec(**TWO_ARMS | changes)


def stored_run(
    arm: str,
    seed: int = 0,
    accuracy: Mapping[int, float] | None = None,
    *,
    validation: Sequence[float] | None = None,
    lr: FloatArray | None = None,
    updates_made: int | None = None,
    train_seconds: float = 10.0,
    made_with: Mapping[str, Any] | None = None,
    balanced: Sequence[float] | None = None,
    hits: BoolArray | None = None,
    classes: IntArray | None = None,
    identity: str = "0" * 64,
    **spec: Any,
) -> StoredRun:
    """Return a run whose test accuracy after some numbers of updates is given; the loss is 1 - accuracy.

    The balanced accuracy is the accuracy unless it is given, too. `hits`, bool[rows], are the test rows that are right at
    the end, and `classes`, int32[rows], those of the rows; unless they are given, there are 400 rows whose four classes
    take turns, and as many of the first of them are right as the accuracy says.

    It has diverged where an accuracy is nan, has a constant rate of 0.1 unless one is given for each step, and is
    evaluated once, at its end, where no accuracy is given. Anything else goes to its spec.
    """
    num_steps = spec.get("num_steps", max(accuracy or [STEPS_PER_EPOCH]))
    accuracy = accuracy or {num_steps: 0.5}
    sizes = {"num_steps": num_steps, "steps_per_epoch": STEPS_PER_EPOCH, "evaluation_steps": tuple(accuracy)}
    of_run = run_spec(arm, seed, **{**sizes, **spec})
    rates = np.full(num_steps, 0.1, np.float32) if lr is None else lr.astype(np.float32)
    if updates_made is not None:
        rates[updates_made:] = np.nan
    values = np.array(list(accuracy.values()))
    diverged = bool(np.isnan(values).any())
    steps = np.array(list(accuracy))
    evaluations = {"epoch": steps / of_run.steps_per_epoch, "step": steps, "validation_loss": np.nan}
    evaluations |= {"validation_accuracy": np.nan if validation is None else validation}
    num_rows = next((len(given) for given in (hits, classes) if given is not None), 400)
    hits = np.arange(num_rows) < np.nan_to_num(values[-1]) * num_rows if hits is None else hits
    classes = np.arange(num_rows, dtype=np.int32) % NUM_CLASSES if classes is None else classes
    made_with = {"rows": SplitSizes(train=100, validation=0, test=num_rows), **(made_with or {})}
    rows_by_class = hits_by_class(np.ones(num_rows, np.bool_), classes)
    return StoredRun(
        folder=Path("nowhere"),
        record=replace(run_record(of_run, provenance(of_run.backend, **made_with), rows_by_class), identity=identity),
        status="diverged" if diverged else "finished",
        reason="it diverged" if diverged else None,
        timing=RunTiming(train_seconds, 0.5, 0.0, 0.0, 50.0),
        steps=pd.DataFrame(
            {"step": np.arange(1, num_steps + 1), "lr": rates, "train_loss": 1.0, "train_accuracy": 0.5}
        ),
        evaluations=pd.DataFrame(
            {
                **evaluations,
                "test_loss": 1 - values,
                "test_accuracy": values,
                "test_balanced_accuracy": values if balanced is None else balanced,
            },
            columns=list(EVALUATION_COLUMNS),
        ),
        test_hits_by_class=None if diverged else hits_by_class(hits, classes),
        packed_test_hits=None if diverged else pack(hits),
    )


def results_of(runs: Sequence[StoredRun], search: Search = NO_SEARCH, **changes: Any) -> Results:
    """Return the results that these runs of the arms make up; changes of the spec go to `make_spec`."""
    return Results(make_spec(**changes), tuple(runs), search)


def range_test_of(sweeps: Sequence[StoredRun]) -> RangeTest:
    """Return the range test that these sweeps make up, without rates."""
    made: dict[BackendName, list[Trial]] = {}
    for stored in sweeps:
        run = Run("linear", 0.1, 1.0, stored.key.seed, stored.spec.num_steps)
        nothing = np.full(stored.spec.num_steps, np.nan)
        trial = Trial("sweep", 1, run, stored, Outcome(nothing, nothing, nothing, nothing))
        made.setdefault(stored.spec.backend, []).append(trial)
    courses = {
        backend: Course(Problem((), 10, 5, (0,)), Rates(), tuple(trials), ()) for backend, trials in made.items()
    }
    return RangeTest(ResultsFolder(Path("nowhere")), courses)

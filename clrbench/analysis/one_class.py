"""Runs that answer with one and the same class, whatever they are shown: their accuracy is no more than its share."""

from collections import Counter

import pandas as pd

from clrbench.analysis.results import Results
from clrbench.records import Split
from clrbench.store import StoredRun

ONE_CLASS_COLUMNS = ("backend", "arm", "class", "runs_of_one_class", "runs", "diverged", "share")


def one_class_table(results: Results) -> pd.DataFrame:
    """Return one_class.csv: how many runs of each arm end with one class for all test rows, and the share of that class.

    `runs` counts those that diverged, too. An arm without such runs has no row.
    """
    by_arm: dict[tuple[str, str], list[StoredRun]] = {}
    for run in (*results.runs, *results.search.runs):
        if Split.TEST in run.spec.evaluated_splits:
            by_arm.setdefault((run.key.backend, run.key.arm), []).append(run)
    rows = []
    for arm, runs in by_arm.items():
        diverged = sum(run.has_diverged for run in runs)
        answers = Counter(map(answered_class, runs))
        for answered, number in sorted((key, number) for key, number in answers.items() if key is not None):
            rows.append((*arm, answered, number, len(runs), diverged, _share(runs[0], answered)))
    return pd.DataFrame(rows, columns=list(ONE_CLASS_COLUMNS))


def answered_class(run: StoredRun) -> int | None:
    """Return the class that a run gives all test rows at its end: it is right on every row of it, and on no other.

    None where there is no such class, where test rows are of one class only, or where the run has no hits.
    """
    hits, rows = run.test_hits_by_class, run.record.test_rows_by_class
    if hits is None or sum(map(bool, rows)) < 2:
        return None
    right = [of_class for of_class, number in enumerate(hits) if number]
    return right[0] if len(right) == 1 and hits[right[0]] == rows[right[0]] else None


def _share(run: StoredRun, of_class: int) -> float:
    rows = run.record.test_rows_by_class
    return rows[of_class] / sum(rows)

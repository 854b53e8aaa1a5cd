"""The test rows as a sample: intervals over seeds and rows, from which rows each run answers rightly at its end."""

import numpy as np

from clrbench.analysis.metrics import diverged_value
from clrbench.analysis.pairs import Contest, moved_epochs, paired_seeds, runs_by_key
from clrbench.analysis.results import Results
from clrbench.records import DoubleArray
from clrbench.stats import attained_level, crossed_interval
from clrbench.store import RunKey, StoredRun

METRIC = "test_accuracy"


def rows_interval(results: Results, contest: Contest, alpha: float) -> tuple[float, float]:
    """Return the interval of the mean difference in test accuracy over the seeds and the test rows, at the end of training.

    Its level is the one that the exact test over the seeds attains at alpha, so that the two intervals can be compared.

    Returns:
        Lower and upper bound; nan where arms are compared at another time, pairs are too few for the exact test, or so little
        varies that there is no interval.
    """
    differences = row_differences(results, contest)
    if differences is None or contest in results.once(moved_epochs):
        return np.nan, np.nan
    level = attained_level(len(differences), alpha)
    low, high = crossed_interval(differences, level) if level > 0 else (-np.inf, np.inf)
    return (low, high) if np.isfinite(low) else (np.nan, np.nan)


def row_differences(results: Results, contest: Contest) -> DoubleArray | None:
    """Return candidate - baseline of every pair in every test row, float64[pairs, rows]; None without pairs or rows.

    A row counts 1 where it is answered rightly and 0 otherwise; in a diverged run each counts as a blind guess.
    """
    runs = results.once(runs_by_key)
    pairs = [
        [runs[RunKey(contest.backend, arm, seed)] for arm in contest[1:]]
        for seed in results.once(paired_seeds)[contest]
    ]
    rows = {len(run.test_hits) for pair in pairs for run in pair if run.test_hits is not None}
    kept = all(run.has_diverged or run.test_hits is not None for pair in pairs for run in pair)
    if len(rows) != 1 or not kept:
        return None
    (num_rows,) = rows
    return np.array([_answers(candidate, num_rows) - _answers(baseline, num_rows) for candidate, baseline in pairs])


def _answers(run: StoredRun, rows: int) -> DoubleArray:
    if run.test_hits is None:
        return np.full(rows, diverged_value(METRIC, run.record.num_classes))
    return run.test_hits.astype(np.float64)

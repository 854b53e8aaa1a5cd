"""The interval over seeds and rows, from runs whose hits are known."""

import math
from typing import Any

import numpy as np
import pytest
from runs_in_memory import results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.pairs import Contest
from clrbench.analysis.results import Results
from clrbench.analysis.row_sample import row_differences, rows_interval
from clrbench.stats import crossed_interval
from clrbench.store import StoredRun

CONTEST = Contest("torch", "clr", "constant")
RNG = np.random.default_rng(12)
HITS = {arm: RNG.random((6, 41)) < share for arm, share in (("constant", 0.8), ("clr", 0.9))}


def runs_of(arm: str, hits: Any, diverged: tuple[int, ...] = (), **changes: Any) -> list[StoredRun]:
    return [
        stored_run(arm, seed, {10: math.nan if seed in diverged else rows.mean()}, hits=rows, **changes)
        for seed, rows in enumerate(hits)
    ]


def results(diverged: tuple[int, ...] = (), **changes: Any) -> Results:
    runs = [*runs_of("constant", HITS["constant"]), *runs_of("clr", HITS["clr"], diverged)]
    return results_of(runs, seeds=6, **changes)


def test_the_interval_is_that_of_the_hits_of_the_pairs_row_by_row() -> None:
    differences = HITS["clr"].astype(float) - HITS["constant"]
    np.testing.assert_array_equal(row_differences(results(), CONTEST), differences)
    # The level that six pairs attain.
    for alpha, attained in ((0.05, 2 / 64), (0.2, 12 / 64), (2 / 64, 2 / 64)):
        assert rows_interval(results(), CONTEST, alpha) == crossed_interval(differences, attained)
    assert np.isnan(rows_interval(results(), CONTEST, 0.03)).all()


def test_its_middle_is_the_mean_difference_in_accuracy() -> None:
    low, high = rows_interval(results(), CONTEST, 0.05)
    assert (low + high) / 2 == pytest.approx(HITS["clr"].mean() - HITS["constant"].mean())


def test_a_diverged_run_counts_as_a_blind_guess_in_every_row() -> None:
    differences = HITS["clr"].astype(float) - HITS["constant"]
    differences[[1, 4]] = 0.25 - HITS["constant"][[1, 4]]
    np.testing.assert_array_equal(row_differences(results((1, 4)), CONTEST), differences)


def test_pairs_are_those_that_both_arms_have_and_that_share_their_versions() -> None:
    runs = [*runs_of("constant", HITS["constant"][:4]), *runs_of("clr", HITS["clr"][1:2])]
    found = row_differences(results_of(runs, seeds=6), CONTEST)
    np.testing.assert_array_equal(found, HITS["clr"][1:2].astype(float) - HITS["constant"][:1])
    others = runs_of("clr", HITS["clr"], made_with={"versions": {"torch": "2"}})
    assert row_differences(results_of([*runs_of("constant", HITS["constant"]), *others], seeds=6), CONTEST) is None


@pytest.mark.parametrize(
    "hits",
    [
        {"constant": HITS["constant"][:1], "clr": HITS["clr"][:1]},  # one seed
        {"constant": HITS["constant"][:5], "clr": HITS["clr"][:5]},  # as few as allow no interval over seeds alone
        {"constant": HITS["constant"][:, :1], "clr": HITS["clr"][:, :1]},  # one row
        {"constant": HITS["clr"], "clr": HITS["clr"]},  # no difference anywhere
        {"constant": HITS["constant"], "clr": HITS["clr"][:, :40]},  # not the same rows
    ],
)
def test_without_spread_or_common_rows_there_is_no_interval(hits: dict[str, Any]) -> None:
    found = results_of([run for arm, rows in hits.items() for run in runs_of(arm, rows)], seeds=6)
    assert np.isnan(rows_interval(found, CONTEST, 0.05)).all()


def test_where_every_run_diverged_there_is_no_interval() -> None:
    everywhere = tuple(range(6))
    runs = [*runs_of("constant", HITS["constant"], everywhere), *runs_of("clr", HITS["clr"], everywhere)]
    assert np.isnan(rows_interval(results_of(runs, seeds=6), CONTEST, 0.05)).all()


def test_arms_that_are_compared_at_a_cycle_end_have_no_interval() -> None:
    # The hits are those of the end, and training ends amid a cycle.
    clr = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "step_size": "2 steps"}}
    runs = [
        stored_run(arm, seed, {2: 0.4, 4: 0.6, 5: rows.mean()}, hits=rows, steps_per_epoch=2)
        for arm, hits in HITS.items()
        for seed, rows in enumerate(hits)
    ]
    moved = results_of(runs, seeds=6, arms={"constant": CONSTANT, "clr": clr})
    assert np.isnan(rows_interval(moved, CONTEST, 0.05)).all()
    assert np.isfinite(rows_interval(results_of(runs, seeds=6), CONTEST, 0.05)).all()

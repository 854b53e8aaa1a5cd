"""What is said beside the verdict, of tables whose numbers are known."""

import math
from typing import Any

import pandas as pd
from answers import flowing
from runs_in_memory import results_of, stored_run

from clrbench.analysis.cycles import PEAK_COLUMNS
from clrbench.analysis.tables import analyse
from clrbench.analysis.time_to_target import TIME_TO_TARGET_COLUMNS
from clrbench.report.exploratory import CYCLE_HEADINGS, TARGET_HEADINGS, cycle_rows, target_rows

INF, NAN = math.inf, math.nan


def target_row(
    steps: tuple[float, float], speed_up: tuple[float, float, float, float], **changes: Any
) -> dict[str, Any]:
    """Return a row of time_to_target.csv.

    Args:
        steps: Medians of the candidate and the baseline.
        speed_up: Least and most of the median of the ratios, and the ends of its interval.
        changes: Other columns; by default six runs each, none of which misses, and no search.
    """
    row = {"backend": "torch", "candidate": "clr", "baseline": "constant", "metric": "test_accuracy", "target": 0.9}
    row |= {"kind": "first", "candidate_runs": 6, "candidate_misses": 0, "baseline_runs": 6, "baseline_misses": 0}
    for unit, factor in (("steps", 1.0), ("epochs", 0.1), ("total_steps", 1.0)):
        row |= {
            f"{role}_median_{unit}": step * factor for role, step in zip(("candidate", "baseline"), steps, strict=True)
        }
    for way in ("", "epochs_", "total_"):
        row |= {
            f"{way}{key}": value
            for key, value in zip(("speed_up_low", "speed_up_high", "ci_low", "ci_high"), speed_up, strict=True)
        }
    row |= {"pairs": 6, **changes}
    assert set(row) == set(TIME_TO_TARGET_COLUMNS)
    return row


def rows_of(*rows: dict[str, Any]) -> list[list[str]]:
    return target_rows(pd.DataFrame(rows, columns=list(TIME_TO_TARGET_COLUMNS)))


def test_a_row_has_medians_speed_up_interval_and_how_many_got_there() -> None:
    row = target_row((500, 1000), (5 / 3, 2, 1.5, INF), candidate_runs=7, baseline_runs=7, baseline_misses=2, pairs=7)
    assert rows_of(row) == [
        ["torch", "90 %", "clr", "500", "constant", "1000, 5/7", "1.67x to 2x", "at least 1.5x", "-"]
    ]
    assert len(TARGET_HEADINGS) == 9


def test_rows_of_what_stays_of_losses_and_of_misses() -> None:
    stays = target_row((400, INF), (2.5, INF, 2.5, INF), kind="sustained", metric="test_loss", baseline_misses=6)
    lost = target_row((INF, INF), (0, INF, 0, INF), candidate_misses=6, baseline_misses=6)
    few = target_row((100, 2000 / 15), (4 / 3, 4 / 3, 0, INF), candidate_runs=1, baseline_runs=1, pairs=1)
    assert rows_of(stays, lost, few) == [
        ["torch", "loss 0.9, sustained", "clr", "400", "constant", "0/6", "at least 2.5x", "at least 2.5x", "-"],
        ["torch", "90 %", "clr", "0/6", "constant", "0/6", "open", "unbounded", "-"],
        ["torch", "90 %", "clr", "100", "constant", "133", "1.33x", "unbounded", "-"],
    ]


def test_a_slower_candidate_is_bounded_from_above() -> None:
    (row,) = rows_of(target_row((INF, 500), (0, 0.75, 0, 1), candidate_misses=6))
    assert row[-3:-1] == ["at most 0.75x", "at most 1x"]


def test_what_the_search_cost_is_told_apart() -> None:
    searched = dict.fromkeys(("total_speed_up_low", "total_speed_up_high", "total_ci_low", "total_ci_high"), 2.0)
    (row,) = rows_of(target_row((100, 400), (4, 4, 4, 4), candidate_median_total_steps=200, **searched))
    assert row[-3:] == ["4x", "4x", "2x"]


def test_an_arm_without_runs_reaches_a_target_in_no_run() -> None:
    (row,) = rows_of(target_row((100, NAN), (0, INF, 0, INF), baseline_runs=0, pairs=0))
    assert row[5] == "no run"


def peaks(**changes: float) -> dict[str, Any]:
    """Return a row of cycle_peaks.csv of two runs, in one of which accuracy peaks at the end of a cycle."""
    row = {"backend": "torch", "arm": "clr", "runs": 2, "peaks_at_end": 0.5, "evaluations_at_end": 0.5}
    row |= {
        "peaks_near_end": 1.0,
        "evaluations_near_end": 1.0,
        "accuracy_at_ends": 2.2 / 3,
        "accuracy_elsewhere": 2 / 3,
    }
    row |= {"above_neighbours": 0.1, "peak_lr_rank": 0.5, **changes}
    assert set(row) == set(PEAK_COLUMNS)
    return row


def test_a_row_for_each_backend_and_arm() -> None:
    unknown = peaks(runs=1, peaks_near_end=0.5, accuracy_elsewhere=NAN)
    assert cycle_rows(pd.DataFrame([peaks(), unknown]), 400) == [
        ["torch", "clr", "100% of runs", "100%", "73.3", "66.7"],
        ["torch", "clr", "50% of runs", "100%", "73.3", "-"],
    ]
    assert len(CYCLE_HEADINGS) == 6


def test_without_targets_and_cycles_nothing_stands_beside_the_verdict() -> None:
    findings = analyse(results_of([stored_run("clr"), stored_run("constant")]))
    assert target_rows(findings.tables["time_to_target"]) == []
    assert cycle_rows(findings.tables["cycle_peaks"], 400) == []
    assert "exploratory" not in flowing(findings, details=True)


def test_what_stands_beside_the_verdict_says_that_it_is_exploratory() -> None:
    findings = analyse(results_of([stored_run("clr"), stored_run("constant")], targets={"test_accuracy": (0.5,)}))
    assert len(target_rows(findings.tables["time_to_target"])) == 2
    assert "Time to target in the median run, and the median speed-up over the pairs (exploratory)" in flowing(
        findings, details=True
    )
    assert "exploratory" not in flowing(findings)

"""What is said beside the verdict, of tables whose numbers are known."""

import math
from typing import Any

import pandas as pd
from runs_in_memory import results_of, stored_run

from clrbench.analysis.cycles import PEAK_COLUMNS
from clrbench.analysis.tables import analyse
from clrbench.analysis.time_to_target import TIME_TO_TARGET_COLUMNS
from clrbench.report.exploratory import cycle_lines, target_lines
from clrbench.report.text import findings_text

INF, NAN = math.inf, math.nan
START = "torch, test accuracy at least 0.9, first reached in the median: "


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


def lines_of(*rows: dict[str, Any]) -> list[str]:
    return list(target_lines(pd.DataFrame(rows, columns=list(TIME_TO_TARGET_COLUMNS))))


def test_a_line_says_medians_speed_up_interval_pairs_and_misses() -> None:
    row = target_row((500, 1000), (5 / 3, 2, 1.5, INF), candidate_runs=7, baseline_runs=7, baseline_misses=2, pairs=7)
    assert lines_of(row) == [
        f"{START}by clr after 500 steps, by constant after 1,000 steps; speed-up 1.67x to 2x, interval at least 1.5x, 7 "
        "pairs; 0 of 7 and 2 of 7 runs never did."
    ]


def test_lines_of_what_stays_of_losses_and_of_misses() -> None:
    stays = target_row((400, INF), (2.5, INF, 2.5, INF), kind="sustained", metric="test_loss", baseline_misses=6)
    lost = target_row((INF, INF), (0, INF, 0, INF), candidate_misses=6, baseline_misses=6)
    few = target_row((100, 2000 / 15), (4 / 3, 4 / 3, 0, INF), candidate_runs=1, baseline_runs=1, pairs=1)
    assert lines_of(stays, lost, few) == [
        "torch, test loss at most 0.9, kept to the end in the median: by clr from step 400 on, by constant never; "
        "speed-up at least 2.5x, interval at least 2.5x, 6 pairs; 0 of 6 and 6 of 6 runs did not.",
        f"{START}by clr never, by constant never; the misses leave the speed-up open, 6 pairs; 6 of 6 and 6 of 6 runs "
        "never did.",
        f"{START}by clr after 100 steps, by constant after 133 steps; speed-up 1.33x, no bounded interval, 1 pair; 0 of 1 "
        "and 0 of 1 runs never did.",
    ]


def test_a_slower_candidate_is_bounded_from_above() -> None:
    (line,) = lines_of(target_row((INF, 500), (0, 0.75, 0, 1), candidate_misses=6))
    assert "speed-up at most 0.75x, interval at most 1x" in line


def test_what_the_search_cost_is_told_apart() -> None:
    searched = dict.fromkeys(("total_speed_up_low", "total_speed_up_high", "total_ci_low", "total_ci_high"), 2.0)
    (line,) = lines_of(target_row((100, 400), (4, 4, 4, 4), candidate_median_total_steps=200, **searched))
    assert line == (
        f"{START}by clr after 100 steps, by constant after 400 steps; speed-up 4x, interval 4x, 6 pairs; with the search for "
        "the rates speed-up 2x, interval 2x; 0 of 6 and 0 of 6 runs never did."
    )


def test_epochs_are_told_where_they_differ_from_steps() -> None:
    epochs = dict.fromkeys(("epochs_speed_up_low", "epochs_speed_up_high", "epochs_ci_low", "epochs_ci_high"), 0.6)
    (line,) = lines_of(target_row((100, 600), (6, 6, 6, 6), **epochs))
    assert "speed-up 6x, interval 6x, 6 pairs; in epochs speed-up 0.6x, interval 0.6x; 0 of 6" in line


def test_an_arm_without_runs_reaches_a_target_in_no_run() -> None:
    (line,) = lines_of(target_row((100, NAN), (0, INF, 0, INF), baseline_runs=0, pairs=0))
    assert "constant in no run" in line


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


def test_a_line_for_each_backend_and_arm() -> None:
    assert list(cycle_lines(pd.DataFrame([peaks()]))) == [
        "torch: the best test accuracy of clr lies within one evaluation of a cycle's end in 100% of 2 runs, as do 100% of "
        "all evaluations; at the end itself in 50%, as do 50%; mean test accuracy is 0.7333 at the ends, which come late, "
        "and 0.6667 elsewhere; an end differs from the evaluations around it by +0.1000; the rate at the best evaluation "
        "ranks at 0.50 (0 lowest, 1 highest)."
    ]


def test_a_line_leaves_out_what_is_not_known() -> None:
    unknown = dict.fromkeys(("accuracy_elsewhere", "above_neighbours", "peak_lr_rank"), NAN)
    row = peaks(runs=1, peaks_at_end=1.0, evaluations_at_end=1.0, **unknown)
    assert list(cycle_lines(pd.DataFrame([row]))) == [
        "torch: the best test accuracy of clr lies within one evaluation of a cycle's end in 100% of 1 run, as do 100% of "
        "all evaluations; at the end itself in 100%, as do 100%."
    ]


def test_without_targets_and_cycles_nothing_stands_beside_the_verdict() -> None:
    findings = analyse(results_of([stored_run("clr"), stored_run("constant")]))
    assert list(target_lines(findings.tables["time_to_target"])) == []
    assert list(cycle_lines(findings.tables["cycle_peaks"])) == []
    assert "Beside the verdict" not in findings_text(findings)


def test_what_stands_beside_the_verdict_says_that_it_is_exploratory() -> None:
    findings = analyse(results_of([stored_run("clr"), stored_run("constant")], targets={"test_accuracy": (0.5,)}))
    lines = list(target_lines(findings.tables["time_to_target"]))
    assert len(lines) == 2
    assert findings_text(findings).endswith(
        "\n".join(["\n\nBeside the verdict (exploratory, each taken alone):", *lines])
    )

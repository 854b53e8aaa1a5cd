"""What stands beside the verdict and shares none of its risk, as rows of words: time to target, and the ends of cycles."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from clrbench.analysis.time_to_target import ROLES
from clrbench.report.values import Values

TARGET_HEADINGS = (
    "backend",
    "to",
    "candidate",
    "at step",
    "baseline",
    "at step",
    "speed-up",
    "interval",
    "with search",
)
CYCLE_HEADINGS = ("backend", "arm", "best run near an end", "all near an end", "at ends", "elsewhere")


def target_rows(table: pd.DataFrame) -> list[list[str]]:
    """Return the cells of each row of time_to_target.csv, under `TARGET_HEADINGS`; `in all` counts the search, too."""
    return [_target_row(row) for row in table.to_dict("records")]


def cycle_rows(table: pd.DataFrame, rows: int) -> list[list[str]]:
    """Return the cells of each row of cycle_peaks.csv, under `CYCLE_HEADINGS`; accuracies are of so many test rows."""
    values = Values.of("test_accuracy", rows)
    return [
        [
            row["backend"],
            row["arm"],
            f"{row['peaks_near_end']:.0%} of runs",
            f"{row['evaluations_near_end']:.0%}",
            values.value(row["accuracy_at_ends"]),
            values.value(row["accuracy_elsewhere"]),
        ]
        for row in table.to_dict("records")
    ]


def _target_row(row: Mapping[Hashable, Any]) -> list[str]:
    kept = ", sustained" if row["kind"] == "sustained" else ""
    speed_up, interval = _speed_up_words(row, "")
    totals = [row[f"{role}_median_total_steps"] for role in ROLES]
    known = totals != [row[f"{role}_median_steps"] for role in ROLES] and not any(map(math.isnan, totals))
    target = Values.of(row["metric"], 0).target(row["target"])
    arms = [cell for role in ROLES for cell in (row[role], _median_words(row, role))]
    return [
        row["backend"],
        f"{target}{kept}",
        *arms,
        speed_up,
        interval,
        _speed_up_words(row, "total_")[0] if known else "-",
    ]


def _median_words(row: Mapping[Hashable, Any], role: str) -> str:
    """Return after how many steps the median run got there, and how many runs did where not all of them."""
    steps, misses, runs = (row[f"{role}_{name}"] for name in ("median_steps", "misses", "runs"))
    there = f"{runs - misses}/{runs}" if misses else ""
    return ", ".join(filter(None, [f"{steps:.0f}" if math.isfinite(steps) else "", there])) or "no run"


def _speed_up_words(row: Mapping[Hashable, Any], way: str) -> tuple[str, str]:
    """Return one of the speed-ups of a row, by the prefix of its columns, and its interval."""
    found, interval = ((row[f"{way}{key}_low"], row[f"{way}{key}_high"]) for key in ("speed_up", "ci"))
    if found == (0, math.inf):
        return "open", "unbounded"
    return _between(*found), "unbounded" if interval == (0, math.inf) else _between(*interval)


def _between(low: float, high: float) -> str:
    if math.isnan(low):
        return "-"
    if low == high:
        return f"{low:.3g}x"
    if math.isinf(high):
        return f"at least {low:.3g}x"
    return f"{low:.3g}x to {high:.3g}x" if low else f"at most {high:.3g}x"

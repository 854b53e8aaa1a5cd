"""What stands beside the verdict and shares none of its risk, as rows of words: time to target, and the ends of cycles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clrbench.analysis.time_to_target import ROLES, SpeedUp
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


@dataclass(frozen=True)
class _Arm:
    """When the runs of an arm reached a target, in steps: the median run alone, and with the search before it."""

    name: str
    median_steps: float
    median_total_steps: float
    misses: int
    runs: int

    @property
    def cells(self) -> list[str]:
        """The arm, after how many steps its median run got there, and how many runs did where not all of them."""
        there = f"{self.runs - self.misses}/{self.runs}" if self.misses else ""
        steps = f"{self.median_steps:.0f}" if math.isfinite(self.median_steps) else ""
        return [self.name, ", ".join(filter(None, [steps, there])) or "no run"]


def target_rows(table: pd.DataFrame) -> list[list[str]]:
    """Return the cells of each row of time_to_target.csv, under `TARGET_HEADINGS`; `with search` counts the search, too."""
    counts = ("median_steps", "median_total_steps", "misses", "runs")
    rows = []
    for row in table.to_dict("records"):
        kept = ", sustained" if row["kind"] == "sustained" else ""
        target = Values.of(row["metric"], 0).target(row["target"])
        arms = [_Arm(row[role], *(row[f"{role}_{name}"] for name in counts)) for role in ROLES]
        alone, total = (SpeedUp(*(row[f"{way}{name}"] for name in SpeedUp._fields)) for way in ("", "total_"))
        with_search = _speed_up_words(total)[0] if _is_search_known(arms) else "-"
        at = [cell for arm in arms for cell in arm.cells]
        rows.append([row["backend"], f"{target}{kept}", *at, *_speed_up_words(alone), with_search])
    return rows


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


def _is_search_known(arms: Sequence[_Arm]) -> bool:
    """Return whether a search came before the training of any arm, and its steps are known."""
    return any(arm.median_total_steps != arm.median_steps for arm in arms) and not any(
        math.isnan(arm.median_total_steps) for arm in arms
    )


def _speed_up_words(found: SpeedUp) -> tuple[str, str]:
    """Return a speed-up and its interval."""
    interval = (found.ci_low, found.ci_high)
    if (found.speed_up_low, found.speed_up_high) == (0, math.inf):
        return "open", "unbounded"
    speed_up = _between(found.speed_up_low, found.speed_up_high)
    return speed_up, "unbounded" if interval == (0, math.inf) else _between(*interval)


def _between(low: float, high: float) -> str:
    if math.isnan(low):
        return "-"
    if low == high:
        return f"{low:.3g}x"
    if math.isinf(high):
        return f"at least {low:.3g}x"
    return f"{low:.3g}x to {high:.3g}x" if low else f"at most {high:.3g}x"

"""What stands beside the verdict and shares none of its risk, in words: time to target, and the ends of cycles."""

import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from clrbench.analysis.time_to_target import ROLES
from clrbench.report.words import counted, target_words


def target_lines(table: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each row of time_to_target.csv."""
    for row in table.to_dict("records"):
        deed, missing = ("first reached", "never did") if row["kind"] == "first" else ("kept to the end", "did not")
        arms = ", ".join(f"by {row[role]} {_median_words(row, role)}" for role in ROLES)
        misses = " and ".join(f"{row[f'{role}_misses']} of {row[f'{role}_runs']}" for role in ROLES)
        parts = [f"{row['backend']}, {target_words(row['metric'], row['target'])}, {deed} in the median: {arms}"]
        parts.append(f"{_speed_up_words(row, '')}, {counted(row['pairs'], 'pair')}")
        if not all(math.isclose(row[f"epochs_{key}"], row[key]) for key in ("speed_up_low", "speed_up_high")):
            parts.append(f"in epochs {_speed_up_words(row, 'epochs_')}")
        totals = [row[f"{role}_median_total_steps"] for role in ROLES]
        if totals != [row[f"{role}_median_steps"] for role in ROLES] and not any(map(math.isnan, totals)):
            parts.append(f"with the search for the rates {_speed_up_words(row, 'total_')}")
        yield f"{'; '.join(parts)}; {misses} runs {missing}."


def cycle_lines(table: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each row of cycle_peaks.csv."""
    for row in table.to_dict("records"):
        parts = [
            f"{row['backend']}: the best test accuracy of {row['arm']} lies within one evaluation of a cycle's end in "
            f"{row['peaks_near_end']:.0%} of {counted(row['runs'], 'run')}, as do {row['evaluations_near_end']:.0%} of all "
            "evaluations",
            f"at the end itself in {row['peaks_at_end']:.0%}, as do {row['evaluations_at_end']:.0%}",
        ]
        if math.isfinite(row["accuracy_at_ends"]) and math.isfinite(row["accuracy_elsewhere"]):
            parts.append(
                f"mean test accuracy is {row['accuracy_at_ends']:.4f} at the ends, which come late, and "
                f"{row['accuracy_elsewhere']:.4f} elsewhere"
            )
        if math.isfinite(row["above_neighbours"]):
            parts.append(f"an end differs from the evaluations around it by {row['above_neighbours']:+.4f}")
        if math.isfinite(row["peak_lr_rank"]):
            parts.append(f"the rate at the best evaluation ranks at {row['peak_lr_rank']:.2f} (0 lowest, 1 highest)")
        yield f"{'; '.join(parts)}."


def _median_words(row: Mapping[Hashable, Any], role: str) -> str:
    steps = row[f"{role}_median_steps"]
    if math.isnan(steps):
        return "in no run"
    if math.isinf(steps):
        return "never"
    return f"after {steps:,.0f} steps" if row["kind"] == "first" else f"from step {steps:,.0f} on"


def _speed_up_words(row: Mapping[Hashable, Any], way: str) -> str:
    """Return one of the speed-ups of a row, by the prefix of its columns, and its interval."""
    found, interval = ((row[f"{way}{key}_low"], row[f"{way}{key}_high"]) for key in ("speed_up", "ci"))
    if found == (0, math.inf):
        return "the misses leave the speed-up open"
    if interval == (0, math.inf):
        return f"speed-up {_between(*found)}, no bounded interval"
    return f"speed-up {_between(*found)}, interval {_between(*interval)}"


def _between(low: float, high: float) -> str:
    if low == high:
        return f"{low:.3g}x"
    if math.isinf(high):
        return f"at least {low:.3g}x"
    return f"{low:.3g}x to {high:.3g}x" if low else f"at most {high:.3g}x"

"""The table of the time to target in words."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from clrbench.analysis.metrics_table import is_accuracy
from clrbench.analysis.time_to_target import ROLES


def target_lines(table: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each row of the table that `time_to_target_table` returns."""
    for row in table.to_dict("records"):
        bound = f"{row['metric'].replace('_', ' ')} of at {'least' if is_accuracy(row['metric']) else 'most'}"
        deed, missing = ("first reached", "never did") if row["kind"] == "first" else ("kept to the end", "did not")
        arms = ", ".join(f"by {row[role]} {_median_words(row, role)}" for role in ROLES)
        misses = " and ".join(f"{row[f'{role}_misses']} of {row[f'{role}_runs']}" for role in ROLES)
        parts = [f"{row['backend']}, {bound} {row['target']:g}, {deed} in the median: {arms}"]
        parts.append(f"{_speed_up_words(row, '')}, {row['pairs']} pair{'s' * (row['pairs'] != 1)}")
        if not all(math.isclose(row[f"epochs_{key}"], row[key]) for key in ("speed_up_low", "speed_up_high")):
            parts.append(f"in epochs {_speed_up_words(row, 'epochs_')}")
        if any(row[f"{role}_median_total_steps"] != row[f"{role}_median_steps"] for role in ROLES):
            parts.append(f"with the search for the rates {_speed_up_words(row, 'total_')}")
        yield f"{'; '.join(parts)}; {misses} runs {missing}."


def _median_words(row: Mapping[Any, Any], role: str) -> str:
    steps = row[f"{role}_median_steps"]
    if math.isnan(steps):
        return "in no run"
    if math.isinf(steps):
        return "never"
    return f"after {steps:,.0f} steps" if row["kind"] == "first" else f"from step {steps:,.0f} on"


def _speed_up_words(row: Mapping[Any, Any], way: str) -> str:
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

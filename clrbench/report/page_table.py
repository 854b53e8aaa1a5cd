"""A table as people read it: plain column names, rounded numbers; full precision stays in the CSV file."""

import math
from dataclasses import dataclass

import pandas as pd
from pandas.api.types import is_numeric_dtype

from clrbench.report.words import plain
from clrbench.spec import METRICS

_DECIMALS = 4
_SIGNIFICANT_DIGITS = 4
_P_VALUE_DIGITS = 3
_SIGNED_COLUMNS = (
    *("difference", "mean_difference", "median_difference"),
    *("ci_low", "ci_high", "rows_ci_low", "rows_ci_high"),
)
_METRIC_COLUMNS = ("mean", "sd", "min", "median", "max", "value", *_SIGNED_COLUMNS)
_METRICS = ("accuracy", "loss")
_STATISTICS = ("mean", "sd", "min", "max")
_CROSSING_COLUMNS = ("first_", "sustained_")


@dataclass(frozen=True)
class PageTable:
    """A table with its caption and its CSV file; `metric` is that of all its numbers if no column names one."""

    file: str
    caption: str
    frame: pd.DataFrame
    metric: str = ""

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """The heading of each column, and whether numbers stand below it."""
        return [(plain(str(name)), is_numeric_dtype(self.frame[name])) for name in self.frame]

    @property
    def num_row_headings(self) -> int:
        """How many columns at the left name a row: those before the first number, at least one."""
        return max(1, [*(is_number for _, is_number in self.columns), True].index(True))

    @property
    def rows(self) -> list[list[str]]:
        """The cells as they are written, a list a row."""
        signed = any("difference" in str(name) for name in self.frame)
        return [
            [_cell(str(name), value, str(row.get("metric", self.metric)), signed=signed) for name, value in row.items()]
            for row in self.frame.to_dict("records")
        ]


def by_metric(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table that has columns for each metric with a row for each that was measured; any other table as it is."""
    metrics = [str(name).removesuffix("_mean") for name in table if str(name).endswith("_mean")]
    if not set(METRICS) & set(metrics):
        return table
    of_metric = {metric: [name for name in map(str, table) if name in _statistics(metric)] for metric in metrics}
    shared = table.drop(columns=[name for names in of_metric.values() for name in names])
    parts = []
    for metric, names in of_metric.items():
        statistics = table[names].set_axis([name.removeprefix(f"{metric}_") for name in names], axis=1)
        if statistics.notna().any(axis=None):
            parts.append(pd.concat([shared.assign(metric=metric), statistics], axis=1))
    rows = pd.concat(parts or [shared.assign(metric="")], ignore_index=True)
    return rows.set_index(["backend", "arm", "metric"]).reset_index()


def _statistics(metric: str) -> list[str]:
    return [f"{metric}_{name}" for name in _STATISTICS]


def _cell(name: str, value: object, metric: str, *, signed: bool) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "missed" if name.startswith(_CROSSING_COLUMNS) else f"{value}".replace("inf", "∞")
    if name == "p_value":
        return f"{value:.{_P_VALUE_DIGITS}g}"
    sign = "+" if signed and name in _SIGNED_COLUMNS else ""
    if name.endswith(_METRICS) or (name in _METRIC_COLUMNS and metric.endswith(_METRICS)):
        return f"{value:{sign}.{_DECIMALS}f}"
    whole = value.is_integer() or abs(value) >= 10**_SIGNIFICANT_DIGITS
    return f"{value:{sign}.0f}" if whole else f"{value:{sign}.{_SIGNIFICANT_DIGITS}g}"

"""Several experiments next to each other, from the tables that lie in their folders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.comparison import COMPARISON_COLUMNS
from clrbench.analysis.metrics_table import is_accuracy
from clrbench.errors import ResultsError, SpecError
from clrbench.report.verdict import divergence_lines
from clrbench.spec import Spec, load_spec
from clrbench.store import SPEC_FILE, ResultsFolder

_NAME_COLUMNS = ("arm", "candidate", "baseline")
_SUMMARY_COLUMNS = ("backend", "arm", "runs", "diverged")


@dataclass(frozen=True)
class OneSide:
    """An experiment as its tables tell it.

    Attributes:
        folder: Where it lies.
        spec: The experiment, resolved.
        comparison: The rows of comparison.csv that are about its primary metric.
        summary: The table summary.csv.
        warnings: What may mislead in its outcome.
    """

    folder: Path
    spec: Spec
    comparison: pd.DataFrame
    summary: pd.DataFrame
    warnings: list[str]

    @property
    def has_answer(self) -> bool:
        """Whether every arm has a run that did not diverge."""
        return bool((self.summary["diverged"] < self.summary["runs"]).all())

    @property
    def heading(self) -> str:
        """What was trained on what, for how long and how often."""
        spec = self.spec
        arms = [spec.resolved_arm(name) for name in spec.arms]
        batches = " or ".join(dict.fromkeys(str(arm.batch_size) for arm in arms))
        durations = " or ".join(dict.fromkeys(str(arm.duration) for arm in arms))
        seeds = f"{len(spec.seeds)} seed{'s' * (len(spec.seeds) != 1)}"
        trained = f"{spec.model.name} on {spec.data.dataset}, batch size {batches}, {durations}, {seeds}"
        return f"{spec.name} ({self.folder}): {trained}"

    @property
    def data(self) -> dict[str, Any]:
        """The experiment as plain data; infinite and missing numbers are null."""
        spec = self.spec
        return {
            "experiment": spec.name,
            "results": str(self.folder),
            "model": spec.model.name,
            "dataset": spec.data.dataset,
            "metric": spec.verdict.metric,
            "alpha": spec.verdict.alpha,
            "margin": spec.verdict.margin,
            "verdicts": _records(self.comparison),
            "summary": _records(self.summary),
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class SideBySide:
    """Experiments next to each other, in the order in which they were named; nothing is pooled over them."""

    sides: list[OneSide]

    @property
    def has_answer(self) -> bool:
        """Whether every arm of every experiment has a run that did not diverge."""
        return all(side.has_answer for side in self.sides)

    @property
    def text(self) -> str:
        """A row for each experiment, backend, candidate and baseline, whatever came out."""
        rows = [[_cells(row) for row in side.comparison.to_dict("records")] for side in self.sides]
        widths = [max(map(len, column)) for column in zip(*(cells for side in rows for cells in side), strict=True)]
        lines = ["Candidate - baseline, an experiment after the other; each stands for itself, nothing is pooled."]
        for side, found in zip(self.sides, rows, strict=True):
            lines += ["", side.heading, f"  {_metric_line(side.spec)}"]
            lines += ["  " + "  ".join(map(str.ljust, cells, widths)).rstrip() for cells in found]
            lines += [f"  {sentence}" for sentence in _remarks(side)]
        return "\n".join(lines)

    @property
    def data(self) -> dict[str, Any]:
        """The experiments as plain data."""
        return {"experiments": [side.data for side in self.sides]}


def side_by_side(folders: Sequence[Path]) -> SideBySide:
    """Read the tables of several experiments.

    Args:
        folders: Of the experiments, in the order in which they are to stand.

    Raises:
        ResultsError: If a table is not there, or cannot be read.
    """
    return SideBySide([_read_side(folder) for folder in folders])


def _read_side(folder: Path) -> OneSide:
    if not (folder / SPEC_FILE).is_file():
        raise ResultsError(
            f"{folder}: no {SPEC_FILE} lies there; name the folder of an experiment, such as results/demo"
        )
    try:
        spec = load_spec(folder / SPEC_FILE).spec
    except SpecError as err:
        raise ResultsError(f"damaged: {err}") from err
    comparison = _read_table(folder / "comparison.csv", COMPARISON_COLUMNS)
    summary = _read_table(folder / "summary.csv", (*_SUMMARY_COLUMNS, f"{spec.verdict.metric}_mean"))
    primary = comparison[comparison["metric"] == spec.verdict.metric].reset_index(drop=True)
    return OneSide(folder, spec, primary, summary, ResultsFolder(folder).index().get("warnings", []))


def _read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    advice = f"run clrbench report {path.parent} to write it anew"
    try:
        # An arm may be called 007 or nan; what is missing can only be a number.
        missing = {str(name): ["nan"] for name in pd.read_csv(path, nrows=0) if name not in _NAME_COLUMNS}
        names = dict.fromkeys(_NAME_COLUMNS, str)
        table = pd.read_csv(path, dtype=names, na_values=missing, keep_default_na=False)
    except (OSError, ValueError) as err:
        raise ResultsError(f"{path}: cannot be read ({err}); {advice}") from err
    if absent := [name for name in columns if name not in table]:
        raise ResultsError(f"{path}: got no column {', '.join(absent)}; {advice}")
    return table


def _metric_line(spec: Spec) -> str:
    metric = spec.verdict.metric.replace("_", " ")
    level = f"{100 * (1 - spec.verdict.alpha):g} %"
    return f"{metric.capitalize()}, {level} intervals of each alone, verdicts by Holm's method, margin {spec.verdict.margin:g}:"


def _cells(row: dict[Any, Any]) -> list[str]:
    interval = f"{row['ci_low']:+.4f} to {row['ci_high']:+.4f}" if math.isfinite(row["ci_low"]) else "no interval"
    return [
        row["backend"],
        f"{row['candidate']} - {row['baseline']}",
        f"{row['mean_difference']:+.4f}" if row["pairs"] else "no pair",
        interval,
        f"p = {row['p_value']:.3g}",
        f"{row['wins']} won, {row['ties']} tied, {row['losses']} lost",
        row["verdict"],
    ]


def _remarks(side: OneSide) -> Iterator[str]:
    if side.comparison.empty:
        yield "There is nothing to compare: no two arms have a pair of finished runs."
    left_out = "" if is_accuracy(side.spec.verdict.metric) else "; their pairs are left out, which favours the arm"
    yield from (f"{line}{left_out}." for line in divergence_lines(side.summary))
    yield from (f"Mind: {warning}" for warning in side.warnings)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    finite = table.replace([np.inf, -np.inf], np.nan).astype(object)
    return [
        {str(key): value for key, value in row.items()} for row in finite.where(finite.notna(), None).to_dict("records")
    ]

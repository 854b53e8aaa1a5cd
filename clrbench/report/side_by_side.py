"""Several experiments next to each other, from the tables in their folders; nothing is pooled over them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clrbench.analysis.comparison import COMPARISON_COLUMNS, Comparison, read_rows
from clrbench.analysis.metrics import is_accuracy
from clrbench.records import Json
from clrbench.report import words
from clrbench.report.answer import NOTHING_TO_COMPARE
from clrbench.report.text import json_rows
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

WARNINGS_FILE, WARNING_COLUMN = "warnings.csv", "warning"
"""What a report warned of, before training and after it: a row a warning."""
_KEYS = ("backend", "candidate", "baseline")
_SUMMARY_COLUMNS = ("backend", "arm", "runs", "diverged")


@dataclass(frozen=True)
class Side:
    """An experiment as its tables tell it.

    Attributes:
        comparison: The rows of comparison.csv in the metric of the verdict.
        untuned: Of each of them, whether its baseline is untuned.
        warnings: All that the report of the experiment warned of.
    """

    folder: Path
    spec: Spec
    comparison: pd.DataFrame
    untuned: list[bool]
    summary: pd.DataFrame
    warnings: list[str]

    @property
    def verdicts(self) -> Iterator[tuple[Comparison, bool]]:
        """Each comparison, and whether its baseline is untuned."""
        return zip(read_rows(Comparison, self.comparison), self.untuned, strict=True)

    @property
    def heading(self) -> str:
        """What was trained on what, for how long and how often."""
        spec = self.spec
        arms = [spec.resolved_arm(name) for name in spec.arms]
        batches = " or ".join(dict.fromkeys(str(arm.batch_size) for arm in arms))
        durations = " or ".join(dict.fromkeys(str(arm.duration) for arm in arms))
        trained = f"{spec.model.name} on {spec.data.dataset}, batch size {batches}, {durations}"
        return f"{spec.name} ({self.folder}): {trained}, {words.counted(len(spec.seeds), 'seed')}"


def read_side(root: Path) -> Side:
    """Return an experiment by the tables in its folder.

    Raises:
        ResultsError: If a table is not there, or cannot be read.
    """
    folder = ResultsFolder(root)
    spec = folder.read_spec()
    comparison = folder.read_table("comparison.csv", COMPARISON_COLUMNS)
    summary = folder.read_table("summary.csv", (*_SUMMARY_COLUMNS, f"{spec.verdict.metric}_mean"))
    primary = comparison[comparison["metric"] == spec.verdict.metric].reset_index(drop=True)
    evidence = folder.read_table("evidence.csv", (*_KEYS, "untuned"))
    untuned = primary.merge(evidence[[*_KEYS, "untuned"]], on=list(_KEYS), how="left")["untuned"]
    warnings = folder.read_table(WARNINGS_FILE, (WARNING_COLUMN,))[WARNING_COLUMN]
    return Side(root, spec, primary, untuned.eq(True).tolist(), summary, [str(warning) for warning in warnings])


def sides_text(sides: Sequence[Side]) -> str:
    """Return a row for each experiment, backend, candidate and baseline, whatever came out, in the order given."""
    rows = [[_cells(row, untuned=untuned) for row, untuned in side.verdicts] for side in sides]
    widths = [max(map(len, column)) for column in zip(*(cells for side in rows for cells in side), strict=True)]
    lines = ["Candidate - baseline, an experiment after the other; each stands for itself, nothing is pooled."]
    for side, found in zip(sides, rows, strict=True):
        verdict = side.spec.verdict
        metric, level = words.capitalised(verdict.metric), words.level_words(verdict.alpha)
        rule = f"{level} intervals of each alone, verdicts by Holm's method, {words.margin_words(verdict.margin)}:"
        lines += ["", side.heading, f"  {metric}, {rule}"]
        lines += ["  " + "  ".join(map(str.ljust, cells, widths)).rstrip() for cells in found]
        lines += [f"  {sentence}" for sentence in _remarks(side)]
    return "\n".join(lines)


def sides_data(sides: Sequence[Side]) -> dict[str, Json]:
    """Return the experiments as plain data; infinite and missing numbers are null."""
    return {
        "experiments": [
            {
                "experiment": side.spec.name,
                "results": str(side.folder),
                "model": side.spec.model.name,
                "dataset": side.spec.data.dataset,
                "metric": side.spec.verdict.metric,
                "alpha": side.spec.verdict.alpha,
                "margin": side.spec.verdict.margin,
                "verdicts": json_rows(side.comparison.assign(untuned=side.untuned)),
                "summary": json_rows(side.summary),
                "warnings": list(side.warnings),
            }
            for side in sides
        ]
    }


def _cells(row: Comparison, *, untuned: bool) -> list[str]:
    said = words.comparison_words(row)
    difference = said.difference if row.pairs else "no pair"
    versus = f"{row.candidate} - {words.baseline_words(row.baseline, untuned=untuned)}"
    return [row.backend, versus, difference, said.ends, said.p_value, said.counts, row.verdict]


def _remarks(side: Side) -> Iterator[str]:
    if side.comparison.empty:
        yield NOTHING_TO_COMPARE
    metric = side.spec.verdict.metric
    favour = "" if is_accuracy(metric) else ", which favours the arm"
    for divergence in words.divergences(side.summary):
        yield f"{divergence.sentence}; {words.divergence_rule(metric)}{favour}."
    for warning in side.warnings:
        yield f"Warning: {warning}"

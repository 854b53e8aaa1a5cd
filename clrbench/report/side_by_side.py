"""Several experiments next to each other, as their tables tell them; nothing is pooled over them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console

from clrbench.analysis.comparison import Comparison, read_rows
from clrbench.analysis.metrics import is_accuracy
from clrbench.answer import PLAIN_COLUMNS
from clrbench.counted import counted
from clrbench.records import Json
from clrbench.report import words
from clrbench.report.answer import NOTHING_TO_COMPARE, gist, measured_words, scope_words, verdict_words
from clrbench.report.console import WordTable, print_line, print_list, print_table, rendered
from clrbench.report.text import json_rows
from clrbench.report.values import Values, difference_words
from clrbench.spec import Spec

_COUNTS_WIDTH = 90
"""From so many columns on, the table shows how many pairs were won, tied and lost."""


@dataclass(frozen=True)
class SideVerdict:
    """A comparison, whether its baseline is untuned, whether its runs are pairs, and its Holm-adjusted p-value."""

    row: Comparison
    untuned: bool
    paired: bool
    p_value: float


@dataclass(frozen=True)
class Side:
    """An experiment as its tables tell it.

    Attributes:
        comparison: The rows of comparison.csv in the metric of the verdict.
        evidence: What stands behind each of them, in the same order.
        warnings: All that the report of the experiment warned of.
    """

    folder: Path
    spec: Spec
    comparison: pd.DataFrame
    evidence: pd.DataFrame
    summary: pd.DataFrame
    warnings: list[str]

    @property
    def untuned(self) -> list[bool]:
        """Of each comparison, whether its baseline is untuned."""
        return self.evidence["untuned"].eq(True).tolist()

    @property
    def verdicts(self) -> Iterator["SideVerdict"]:
        """Each comparison."""
        rows, p_values = read_rows(Comparison, self.comparison), self.evidence["adjusted_p_value"].tolist()
        return map(SideVerdict, rows, self.untuned, self.evidence["paired"].ne(False).tolist(), p_values)

    @property
    def alphas(self) -> dict[str, float]:
        """The risk of each backend, earlier looks charged, which its intervals are computed at."""
        return dict(zip(self.evidence["backend"], self.evidence["alpha"], strict=True))

    @property
    def comparisons(self) -> int:
        """How many comparisons share the risk."""
        return int(self.evidence["comparisons"].max()) if len(self.evidence) else 0

    @property
    def values(self) -> Values:
        """How the metric of the verdict is written."""
        rows = self.evidence["rows"].fillna(0)
        return Values.of(self.spec.verdict.metric, int(rows.max()) if len(rows) else 0, own=self.spec.train is not None)

    @property
    def heading(self) -> str:
        """What was trained on what, for how long and how often."""
        spec = self.spec
        arms = [spec.resolved_arm(name) for name in spec.arms]
        batches = " or ".join(dict.fromkeys(str(arm.batch_size) for arm in arms))
        durations = " or ".join(dict.fromkeys(str(arm.duration) for arm in arms))
        own = spec.train is not None
        trained = f"{spec.model.name} on {spec.data.dataset}, batch {batches}, {durations}"
        trained = f"{scope_words(spec)}, {durations}" if own else trained
        asked = f"{spec.name} ({self.folder}): {trained}, {counted(len(spec.seeds), 'seed')}"
        return f"{asked}; {measured_words(spec.verdict.metric, own=own)}, {_margin_words(spec)}"


def sides_text(sides: Sequence[Side], width: int = PLAIN_COLUMNS, *, details: bool = False) -> str:
    """Return a table for each experiment, whatever came out, in the order given.

    Args:
        sides: The experiments.
        width: Columns of the terminal.
        details: Whether warnings are whole, with what to do about them.
    """

    def write(console: Console) -> None:
        print_line(console, "", "Candidate - baseline, each experiment for itself; nothing is pooled.")
        for side in sides:
            console.print()
            print_line(console, "", side.heading)
            print_table(console, _table(side, counts=console.width >= _COUNTS_WIDTH), wrapping={1})
            for remark in _remarks(side):
                print_line(console, "", remark)
            warnings = side.warnings if details else map(gist, side.warnings)
            print_list(console, "Warnings", warnings)

    return rendered(write, width)


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


def _table(side: Side, *, counts: bool) -> WordTable:
    """Return every comparison of an experiment; with `counts` also how many pairs were won, tied and lost."""
    p_value = words.p_label(side.comparisons)
    won = ("won, tied, lost",) if counts else ()
    headings = (
        "backend",
        "candidate - baseline",
        f"difference, {words.interval_heading(side.alphas)}",
        p_value,
        *won,
        "verdict",
    )
    rows = []
    for one in side.verdicts:
        row = one.row
        versus = f"{row.candidate} - {words.baseline_words(row.baseline, untuned=one.untuned)}"
        numbers = [difference_words(row, side.values), f"{one.p_value:.2g}" if row.pairs else "-"]
        won_cell = [words.won_words(row, paired=one.paired)] if counts else []
        rows.append([row.backend, versus, *numbers, *won_cell, verdict_words(row.verdict)])
    return WordTable("", headings, rows)


def _remarks(side: Side) -> Iterator[str]:
    if side.comparison.empty:
        yield NOTHING_TO_COMPARE
    metric = side.spec.verdict.metric
    own = side.spec.train is not None
    favour = "" if is_accuracy(metric) and not own else ", which favours the arm"
    for divergence in words.divergences(side.summary):
        yield f"{divergence.sentence}; {words.divergence_rule(metric, own=own)}{favour}."


def _margin_words(spec: Spec) -> str:
    margin = spec.verdict.margin
    if margin is None or not is_accuracy(spec.verdict.metric):
        return words.margin_words(margin)
    return f"margin {100 * margin:.10g} points"

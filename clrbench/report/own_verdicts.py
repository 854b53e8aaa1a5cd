"""Verdicts on results of somebody's own: in words, as plain data, as a page."""

import io
import math
from collections.abc import Iterator, Mapping
from textwrap import fill

from rich import box
from rich.console import Console
from rich.table import Table

from clrbench.analysis.own_verdicts import PAIRED, OwnJudgement, OwnVerdict
from clrbench.counted import counted
from clrbench.records import Json
from clrbench.report.figures.plot import DrawnPlot
from clrbench.report.page_table import PageTable
from clrbench.report.template import fill_template
from clrbench.report.text import json_rows
from clrbench.report.words import begun, level_words, margin_words, samples_words, verdict_clause

SCHEMA_VERSION = 1
"""Of the JSON; raised where a key changes its meaning or goes, not where one is added."""

WIDTH = 100
KNOWS_NOT = (
    "These numbers cannot tell whether the arms were tuned equally or looked at before. If this is not the first look at "
    "the same question, the option look adjusts for it."
)


def verdicts_text(found: OwnJudgement) -> str:
    """Return the answer: one sentence per verdict, the arms as a table, and what was taken for what."""
    sentences = [verdict_sentence(row, found) for row in found.verdicts]
    notes = [*found.notes, KNOWS_NOT]
    wrapped = [fill(line, WIDTH, break_long_words=False, break_on_hyphens=False) for line in (*sentences, "", *notes)]
    place = len(sentences) + 1
    return "\n".join([*wrapped[:place], _arms_table(found), "", *wrapped[place:]])


def verdict_sentence(row: OwnVerdict, found: OwnJudgement) -> str:
    """Return what one comparison came to, and what it rests on."""
    rules = found.rules
    answer = verdict_clause(row.verdict, row.candidate, row.baseline)
    answer = f"{row.group}: {answer}" if row.group else begun(answer)
    if not math.isfinite(row.mean_difference):
        return f"{answer}. There is nothing to compare: {_why_nothing(row)}."
    level = rules.alpha / rules.look
    interval = (
        f"{level_words(level)} interval {signed(row.ci_low)} to {signed(row.ci_high)}"
        if math.isfinite(row.ci_low) and math.isfinite(row.ci_high)
        else f"no {level_words(level)} interval from so few"
    )
    runs = (
        f"{counted(row.pairs, 'pair')}: {row.wins} won, {row.ties} tied, {row.losses} lost"
        if row.test == PAIRED
        else samples_words(row.candidate_runs, row.baseline_runs)
    )
    numbers = f"{row.metric} {signed(row.mean_difference)} ({interval}), p = {row.p_value:.3g}, {runs}."
    why = "".join(f". {sentence}" for sentence in _why(row, found))
    return " ".join([f"{answer}{why}: {numbers}", *_beside(row, found)])


def verdicts_data(found: OwnJudgement) -> dict[str, Json]:
    """Return the verdicts as plain data; infinite and missing numbers are null. `docs/judge.md` describes it."""
    results, rules = found.results, found.rules
    return {
        "schema": SCHEMA_VERSION,
        "metric": results.metric,
        "higher_is_better": results.higher_is_better,
        "paired": results.paired,
        "alpha": rules.alpha,
        "look": rules.look,
        "margin": rules.margin,
        "comparisons": len(found.verdicts),
        "verdicts": json_rows(found.comparison),
        "summary": json_rows(found.summary),
        "notes": list(found.notes),
    }


def verdicts_page(found: OwnJudgement, figure: DrawnPlot) -> str:
    """Return the page: one HTML file that needs nothing else."""
    summary = found.summary.rename(columns=lambda name: str(name).removeprefix(f"{found.results.metric}_"))
    tables = [
        PageTable("comparison.csv", "Every comparison", found.comparison),
        PageTable("summary.csv", f"{found.results.metric} of each arm, over the runs that did not diverge", summary),
    ]
    return fill_template(
        "own_verdicts.html.jinja",
        title=f"{found.results.metric}: {', '.join(found.results.arms)}",
        sentences=[verdict_sentence(row, found) for row in found.verdicts],
        notes=[*found.notes, KNOWS_NOT],
        tables=tables,
        figure=figure,
    )


def signed(value: float) -> str:
    """Return a difference in four significant digits, with its sign."""
    return f"{value:+.4g}"


def _why_nothing(row: OwnVerdict) -> str:
    if row.candidate_diverged or row.baseline_diverged:
        return (
            f"{counted(row.candidate_diverged, 'run')} of {row.candidate} and {row.baseline_diverged} of "
            f"{row.baseline} diverged"
        )
    return "no pair has a run on both sides"


def _why(row: OwnVerdict, found: OwnJudgement) -> Iterator[str]:
    """Yield why there is no verdict, where there is none."""
    rules = found.rules
    if row.verdict != "cannot tell":
        return
    if row.too_few:
        share = f" over {counted(len(found.verdicts), 'comparison')}" if len(found.verdicts) > 1 else ""
        there = (
            counted(row.pairs, "pair")
            if row.test == PAIRED
            else f"{counted(min(row.candidate_runs, row.baseline_runs), 'run')} per side"
        )
        yield (
            f"{there} cannot reach p <= {rules.alpha / rules.look:.3g}{share}; at least {row.needed} are needed. Observed"
        )
    else:
        yield (
            f"The runs that count would decide it, but others diverged ({row.candidate}: {row.candidate_diverged}, "
            f"{row.baseline}: {row.baseline_diverged}); the option diverged_as says what these count as. Observed"
        )


def _beside(row: OwnVerdict, found: OwnJudgement) -> Iterator[str]:
    if len(found.verdicts) > 1:
        yield f"Holm over {counted(len(found.verdicts), 'comparison')}: p = {row.adjusted_p_value:.3g}."
    if row.verdict == "equivalent":
        yield f"The whole interval lies within the {margin_words(found.rules.margin)}."
    if row.candidate_diverged or row.baseline_diverged:
        counts = f"{row.candidate} {row.candidate_diverged}, {row.baseline} {row.baseline_diverged}"
        kept = found.rules.diverged_as
        yield f"Diverged: {counts}; " + ("left out." if kept is None else f"counted as {kept:g}.")


def _arms_table(found: OwnJudgement) -> str:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    metric = found.results.metric
    grouped = any(found.results.groups)
    for name in [*(["group"] if grouped else []), "arm"]:
        table.add_column(name, overflow="fold")
    for name in ("runs", "diverged", "mean", "sd", "lowest", "highest"):
        table.add_column(name, justify="right")
    for row in found.summary.to_dict("records"):
        names = [*([row["group"]] if grouped else []), row["arm"]]
        table.add_row(*map(str, names), str(row["runs"]), str(row["diverged"]), *_statistics(row, metric))
    output = io.StringIO()
    Console(file=output, width=WIDTH, color_system=None, highlight=False, markup=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines() if line.strip())


def _statistics(row: Mapping[object, float], metric: str) -> list[str]:
    values = [row[f"{metric}_{name}"] for name in ("mean", "sd", "min", "max")]
    return [f"{value:.5g}" if math.isfinite(value) else "-" for value in values]

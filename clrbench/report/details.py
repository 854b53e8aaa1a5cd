"""All that stands behind the answer: as tables of words, and as short sentences on how to read them."""

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from clrbench.analysis.comparison import Comparison, Evidence
from clrbench.analysis.costs import given_steps
from clrbench.analysis.glance import Glance, Judged
from clrbench.analysis.tables import Findings
from clrbench.counted import counted
from clrbench.planning.advice import comparisons
from clrbench.report import words
from clrbench.report.answer import scope_words, verdict_words
from clrbench.report.console import WordTable
from clrbench.report.exploratory import CYCLE_HEADINGS, TARGET_HEADINGS, cycle_rows, target_rows
from clrbench.report.own_network import varied_words
from clrbench.report.values import Values, difference_words, verdict_values

NAME_HEADINGS = frozenset({"backend", "arm", "candidate", "baseline"})
"""The columns of the tables below whose cells are names, which are copied into commands and so stand in one piece."""


def detail_tables(answer: Glance, findings: Findings) -> list[WordTable]:
    """Return the tables behind an answer, those without rows left out."""
    return [table for table in (build(answer, findings) for build in _TABLES) if table.rows]


def notes(answer: Glance, findings: Findings) -> Iterator[str]:
    """Yield how the numbers are to be read, a sentence each."""
    spec, metric = findings.spec, findings.spec.verdict.metric
    judged = [one for backend in answer.backends for one in backend.judged]
    if spec.train is None:
        yield f"Scope: {scope_words(spec)}, this split and these settings."
        yield varied_words(findings)
    else:
        yield f"Scope: {scope_words(spec)}, its data and settings; what differs between seeds is up to the script."
    if judged and any(one.evidence.paired for one in judged):
        yield "Intervals assume paired differences symmetric about their mean; they are not adjusted for other comparisons."
        yield "MDE: the minimum detectable effect at 80 % power."
    family = max((one.evidence.comparisons for one in judged), default=1)
    if family > 1:
        yield f"Verdicts on a backend are Holm-adjusted over {counted(family, 'comparison')}."
    if any(one.comparison.verdict == "equivalent" for one in judged):
        yield f"Equivalent: the whole interval lies within the {words.margin_words(spec.verdict.margin)}."
    if of_rows := [one for one in judged if _has_rows_interval(one)]:
        rows, kind = max(one.evidence.rows for one in of_rows), words.rows_words(metric)
        yield f"The {rows} {kind} are a sample too: the CI with {kind} allows for that."
    for one in (one for one in judged if one.evidence.paired):
        if far := [int(seed) for seed in one.evidence.far_seeds.split()]:
            row = one.comparison
            lie, dominate = ("lies", "dominates") if len(far) == 1 else ("lie", "dominate")
            yield (
                f"{row.backend}, {row.candidate} - {row.baseline}: {words.seeds_words(far)} {lie} far from the rest and "
                f"{dominate} the mean."
            )
    yield from words.unseen_collapse([arm for backend in answer.backends for arm in backend.collapse])
    labels = dict.fromkeys([*spec.arms, *(label for pair in comparisons(spec) for label in pair)])
    if unknown := [label for label in labels if math.isnan(given_steps(spec, label))]:
        yield f"No totals for {counted(len(unknown), 'arm')} whose rates have no `steps`: {words.listed(unknown)}."


def _comparison_table(answer: Glance, _: Findings) -> WordTable:
    values = verdict_values(answer)
    alphas = {one.backend: one.judged[0].evidence.alpha for one in answer.backends if one.judged}
    difference = f"difference, {words.interval_heading(alphas)}"
    rows = []
    for row, evidence in ((one.comparison, one.evidence) for backend in answer.backends for one in backend.judged):
        baseline = words.baseline_words(row.baseline, untuned=evidence.untuned)
        p_values = [_p_words(row.p_value), _p_words(evidence.adjusted_p_value)] if row.pairs else ["-", "-"]
        cells = [difference_words(row, values), *p_values, verdict_words(row.verdict)]
        rows.append([row.backend, row.candidate, baseline, *cells])
    headings = ("backend", "candidate", "baseline", difference, "p", "Holm p", "verdict")
    return WordTable(f"Candidate - baseline, {values.difference_heading}", headings, rows)


def _evidence_table(answer: Glance, findings: Findings) -> WordTable:
    values, judged = verdict_values(answer), [one for backend in answer.backends for one in backend.judged]
    with_rows = any(map(_has_rows_interval, judged))
    of_rows = (f"CI with {words.rows_words(values.metric)}",) if with_rows else ()
    headings = ("backend", "candidate", "baseline", "pairs", "won, tied, lost", "median", *of_rows, "MDE")
    runs = words.valued_runs(findings.tables["given"]) | words.valued_runs(findings.tables["summary"])
    rows = []
    for row, evidence in ((one.comparison, one.evidence) for one in judged):
        cells = _of_pairs(row, evidence, values, with_rows=with_rows) if evidence.paired else _of_samples(row, runs)
        missing = [words.NOT_PAIRED] * (len(headings) - 3 - len(cells))
        rows.append([row.backend, row.candidate, row.baseline, *cells, *missing])
    return WordTable(f"Evidence for each comparison, {values.difference_heading}", headings, rows)


def _of_pairs(row: Comparison, evidence: Evidence, values: Values, *, with_rows: bool) -> list[str]:
    """Return how many pairs there are, how many were won, tied and lost, the median, the interval with rows, and the MDE."""
    return [
        str(row.pairs),
        words.won_words(row, paired=True),
        values.difference(evidence.median_difference),
        *([interval_words(evidence.rows_ci_low, evidence.rows_ci_high, values)] if with_rows else []),
        _detectable_words(evidence.detectable_difference, values),
    ]


def _of_samples(row: Comparison, runs: Mapping[tuple[str, str], int]) -> list[str]:
    """Return how many runs a side there are; what only pairs have is missing."""
    return [words.samples_words(runs[row.backend, row.candidate], runs[row.backend, row.baseline])]


def _has_rows_interval(one: Judged) -> bool:
    """Return whether there is an interval over seeds and rows to show: there is none of losses, say, or at a cycle's end."""
    return one.evidence.paired and math.isfinite(one.evidence.rows_ci_low)


def _detectable_words(difference: float, values: Values) -> str:
    return "none" if math.isinf(difference) else values.value(difference)


def _end_table(answer: Glance, findings: Findings) -> WordTable:
    values = verdict_values(answer)
    ranges = {
        (row["backend"], row["arm"]): (row[f"{values.metric}_min"], row[f"{values.metric}_max"])
        for table in ("summary", "given")
        for row in findings.tables[table].to_dict("records")
    }
    rows = [
        [
            backend.backend,
            one.label,
            *map(str, (one.runs, one.diverged, one.collapsed)),
            *map(values.value, (one.mean, one.sd, *ranges[backend.backend, one.label])),
        ]
        for backend in answer.backends
        for one in backend.standings
    ]
    caption = ", ".join(filter(None, [f"{words.capitalised(values.metric)} at the end", values.unit]))
    headings = ("backend", "arm", "runs", "diverged", "collapsed", "mean", "sd", "min", "max")
    return WordTable(caption, headings, rows)


def _search_table(_: Glance, findings: Findings) -> WordTable:
    rows = [
        [
            row["backend"],
            row["arm"],
            words.rate_words(row["given_lr"]),
            words.rate_words(row["lr"]) + (" (at the edge)" if row["at_edge"] else ""),
            str(row["tries"]),
            str(row["search_steps"]),
        ]
        for row in (findings.tables["chosen"].to_dict("records") if "chosen" in findings.tables else ())
    ]
    headings = ("backend", "arm", "given lr", "best lr", "tries", "updates")
    return WordTable("Search of the tuned arms", headings, rows)


def _published_table(_: Glance, findings: Findings) -> WordTable:
    rows = []
    for row in findings.tables["published"].to_dict("records"):
        values = Values.of(row["metric"], 0)
        numbers = [values.value(row[name]) for name in ("median", "min", "max")]
        below = f"{row['runs_below']} of {row['runs']}" if row["runs"] else "every run diverged"
        rows.append([row["backend"], row["arm"], values.heading, values.value(row["value"]), below, *numbers])
    headings = ("backend", "arm", "metric", "published", "runs below it", "median", "min", "max")
    return WordTable("Values published elsewhere", headings, rows)


def _cost_table(_: Glance, findings: Findings) -> WordTable:
    names = ("train_steps", "range_test_steps", "search_steps", "given_steps", "total_steps")
    rows = [
        [row["backend"], row["arm"], *("not known" if np.isnan(row[name]) else f"{row[name]:.0f}" for name in names)]
        for row in findings.tables["costs"].to_dict("records")
    ]
    headings = ("backend", "arm", "training", "range test", "search", "given", "total")
    return WordTable("Training cost of each arm, in updates", headings, rows)


def _target_table(_: Glance, findings: Findings) -> WordTable:
    caption = "Time to target in the median run, and the median speed-up over the pairs (exploratory)"
    return WordTable(caption, TARGET_HEADINGS, target_rows(findings.tables["time_to_target"]))


def _cycle_table(answer: Glance, findings: Findings) -> WordTable:
    rows = cycle_rows(findings.tables["cycle_peaks"], answer.rows)
    return WordTable("Test accuracy at the ends of cycles, % (exploratory)", CYCLE_HEADINGS, rows)


_TABLES: tuple[Callable[[Glance, Findings], WordTable], ...] = (
    _comparison_table,
    _evidence_table,
    _end_table,
    _search_table,
    _published_table,
    _cost_table,
    _target_table,
    _cycle_table,
)
"""The tables in the order that they are shown in."""


def interval_words(low: float, high: float, values: Values) -> str:
    """Return an interval such as `+0.50 to +1.32`; `unbounded` where there is none, `-` where it is not known."""
    if math.isnan(low):
        return "-"
    return f"{values.difference(low)} to {values.difference(high)}" if math.isfinite(low) else "unbounded"


def _p_words(p_value: float) -> str:
    return f"{p_value:.3g}"

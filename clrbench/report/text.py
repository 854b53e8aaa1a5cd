"""Findings -> the answer in words, and as plain data for JSON."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.collapse import ArmCollapse
from clrbench.analysis.comparison import Comparison, Evidence, read_rows
from clrbench.analysis.costs import given_steps
from clrbench.analysis.pairs import Contest
from clrbench.analysis.rulings import Ruling
from clrbench.analysis.tables import Findings
from clrbench.planning.advice import comparisons
from clrbench.planning.low_baselines import MeanRates, is_known, low_baseline_warnings
from clrbench.records import Json
from clrbench.report import words
from clrbench.report.exploratory import cycle_lines, target_lines
from clrbench.report.looks import look_sentences, look_warnings, unfinished_words
from clrbench.spec import TRAIN_SECONDS
from clrbench.stats import pairs_needed

_ANSWER = {
    "better": "{candidate} beats {baseline}",
    "worse": "{baseline} beats {candidate}",
    "equivalent": "{candidate} and {baseline} are equivalent",
    "no difference shown": "no difference shown between {candidate} and {baseline}",
    "cannot tell": "cannot tell {candidate} from {baseline}",
}
_WITHHELD = (
    " The pairs that count would decide it, but runs diverged in others, of which these pairs say nothing: so no verdict is "
    "given."
)
_COLLAPSED = " The interval lies within the margin, but a run collapsed, so the arms are not called equivalent."
NOTHING_TO_COMPARE = "There is nothing to compare: no two arms have a pair of finished runs."


def findings_text(findings: Findings) -> str:
    """Return the verdict in words, the answer first, and what stands beside it, without the warnings."""
    exploratory = [*target_lines(findings.tables["time_to_target"]), *cycle_lines(findings.tables["cycle_peaks"])]
    beside = ["Beside the verdict (exploratory, each taken alone):", *exploratory] if exploratory else []
    searches = [*_search_lines(findings), *_cost_lines(findings)]
    parts = ["\n".join(_verdict_lines(findings)), "\n".join(searches), "\n".join(beside)]
    return "\n\n".join(filter(None, parts))


def findings_data(findings: Findings, warnings: Sequence[str]) -> dict[str, Json]:
    """Return the verdict as plain data; infinite and missing numbers are null."""
    verdict, tables = findings.spec.verdict, findings.tables
    comparison = tables["comparison"]
    primary = comparison[comparison["metric"] == verdict.metric]
    primary = primary.assign(pairs_left_out=[pairs_left_out(row, comparison) for row in read_rows(Comparison, primary)])
    return {
        "experiment": findings.spec.name,
        "metric": verdict.metric,
        "alpha": verdict.alpha,
        "margin": verdict.margin,
        "verdicts": json_rows(primary.merge(tables["evidence"], on=["backend", "metric", "candidate", "baseline"])),
        "summary": json_rows(tables["summary"]),
        "collapse": json_rows(tables["collapse"]),
        "published": json_rows(tables["published"]),
        "warnings": list(warnings),
        "chosen": json_rows(tables["chosen"]) if "chosen" in tables else [],
    }


def json_rows(table: pd.DataFrame) -> list[Json]:
    """Return the rows of a table as plain data; infinite and missing numbers are null."""
    return [
        {
            str(key): None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in row.items()
        }
        for row in table.to_dict("records")
    ]


def finding_warnings(findings: Findings) -> Iterator[str]:
    """Yield what may mislead in the outcome, beside what the spec itself is warned about."""
    for (backend, candidate, baseline), seed in findings.mixed_pairs:
        yield (
            f"mixed provenance: {backend}, seed {seed}: {candidate} and {baseline} were trained with different versions, so "
            "this pair is left out; run `clrbench compare --redo` to train both anew"
        )
    for (tested, arm), rates in findings.bounds.items():
        of_arm = "" if arm is None else f" of {arm}"
        yield from (f"{tested}, range test{of_arm}: {caveat}" for caveat in rates.caveats)
    for row in findings.tables["one_class"].itertuples(index=False, name=None):
        yield words.OneClass(*row).sentence
    yield from _search_warnings(findings)
    yield from look_warnings(findings)
    yield from _low_baseline_warnings(findings)
    if findings.num_missing_runs:
        yield f"{unfinished_words(findings)}; run `clrbench compare` again to make them"


def untuned_sentence(found: Sequence[Ruling]) -> str:
    """Return which verdicts count as not better for want of tuning, and what to do; empty where none does."""
    wanting = [ruling for ruling in found if ruling.for_want_of_tuning]
    if not wanting:
        return ""
    contests = ", ".join(f"{ruling.candidate} against {ruling.baseline} on {ruling.backend}" for ruling in wanting)
    return (
        f"--fail-if not-better: better than an untuned baseline counts as not better ({contests}); tune the baseline, or "
        "give --allow-untuned."
    )


def pairs_left_out(row: Comparison, comparison: pd.DataFrame) -> int:
    """Return how many pairs of runs a row of comparison.csv leaves out because one of them diverged.

    In accuracy a diverged run counts, unless no run of any arm has one.
    """
    contest = Contest(row.backend, row.candidate, row.baseline)
    same = (comparison[list(Contest._fields)] == list(contest)).all(axis=1)
    return int(comparison.loc[same, "pairs"].max()) - row.pairs


def _verdict_lines(findings: Findings) -> Iterator[str]:
    spec, tables, metric = findings.spec, findings.tables, findings.spec.verdict.metric
    comparison = tables["comparison"]
    evidence = read_rows(Evidence, tables["evidence"])
    if not evidence:
        yield NOTHING_TO_COMPARE
    primary = read_rows(Comparison, comparison[comparison["metric"] == metric])
    for row, behind in zip(primary, evidence, strict=True):
        yield _sentence(row, behind, findings)
    yield from _divergence_lines(findings)
    yield from words.collapse_lines(read_rows(ArmCollapse, tables["collapse"]))
    yield from ["", f"{words.capitalised(metric)} at the end:"]
    ends = words.arm_ends(tables["summary"], metric)
    width = max(len(end.arm) for end in ends)
    for end in ends:
        yield f"  {end.backend:<5}  {end.arm:<{width}}  {end.spread_words}"
    yield from _published_lines(findings)
    varied = "initial weights, batch order" + (" and dropout" if spec.model.settings().dropout > 0 else "")
    yield ""
    yield (
        f"Scope: {spec.model.name} on {Path(spec.data.dataset).name}, this split, these settings. The seeds vary {varied}, "
        "nothing else. The intervals take the paired differences to be symmetric about their mean."
    )
    yield from _sampling_lines(evidence, metric)


def _sampling_lines(evidence: Sequence[Evidence], metric: str) -> Iterator[str]:
    rows = max((row.rows for row in evidence), default=0)
    if not rows:
        return
    bracketed = any(math.isfinite(row.rows_ci_low) for row in evidence)
    counted = "the intervals in brackets count both" if bracketed else "no interval above counts them"
    yield f"The {rows} {metric.partition('_')[0]} rows are a sample too, as the seeds are: {counted}."


def _sentence(row: Comparison, evidence: Evidence, findings: Findings) -> str:
    verdict = findings.spec.verdict
    summaries = (findings.tables["summary"], findings.tables["given"])
    ends = {(end.backend, end.arm): end for table in summaries for end in words.arm_ends(table, verdict.metric)}
    arms = {arm: ends.get((row.backend, arm)) for arm in (row.candidate, row.baseline)}
    means = ", ".join(f"{arm} {end.mean_words if end else '(no run)'}" for arm, end in arms.items())
    baseline = words.baseline_words(row.baseline, untuned=evidence.untuned)
    answer = _ANSWER[row.verdict].format(candidate=row.candidate, baseline=baseline)
    first = " ".join([f"{row.backend}: {answer}.", *look_sentences(row, evidence, findings)])
    start = f"{first} {words.capitalised(verdict.metric)}: {means}; "
    left_out = _left_out_words(row, arms, findings.tables["comparison"])
    if not row.pairs:
        return f"{start}no pair to compare.{left_out}"
    said, level = words.comparison_words(row), words.level_words(evidence.alpha)
    bounded = math.isfinite(row.ci_low)
    interval = f"{level} interval {said.ends}" if bounded else f"no {level} interval from so few pairs"
    beside = words.evidence_words(evidence)
    difference, interval = f"{said.difference}{beside.median}", f"{interval}{beside.rows_interval}"
    numbers = f"difference {difference}, {interval}, {said.p_value}, {said.pairs}: {said.counts}."
    return "".join([start, numbers, left_out, *_notes(row, evidence, findings)])


def _notes(row: Comparison, evidence: Evidence, findings: Findings) -> Iterator[str]:
    """Yield what a reader of the numbers has to know beside them."""
    verdict = findings.spec.verdict
    yield words.evidence_words(evidence).far_pairs
    if evidence.moved:
        yield (
            f" Compared at epoch {evidence.epoch:g}, the end of the last whole cycle, in both arms: training ends amid a "
            "cycle."
        )
    if evidence.comparisons > 1:
        yield f" The verdict allows for {evidence.comparisons} comparisons (Holm)."
    if row.verdict == "cannot tell" and not evidence.num_missing_runs:
        needed = pairs_needed(evidence.alpha, evidence.comparisons)
        left_out = pairs_left_out(row, findings.tables["comparison"])
        withheld = _WITHHELD if left_out else _COLLAPSED
        yield f" It would take at least {needed} seeds." if row.pairs < needed else withheld
    if row.verdict == "no difference shown" and math.isfinite(evidence.detectable_difference):
        yield f" So many pairs show a difference of {evidence.detectable_difference:.4f} four times in five."
    if row.verdict == "equivalent":
        yield f" The whole interval lies within the margin of {verdict.margin:g}."


def _left_out_words(row: Comparison, arms: Mapping[str, words.ArmEnd | None], comparison: pd.DataFrame) -> str:
    number = pairs_left_out(row, comparison)
    if not number:
        return ""
    counts = ", ".join(f"{arm} {end.diverged if end else 0}" for arm, end in arms.items())
    pairs = f"{number} pair{'s are' if number != 1 else ' is'}"
    return (
        f" {pairs} left out, as a diverged run has no {words.plain(row.metric).rpartition(' ')[2]} (diverged: {counts}); "
        "this favours the arm that diverges."
    )


def _divergence_lines(findings: Findings) -> Iterator[str]:
    metric = findings.spec.verdict.metric
    for table in ("summary", "given"):
        for divergence in words.divergences(findings.tables[table]):
            mean = "" if divergence.of_all else ", and they are left out of the mean"
            yield f"{divergence.sentence}; {words.divergence_rule(metric)}{mean}."


def _published_lines(findings: Findings) -> Iterator[str]:
    published = findings.tables["published"]
    diverging = {(found.backend, found.arm) for found in words.divergences(findings.tables["summary"])}
    if not published.empty:
        yield ""
    for row in published.to_dict("records"):
        start = f"Published {words.plain(row['metric'])} of {row['arm']}: {row['value']:g}; on {row['backend']}, "
        if not row["runs"]:
            yield f"{start}every run diverged."
            continue
        kept = " that did not diverge" if (row["backend"], row["arm"]) in diverging else ""
        digits = ".3g" if row["metric"] == TRAIN_SECONDS else ".4f"
        yield (
            f"{start}{row['runs_below']} of {row['runs']} runs{kept} lie below it, "
            f"their median is {row['median']:{digits}}, from {row['min']:{digits}} to {row['max']:{digits}}."
        )


def _search_lines(findings: Findings) -> Iterator[str]:
    for row in _searches(findings):
        yield (
            f"{row['backend']}: {row['arm']} was tuned on validation rows: the best of {row['rates']} rates is "
            f"{words.rate_words(row['lr'])} (given: {words.rate_words(row['given_lr'])}); "
            f"the search took {row['search_steps']} updates."
        )


def _cost_lines(findings: Findings) -> Iterator[str]:
    """Yield why there are no totals for the arms whose rates were found nobody knows how."""
    spec = findings.spec
    compared = [label for pair in comparisons(spec) for label in pair]
    if unknown := [label for label in dict.fromkeys([*spec.arms, *compared]) if math.isnan(given_steps(spec, label))]:
        yield (
            f"The updates that found the rates of {words.listed(unknown)} are not known, so there are no totals with them: give "
            "`steps`, as in bounds: {base_lr: 0.01, max_lr: 0.1, steps: 8250} or lr: {value: 0.03, steps: 40000}."
        )


def _search_warnings(findings: Findings) -> Iterator[str]:
    """Yield each arm some of whose tries diverged, then each whose best rate may lie beyond those tried."""
    for row in _searches(findings):
        if row["diverged"]:
            none = "; no rate is better than another, the lowest stands" if row["diverged"] == row["tries"] else ""
            yield (
                f"arm {row['arm']}: {row['diverged']} of {row['tries']} tries of its search on {row['backend']} "
                f"diverged{none}"
            )
    for row in _searches(findings):
        if row["at_edge"] and row["diverged"] < row["tries"]:
            yield (
                f"arm {row['arm']}: not fully tuned on {row['backend']}: {words.rate_words(row['lr'])} is the best rate "
                f"and the {'highest' if row['is_highest'] else 'lowest'} of the {row['rates']} tried; list rates beyond it"
            )


def _low_baseline_warnings(findings: Findings) -> Iterator[str]:
    """Yield each baseline whose rate lies far below a candidate's, where this was not known before anything was trained."""
    spec, means = findings.spec, dict[str, list[MeanRates]]()
    for row in read_rows(Evidence, findings.tables["evidence"]):
        if not (is_known(spec, row.candidate) and is_known(spec, row.baseline)):
            mean = MeanRates(row.candidate, row.baseline, row.candidate_mean_lr, row.baseline_mean_lr)
            means.setdefault(row.backend, []).append(mean)
    for backend, found in means.items():
        yield from (f"{backend}: {text}" for text in low_baseline_warnings(spec, found))


def _searches(findings: Findings) -> Iterator[Mapping[Hashable, Any]]:
    """Yield each row of chosen.csv with how many rates were tried, and how many of the tries diverged."""
    if "chosen" not in findings.tables:
        return
    tries = findings.tables["search"]
    for row in findings.tables["chosen"].to_dict("records"):
        here = tries[(tries["backend"] == row["backend"]) & (tries["arm"] == row["arm"])]
        diverged = int(np.isinf(here["validation_loss"]).sum())
        yield row | {"rates": here["lr"].nunique(), "is_highest": row["lr"] == here["lr"].max(), "diverged": diverged}

"""Findings -> the answer in words, and as plain data for JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clrbench.analysis.comparison import Comparison, Evidence, read_rows
from clrbench.analysis.rulings import Ruling
from clrbench.analysis.search import score_metric
from clrbench.analysis.tables import Findings
from clrbench.planning.low_baselines import MeanRates, is_known, low_baseline_warnings
from clrbench.planning.script import validation_metric
from clrbench.records import Json, json_value
from clrbench.report import words
from clrbench.report.looks import look_warnings, unfinished_words
from clrbench.report.own_network import mixed_words, network_warnings


def findings_data(findings: Findings, warnings: Sequence[str]) -> dict[str, Json]:
    """Return the verdict as plain data; infinite and missing numbers are null."""
    verdict, tables = findings.spec.verdict, findings.tables
    comparison = tables["comparison"]
    primary = comparison[comparison["metric"] == verdict.metric]
    primary = primary.assign(
        pairs_left_out=[findings.grounds[row.contest].pairs_left_out for row in read_rows(Comparison, primary)]
    )
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
    return [{str(key): json_value(value) for key, value in row.items()} for row in table.to_dict("records")]


def finding_warnings(findings: Findings) -> Iterator[str]:
    """Yield what may mislead in the outcome, beside what the spec itself is warned about."""
    for (backend, candidate, baseline), seed in findings.mixed_pairs:
        yield (
            f"mixed provenance: {backend}, seed {seed}: {candidate} and {baseline} were trained with {mixed_words(findings)}, so "
            "this pair is left out; run `clrbench compare --redo` to train both again"
        )
    for row in findings.tables["one_class"].itertuples(index=False, name=None):
        one = words.OneClass(*row)
        yield f"{one.backend}: {one.sentence}"
    yield from look_warnings(findings)
    if findings.num_missing_runs:
        yield f"{unfinished_words(findings)}; run `clrbench compare` again to make them"
    yield from foldable_warnings(findings)


def foldable_warnings(findings: Findings) -> Iterator[str]:
    """Yield those of the warnings that the answer does not say itself: a terminal may fold them away."""
    yield from _low_baseline_warnings(findings)
    yield from network_warnings(findings)
    yield from _search_warnings(findings)
    yield from _range_test_warnings(findings)


def _range_test_warnings(findings: Findings) -> Iterator[str]:
    """Yield the caveats of range tests, each once for all backends and arms that share it."""
    backends: dict[tuple[str, str | None], list[str]] = {}
    for (backend, arm), rates in findings.bounds.items():
        for caveat in rates.caveats:
            backends.setdefault((caveat, arm), []).append(backend)
    arms: dict[tuple[str, str, bool], list[str]] = {}
    for (caveat, arm), names in backends.items():
        arms.setdefault((caveat, ", ".join(names), arm is None), []).append(arm or "")
    for (caveat, where, is_of_spec), of in arms.items():
        yield f"{where}, range test{'' if is_of_spec else ' of ' + ', '.join(of)}: {caveat}"


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


def _search_warnings(findings: Findings) -> Iterator[str]:
    """Yield by what rates were chosen where that is another metric than asked for, and what else may be wrong with a search.

    That is each arm some of whose tries diverged, then each whose best rate may lie beyond those tried.
    """
    spec, wanted = findings.spec, validation_metric(findings.spec)
    if wanted is not None and "search" in findings.tables and score_metric(spec, findings.tables["search"]) is None:
        yield (
            f"the rates of {', '.join(spec.tuned_arms)} were chosen by the validation loss or accuracy, as the script writes no "
            f"{wanted} at the last step of every try; write it, and the rates are chosen by that"
        )
    for one in _searches(findings):
        if one.diverged:
            none = "; no rate is better than another, the lowest stands" if one.diverged == one.tries else ""
            yield f"arm {one.arm}: {one.diverged} of {one.tries} tries of its search on {one.backend} diverged{none}"
    for one in _searches(findings):
        if one.at_edge and one.diverged < one.tries:
            yield (
                f"arm {one.arm}: not fully tuned on {one.backend}: {words.rate_words(one.lr)} is the best rate "
                f"and the {'highest' if one.is_highest else 'lowest'} of the {one.rates} tried; list rates beyond it"
            )


def _low_baseline_warnings(findings: Findings) -> Iterator[str]:
    """Yield each baseline whose rate lies far below a candidate's, where this was not known before anything was trained.

    One that a search chose, with worse ones above and below, is no lower than it should be.
    """
    spec, means = findings.spec, dict[str, list[MeanRates]]()
    within = {(one.backend, one.arm) for one in _searches(findings) if not one.at_edge}
    for row in read_rows(Evidence, findings.tables["evidence"]):
        known = is_known(spec, row.candidate) and is_known(spec, row.baseline)
        if not known and (row.backend, row.baseline) not in within:
            mean = MeanRates(row.candidate, row.baseline, row.candidate_mean_lr, row.baseline_mean_lr)
            means.setdefault(row.backend, []).append(mean)
    for backend, found in means.items():
        yield from (f"{backend}: {text}" for text in low_baseline_warnings(spec, found))


@dataclass(frozen=True)
class _Search:
    """A row of chosen.csv, with how many rates were tried, and how many of the tries diverged."""

    backend: str
    arm: str
    lr: float
    tries: int
    at_edge: bool
    rates: int
    is_highest: bool
    diverged: int


def _searches(findings: Findings) -> Iterator[_Search]:
    """Yield each search of an arm's rate."""
    if "chosen" not in findings.tables:
        return
    tries = findings.tables["search"]
    for row in findings.tables["chosen"].to_dict("records"):
        here = tries[(tries["backend"] == row["backend"]) & (tries["arm"] == row["arm"])]
        yield _Search(
            **{name: row[name] for name in ("backend", "arm", "lr", "tries", "at_edge")},
            rates=here["lr"].nunique(),
            is_highest=row["lr"] == here["lr"].max(),
            diverged=int(np.isinf(here["validation_loss"]).sum()),
        )

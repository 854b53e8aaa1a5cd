"""Tables -> the answer in words, and as plain data for JSON."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from clrbench.analysis.metrics_table import is_accuracy
from clrbench.analysis.tables import Tables
from clrbench.spec import Spec
from clrbench.stats import pairs_needed

_ANSWER = {
    "better": "{candidate} beats {baseline}",
    "worse": "{baseline} beats {candidate}",
    "equivalent": "{candidate} and {baseline} are equivalent",
    "no difference shown": "no difference shown between {candidate} and {baseline}",
    "cannot tell": "cannot tell {candidate} from {baseline}",
}


def verdict_text(spec: Spec, tables: Tables, warnings: list[str]) -> str:
    """Return the verdict in words, the answer first: a paragraph a comparison, then the table, then the warnings."""
    metric = spec.verdict.metric
    comparison = tables.comparison
    primary = comparison[comparison["metric"] == metric]
    evidence = tables.evidence.set_index(["backend", "candidate", "baseline"]).to_dict("index")
    lines = [
        _sentence(row, evidence[row["backend"], row["candidate"], row["baseline"]], spec, tables)
        for row in primary.to_dict("records")
    ]
    if not lines:
        lines = ["There is nothing to compare: no two arms have a pair of finished runs."]
    lines += _diverged(tables, metric)
    lines += ["", f"{_plain(metric).capitalize()} at the end:", *_summary_lines(tables.summary, metric)]
    lines += list(_published_lines(tables.published, tables.summary))
    lines += ["", *scope_lines(spec, tables)]
    if warnings:
        lines += ["", "Mind:", *(f"  - {warning}" for warning in warnings)]
    return "\n".join(lines)


def verdict_data(spec: Spec, tables: Tables, warnings: list[str]) -> dict[str, Any]:
    """Return the verdict as plain data; infinite and missing numbers are null."""
    primary = tables.comparison[tables.comparison["metric"] == spec.verdict.metric]
    left_out = [pairs_left_out(row, tables.comparison) for row in primary.to_dict("records")]
    primary = primary.assign(pairs_left_out=left_out)
    return {
        "experiment": spec.name,
        "metric": spec.verdict.metric,
        "alpha": spec.verdict.alpha,
        "margin": spec.verdict.margin,
        "verdicts": _records(primary.merge(tables.evidence, on=["backend", "metric", "candidate", "baseline"])),
        "summary": _records(tables.summary),
        "published": _records(tables.published),
        "warnings": warnings,
    }


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): _json_value(value) for key, value in row.items()} for row in table.to_dict("records")]


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def scope_lines(spec: Spec, tables: Tables) -> Iterator[str]:
    """Yield what the verdict holds for, and what its intervals leave out."""
    varied = "initial weights, batch order" + (" and dropout" if spec.model.settings().dropout > 0 else "")
    yield (
        f"Scope: {spec.model.name} on {Path(spec.data.dataset).name}, this split, these settings. The seeds vary {varied}, "
        "nothing else. The intervals take the paired differences to be symmetric about their mean."
    )
    metric, evidence = spec.verdict.metric, tables.evidence.dropna(subset=["standard_error"])
    if not evidence.empty:
        worst = evidence.nlargest(1, "standard_error").iloc[0]
        yield (
            f"The {worst['rows']} {metric.partition('_')[0]} rows are a sample too: their standard error is "
            f"{worst['standard_error']:.4f} in the accuracy of {worst['baseline']}; no interval above includes it."
        )


def _sentence(row: Mapping[Any, Any], evidence: Mapping[Any, Any], spec: Spec, tables: Tables) -> str:
    answer = _ANSWER[row["verdict"]].format(**row)
    metric = spec.verdict.metric
    ends = tables.all_summaries.set_index(["backend", "arm"]).to_dict("index")
    arms = {arm: ends.get((row["backend"], arm), _NO_RUNS) for arm in (row["candidate"], row["baseline"])}
    there = ", ".join(f"{arm} {_mean_words(end, metric)}" for arm, end in arms.items())
    num_comparisons, alpha = evidence["comparisons"], evidence["alpha"]
    answer = f"{row['backend']}: {answer}. {_plain(metric).capitalize()}: {there}; "
    if not row["pairs"]:
        return f"{answer}no pair to compare.{_left_out_words(row, arms, tables.comparison)}"
    pairs = f"{row['pairs']} pair{'s' * (row['pairs'] != 1)}"
    level = f"{100 * (1 - alpha):g} %"
    interval = (
        f"{level} interval {row['ci_low']:+.4f} to {row['ci_high']:+.4f}"
        if math.isfinite(row["ci_low"])
        else f"no {level} interval from so few pairs"
    )
    text = (
        f"{answer}difference {row['mean_difference']:+.4f}, {interval}, p = {row['p_value']:.3g}, {pairs}: {row['wins']} won, "
        f"{row['ties']} tied, {row['losses']} lost.{_left_out_words(row, arms, tables.comparison)}"
    )
    if evidence["moved"]:
        text += (
            f" Compared at epoch {evidence['epoch']:g}, the end of the last whole cycle, in both arms: training ends amid a "
            "cycle."
        )
    if evidence["looks"] > 1:
        charged = f"{spec.verdict.alpha:g} / {evidence['looks']}"
        text += f" This is look {evidence['looks']}, with other seeds than before: the level is {charged}."
    if num_comparisons > 1:
        text += f" The verdict allows for {num_comparisons} comparisons (Holm)."
    if row["verdict"] == "cannot tell":
        needed = pairs_needed(alpha, num_comparisons)
        text += f" It would take at least {needed} seeds." if row["pairs"] < needed else _WITHHELD
    if row["verdict"] == "no difference shown" and math.isfinite(evidence["detectable_difference"]):
        text += f" So many pairs show a difference of {evidence['detectable_difference']:.4f} four times in five."
    if row["verdict"] == "equivalent":
        text += f" The whole interval lies within the margin of {spec.verdict.margin:g}."
    return text


_NO_RUNS = {"runs": 0, "diverged": 0}
_WITHHELD = (
    " The pairs that count would decide it, but runs diverged in others or in both arms at once, of which these pairs say "
    "nothing: so no verdict is given."
)


def pairs_left_out(row: Mapping[Any, Any], comparison: pd.DataFrame) -> int:
    """Return how many pairs of runs a comparison leaves out because one of them diverged.

    Args:
        row: Of `comparison`.
        comparison: The table comparison.csv; in accuracy a diverged run counts, unless no run of any arm has one.
    """
    keys = ["backend", "candidate", "baseline"]
    same = (comparison[keys] == [row[key] for key in keys]).all(axis=1)
    return int(comparison.loc[same, "pairs"].max()) - int(row["pairs"])


def _left_out_words(row: Mapping[Any, Any], arms: Mapping[str, Mapping[Any, Any]], comparison: pd.DataFrame) -> str:
    number = pairs_left_out(row, comparison)
    if not number:
        return ""
    counts = ", ".join(f"{arm} {end['diverged']}" for arm, end in arms.items())
    pairs = f"{number} pair{'s are' if number != 1 else ' is'}"
    return (
        f" {pairs} left out, as a diverged run has no {_plain(str(row['metric'])).rpartition(' ')[2]} (diverged: {counts}); "
        "this favours the arm that diverges."
    )


def divergence_lines(summary: pd.DataFrame) -> Iterator[str]:
    """Yield how many runs of each arm diverged, such as `torch: 2 of 6 runs of clr diverged`; nothing for the others."""
    for row in summary.to_dict("records"):
        if row["diverged"]:
            yield f"{row['backend']}: {row['diverged']} of {row['runs']} runs of {row['arm']} diverged"


def divergence_rule(metric: str, *, all_diverged: bool) -> str:
    """Return what diverged runs count as, to follow how many there are."""
    if not is_accuracy(metric):
        return "a loss cannot count them: they are left out of the means, and their pairs of the difference."
    counted = "in accuracy they count as a blind guess"
    return f"{counted}." if all_diverged else f"{counted} in the difference, and are left out of the mean."


def _diverged(tables: Tables, metric: str) -> Iterator[str]:
    summary = tables.all_summaries
    rows = summary[summary["diverged"] > 0]
    for line, all_diverged in zip(divergence_lines(rows), rows["diverged"] == rows["runs"], strict=True):
        yield f"{line}; {divergence_rule(metric, all_diverged=all_diverged)}"


def _summary_lines(summary: pd.DataFrame, metric: str) -> Iterator[str]:
    width = max(len(arm) for arm in summary["arm"])
    for row in summary.to_dict("records"):
        mean, sd, low, high = (row[f"{metric}_{name}"] for name in ("mean", "sd", "min", "max"))
        runs = f"{row['runs']} run{'s' * (row['runs'] != 1)}"
        if 0 < row["diverged"] < row["runs"]:
            runs = f"{row['runs'] - row['diverged']} of {runs}, the others diverged"
        found = f"mean {mean:.4f}, sd {sd:.4f}, from {low:.4f} to {high:.4f}" if math.isfinite(sd) else _number(mean)
        found = f"{found}, {runs}"
        yield f"  {row['backend']:<5}  {row['arm']:<{width}}  {found}"


def _published_lines(published: pd.DataFrame, summary: pd.DataFrame) -> Iterator[str]:
    of_arm = summary.set_index(["backend", "arm"])
    if not published.empty:
        yield ""
    for row in published.to_dict("records"):
        start = f"Published {_plain(row['metric'])} of {row['arm']}: {row['value']:g}; on {row['backend']}, "
        if not row["runs"]:
            yield f"{start}every run diverged."
            continue
        diverged = of_arm["diverged"][row["backend"], row["arm"]]
        kept = " that did not diverge" if diverged else ""
        yield (
            f"{start}{row['runs_below']} of {row['runs']} runs{kept} lie below it, "
            f"their median is {row['median']:.4f}, from {row['min']:.4f} to {row['max']:.4f}."
        )


def _number(mean: float) -> str:
    return f"{mean:.4f}" if math.isfinite(mean) else "(all runs diverged)"


def _mean_words(end: Mapping[Any, Any], metric: str) -> str:
    """Return the mean of an arm by its row of the summary, and of how many of its runs it is where some diverged."""
    if not end["runs"]:
        return "(no run)"
    left = end["runs"] - end["diverged"]
    return _number(end[f"{metric}_mean"]) + (f" ({left} of {end['runs']} runs)" if 0 < left < end["runs"] else "")


def _plain(metric: str) -> str:
    return metric.replace("_", " ")

"""Tables -> the answer in words, and as plain data for JSON."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from clrbench.report.tables import Tables
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
    lines += _diverged(tables)
    lines += ["", f"{_plain(metric).capitalize()} at the end:", *_summary_lines(tables.summary, metric)]
    lines += list(_published_lines(tables.published))
    lines += ["", *scope_lines(spec, tables)]
    if warnings:
        lines += ["", "Mind:", *(f"  - {warning}" for warning in warnings)]
    return "\n".join(lines)


def verdict_data(spec: Spec, tables: Tables, warnings: list[str]) -> dict[str, Any]:
    """Return the verdict as plain data; infinite and missing numbers are null."""
    primary = tables.comparison[tables.comparison["metric"] == spec.verdict.metric]
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
    means = tables.all_summaries.set_index(["backend", "arm"])[f"{metric}_mean"]
    there = ", ".join(f"{arm} {_number(means[row['backend'], arm])}" for arm in (row["candidate"], row["baseline"]))
    pairs = f"{row['pairs']} pair{'s' * (row['pairs'] != 1)}"
    num_comparisons, alpha = evidence["comparisons"], evidence["alpha"]
    level = f"{100 * (1 - alpha):g} %"
    interval = (
        f"{level} interval {row['ci_low']:+.4f} to {row['ci_high']:+.4f}"
        if math.isfinite(row["ci_low"])
        else f"no {level} interval from so few pairs"
    )
    text = (
        f"{row['backend']}: {answer}. {_plain(metric).capitalize()}: {there}; difference {row['mean_difference']:+.4f}, "
        f"{interval}, p = {row['p_value']:.3g}, {pairs}: {row['wins']} won, {row['ties']} tied, {row['losses']} lost."
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
        text += f" It would take at least {pairs_needed(alpha, num_comparisons)} seeds."
    if row["verdict"] == "no difference shown" and math.isfinite(evidence["detectable_difference"]):
        text += f" So many pairs show a difference of {evidence['detectable_difference']:.4f} four times in five."
    if row["verdict"] == "equivalent":
        text += f" The whole interval lies within the margin of {spec.verdict.margin:g}."
    return text


def _diverged(tables: Tables) -> Iterator[str]:
    for row in tables.all_summaries.to_dict("records"):
        if row["diverged"]:
            yield (
                f"{row['backend']}: {row['diverged']} of {row['runs']} runs of {row['arm']} diverged; in accuracy they count "
                "as a blind guess."
            )


def _summary_lines(summary: pd.DataFrame, metric: str) -> Iterator[str]:
    width = max(len(arm) for arm in summary["arm"])
    for row in summary.to_dict("records"):
        mean, sd, low, high = (row[f"{metric}_{name}"] for name in ("mean", "sd", "min", "max"))
        if math.isfinite(sd):
            found = f"mean {mean:.4f}, sd {sd:.4f}, from {low:.4f} to {high:.4f}, {row['runs']} runs"
        else:
            found = f"{_number(mean)}, {row['runs']} run{'s' * (row['runs'] != 1)}"
        yield f"  {row['backend']:<5}  {row['arm']:<{width}}  {found}"


def _published_lines(published: pd.DataFrame) -> Iterator[str]:
    if not published.empty:
        yield ""
    for row in published.to_dict("records"):
        yield (
            f"Published {_plain(row['metric'])} of {row['arm']}: {row['value']:g}; on {row['backend']}, {row['runs_below']} of "
            f"{row['runs']} runs lie below it, their median is {row['median']:.4f}, from {row['min']:.4f} to {row['max']:.4f}."
        )


def _number(mean: float) -> str:
    return f"{mean:.4f}" if math.isfinite(mean) else "(all runs diverged)"


def _plain(metric: str) -> str:
    return metric.replace("_", " ")

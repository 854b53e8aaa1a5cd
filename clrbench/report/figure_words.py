"""What figures show, in words: for captions, and for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.metrics_table import is_accuracy
from clrbench.report.arm_curves import ArmCurves, arm_curves
from clrbench.spec import METRICS, Spec

_LISTED_SEEDS = 8


def seeds_in_words(seeds: Iterable[int]) -> str:
    """Return which seeds, as short as can be said: `seed 3`, `seeds 0 to 9`; empty for none."""
    found = sorted({int(seed) for seed in seeds})
    if len(found) <= 1:
        return "".join(f"seed {seed}" for seed in found)
    if found == list(range(found[0], found[-1] + 1)):
        return f"seeds {found[0]} to {found[-1]}"
    if len(found) > _LISTED_SEEDS:
        return f"{len(found)} seeds between {found[0]} and {found[-1]}"
    return f"seeds {', '.join(map(str, found))}"


def target_name(metric: str, target: float) -> str:
    """Return a target as a condition, such as `test accuracy at least 0.97`."""
    return f"{metric.replace('_', ' ')} at {'least' if is_accuracy(metric) else 'most'} {target:g}"


def figure_words(name: str, spec: Spec, files: Mapping[str, pd.DataFrame]) -> tuple[str, str]:
    """Return the caption of a figure, and what it shows with the numbers that matter.

    Args:
        name: Of the figure, as in `plots/<name>.png`.
        spec: The experiment, resolved.
        files: Every table of the experiment by the name of its file.
    """
    arms, metric, plain = list(spec.arms), spec.verdict.metric, _plain(spec.verdict.metric)
    metrics, comparison = files["metrics.csv"], files["comparison.csv"]
    if name in METRICS:
        words = [*_metric_words(metrics, name, arms), *_published_words(files["published.csv"], name)]
        return f"{_plain(name).capitalize()} over the epochs: mean, its 95 % interval, single seeds", _lines(words)
    if name == "overview":
        words = [*_difference_words(comparison, metric, 0.0), *_metric_words(metrics, metric, arms)]
        caption = f"Overview: learning rate, train loss, {plain}, and its paired differences"
        return caption, _lines([*words, "Learning rate and train loss: see their own plots"])
    if name == "lr_schedule":
        return "Learning rate over the epochs", _lines(_schedule_words(files["schedule.csv"]))
    if name == "differences":
        level = f"{100 * (1 - spec.verdict.alpha):g} %"
        caption = f"Paired differences in {plain}: a dot a seed, the mean, its {level} interval, and the margin"
        return caption, _lines(_difference_words(comparison, metric, spec.verdict.margin))
    if name == "time_to_target":
        caption = "Time to target: the share of runs that have reached it, and (dotted) that stay there"
        return caption, _lines(_target_words(files["targets.csv"]))
    if name == "cost":
        caption = f"Cost: {plain} over all updates, those that found the rates among them"
        return caption, _lines(_cost_words(files["cost_curve.csv"], plain))
    return _plain(name).capitalize(), f"Plot: {_plain(name)}."


def _lines(sentences: Iterable[str]) -> str:
    return " ".join(f"{sentence}." for sentence in sentences)


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _metric_words(metrics: pd.DataFrame, metric: str, arms: Sequence[str]) -> Iterator[str]:
    for curve in arm_curves(metrics, metric, arms):
        mean = curve.band[0]
        finite = np.flatnonzero(np.isfinite(mean))
        start = f"{_plain(metric).capitalize()} of {curve.arm} ({curve.backend})"
        if not len(finite):
            yield f"{start}: no values"
            continue
        first, last = finite[0], finite[-1]
        best = finite[np.argmax(mean[finite]) if is_accuracy(metric) else np.argmin(mean[finite])]
        places = [_at(curve, first), *([f"best {_at(curve, best)}"] if best not in (first, last) else [])]
        yield f"{start}: {', '.join(places)}, last {_at(curve, last)}{_band(curve, last)}{_diverged(curve)}"


def _at(curve: ArmCurves, row: np.intp) -> str:
    return f"{curve.band[0][row]:.4f} (epoch {curve.epochs[row]:.4g})"


def _band(curve: ArmCurves, row: np.intp) -> str:
    _, low, high = (part[row] for part in curve.band)
    return f", 95 % interval {low:.4f} to {high:.4f}" if math.isfinite(low) else ""


def _diverged(curve: ArmCurves) -> str:
    return f"; {curve.diverged.sum()} of {len(curve.seeds)} runs diverged" if curve.diverged.any() else ""


def _published_words(published: pd.DataFrame, metric: str) -> Iterator[str]:
    rows = published.loc[published["metric"] == metric, ["arm", "value"]].drop_duplicates()
    for arm, value in rows.itertuples(index=False, name=None):
        yield f"A dashed line marks the value published for {arm}, {value:g}"


def _schedule_words(schedule: pd.DataFrame) -> Iterator[str]:
    for (backend, arm), rows in schedule.groupby(["backend", "arm"], sort=False):
        lr = rows["lr"].dropna().to_numpy(np.float64)
        start = f"Learning rate of {arm} ({backend})"
        if lr.min() == lr.max():
            yield f"{start} stays at {lr[0]:.3g}"
        else:
            yield f"{start} goes from {lr[0]:.3g} to {lr[-1]:.3g}, between {lr.min():.3g} and {lr.max():.3g}"


def _difference_words(comparison: pd.DataFrame, metric: str, margin: float) -> Iterator[str]:
    rows = comparison[comparison["metric"] == metric].to_dict("records")
    for row in rows:
        if not row["pairs"]:
            yield f"{row['candidate']} - {row['baseline']} ({row['backend']}): no pair of runs"
            continue
        pairs = f"{row['pairs']} pair{'s' * (row['pairs'] != 1)}"
        yield (
            f"{row['candidate']} - {row['baseline']} ({row['backend']}): mean {row['mean_difference']:+.4f}, "
            f"{_interval(row)}, {pairs}: {row['wins']} won, {row['ties']} tied, {row['losses']} lost; {row['verdict']}"
        )
    if rows and margin:
        yield f"Differences between {-margin:g} and {margin:+g} do not matter"


def _interval(row: Mapping[Any, Any]) -> str:
    if not math.isfinite(row["ci_low"]):
        return "interval unbounded"
    return f"interval {row['ci_low']:+.4f} to {row['ci_high']:+.4f}"


def _target_words(targets: pd.DataFrame) -> Iterator[str]:
    goals = targets[["backend", "metric", "target"]].drop_duplicates()
    for backend, metric, target in goals.itertuples(index=False, name=None):
        there = (targets["backend"] == backend) & (targets["metric"] == metric) & (targets["target"] == target)
        arms = [_crossings(arm, runs) for arm, runs in targets[there].groupby("arm", sort=False)]
        yield f"{target_name(metric, target).capitalize()} ({backend}): {'; '.join(arms)}"


def _crossings(arm: Any, runs: pd.DataFrame) -> str:
    reached, stayed = (int(np.isfinite(runs[name]).sum()) for name in ("first_epoch", "sustained_epoch"))
    middle = np.median(runs["first_epoch"])
    typical = f", the median run at epoch {middle:.4g}" if math.isfinite(middle) else ""
    return f"{reached} of {len(runs)} runs of {arm} reach it{typical}, {stayed} stay there"


def _cost_words(curve: pd.DataFrame, plain: str) -> Iterator[str]:
    for (backend, arm), rows in curve.groupby(["backend", "arm"], sort=False):
        places = [
            f"{row['mean']:.4f} after {row['total_step']:.0f} updates" for _, row in rows.iloc[[0, -1]].iterrows()
        ]
        yield f"{plain.capitalize()} of {arm} ({backend}): {', last '.join(places)}"

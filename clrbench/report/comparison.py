"""Paired differences at one time point, their exact test, and the word for what they show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from clrbench.records import DoubleArray
from clrbench.report.metrics_table import RUN_KEYS, RunKey, is_accuracy, run_key
from clrbench.runs import cycle_end_epochs
from clrbench.spec import METRICS, Clock, Spec
from clrbench.stats import PairedComparison, compare_paired, holm, pairs_needed, smallest_detectable_difference
from clrbench.store import StoredRun
from clrbench.tuning import AT_RATE

DIFFERENCE_COLUMNS = ("backend", "metric", "candidate", "baseline", "seed", "difference")
COMPARISON_COLUMNS = (
    "backend",
    "metric",
    "candidate",
    "baseline",
    "pairs",
    "mean_difference",
    "ci_low",
    "ci_high",
    "p_value",
    "wins",
    "ties",
    "losses",
    "verdict",
)
EVIDENCE_COLUMNS = (
    "backend",
    "metric",
    "candidate",
    "baseline",
    "epoch",
    "moved",
    "alpha",
    "looks",
    "comparisons",
    "adjusted_p_value",
    "sd_difference",
    "detectable_difference",
    "rows",
    "standard_error",
)


@dataclass(frozen=True)
class Pairs:
    """The runs that are set against each other.

    Attributes:
        spec: The experiment.
        runs: All of them.
        metrics: Their evaluations.
        comparisons: Each candidate and its baseline.
        looks: How often each backend's verdict has been looked at with other seeds, this time included.
    """

    spec: Spec
    runs: Sequence[StoredRun]
    metrics: pd.DataFrame
    comparisons: Sequence[tuple[str, str]]
    looks: Mapping[str, int] = field(default_factory=dict)

    @property
    def backends(self) -> list[str]:
        """In order."""
        return list(dict.fromkeys(run_key(run)[0] for run in self.runs))


def mid_cycle_ends(spec: Spec, runs: Sequence[StoredRun]) -> dict[tuple[str, str], float]:
    """Return the epoch of the last cycle end of each backend and arm whose training ends amid a cycle."""
    found: dict[tuple[str, str], float] = {}
    for run in runs:
        backend, label, _ = run_key(run)
        arm, _, _ = label.partition(AT_RATE)
        if arm in spec.arms and (backend, label) not in found:
            clock = Clock(run.info["spec"]["steps_per_epoch"], run.info["spec"]["num_steps"])
            ends = list(cycle_end_epochs(spec.arms[arm].schedule, clock))
            if ends and clock.num_steps - ends[-1] * clock.steps_per_epoch >= 1:
                found[backend, label] = ends[-1]
    return found


def compared_epochs(pairs: Pairs) -> dict[tuple[str, str, str], float]:
    """Return where backend, candidate and baseline are compared if not at their ends: at a cycle's end, in both arms.

    A rate amid a cycle is high, and its accuracy low; where no evaluation stands at the cycle's end, nothing is moved.
    """
    ends = mid_cycle_ends(pairs.spec, pairs.runs)
    moved = {}
    for backend in pairs.backends:
        for candidate, baseline in pairs.comparisons:
            epochs = [ends[backend, arm] for arm in (candidate, baseline) if (backend, arm) in ends]
            if epochs and all(_evaluated(pairs.metrics, backend, arm, min(epochs)) for arm in (candidate, baseline)):
                moved[backend, candidate, baseline] = min(epochs)
    return moved


def _evaluated(metrics: pd.DataFrame, backend: str, arm: str, epoch: float) -> bool:
    rows = metrics[(metrics["backend"] == backend) & (metrics["arm"] == arm)]
    at = rows[_is_at(rows, epoch)]
    return not rows.empty and rows["seed"].nunique() == at["seed"].nunique()


def _is_at(metrics: pd.DataFrame, epoch: float) -> "pd.Series[bool]":
    """Return which rows are the evaluation at an epoch: its step is the whole one next to it."""
    steps_per_epoch = metrics["step"] / metrics["epoch"]
    return (metrics["step"] - epoch * steps_per_epoch).abs() <= 0.51


def differences_table(pairs: Pairs) -> pd.DataFrame:
    """Return candidate - baseline, a row per backend, metric, candidate, baseline and seed.

    A diverged run counts as a blind guess in accuracy; in loss its pair is left out. So is, in every metric, a pair whose
    two runs were made with different versions of the framework.
    """
    runs = {run_key(run): run.info for run in pairs.runs}
    moved = compared_epochs(pairs)
    rows = []
    for metric in METRICS:
        for candidate, baseline in pairs.comparisons:
            for backend in pairs.backends:
                values = _values(pairs.metrics, metric, runs, moved.get((backend, candidate, baseline)))
                for seed in (seed for name, arm, seed in runs if (name, arm) == (backend, candidate)):
                    first, second = (backend, candidate, seed), (backend, baseline, seed)
                    if second in runs and not _differ(runs, first, second):
                        rows.append((backend, metric, candidate, baseline, seed, values[first] - values[second]))
    return pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS)).dropna()


def _values(
    metrics: pd.DataFrame, metric: str, runs: Mapping[RunKey, Mapping[str, Any]], epoch: float | None
) -> dict[RunKey, float]:
    """Return the value of every run at an epoch, or at its end."""
    rows = metrics if epoch is None else metrics[_is_at(metrics, epoch)]
    at = rows.groupby(RUN_KEYS, sort=False)[metric].last(skipna=False)
    values = {key: float(at.get(key, np.nan)) for key in runs}
    if is_accuracy(metric) and any(np.isfinite(value) for value in values.values()):
        return {key: 1 / runs[key]["num_classes"] if np.isnan(value) else value for key, value in values.items()}
    return values


def mixed_provenance(runs: Sequence[StoredRun], comparisons: Sequence[tuple[str, str]]) -> list[str]:
    """Return a sentence for each pair that is left out because its runs were made with different versions."""
    infos = {run_key(run): run.info for run in runs}
    return [
        f"mixed provenance: {backend}, seed {seed}: {candidate} and {baseline} were trained with different versions, so "
        "this pair is left out; run `clrbench compare --redo` to train both anew"
        for candidate, baseline in comparisons
        for backend, arm, seed in infos
        if arm == candidate and _differ(infos, (backend, candidate, seed), (backend, baseline, seed))
    ]


def _differ(runs: Mapping[RunKey, Mapping[str, Any]], first: RunKey, second: RunKey) -> bool:
    versions = [runs[key]["provenance"]["versions"] for key in (first, second) if key in runs]
    return len(versions) == 2 and versions[0] != versions[1]


@dataclass(frozen=True)
class Question:
    """What a comparison is asked.

    Attributes:
        alpha: Risk of a false "better" or "worse" in the whole family.
        margin: Differences up to this size do not matter; None where it is given in another unit.
        higher_is_better: Whether a positive difference is good.
        comparisons: How many comparisons share the risk.
    """

    alpha: float
    margin: float | None
    higher_is_better: bool
    comparisons: int = 1


def compared(differences: DoubleArray, question: Question) -> PairedComparison:
    """Return what the differences of one comparison show, taken alone."""
    nothing = np.zeros_like(differences)
    return compare_paired(differences, nothing, alpha=question.alpha, higher_is_better=question.higher_is_better)


def verdict_word(differences: DoubleArray, p_value: float, question: Question) -> str:
    """Return what a comparison shows.

    Args:
        differences: float64[pairs], candidate - baseline.
        p_value: Of the exact test, adjusted for the others of its family.
        question: What it is asked.
    """
    if len(differences) < pairs_needed(question.alpha, question.comparisons):
        return "cannot tell"
    share = Question(question.alpha / question.comparisons, question.margin, question.higher_is_better)
    found = compared(differences, share)
    if question.margin is not None and -question.margin <= found.ci_low and found.ci_high <= question.margin:
        return "equivalent"
    if p_value > question.alpha:
        return "no difference shown"
    return "better" if (found.mean_difference > 0) == question.higher_is_better else "worse"


def comparison_tables(differences: pd.DataFrame, pairs: Pairs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the paired comparison of every backend, measured metric, candidate and baseline, and what stands behind it.

    Within a backend, the verdicts on the primary metric share the risk alpha, by Holm's method, and alpha is divided by
    the number of looks; all other metrics are exploratory. The p-values and intervals are those of each comparison alone.

    Returns:
        The table of `COMPARISON_COLUMNS`, and for the primary metric that of `EVIDENCE_COLUMNS`.
    """
    spec = pairs.spec
    measured = [metric for metric in METRICS if metric in set(differences["metric"])] or [spec.verdict.metric]
    moved = compared_epochs(pairs)
    comparison, evidence = [], []
    for backend in pairs.backends:
        for metric in measured:
            of_metric = differences[(differences["backend"] == backend) & (differences["metric"] == metric)]
            primary = metric == spec.verdict.metric
            family = _Family(backend, metric, _question(metric, pairs, backend, primary=primary), of_metric, pairs)
            comparison += list(family.comparison_rows())
            if primary:
                evidence += list(family.evidence_rows(moved))
    comparison_types = dict.fromkeys(("pairs", "wins", "ties", "losses"), "int64")
    comparison_types |= dict.fromkeys(("mean_difference", "ci_low", "ci_high", "p_value"), "float64")
    table = pd.DataFrame(comparison, columns=list(COMPARISON_COLUMNS)).astype(comparison_types)
    return table, pd.DataFrame(evidence, columns=list(EVIDENCE_COLUMNS))


def _question(metric: str, pairs: Pairs, backend: str, *, primary: bool) -> Question:
    spec = pairs.spec
    better_up = is_accuracy(metric)
    margin = spec.verdict.margin if better_up == is_accuracy(spec.verdict.metric) else None
    if not primary:
        return Question(spec.verdict.alpha, margin, better_up)
    alpha = spec.verdict.alpha / pairs.looks.get(backend, 1)
    return Question(alpha, margin, better_up, comparisons=max(1, len(pairs.comparisons)))


@dataclass(frozen=True)
class _Family:
    """The comparisons of one backend and metric."""

    backend: str
    metric: str
    question: Question
    table: pd.DataFrame
    pairs: Pairs

    def _differences(self) -> list[DoubleArray]:
        found = []
        for candidate, baseline in self.pairs.comparisons:
            chosen = (self.table["candidate"] == candidate) & (self.table["baseline"] == baseline)
            found.append(self.table.loc[chosen, "difference"].to_numpy(np.float64))
        return found

    def _adjusted(self) -> DoubleArray:
        p_values = np.array([compared(values, self.question).p_value for values in self._differences()])
        return holm(p_values) if self.question.comparisons > 1 else p_values

    def comparison_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the row of each comparison."""
        all_of_them = zip(self.pairs.comparisons, self._differences(), self._adjusted(), strict=True)
        for (candidate, baseline), values, p_value in all_of_them:
            row = {"backend": self.backend, "metric": self.metric, "candidate": candidate, "baseline": baseline}
            word = verdict_word(values, float(p_value), self.question)
            yield row | asdict(compared(values, self.question)) | {"verdict": word}

    def evidence_rows(self, moved: Mapping[tuple[str, str, str], float]) -> Iterator[dict[str, Any]]:
        """Yield what stands behind each comparison."""
        question = self.question
        share = question.alpha / question.comparisons
        all_of_them = zip(self.pairs.comparisons, self._differences(), self._adjusted(), strict=True)
        for (candidate, baseline), values, p_value in all_of_them:
            sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
            epoch = moved.get((self.backend, candidate, baseline))
            rows, error = self._sampling_error(baseline)
            yield {
                "backend": self.backend,
                "metric": self.metric,
                "candidate": candidate,
                "baseline": baseline,
                "epoch": self._last_epoch(candidate) if epoch is None else epoch,
                "moved": epoch is not None,
                "alpha": question.alpha,
                "looks": self.pairs.looks.get(self.backend, 1),
                "comparisons": question.comparisons,
                "adjusted_p_value": float(p_value),
                "sd_difference": sd,
                "detectable_difference": smallest_detectable_difference(sd, len(values), alpha=share),
                "rows": rows,
                "standard_error": error,
            }

    def _last_epoch(self, arm: str) -> float:
        metrics = self.pairs.metrics
        return float(metrics.loc[(metrics["backend"] == self.backend) & (metrics["arm"] == arm), "epoch"].max())

    def _sampling_error(self, arm: str) -> tuple[int, float]:
        """Return how many rows the metric is measured on, and the standard error that so few leave in an accuracy."""
        runs = [run for run in self.pairs.runs if run_key(run)[:2] == (self.backend, arm)]
        split = self.metric.partition("_")[0]
        if not runs or split == "train":
            return 0, np.nan
        rows = int(runs[0].info["provenance"].get("rows", {}).get(split, 0))
        if not is_accuracy(self.metric) or not rows:
            return rows, np.nan
        metrics = self.pairs.metrics
        ends = (
            metrics[(metrics["backend"] == self.backend) & (metrics["arm"] == arm)].groupby("seed")[self.metric].last()
        )
        accuracy = float(ends.mean())
        return rows, sqrt(accuracy * (1 - accuracy) / rows)

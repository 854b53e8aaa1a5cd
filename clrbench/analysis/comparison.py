"""Paired differences at one time point, their exact test, and the word for what they show."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.metrics_table import is_accuracy, run_key
from clrbench.analysis.pairs import Pairs
from clrbench.records import DoubleArray
from clrbench.spec import METRICS
from clrbench.stats import PairedComparison, compare_paired, holm, pairs_needed, smallest_detectable_difference

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


@dataclass(frozen=True)
class Divergence:
    """In how many pairs of a comparison a run diverged.

    Attributes:
        of_candidate: Only the candidate's.
        of_baseline: Only the baseline's.
        of_both: Both.
    """

    of_candidate: int
    of_baseline: int
    of_both: int


def allowed_word(word: str, metric: str, divergence: Divergence) -> str:
    """Return a verdict, or `cannot tell` where it rests on what diverged runs do not show.

    The pairs that a diverged run leaves without a loss are those in which its arm failed: without them no verdict is in its
    favour, nor are the arms equivalent. In accuracy such a run counts, as a blind guess; but two of them are alike only in
    that they failed.

    Args:
        word: Of the pairs that count.
        metric: In which they are compared.
        divergence: In how many pairs a run diverged.
    """
    one_sided = {"better": divergence.of_candidate, "worse": divergence.of_baseline}
    flattered = one_sided if not is_accuracy(metric) else {}
    shows_nothing = {"equivalent": divergence.of_both + sum(flattered.values()), **flattered}
    return "cannot tell" if shows_nothing.get(word) else word


def comparison_tables(differences: pd.DataFrame, pairs: Pairs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the paired comparison of every backend, measured metric, candidate and baseline, and what stands behind it.

    Within a backend, the verdicts on the primary metric share the risk alpha, by Holm's method, and alpha is divided by
    the number of looks; all other metrics are exploratory. The p-values and intervals are those of each comparison alone.

    Returns:
        The table of `COMPARISON_COLUMNS`, and for the primary metric that of `EVIDENCE_COLUMNS`.
    """
    primary_metric = pairs.spec.verdict.metric
    found = {primary_metric, *differences["metric"]}
    comparison: list[dict[str, Any]] = []
    evidence: list[dict[str, Any]] = []
    for backend in pairs.backends:
        for metric in (metric for metric in METRICS if metric in found):
            of_metric = differences[(differences["backend"] == backend) & (differences["metric"] == metric)]
            question = _question(metric, pairs, backend, primary=metric == primary_metric)
            family = _Family(backend, metric, question, tuple(_contests(of_metric, question, pairs.comparisons)), pairs)
            comparison += family.comparison_rows()
            if metric == primary_metric:
                evidence += family.evidence_rows()
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
class _Contest:
    """One comparison: its differences, float64[pairs], what they show alone, and their p adjusted for the family."""

    candidate: str
    baseline: str
    differences: DoubleArray
    found: PairedComparison
    adjusted_p_value: float


def _contests(table: pd.DataFrame, question: Question, comparisons: Sequence[tuple[str, str]]) -> Iterator[_Contest]:
    differences = [
        table.loc[(table["candidate"] == candidate) & (table["baseline"] == baseline), "difference"].to_numpy(
            np.float64
        )
        for candidate, baseline in comparisons
    ]
    found = [compared(values, question) for values in differences]
    p_values = np.array([one.p_value for one in found])
    adjusted = holm(p_values) if question.comparisons > 1 else p_values
    for names, values, one, p_value in zip(comparisons, differences, found, adjusted, strict=True):
        yield _Contest(*names, values, one, float(p_value))


@dataclass(frozen=True)
class _Family:
    """The comparisons of one backend and metric."""

    backend: str
    metric: str
    question: Question
    contests: Sequence[_Contest]
    pairs: Pairs

    def comparison_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the row of each comparison."""
        for contest in self.contests:
            word = verdict_word(contest.differences, contest.adjusted_p_value, self.question)
            verdict = allowed_word(word, self.metric, self._divergence(contest))
            yield self._keys(contest) | asdict(contest.found) | {"verdict": verdict}

    def evidence_rows(self) -> Iterator[dict[str, Any]]:
        """Yield what stands behind each comparison."""
        question = self.question
        share = question.alpha / question.comparisons
        for contest in self.contests:
            values = contest.differences
            sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
            epoch = self.pairs.moved.get((self.backend, contest.candidate, contest.baseline))
            rows, error = self._sampling_error(contest.baseline)
            yield {
                **self._keys(contest),
                "epoch": self._last_epoch(contest.candidate) if epoch is None else epoch,
                "moved": epoch is not None,
                "alpha": question.alpha,
                "looks": self.pairs.looks.get(self.backend, 1),
                "comparisons": question.comparisons,
                "adjusted_p_value": contest.adjusted_p_value,
                "sd_difference": sd,
                "detectable_difference": smallest_detectable_difference(sd, len(values), alpha=share),
                "rows": rows,
                "standard_error": error,
            }

    def _keys(self, contest: _Contest) -> dict[str, Any]:
        names = {"candidate": contest.candidate, "baseline": contest.baseline}
        return {"backend": self.backend, "metric": self.metric, **names}

    def _divergence(self, contest: _Contest) -> Divergence:
        seeds = self.pairs.seeds(self.backend, contest.candidate, contest.baseline)
        candidate, baseline = (
            {seed for seed in seeds if (self.backend, arm, seed) in self.pairs.diverged}
            for arm in (contest.candidate, contest.baseline)
        )
        return Divergence(len(candidate - baseline), len(baseline - candidate), len(candidate & baseline))

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
        values = self.pairs.metrics
        of_arm = (values["backend"] == self.backend) & (values["arm"] == arm) & (values["status"] != "diverged")
        accuracy = float(values[of_arm].groupby("seed")[self.metric].last().mean())
        return rows, sqrt(accuracy * (1 - accuracy) / rows)

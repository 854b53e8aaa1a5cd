"""Paired differences at one time point, their exact test, and the word for what they show."""

from dataclasses import asdict, dataclass, fields
from math import sqrt
from typing import TypeVar

import numpy as np
import pandas as pd

from clrbench.analysis.metrics import is_accuracy, of_arm
from clrbench.analysis.pairs import Contest, differences_table, moved_epochs, paired_seeds, runs_by_key
from clrbench.analysis.results import Results, compared_metrics
from clrbench.analysis.untuned import is_untuned
from clrbench.records import DoubleArray
from clrbench.spec import METRICS, Clock
from clrbench.stats import PairedComparison, compare_paired, holm, pairs_needed, smallest_detectable_difference
from clrbench.store import RunKey

R = TypeVar("R")


@dataclass(frozen=True)
class Comparison(PairedComparison):
    """A row of comparison.csv: what one candidate shows against one baseline in one metric.

    Attributes:
        verdict: better, worse, equivalent, no difference shown or cannot tell.
    """

    backend: str
    metric: str
    candidate: str
    baseline: str
    verdict: str


_PLACE_COLUMNS = ("backend", "metric", "candidate", "baseline")
COMPARISON_COLUMNS = (*_PLACE_COLUMNS, *(field.name for field in fields(PairedComparison)), "verdict")


@dataclass(frozen=True)
class Evidence:
    """A row of evidence.csv: what stands behind a comparison in the metric of the verdict.

    Attributes:
        epoch: Where the arms are compared.
        moved: Whether that is the end of a cycle rather than that of the training.
        alpha: Level of the whole family, earlier looks charged.
        looks: Number of sets of seeds that the verdict was looked at with.
        comparisons: How many comparisons share the level, by Holm's method.
        sd_difference: Standard deviation of the paired differences; nan below two pairs.
        detectable_difference: What so many pairs show four times in five; inf where they can show nothing.
        standard_error: Standard error of the accuracy of the baseline over its `rows`; nan for a loss.
        untuned: Whether nobody looked for the rate of the baseline; see `untuned.is_untuned`.
        candidate_mean_lr: Mean rate of the candidate over the updates of its first run; nan where it has none.
        baseline_mean_lr: That of the baseline.
    """

    backend: str
    metric: str
    candidate: str
    baseline: str
    epoch: float
    moved: bool
    alpha: float
    looks: int
    comparisons: int
    adjusted_p_value: float
    sd_difference: float
    detectable_difference: float
    rows: int
    standard_error: float
    untuned: bool
    candidate_mean_lr: float
    baseline_mean_lr: float


EVIDENCE_COLUMNS = tuple(field.name for field in fields(Evidence))


def read_rows(kind: type[R], table: pd.DataFrame) -> list[R]:
    """Return the rows of a table as records of a kind whose fields are its columns."""
    return [kind(**{str(name): value for name, value in row.items()}) for row in table.to_dict("records")]


@dataclass(frozen=True)
class Question:
    """What a comparison is to answer.

    Attributes:
        alpha: Risk of a false "better" or "worse" in the whole family.
        margin: Differences up to this size do not matter; None where it is given in another unit.
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
    """Return what differences candidate - baseline, float64[pairs], show; their exact p is adjusted for the family."""
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
    """In how many pairs of a comparison a run diverged: only the candidate's, only the baseline's, or both."""

    of_candidate: int
    of_baseline: int
    of_both: int


def supported_verdict(word: str, metric: str, divergence: Divergence) -> str:
    """Return the verdict of the pairs that count, or `cannot tell` where it rests on what diverged runs do not show.

    The pairs that a diverged run leaves without a loss are those in which its arm failed: without them no verdict is in its
    favour, nor are the arms equivalent. In accuracy such a run counts, as a blind guess; but two of them are alike only in
    that they failed.
    """
    one_sided = {"better": divergence.of_candidate, "worse": divergence.of_baseline}
    flattered = one_sided if not is_accuracy(metric) else {}
    shows_nothing = {"equivalent": divergence.of_both + sum(flattered.values()), **flattered}
    return "cannot tell" if shows_nothing.get(word) else word


def comparison_table(results: Results) -> pd.DataFrame:
    """Return the paired comparison of every backend, measured metric, candidate and baseline.

    Within a backend, the verdicts on the primary metric share the risk alpha, by Holm's method, and alpha is divided by
    the number of looks; all other metrics are exploratory. The p-values and intervals are those of each comparison alone.
    """
    rows = []
    for test in results.once(_tests):
        word = verdict_word(test.differences, test.adjusted_p_value, test.question)
        verdict = supported_verdict(word, test.metric, _divergence(results, test.contest))
        rows.append({**test.contest._asdict(), "metric": test.metric, **asdict(test.found), "verdict": verdict})
    types = dict.fromkeys(("pairs", "wins", "ties", "losses"), "int64")
    types |= dict.fromkeys(("mean_difference", "ci_low", "ci_high", "p_value"), "float64")
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS)).astype(types)


def evidence_table(results: Results) -> pd.DataFrame:
    """Return what stands behind each comparison in the metric of the verdict."""
    primary = [test for test in results.once(_tests) if test.metric == results.spec.verdict.metric]
    rows = [asdict(_evidence(results, test)) for test in primary]
    return pd.DataFrame(rows, columns=list(EVIDENCE_COLUMNS))


@dataclass(frozen=True)
class _Test:
    """One comparison: its differences, float64[pairs], what they show alone, and their p adjusted for the family."""

    contest: Contest
    metric: str
    question: Question
    differences: DoubleArray
    found: PairedComparison
    adjusted_p_value: float


def _tests(results: Results) -> list[_Test]:
    """Return every comparison; those of one backend and metric are a family."""
    table = results.once(differences_table)
    measured = {results.spec.verdict.metric, *table["metric"]}
    by_test = dict(iter(table.groupby(["backend", "metric", "candidate", "baseline"])["difference"]))
    tests = []
    for backend in results.backends:
        for metric in (metric for metric in METRICS if metric in measured):
            question = _question(results, metric, backend)
            keys = [(backend, metric, *pair) for pair in results.comparisons]
            differences = [by_test[key].to_numpy(np.float64) if key in by_test else np.empty(0) for key in keys]
            found = [compared(values, question) for values in differences]
            p_values = np.array([one.p_value for one in found])
            adjusted = holm(p_values) if question.comparisons > 1 else p_values
            for pair, values, alone, p_value in zip(results.comparisons, differences, found, adjusted, strict=True):
                tests.append(_Test(Contest(backend, *pair), metric, question, values, alone, float(p_value)))
    return tests


def _question(results: Results, metric: str, backend: str) -> Question:
    verdict = results.spec.verdict
    higher_is_better = is_accuracy(metric)
    margin = verdict.margin if higher_is_better == is_accuracy(verdict.metric) else None
    if metric != verdict.metric:
        return Question(verdict.alpha, margin, higher_is_better)
    alpha = verdict.alpha / results.looks.get(backend, 1)
    return Question(alpha, margin, higher_is_better, comparisons=max(1, len(results.comparisons)))


def _divergence(results: Results, contest: Contest) -> Divergence:
    runs, seeds = results.once(runs_by_key), results.once(paired_seeds)[contest]
    candidate, baseline = (
        {seed for seed in seeds if runs[RunKey(contest.backend, arm, seed)].has_diverged} for arm in contest[1:]
    )
    return Divergence(len(candidate - baseline), len(baseline - candidate), len(candidate & baseline))


def _evidence(results: Results, test: _Test) -> Evidence:
    contest, question, pairs = test.contest, test.question, len(test.differences)
    sd = float(test.differences.std(ddof=1)) if pairs > 1 else np.nan
    moved = results.once(moved_epochs)
    evaluations = of_arm(results.once(compared_metrics), contest.backend, contest.candidate)
    rows, error = _sampling_error(results, contest, test.metric)
    return Evidence(
        **contest._asdict(),
        metric=test.metric,
        epoch=moved.get(contest, float(evaluations["epoch"].max())),
        moved=contest in moved,
        alpha=question.alpha,
        looks=results.looks.get(contest.backend, 1),
        comparisons=question.comparisons,
        adjusted_p_value=test.adjusted_p_value,
        sd_difference=sd,
        detectable_difference=smallest_detectable_difference(sd, pairs, alpha=question.alpha / question.comparisons),
        rows=rows,
        standard_error=error,
        untuned=is_untuned(results, contest),
        candidate_mean_lr=_mean_lr(results, contest.backend, contest.candidate),
        baseline_mean_lr=_mean_lr(results, contest.backend, contest.baseline),
    )


def _mean_lr(results: Results, backend: str, label: str) -> float:
    """Return the mean rate that an arm was to train at, the same in all of its runs on a backend."""
    run = next((run for run in results.compared_runs if run.key[:2] == (backend, label)), None)
    if run is None:
        return np.nan
    return float(run.spec.schedule.table(Clock(run.spec.steps_per_epoch, run.spec.num_steps)).mean())


def _sampling_error(results: Results, contest: Contest, metric: str) -> tuple[int, float]:
    """Return how many rows a metric is measured on, and the standard error that so few leave in the baseline's accuracy."""
    arm = (contest.backend, contest.baseline)
    run = next((run for run in results.compared_runs if run.key[:2] == arm), None)
    split = metric.partition("_")[0]
    if run is None or split == "train":
        return 0, np.nan
    rows = run.provenance.rows.validation if split == "validation" else run.provenance.rows.test
    if not is_accuracy(metric) or not rows:
        return rows, np.nan
    evaluations = of_arm(results.once(compared_metrics), *arm)
    finished = evaluations[evaluations["status"] != "diverged"]
    accuracy = float(finished.groupby("seed")[metric].last().mean())
    return rows, sqrt(accuracy * (1 - accuracy) / rows)

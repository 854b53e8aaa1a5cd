"""Paired differences at one time point, their exact test, and the word for what they show."""

from dataclasses import asdict, dataclass, fields
from typing import Literal, NamedTuple, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from clrbench.analysis import row_sample
from clrbench.analysis.collapse import Collapsed, collapsed_pairs
from clrbench.analysis.looks import left_out_seeds, risk_over_looks, said_verdict
from clrbench.analysis.metrics import is_accuracy, of_arm, same_rows
from clrbench.analysis.pairs import (
    Contest,
    arm_values,
    contests,
    differences_table,
    moved_epochs,
    paired_seeds,
    runs_by_key,
)
from clrbench.analysis.questions import Question
from clrbench.analysis.results import Results, compared_metrics
from clrbench.analysis.starts import is_paired, starts
from clrbench.analysis.unpaired_contests import compared_samples, sample_word
from clrbench.analysis.untuned import is_untuned
from clrbench.analysis.verdict import Divergence, compared, shown_margin, supported_verdict, verdict_word
from clrbench.planning.runs import rows_of
from clrbench.records import DoubleArray
from clrbench.spec import Clock
from clrbench.stats import (
    PairedComparison,
    far_pairs,
    holm,
    smallest_detectable_difference,
)
from clrbench.store import RunKey, StoredRun

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

    @property
    def contest(self) -> Contest:
        """Which arms it compares, on which backend."""
        return Contest(self.backend, self.candidate, self.baseline)


_PLACE_COLUMNS = ("backend", "metric", "candidate", "baseline")
COMPARISON_COLUMNS = (*_PLACE_COLUMNS, *(field.name for field in fields(PairedComparison)), "verdict")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A row of evidence.csv: what stands behind a comparison in the metric of the verdict.

    Attributes:
        epoch: Where the arms are compared.
        moved: Whether that is the end of a cycle rather than that of the training.
        alpha: Level of the whole family, earlier looks charged.
        looks: Index of this look at the verdict, by which its level is divided.
        comparisons: How many comparisons share the level, by Holm's method.
        sd_difference: Standard deviation of the paired differences; nan below two pairs.
        detectable_difference: The minimum detectable effect at 80 % power; inf where they can show nothing.
        rows: Rows of the split that the metric is measured on; 0 in training, where it is not the same rows for all.
        rows_ci_low: Lower end of the interval over seeds and test rows; nan where there is none, see `row_sample.py`.
        far_seeds: The seeds of pairs that lie far from the rest, such as `3 7`; see `stats.far_pairs`.
        candidate_collapsed: Number of pairs in which the candidate's run collapsed; see `collapse.py`.
        untuned: Whether nobody looked for the rate of the baseline; see `untuned.is_untuned`.
        candidate_mean_lr: Mean rate of the candidate over the updates of its first run; nan where it has none.
        baseline_mean_lr: That of the baseline.
        left_out_seeds: The seeds that were looked at before and are left out now, such as `3 8 9`.
        num_missing_runs: Number of runs of the whole experiment that are not finished.
        risk_over_looks: About the risk of a false "better" or "worse" over all looks so far.
        paired: Whether the test is that of pairs; see `starts.is_paired`.
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
    rows_ci_low: float
    rows_ci_high: float
    median_difference: float
    far_seeds: str
    candidate_collapsed: int
    baseline_collapsed: int
    untuned: bool
    candidate_mean_lr: float
    baseline_mean_lr: float
    left_out_seeds: str = ""
    num_missing_runs: int = 0
    risk_over_looks: float = np.nan
    paired: bool = True


Reason: TypeAlias = Literal["unfinished", "too few", "one start", "diverged", "collapsed"]
"""Why a verdict is `cannot tell`.

Runs are not finished; too few pairs, or runs a side, to decide anything; every seed starts at one and the same loss and shows
one and the same difference; it would rest on what diverged runs do not show; or arms would be equivalent of which a run
collapsed.
"""


@dataclass(frozen=True)
class Grounds:
    """What a comparison in the metric of the verdict leaves out, and why it comes to no verdict.

    Attributes:
        pairs_left_out: Pairs that have no difference as one of their runs diverged.
        reason: None unless the verdict is `cannot tell`.
    """

    pairs_left_out: int = 0
    reason: Reason | None = None


EVIDENCE_COLUMNS = tuple(field.name for field in fields(Evidence))


def read_rows(kind: type[R], table: pd.DataFrame) -> list[R]:
    """Return the rows of a table as records of a kind whose fields are its columns."""
    return [kind(**{str(name): value for name, value in row.items()}) for row in table.to_dict("records")]


def comparison_table(results: Results) -> pd.DataFrame:
    """Return the paired comparison of every backend, measured metric, candidate and baseline.

    Within a backend, the verdicts on the primary metric share the risk alpha, by Holm's method, and alpha is divided by
    the index of the look; all other metrics are exploratory. The p-values and intervals are those of each comparison alone.
    """
    left_out = {one: left_out_seeds(results, one) for one in contests(results)}
    rows = []
    for test, outcome in results.once(_outcomes):
        missing = results.num_missing_runs
        verdict = said_verdict(outcome.word, left_out=left_out[test.contest], num_missing_runs=missing)
        rows.append({**test.contest._asdict(), "metric": test.metric, **asdict(test.found), "verdict": verdict})
    types = dict.fromkeys(("pairs", "wins", "ties", "losses"), "int64")
    types |= dict.fromkeys(("mean_difference", "ci_low", "ci_high", "p_value"), "float64")
    return pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS)).astype(types)


def evidence_table(results: Results) -> pd.DataFrame:
    """Return what stands behind each comparison in the metric of the verdict."""
    primary = [test for test in results.once(_tests) if test.metric == results.spec.verdict.metric]
    rows = [asdict(_evidence(results, test)) for test in primary]
    return pd.DataFrame(rows, columns=list(EVIDENCE_COLUMNS))


def grounds(results: Results) -> dict[Contest, Grounds]:
    """Return what each comparison in the metric of the verdict leaves out, and why it comes to no verdict where it does not."""
    unfinished: Reason | None = "unfinished" if results.num_missing_runs else None
    return {
        test.contest: Grounds(_num_left_out(results, test), unfinished or outcome.reason)
        for test, outcome in results.once(_outcomes)
        if test.metric == results.spec.verdict.metric
    }


@dataclass(frozen=True)
class _Test:
    """One comparison: its differences, float64[pairs], what they show alone, and their p adjusted for the family.

    Attributes:
        samples: The values of candidate and baseline where these are no pairs; else None.
    """

    contest: Contest
    metric: str
    question: Question
    seeds: tuple[int, ...]
    differences: DoubleArray
    found: PairedComparison
    adjusted_p_value: float
    samples: tuple[DoubleArray, DoubleArray] | None = None


class _Outcome(NamedTuple):
    """What the runs of a comparison come to, and why where that is `cannot tell`."""

    word: str
    reason: Reason | None = None


def _outcomes(results: Results) -> list[tuple[_Test, _Outcome]]:
    """Return what the runs of every comparison come to, whatever earlier looks and missing runs make of it."""
    failed = {one: (_divergence(results, one), collapsed_pairs(results, one)) for one in contests(results)}
    return [(test, _outcome(results, test, *failed[test.contest])) for test in results.once(_tests)]


def _outcome(results: Results, test: _Test, divergence: Divergence, collapsed: Collapsed) -> _Outcome:
    start = results.once(starts).get(test.contest)
    if start is not None and start.same_for_all_seeds and len(set(test.differences.tolist())) == 1:
        return _Outcome("cannot tell", "one start")  # one run a side, made again and again
    word, guesses_known = _word(test), results.spec.train is None
    if word == "cannot tell":
        return _Outcome(word, "too few")
    supported = supported_verdict(word, test.metric, divergence, collapsed, guesses_known=guesses_known)
    if supported == word:
        return _Outcome(word)
    all_count = word == "equivalent" and not _num_left_out(results, test)
    return _Outcome(supported, "collapsed" if all_count else "diverged")


def _num_left_out(results: Results, test: _Test) -> int:
    """Return how many pairs have no difference as one of their runs diverged."""
    runs, (backend, *arms) = results.once(runs_by_key), test.contest
    uncounted = set(results.once(paired_seeds)[test.contest]) - set(test.seeds)
    return sum(any(runs[RunKey(backend, arm, seed)].has_diverged for arm in arms) for seed in uncounted)


def _word(test: _Test) -> str:
    if test.samples is not None:
        return sample_word(*test.samples, test.adjusted_p_value, test.question)
    return verdict_word(test.differences, test.adjusted_p_value, test.question, test.found)


def _tests(results: Results) -> list[_Test]:
    """Return every comparison; those of one backend and metric are a family."""
    table = results.once(differences_table)
    measured = {results.spec.verdict.metric, *table["metric"]}
    by_test = dict(iter(table.groupby(["backend", "metric", "candidate", "baseline"])))
    tests = []
    for backend in results.backends:
        for metric in (metric for metric in results.metrics if metric in measured):
            question = _question(results, metric, backend)
            keys = [(backend, metric, *pair) for pair in results.comparisons]
            rows = [by_test.get(key, table.iloc[:0]) for key in keys]
            differences = [pairs["difference"].to_numpy(np.float64) for pairs in rows]
            contests = [Contest(backend, *pair) for pair in results.comparisons]
            samples = [None if is_paired(results, one) else arm_values(results, metric, one) for one in contests]
            found = [
                compared(values, question) if two is None else compared_samples(*two, question)
                for values, two in zip(differences, samples, strict=True)
            ]
            p_values = np.array([one.p_value for one in found])
            adjusted = holm(p_values) if question.comparisons > 1 else p_values
            for contest, pairs, values, alone, p, two in zip(
                contests, rows, differences, found, adjusted, samples, strict=True
            ):
                seeds = tuple(map(int, pairs["seed"]))
                tests.append(_Test(contest, metric, question, seeds, values, alone, float(p), two))
    return tests


def _question(results: Results, metric: str, backend: str) -> Question:
    verdict = results.spec.verdict
    higher_is_better = results.spec.higher_is_better(metric)
    if metric != verdict.metric:
        return Question(verdict.alpha, None, higher_is_better)
    margin = shown_margin(verdict.margin, _resolution(results, metric, backend))
    alpha = verdict.alpha / results.look_of(backend).index
    return Question(alpha, margin, higher_is_better, comparisons=max(1, len(results.comparisons)))


def _resolution(results: Results, metric: str, backend: str) -> float:
    """Return how much a single row changes an accuracy at most; 0 for a loss, or without rows."""
    run = next((run for run in results.compared_runs if run.key.backend == backend), None)
    if run is None or not is_accuracy(metric):
        return 0.0
    if metric == "test_balanced_accuracy":
        of_classes = [rows for rows in run.record.test_rows_by_class if rows]
        return 1 / (len(of_classes) * min(of_classes)) if of_classes else 0.0
    rows = rows_of(metric, run.provenance.rows)
    return 1 / rows if rows else 0.0


def _divergence(results: Results, contest: Contest) -> Divergence:
    runs, seeds = results.once(runs_by_key), results.once(paired_seeds)[contest]
    candidate, baseline = (
        {seed for seed in seeds if runs[RunKey(contest.backend, arm, seed)].has_diverged} for arm in contest[1:]
    )
    return Divergence(len(candidate - baseline), len(baseline - candidate))


def _evidence(results: Results, test: _Test) -> Evidence:
    contest, question, pairs = test.contest, test.question, len(test.differences)
    sd = float(test.differences.std(ddof=1)) if pairs > 1 else np.nan
    moved = results.once(moved_epochs)
    evaluations = of_arm(results.once(compared_metrics), contest.backend, contest.candidate)
    of_rows = test.metric == row_sample.METRIC
    low, high = row_sample.rows_interval(results, contest, question.alpha) if of_rows else (np.nan, np.nan)
    far = far_pairs(test.differences, _resolution(results, test.metric, contest.backend))
    collapsed = collapsed_pairs(results, contest)
    index = results.look_of(contest.backend).index
    return Evidence(
        **contest._asdict(),
        metric=test.metric,
        epoch=moved.get(contest, float(evaluations["epoch"].max())),
        moved=contest in moved,
        alpha=question.alpha,
        looks=index,
        comparisons=question.comparisons,
        adjusted_p_value=test.adjusted_p_value,
        sd_difference=sd,
        detectable_difference=smallest_detectable_difference(sd, pairs, alpha=question.alpha / question.comparisons)
        if test.samples is None
        else np.nan,
        rows=_rows(results, contest, test.metric),
        rows_ci_low=low,
        rows_ci_high=high,
        median_difference=float(np.median(test.differences)) if pairs else np.nan,
        far_seeds=" ".join(str(seed) for seed, is_far in zip(test.seeds, far, strict=True) if is_far),
        candidate_collapsed=collapsed.candidate,
        baseline_collapsed=collapsed.baseline,
        untuned=is_untuned(results, contest),
        candidate_mean_lr=_mean_lr(results, contest.backend, contest.candidate),
        baseline_mean_lr=_mean_lr(results, contest.backend, contest.baseline),
        left_out_seeds=" ".join(map(str, left_out_seeds(results, contest))),
        num_missing_runs=results.num_missing_runs,
        risk_over_looks=risk_over_looks(results.spec.verdict.alpha, index),
        paired=test.samples is None,
    )


def _mean_lr(results: Results, backend: str, label: str) -> float:
    """Return the mean rate that an arm was to train at, the same in all of its runs on a backend."""
    run = _first_run(results, backend, label)
    if run is None:
        return np.nan
    return float(run.spec.schedule.table(Clock(run.spec.steps_per_epoch, run.spec.num_steps)).mean())


def _rows(results: Results, contest: Contest, metric: str) -> int:
    """Return how many rows a metric is measured on, going by a run of the baseline; 0 in training, or without one."""
    run = _first_run(results, contest.backend, contest.baseline)
    return 0 if run is None else same_rows(metric, run.provenance.rows)


def _first_run(results: Results, backend: str, arm: str) -> StoredRun | None:
    """Return a run that stands for all of an arm in what they have in common; None where it has none."""
    return next((run for run in results.compared_runs if run.key[:2] == (backend, arm)), None)

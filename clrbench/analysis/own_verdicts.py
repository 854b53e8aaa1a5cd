"""Results of somebody's own -> a verdict for each group and candidate: the same statistics, charged in the same way."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Integral, Real

import numpy as np
import pandas as pd

from clrbench.analysis.collapse import Collapsed
from clrbench.analysis.own_results import MAX_PAIRS, OwnResults, by_pair
from clrbench.analysis.questions import Question
from clrbench.analysis.unpaired_contests import sample_word
from clrbench.analysis.verdict import Divergence, compared, supported_verdict, verdict_word
from clrbench.counted import counted
from clrbench.errors import SpecError
from clrbench.records import DoubleArray
from clrbench.spec.messages import nearest
from clrbench.stats import holm, pairs_needed
from clrbench.unpaired import MAX_SPLITS, compare_unpaired, runs_needed

PAIRED, UNPAIRED, DRAWN = "paired sign-flip", "unpaired permutation", "unpaired permutation, splits drawn"


@dataclass(frozen=True)
class Rules:
    """How verdicts are given.

    Attributes:
        baseline: None for the first arm of the file.
        margin: Differences up to this size do not matter, in the unit of the metric; None: nothing is called equivalent.
        look: Index of this look at the same question; alpha is divided by it.
        diverged_as: What a diverged run counts as; None: its pair is left out, and no verdict is then in favour of its arm.
    """

    baseline: str | None = None
    margin: float | None = None
    alpha: float = 0.05
    look: int = 1
    diverged_as: float | None = None


@dataclass(frozen=True)
class OwnVerdict:
    """A row of comparison.csv.

    Attributes:
        pairs: 0 where runs are not paired.
        p_value: Of this comparison alone; `adjusted_p_value` by Holm's method over all.
        test: Which test gave it: PAIRED, UNPAIRED or DRAWN.
        needed: Pairs, or runs a side, that could decide it.
        unpaired: The pairs of which the other side has no run, such as `3 7`.
    """

    group: str
    metric: str
    candidate: str
    baseline: str
    pairs: int
    mean_difference: float
    ci_low: float
    ci_high: float
    p_value: float
    wins: int
    ties: int
    losses: int
    verdict: str
    adjusted_p_value: float
    test: str
    needed: int
    candidate_runs: int
    baseline_runs: int
    candidate_diverged: int
    baseline_diverged: int
    unpaired: str

    @property
    def too_few(self) -> bool:
        """Whether so few pairs, or runs, could not have decided it whatever they show."""
        there = self.pairs if self.test == PAIRED else min(self.candidate_runs, self.baseline_runs)
        return self.verdict == "cannot tell" and there < self.needed


VERDICT_COLUMNS = tuple(entry.name for entry in fields(OwnVerdict))
DIFFERENCE_COLUMNS = ("group", "metric", "candidate", "baseline", "pair", "difference")


@dataclass(frozen=True, eq=False)
class OwnJudgement:
    """All verdicts on results of somebody's own.

    Attributes:
        summary: One row per group and arm: runs, diverged, and mean, sd, min and max of the metric without these.
        differences: `DIFFERENCE_COLUMNS`, one row per pair; none where runs are not paired.
    """

    results: OwnResults
    rules: Rules
    verdicts: tuple[OwnVerdict, ...]
    summary: pd.DataFrame
    differences: pd.DataFrame
    notes: tuple[str, ...] = field(default=())

    @property
    def comparison(self) -> pd.DataFrame:
        """comparison.csv."""
        return pd.DataFrame([asdict(row) for row in self.verdicts], columns=list(VERDICT_COLUMNS))

    @property
    def has_answer(self) -> bool:
        """Whether any comparison had enough pairs to be decided."""
        return any(not row.too_few for row in self.verdicts)


@dataclass(frozen=True, eq=False)
class _Contest:
    """One comparison before the family is known: what counts on either side."""

    group: str
    candidate: str
    pairs: tuple[str, ...]
    differences: DoubleArray
    first: DoubleArray
    second: DoubleArray
    diverged: tuple[int, int]
    one_sided: tuple[int, int]
    unpaired: tuple[str, ...]


def judge_results(results: OwnResults, rules: Rules) -> OwnJudgement:
    """Return the verdict of every candidate in every group.

    Raises:
        SpecError: If the baseline is none of the arms, there is nothing to compare, or there are too many pairs.
    """
    rules = _checked(rules)
    baseline = results.arms[0] if rules.baseline is None else rules.baseline
    if baseline not in results.arms:
        raise SpecError(
            f"baseline: got {baseline!r}; allowed: {', '.join(results.arms)}{nearest(baseline, results.arms)}"
        )
    if len(results.arms) < 2:
        raise SpecError(
            f"there is one arm only ({baseline}), so there is nothing to compare; is the column of arms another?"
        )
    there = {(key.group, key.arm) for key in results.values}
    contests = [
        _contest(results, rules, group, arm, baseline)
        for group in results.groups
        for arm in results.arms
        if arm != baseline and {(group, arm), (group, baseline)} <= there
    ]
    if not contests:
        raise SpecError(f"no group has both {baseline} and another arm, so there is nothing to compare")
    verdicts = _verdicts(results, rules, baseline, contests)
    rows = [
        (one.group, results.metric, one.candidate, baseline, pair, difference)
        for one in contests
        for pair, difference in zip(one.pairs, one.differences.tolist(), strict=False)
    ]
    differences = pd.DataFrame(rows, columns=list(DIFFERENCE_COLUMNS))
    return OwnJudgement(results, rules, verdicts, _summary(results), differences, _notes(results, rules, verdicts))


def _checked(rules: Rules) -> Rules:
    """Return rules as plain numbers; a SpecError where one is out of range, or is no number."""
    if not (_is_number(rules.alpha) and 0 < rules.alpha < 1):
        raise SpecError(f"alpha: got {rules.alpha}; allowed: a number between 0 and 1, such as 0.05")
    if rules.margin is not None and not (_is_number(rules.margin) and 0 <= rules.margin < np.inf):
        raise SpecError(f"margin: got {rules.margin}; allowed: a number of at least 0, in the unit of the metric")
    if not (_is_number(rules.look) and isinstance(rules.look, Integral) and rules.look >= 1):
        raise SpecError(f"look: got {rules.look}; allowed: 1 for the first look, 2 for the second, ...")
    if rules.diverged_as is not None and not (_is_number(rules.diverged_as) and np.isfinite(rules.diverged_as)):
        raise SpecError(f"diverged_as: got {rules.diverged_as}; allowed: a finite number, in the unit of the metric")
    return replace(
        rules,
        margin=None if rules.margin is None else float(rules.margin),
        alpha=float(rules.alpha),
        look=int(rules.look),
        diverged_as=None if rules.diverged_as is None else float(rules.diverged_as),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _contest(results: OwnResults, rules: Rules, group: str, candidate: str, baseline: str) -> _Contest:
    sides = [dict(by_pair(results.values, group, arm)) for arm in (candidate, baseline)]
    if max(map(len, sides)) > MAX_PAIRS:
        raise SpecError(
            f"got {counted(max(map(len, sides)), 'run')} of an arm; allowed: at most {MAX_PAIRS}; is the column of pairs another?"
        )
    diverged = [{pair for pair, value in side.items() if np.isnan(value)} for side in sides]
    counts = (len(diverged[0]), len(diverged[1]))
    if rules.diverged_as is not None:
        sides = [
            {pair: rules.diverged_as if np.isnan(value) else value for pair, value in side.items()} for side in sides
        ]
    none: tuple[str, ...] = ()
    if not results.paired:
        first, second = (np.array([value for value in side.values() if not np.isnan(value)]) for side in sides)
        one_sided = counts if rules.diverged_as is None else (0, 0)
        return _Contest(group, candidate, none, np.empty(0), first, second, counts, one_sided, none)
    both = [pair for pair in sides[0] if pair in sides[1]]
    kept = [pair for pair in both if not np.isnan(sides[0][pair]) and not np.isnan(sides[1][pair])]
    first, second = (np.array([side[pair] for pair in kept], np.float64) for side in sides)
    only = [len({pair for pair in diverged[side] - diverged[1 - side] if pair in both}) for side in (0, 1)]
    one_sided = (only[0], only[1]) if rules.diverged_as is None else (0, 0)
    alone = tuple(pair for pair in dict.fromkeys([*sides[0], *sides[1]]) if pair not in both)
    return _Contest(group, candidate, tuple(kept), first - second, first, second, counts, one_sided, alone)


def _verdicts(results: OwnResults, rules: Rules, baseline: str, contests: Sequence[_Contest]) -> tuple[OwnVerdict, ...]:
    question = Question(rules.alpha / rules.look, rules.margin, results.higher_is_better, comparisons=len(contests))
    found = [_Paired(one, question) if results.paired else _Unpaired(one, question) for one in contests]
    adjusted = holm([one.p_value for one in found])
    verdicts = []
    for contest, estimate, p_value in zip(contests, found, adjusted.tolist(), strict=True):
        failed = Divergence(*contest.one_sided), Collapsed(*contest.one_sided)
        word = supported_verdict(estimate.word(p_value), results.metric, *failed, guesses_known=False)
        verdicts.append(
            OwnVerdict(
                group=contest.group,
                metric=results.metric,
                candidate=contest.candidate,
                baseline=baseline,
                pairs=len(contest.differences),
                mean_difference=estimate.difference,
                ci_low=estimate.interval[0],
                ci_high=estimate.interval[1],
                p_value=estimate.p_value,
                wins=estimate.counts[0],
                ties=estimate.counts[1],
                losses=estimate.counts[2],
                verdict=word,
                adjusted_p_value=p_value,
                test=estimate.test,
                needed=estimate.needed,
                candidate_runs=len(contest.first),
                baseline_runs=len(contest.second),
                candidate_diverged=contest.diverged[0],
                baseline_diverged=contest.diverged[1],
                unpaired=" ".join(contest.unpaired),
            )
        )
    return tuple(verdicts)


class _Paired:
    """The sign-flip test of one comparison."""

    test = PAIRED

    def __init__(self, contest: _Contest, question: Question) -> None:
        self._differences, self._question = contest.differences, question
        found = compared(contest.differences, question)
        self.difference, self.p_value = found.mean_difference, found.p_value
        self.interval, self.counts = (found.ci_low, found.ci_high), (found.wins, found.ties, found.losses)
        self.needed = pairs_needed(question.alpha, question.comparisons)

    def word(self, adjusted: float) -> str:
        return verdict_word(self._differences, adjusted, self._question)


class _Unpaired:
    """The permutation test of one comparison."""

    def __init__(self, contest: _Contest, question: Question) -> None:
        self._contest, self._question = contest, question
        found = compare_unpaired(contest.first, contest.second, alpha=question.alpha)
        self._found = found
        self.test = UNPAIRED if found.exact else DRAWN
        self.difference, self.p_value = found.difference, found.p_value
        self.interval, self.counts = (found.ci_low, found.ci_high), (0, 0, 0)
        self.needed = runs_needed(question.alpha, question.comparisons)

    def word(self, adjusted: float) -> str:
        return sample_word(self._contest.first, self._contest.second, adjusted, self._question, self._found)


def _summary(results: OwnResults) -> pd.DataFrame:
    rows = []
    for group in results.groups:
        for arm in results.arms:
            values = np.array([value for _, value in by_pair(results.values, group, arm)])
            known = values[np.isfinite(values)]
            if not len(values):
                continue
            mean, low, high = (float(of(known)) if len(known) else np.nan for of in (np.mean, np.min, np.max))
            sd = float(known.std(ddof=1)) if len(known) > 1 else np.nan
            rows.append((group, arm, len(values), len(values) - len(known), mean, sd, low, high))
    statistics = [f"{results.metric}_{name}" for name in ("mean", "sd", "min", "max")]
    return pd.DataFrame(rows, columns=["group", "arm", "runs", "diverged", *statistics])


def _notes(results: OwnResults, rules: Rules, verdicts: Sequence[OwnVerdict]) -> tuple[str, ...]:
    notes = [*results.notes]
    if not results.paired:
        notes.append("no column of pairs: the unpaired permutation test, which needs more runs to show the same")
    if any(row.test == DRAWN for row in verdicts):
        notes.append(f"more than {MAX_SPLITS} splits: {MAX_SPLITS} random ones are used, with a fixed seed")
    if alone := [group for group in results.groups if group not in {row.group for row in verdicts}]:
        notes.append(f"left out, as {verdicts[0].baseline} and another arm are not both there: {', '.join(alone)}")
    for row in verdicts:
        if row.unpaired:
            where = f" ({row.group})" if row.group else ""
            of = f"{row.candidate} and {row.baseline}"
            notes.append(f"left out, without a run on the other side{where}: pairs {row.unpaired} of {of}")
    if rules.look > 1:
        notes.append(f"look {rules.look} at this question: alpha is divided by {rules.look}")
    return tuple(dict.fromkeys(notes))

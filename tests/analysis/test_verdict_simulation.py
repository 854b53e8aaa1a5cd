"""How often verdicts err over simulated experiments whose truth is known: collapse, ties on few rows, skew, seeds and rows.

A share of so many experiments is held against what it may be with five standard errors of that many draws, so that other seeds
of the generators pass as well.
"""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats as scipy_stats

from clrbench.analysis.collapse import Collapsed
from clrbench.analysis.questions import Question
from clrbench.analysis.verdict import Divergence, compared, shown_margin, supported_verdict, verdict_word
from clrbench.stats import crossed_interval

ALPHA = 0.05
CHANCE = 0.1
EXPERIMENTS = {6: 1500, 8: 1500, 10: 1200, 20: 80}
"""How many experiments of so many pairs are drawn; those of 20 pairs take 2**16 sign vectors each."""

SIZES = [6, *(pytest.param(pairs, marks=pytest.mark.acceptance) for pairs in (8, 10, 20))]


def errors(share: float, experiments: int) -> float:
    """Return five standard errors of a share over so many experiments."""
    return 5 * math.sqrt(share * (1 - share) / experiments) + 1 / experiments


@dataclass(frozen=True)
class Simulated:
    """Accuracies of paired runs and whether each collapsed, [experiments, pairs], on so many rows; and the true difference."""

    candidate: np.ndarray
    baseline: np.ndarray
    candidate_collapsed: np.ndarray
    baseline_collapsed: np.ndarray
    rows: int
    truth: float

    @property
    def collapse_seen(self) -> np.ndarray:
        return (self.candidate_collapsed | self.baseline_collapsed).any(axis=1)

    def covered(self) -> np.ndarray:
        question = Question(ALPHA, None, higher_is_better=True)
        found = [compared(row, question) for row in self.candidate - self.baseline]
        return np.array([one.ci_low <= self.truth <= one.ci_high for one in found])

    def words(self, margin: float | None, *, guarded: bool = True) -> np.ndarray:
        """Return the verdict of each experiment; unguarded, without regard to rows and collapse."""
        kept = shown_margin(margin, 1 / self.rows) if guarded else margin
        question = Question(ALPHA, kept, higher_is_better=True)
        found = []
        collapsed = zip(self.candidate_collapsed.sum(1), self.baseline_collapsed.sum(1), strict=True)
        for differences, counts in zip(self.candidate - self.baseline, collapsed, strict=True):
            word = verdict_word(differences, compared(differences, question).p_value, question)
            failed = Collapsed(*counts) if guarded else Collapsed(0, 0)
            found.append(supported_verdict(word, "test_accuracy", Divergence(0, 0), failed, guesses_known=True))
        return np.array(found)


def simulate(
    pairs: int,
    *,
    accuracy: float = 0.95,
    gain: float = 0.0,
    spread: float = 0.004,
    rows: int = 10_000,
    candidate_rate: float = 0.0,
    baseline_rate: float = 0.0,
    joint_rate: float = 0.0,
    seed: int = 0,
) -> Simulated:
    """Draw experiments in which the candidate is better by `gain` wherever no run collapses, to chance and one class."""
    rng = np.random.default_rng([pairs, seed])
    shape = (EXPERIMENTS[pairs], pairs)
    joint = rng.random(shape) < joint_rate
    collapsed = [(rng.random(shape) < rate) | joint for rate in (candidate_rate, baseline_rate)]
    shared = scipy_stats.norm.rvs(0, spread, size=shape, random_state=rng)
    answers = []
    for expected, failed in zip((accuracy + gain, accuracy), collapsed, strict=True):
        right = expected + shared + scipy_stats.norm.rvs(0, spread, size=shape, random_state=rng)
        drawn = scipy_stats.binom.rvs(rows, np.clip(right, 0, 1), random_state=rng) / rows
        answers.append(np.where(failed, CHANCE, drawn))
    rates = [1 - (1 - rate) * (1 - joint_rate) for rate in (candidate_rate, baseline_rate)]
    means = [(1 - rate) * mean + rate * CHANCE for rate, mean in zip(rates, (accuracy + gain, accuracy), strict=True)]
    return Simulated(*answers, *collapsed, rows, means[0] - means[1])


# Collapse of both arms.


@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize(
    "rates",
    [
        {"candidate_rate": 0.1, "baseline_rate": 0.1},
        *(pytest.param(rates, marks=pytest.mark.acceptance) for rates in ({"joint_rate": 0.1}, {"joint_rate": 0.0})),
    ],
)
def test_where_both_arms_collapse_alike_neither_is_called_better_more_often_than_alpha(
    pairs: int, rates: dict[str, float]
) -> None:
    words = simulate(pairs, **rates).words(0.001)
    for word in ("better", "worse"):
        assert np.mean(words == word) <= ALPHA / 2 + errors(ALPHA / 2, len(words))


@pytest.mark.parametrize("pairs", SIZES)
def test_arms_that_collapse_nearly_always_are_not_equivalent(pairs: int) -> None:
    found = simulate(pairs, accuracy=0.9, joint_rate=0.95, gain=0.04)
    assert found.truth == pytest.approx(0.002)
    unguarded = np.mean(found.words(0.001, guarded=False) == "equivalent")
    # Where all runs collapse to the same class, all differences are 0: .72 and more of the experiments at 6 pairs.
    assert abs(unguarded - 0.95**pairs) < 0.02 + errors(0.95**pairs, EXPERIMENTS[pairs])
    assert not np.any(found.words(0.001) == "equivalent")


# Collapse of one arm.


@pytest.mark.parametrize("pairs", SIZES)
def test_a_wrong_verdict_on_an_arm_that_collapses_is_one_in_which_no_collapse_was_seen(pairs: int) -> None:
    found = simulate(pairs, candidate_rate=0.1, gain=0.01)
    assert found.truth < -0.07
    wrong = found.words(0.001) == "better"
    unseen = 0.9**pairs
    assert np.mean(wrong) <= unseen + errors(unseen, len(wrong))
    assert np.mean(wrong & found.collapse_seen) <= 0.005 + errors(0.005, len(wrong))
    assert np.mean(wrong) > 0.6 * unseen  # as the documentation says: the mean of few pairs does not guard against it


@pytest.mark.parametrize("pairs", SIZES)
def test_an_arm_that_collapses_is_called_equivalent_only_where_none_was_seen(pairs: int) -> None:
    found = simulate(pairs, candidate_rate=0.1, spread=0.001)
    equivalent = found.words(0.02) == "equivalent"
    assert not np.any(equivalent & found.collapse_seen)
    assert np.mean(equivalent) <= 0.9**pairs + errors(0.9**pairs, len(equivalent))


@pytest.mark.parametrize(
    ("pairs", "documented"), [(6, 0.47), *((pairs, share) for pairs, share in ((8, 0.57), (10, 0.65)))]
)
def test_the_interval_holds_the_mean_of_an_arm_that_collapses_as_seldom_as_the_documentation_says(
    pairs: int, documented: float
) -> None:
    covered = simulate(pairs, candidate_rate=0.1).covered()
    assert abs(covered.mean() - documented) < 0.01 + errors(documented, len(covered))


# The margin.


@pytest.mark.parametrize("pairs", SIZES)
@pytest.mark.parametrize(
    ("rows", "accuracy", "margin"),
    [
        (100, 0.985, 0.01),
        *(
            pytest.param(*case, marks=pytest.mark.acceptance)
            for case in [(10_000, 0.95, 0.01), (1000, 0.97, 0.001), (100, 0.96, 0.03), (200, 0.97, 0.015)]
        ),
    ],
)
def test_a_difference_as_large_as_the_margin_is_seldom_called_equivalent(
    pairs: int, rows: int, accuracy: float, margin: float
) -> None:
    found = simulate(pairs, accuracy=accuracy, gain=margin, rows=rows, spread=1e-4)
    wrong = np.mean(found.words(margin) == "equivalent")
    assert wrong <= ALPHA / 2 + errors(ALPHA / 2, EXPERIMENTS[pairs])


@pytest.mark.parametrize("pairs", SIZES)
def test_a_margin_finer_than_a_row_never_makes_ties_equivalent(pairs: int) -> None:
    found = simulate(pairs, accuracy=0.9985, gain=0.0015, rows=100, spread=1e-6)
    if pairs == min(EXPERIMENTS):
        tied = 0.9985 ** (100 * pairs)
        unguarded = np.mean(found.words(0.001, guarded=False) == "equivalent")
        assert abs(unguarded - tied) < 0.01 + errors(
            tied, EXPERIMENTS[pairs]
        )  # .40 of the experiments, and wrong in all
    assert not np.any(found.words(0.001) == "equivalent")


@pytest.mark.parametrize("pairs", SIZES)
def test_ties_on_a_hundred_rows_do_not_make_an_arm_better_by_chance(pairs: int) -> None:
    words = simulate(pairs, accuracy=0.97, rows=100, spread=1e-3).words(0.01)
    for word in ("better", "worse"):
        assert np.mean(words == word) <= ALPHA / 2 + errors(ALPHA / 2, len(words))


# Skew.


@pytest.mark.parametrize("pairs", SIZES)
def test_skewed_differences_err_as_often_as_the_documentation_says(pairs: int) -> None:
    law = scipy_stats.expon(-1)
    draws = law.rvs((EXPERIMENTS[pairs], pairs), random_state=np.random.default_rng(pairs))
    question = Question(ALPHA, None, higher_is_better=True)
    wrong = np.mean([compared(row, question).p_value <= ALPHA for row in draws])
    assert 0.05 - errors(0.05, len(draws)) < wrong < 0.1 + errors(0.1, len(draws))


# Seeds and rows.


@dataclass(frozen=True)
class Population:
    """Standard deviations of what makes a run answer a row rightly, on the probit scale, where the threshold has 1.

    Attributes:
        pair: Of what both runs of a seed share.
        run: Of each run alone; `skew` is the shape of scipy's skew-normal.
        row: Of how easy a row is for all; `row_of_arm` of how easy it is for one arm alone.
    """

    accuracy: float = 0.9
    gain: float = 0.1
    pair: float = 0.1
    run: float = 0.1
    row: float = 1.5
    row_of_arm: float = 0.5
    skew: float = 0.0

    @property
    def rest(self) -> float:
        return math.sqrt(1 + self.pair**2 + self.row**2 + self.row_of_arm**2)

    @property
    def threshold(self) -> float:
        return float(scipy_stats.norm.ppf(self.accuracy)) * math.hypot(self.rest, self.run)

    @property
    def truth(self) -> float:
        """The difference over all seeds and rows there are."""
        law = scipy_stats.skewnorm(self.skew)
        centre = law.mean()

        def expected(shift: float) -> float:
            def of_run(z: float) -> float:
                return scipy_stats.norm.cdf((self.threshold + shift + self.run * (z - centre)) / self.rest)

            return float(law.expect(of_run))

        return expected(self.gain) - expected(0.0)

    def differences(self, rng: np.random.Generator, seeds: int, rows: int) -> np.ndarray:
        """Draw an experiment: float64[seeds, rows]."""
        law = scipy_stats.skewnorm
        shared = self.threshold + self.pair * rng.standard_normal((seeds, 1)) + self.row * rng.standard_normal(rows)
        hits = []
        for shift in (self.gain, 0.0):
            of_run = law.rvs(self.skew, size=(seeds, 1), random_state=rng) - law.mean(self.skew)
            eased = shared + shift + self.run * of_run + self.row_of_arm * rng.standard_normal(rows)
            hits.append(rng.standard_normal((seeds, rows)) < eased)
        return hits[0].astype(np.float64) - hits[1]


POPULATIONS = {
    "both vary": Population(),
    "seeds alike": Population(pair=0.0, run=0.0),
    "rows alike": Population(row=0.0, row_of_arm=0.0),
    "all alike": Population(pair=0.0, run=0.0, row=0.0, row_of_arm=0.0),
    "rows equally easy for both": Population(row_of_arm=0.0),
    "few errors, no difference": Population(accuracy=0.98, gain=0.0),
    "rows differ most": Population(row_of_arm=1.5),
    "seeds differ most": Population(run=0.4),
    "skewed seeds": Population(run=0.3, skew=8.0),
}
_COVERAGE = 0.935
"""Lowest share over many experiments of any population and size here, docs/decisions/0028."""


def crossed_coverage(population: Population, seeds: int, rows: int, experiments: int) -> float:
    rng, truth = np.random.default_rng([seeds, rows]), population.truth
    intervals = [crossed_interval(population.differences(rng, seeds, rows)) for _ in range(experiments)]
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.parametrize(
    "name", ["both vary", *(pytest.param(name, marks=pytest.mark.acceptance) for name in ("seeds alike", "rows alike"))]
)
def test_the_interval_over_seeds_and_rows_covers(name: str) -> None:
    experiments = 300
    covered = crossed_coverage(POPULATIONS[name], 10, 100, experiments)
    assert covered >= _COVERAGE - errors(_COVERAGE, experiments)


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("seeds", "rows", "experiments"), [(6, 100, 1500), (20, 100, 1500), (10, 1000, 800), (6, 10_000, 150)]
)
@pytest.mark.parametrize("name", POPULATIONS)
def test_the_interval_over_seeds_and_rows_covers_in_every_population(
    name: str, seeds: int, rows: int, experiments: int
) -> None:
    covered = crossed_coverage(POPULATIONS[name], seeds, rows, experiments)
    lowest = 0.915 if name == "skewed seeds" else _COVERAGE
    assert covered >= lowest - errors(lowest, experiments)


def test_the_interval_over_seeds_alone_does_not_cover_where_rows_vary() -> None:
    rng, population = np.random.default_rng(3), POPULATIONS["rows differ most"]
    truth, question = population.truth, Question(ALPHA, None, higher_is_better=True)
    found = [compared(population.differences(rng, 10, 100).mean(axis=1), question) for _ in range(300)]
    assert np.mean([one.ci_low <= truth <= one.ci_high for one in found]) < 0.8

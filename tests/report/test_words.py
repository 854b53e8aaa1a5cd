"""Every fact is put into words in one place."""

from dataclasses import replace

import pandas as pd
import pytest

from clrbench.analysis.comparison import Comparison
from clrbench.analysis.glance import RateFound
from clrbench.rates import Rates
from clrbench.report import words
from clrbench.report.answer import rate_words
from clrbench.report.range_test import rates_sentence

INF, NAN = float("inf"), float("nan")
COMPARISON = Comparison(
    pairs=6,
    mean_difference=0.004,
    ci_low=0.00254,
    ci_high=0.0055,
    p_value=0.03125,
    wins=5,
    ties=0,
    losses=1,
    backend="torch",
    metric="test_accuracy",
    candidate="clr",
    baseline="constant",
    verdict="better",
)


def summary(
    diverged: list[int], *, runs: int = 6, mean: float = 0.97, sd: float = 0.0123, low: float = 0.95, high: float = 0.98
) -> pd.DataFrame:
    """Return summary.csv of an arm a number, in one metric."""
    arms = [f"arm{number}" for number in range(len(diverged))]
    statistics = dict(zip(("mean", "sd", "min", "max"), (mean, sd, low, high), strict=True))
    counts = {"backend": "torch", "arm": arms, "runs": runs, "diverged": diverged}
    return pd.DataFrame(counts | {f"test_accuracy_{name}": value for name, value in statistics.items()})


def test_names_of_columns_are_plain_words() -> None:
    assert words.plain("test_accuracy") == "test accuracy"
    assert words.capitalised("test_accuracy") == "Test accuracy"
    assert words.plain("lr") == "lr"


@pytest.mark.parametrize(
    ("metric", "label"),
    [("test_accuracy", "test accuracy (fraction)"), ("validation_loss", "validation loss (nats)")],
)
def test_a_metric_has_a_unit(metric: str, label: str) -> None:
    assert words.metric_label(metric) == label
    assert f"({words.metric_unit(metric)})" in label


@pytest.mark.parametrize(("number", "text"), [(0, "0 pairs"), (1, "1 pair"), (2, "2 pairs")])
def test_one_thing_is_singular(number: int, text: str) -> None:
    assert words.counted(number, "pair") == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.1, "0.1"), (0.100000001490116, "0.100000001"), (1e-05, "1e-05"), (3.0, "3"), (0.0123456789, "0.0123456789")],
)
def test_a_rate_has_every_digit_of_float32(rate: float, text: str) -> None:
    assert words.rate_words(rate) == text


@pytest.mark.parametrize(
    ("base_lr", "text"),
    [
        (0.01, "base_lr 0.01, max_lr 0.178, constant 0.0562"),
        (None, "base_lr unknown (0.0123 used), max_lr 0.178, constant 0.0562"),
    ],
)
def test_the_rates_of_a_range_test_have_three_digits_wherever_they_stand(base_lr: float | None, text: str) -> None:
    found = Rates(base_lr, 0.1778, 0.05623, 0.01234)
    assert words.range_test_words(found) == text
    assert rates_sentence("torch", found) == f"torch: {text}; not confirmed, read off the curve"
    seen = RateFound("not confirmed", None, base_lr, 0.1778, 0.05623, triangle_base_lr=0.01234)
    assert rate_words(seen) == f"{text}, not confirmed"


@pytest.mark.parametrize(("alpha", "text"), [(0.05, "95 %"), (0.001, "99.9 %"), (0.05 / 2, "97.5 %")])
def test_a_level_is_the_confidence_that_goes_with_the_risk(alpha: float, text: str) -> None:
    assert words.level_words(alpha) == text


def test_intervals_are_headed_by_their_level_and_by_backend_where_it_differs() -> None:
    assert words.interval_heading({"torch": 0.05, "keras": 0.05}) == "95 % CI"
    assert words.interval_heading({"torch": 0.05, "keras": 0.025}) == "CI (torch 95 %, keras 97.5 %)"
    assert words.interval_heading({}) == "CI"


@pytest.mark.parametrize(
    ("seeds", "text"),
    [
        ([], ""),
        ([3], "seed 3"),
        ([3, 3], "seed 3"),
        ([2, 0, 1, 2], "seeds 0 to 2"),
        ([0, 1], "seeds 0 to 1"),
        ([0, 4, 9], "seeds 0, 4, 9"),
        (range(0, 16, 2), "seeds 0, 2, 4, 6, 8, 10, 12, 14"),
        (range(0, 18, 2), "9 seeds between 0 and 16"),
        (range(0, 40, 2), "20 seeds between 0 and 38"),
        (range(100), "seeds 0 to 99"),
    ],
)
def test_seeds_are_named_as_briefly_as_possible(seeds: list[int], text: str) -> None:
    assert words.seeds_words(seeds) == text


@pytest.mark.parametrize(
    ("seeds", "text"), [([0, 1, 2], "0 to 2"), ([0, 4, 9], "0, 4, 9"), (range(0, 40, 2), "between 0 and 38")]
)
def test_seeds_are_listed_without_their_noun(seeds: list[int], text: str) -> None:
    assert words.listed_seeds(seeds) == text


@pytest.mark.parametrize(
    ("metric", "target", "text"),
    [("test_accuracy", 0.97, "test accuracy at least 0.97"), ("test_loss", 0.25, "test loss at most 0.25")],
)
def test_a_target_is_reached_from_the_bad_side(metric: str, target: float, text: str) -> None:
    assert words.target_words(metric, target, higher=metric.endswith("accuracy")) == text


def test_a_comparison_has_signs_counts_and_three_digits_of_p() -> None:
    found = words.comparison_words(COMPARISON)
    assert found == words.ComparisonWords(
        difference="+0.0040",
        ends="+0.0025 to +0.0055",
        p_value="p = 0.0312",
        pairs="6 pairs",
        counts="5 won, 0 tied, 1 lost",
    )


def test_a_comparison_of_one_pair_has_no_ends() -> None:
    one = replace(COMPARISON, pairs=1, mean_difference=-0.45, ci_low=-INF, ci_high=INF, p_value=1.0, wins=0, ties=1)
    found = words.comparison_words(replace(one, losses=0))
    assert (found.difference, found.ends, found.p_value) == ("-0.4500", "unbounded", "p = 1")
    assert (found.pairs, found.counts) == ("1 pair", "0 won, 1 tied, 0 lost")


def test_a_comparison_without_a_pair_has_no_ends() -> None:
    none = replace(COMPARISON, pairs=0, mean_difference=NAN, ci_low=-INF, ci_high=INF, p_value=1.0, wins=0, losses=0)
    found = words.comparison_words(none)
    assert (found.ends, found.pairs, found.counts) == ("unbounded", "0 pairs", "0 won, 0 tied, 0 lost")


def test_only_arms_with_diverged_runs_are_named() -> None:
    some, every = words.divergences(summary([0, 2, 6]))
    assert (some.sentence, some.of_all) == ("torch: 2 of 6 runs of arm1 diverged", False)
    assert (every.sentence, every.of_all) == ("torch: 6 of 6 runs of arm2 diverged", True)
    assert list(words.divergences(summary([0, 0]))) == []


def test_diverged_runs_count_in_accuracy_alone() -> None:
    assert words.divergence_rule("test_accuracy") == "in accuracy they count as a blind guess"
    assert words.divergence_rule("test_loss") == "their pairs are left out of the difference"


@pytest.mark.parametrize(
    ("diverged", "consequence", "text"),
    [
        ([0, 0], "they count", ""),
        ([0, 1], "they count", "torch: 1 of 6 runs of arm1 diverged; they count"),
        ([6, 1], "they count", "torch: 6 of 6 runs of arm0 diverged, torch: 1 of 6 runs of arm1 diverged; they count"),
        ([6, 0], "", "torch: 6 of 6 runs of arm0 diverged"),
    ],
)
def test_a_caption_names_all_that_diverged_and_what_follows(diverged: list[int], consequence: str, text: str) -> None:
    assert words.divergence_caption(summary(diverged), consequence) == text


@pytest.mark.parametrize(
    ("of_one_class", "runs", "diverged", "expected"),
    [
        (6, 6, 0, "every run of clr predicts"),
        (1, 1, 0, "every run of clr predicts"),
        (4, 6, 2, "every run of clr that did not diverge predicts"),
        (2, 6, 0, "2 of 6 runs of clr predict"),
        (1, 6, 0, "1 of 6 runs of clr predicts"),
        (3, 6, 2, "3 of 6 runs of clr predict"),
    ],
)
def test_how_many_runs_give_one_class_is_said(of_one_class: int, runs: int, diverged: int, expected: str) -> None:
    found = words.OneClass("keras", "clr", 7, of_one_class, runs, diverged, 0.25)
    assert found.sentence == f"{expected} class 7 for all test rows (test accuracy 25 %, that class's share)"

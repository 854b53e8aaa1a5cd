"""How arms are tuned: the choice among rates, and the runs that it takes."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from specs import read_spec

from clrbench.data import DatasetSizes
from clrbench.errors import SpecError
from clrbench.planning.advice import comparisons, warnings
from clrbench.planning.runs import BoundsTable, needed_range_tests, training_runs
from clrbench.planning.tuning import (
    Choice,
    at_rate,
    choose,
    extended,
    first_rates,
    given_label,
    given_rate,
    given_runs,
    rate_beyond,
    search_runs,
    with_chosen,
)
from clrbench.rates import Rates
from clrbench.spec import RunSpec, Spec

SIZES = DatasetSizes(train_rows=1_100, test_rows=300, image_shape=(2, 2, 1))
BOUNDS: BoundsTable = {("torch", None): Rates(0.01, 0.16, 0.04, 0.01)}
TUNED: dict[str, Any] = {"schedule": {"name": "constant", "lr": [1e-05, 0.03, 0.1]}}
CLR: dict[str, Any] = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 2}}
FROM_RANGE_TEST: dict[str, Any] = {"schedule": {"name": "constant", "lr": 1e-05}, "tune": {"from": "range_test"}}


def make_spec(folder: Path, arms: dict[str, Any], **changes: Any) -> Spec:
    own = {"data": {"dataset": "mnist", "validation": "100 rows"}, "seeds": [3, 1_000_001], "arms": arms}
    return read_spec(folder, **{**own, **changes}).spec


def without(run: RunSpec, *names: str) -> dict[str, Any]:
    return {key: value for key, value in run.model_dump().items() if key not in names}


@pytest.mark.parametrize(
    ("scores", "higher_is_better", "expected"),
    [
        ({0.01: 0.8, 0.03: 0.9, 0.1: 0.7}, True, Choice(0.03, at_edge=False)),
        ({0.1: 0.9, 0.01: 0.8, 0.03: 0.85}, True, Choice(0.1, at_edge=True)),
        ({0.01: 0.2, 0.03: 0.9, 0.1: 0.7}, False, Choice(0.01, at_edge=True)),
        ({0.1: 0.9, 0.03: 0.9, 0.01: 0.8}, True, Choice(0.03, at_edge=False)),
        ({0.1: math.inf, 0.03: 2.0, 0.01: math.inf}, False, Choice(0.03, at_edge=False)),
        ({0.1: math.inf, 0.01: math.inf}, False, Choice(0.01, at_edge=True)),
    ],
)
def test_best_mean_is_chosen_and_of_equal_ones_the_lowest_rate(
    scores: dict[float, float], higher_is_better: bool, expected: Choice
) -> None:
    assert choose(scores, higher_is_better=higher_is_better) == expected


@pytest.mark.parametrize(
    ("best", "expected"), [(0.01, 0.005), (0.02, None), (0.1, 0.5)], ids=["below", "between", "above"]
)
def test_rate_beyond_the_edge_keeps_the_ratio_of_the_outermost_two(best: float, expected: float | None) -> None:
    assert rate_beyond([0.02, 0.1, 0.01], best) == expected


@pytest.mark.parametrize(
    ("rate", "label"),
    [
        (1e-05, "a@1e-05"),
        (0.03, "a@0.03"),
        (1.0, "a@1"),
        (0.1 + 1e-12, "a@0.1"),
        ("range_test", "a@range_test"),
        ("range_test max_lr", "a@range_test-max_lr"),
    ],
)
def test_an_arm_at_a_rate_is_named_by_the_shortest_form_of_it(rate: float | str, label: str) -> None:
    assert at_rate("a", rate) == label


def test_a_tuned_baseline_stands_for_the_rate_given_and_for_the_best_one(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": TUNED, "b": CLR, "c": CLR, "d": {**CLR, "baseline": "b"}})
    assert comparisons(spec) == [("b", "a@1e-05"), ("b", "a"), ("c", "a@1e-05"), ("c", "a"), ("d", "b")]
    both = make_spec(tmp_path, {"a": CLR, "b": TUNED})
    assert comparisons(both) == [("b", "a")]


def test_both_statements_count_among_the_comparisons_that_seeds_must_bear(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": TUNED, "b": CLR}, seeds=6)
    (found,) = [text for text in warnings(spec, SIZES, ("torch",)) if "too few seeds" in text]
    assert "2 comparisons at alpha 0.05 need at least 7 seeds" in found


def test_tries_and_range_tests_have_the_smallest_seeds_from_a_million_on_that_are_not_reported(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": {**TUNED, "tune": {"seeds": 3}}})
    tries = search_runs(spec, SIZES, {}, first_rates(spec, ("torch",), {}))
    assert tuple(dict.fromkeys(run.seed for run in tries)) == (1_000_000, 1_000_002, 1_000_003)
    assert spec.range_test.seeds == (1_000_000, 1_000_002, 1_000_003)


def test_a_try_differs_from_a_run_of_its_arm_in_rate_seed_and_the_splits_it_sees(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": {**TUNED, "tune": {"seeds": 2}}, "b": CLR})
    rates = first_rates(spec, ("torch", "keras"), {})
    assert rates == {("torch", "a"): (1e-05, 0.03, 0.1), ("keras", "a"): (1e-05, 0.03, 0.1)}
    tries = search_runs(spec, SIZES, {}, rates)
    assert [(run.backend, run.seed, run.arm) for run in tries] == [
        (backend, seed, label)
        for backend in ("torch", "keras")
        for seed in (1_000_000, 1_000_002)
        for label in ("a@1e-05", "a@0.03", "a@0.1")
    ]
    assert [run.schedule.model_dump()["lr"] for run in tries[:3]] == [1e-05, 0.03, 0.1]
    assert {run.evaluated_splits for run in tries} == {("validation",)}
    own = training_runs(spec, SIZES, ("torch",), {})[0]
    differing = ("arm", "seed", "schedule", "evaluated_splits")
    assert all(without(run, *differing, "backend") == without(own, *differing, "backend") for run in tries)


def test_points_of_a_range_test_are_spaced_evenly_in_the_logarithm_ends_included(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": FROM_RANGE_TEST, "b": CLR})
    assert [group.arm for group in needed_range_tests(spec)] == [None]
    (rates,) = first_rates(spec, ("torch",), BOUNDS).values()
    np.testing.assert_allclose(rates, [0.01, 0.02, 0.04, 0.08, 0.16], rtol=1e-6)
    assert (rates[0], rates[-1]) == (0.01, 0.16)
    assert (given_label(spec, "a"), given_rate(spec, "a", "torch", BOUNDS)) == ("a@1e-05", 1e-05)


def test_the_rate_given_may_be_the_range_tests_own_suggestion(tmp_path: Path) -> None:
    arm = {"schedule": {"name": "constant", "lr": "range_test"}, "tune": {"from": "range_test", "points": 3}}
    spec = make_spec(tmp_path, {"a": arm, "b": CLR})
    assert given_label(spec, "a") == "a@range_test"
    rates = first_rates(spec, ("torch",), BOUNDS)
    # The middle one of three points is the suggestion itself.
    assert rates["torch", "a"][1] == given_rate(spec, "a", "torch", BOUNDS) == 0.04


def test_rates_are_extended_once_and_never_below_what_the_schedule_allows(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": {"schedule": {**CLR["schedule"], "max_lr": [0.011, 0.02]}}, "b": TUNED})
    assert extended(spec, "b", (1e-05, 0.03, 0.1), 0.03) == (1e-05, 0.03, 0.1)
    assert extended(spec, "b", (0.01, 0.02), 0.02) == (0.01, 0.02, 0.04)
    assert extended(spec, "a", (0.011, 0.02), 0.011) == (0.011, 0.02)
    assert extended(spec, "b", (1.0, 1e30), 1e30) == (1.0, 1e30)
    assert extended(spec, "b", (1e-30, 1.0), 1e-30) == (1e-30, 1.0)


def test_baselines_are_also_trained_at_the_rate_given_where_it_cannot_be_chosen(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": TUNED, "b": TUNED})
    runs = given_runs(spec, SIZES, {}, {("torch", "a"): {0.03}, ("keras", "a"): {1e-05, 0.1}, ("torch", "b"): {0.03}})
    assert [(run.backend, run.arm, run.seed) for run in runs] == [
        ("torch", "a@1e-05", 3),
        ("torch", "a@1e-05", 1_000_001),
    ]
    own = training_runs(spec, SIZES, ("torch",), {})[0]
    assert without(runs[0], "arm") == without(own, "arm")


def test_runs_take_the_chosen_rate_of_their_backend(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"a": TUNED, "b": CLR}, seeds=[3])
    runs = training_runs(spec, SIZES, ("torch", "keras"), {})
    found = with_chosen(runs, {("torch", "a"): 0.03, ("keras", "a"): 0.1})
    assert [run.schedule.model_dump()["lr"] for run in found if run.arm == "a"] == [0.03, 0.1]
    assert [run for run in found if run.arm == "b"] == [run for run in runs if run.arm == "b"]


def test_a_rate_that_does_not_fit_its_run_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    decay = {"schedule": {"name": "exponential_decay", "lr": [1e-3, 1e-29], "gamma": 1e-12}}
    with pytest.raises(SpecError, match="rate"):
        warnings(make_spec(tmp_path, {"a": decay}), SIZES, ("torch",))

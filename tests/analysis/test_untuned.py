"""Whether anybody looked for the rate of a baseline, of every kind of baseline."""

import math
from typing import Any

import pandas as pd
import pytest
from runs_in_memory import NO_SEARCH, results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.comparison import evidence_table
from clrbench.analysis.pairs import Contest
from clrbench.analysis.results import Results
from clrbench.analysis.search import CHOSEN_COLUMNS, SEARCH_COLUMNS, Search
from clrbench.analysis.untuned import is_untuned

GIVEN = {"value": 0.1, "steps": 9}
BOUNDS = {"base_lr": 0.01, "max_lr": 0.1}


def searched(given: float, chosen: float, loss: float = 1.0) -> Search:
    """Return a search that tried 0.1 and 0.2 for the baseline and chose one of them."""
    tries = [("torch", "base", rate, 1_000_000, 0.5, 4, loss) for rate in (0.1, 0.2)]
    rows = [("torch", "base", given, chosen, 2, True, 8)]
    return Search(
        (), pd.DataFrame(tries, columns=list(SEARCH_COLUMNS)), pd.DataFrame(rows, columns=list(CHOSEN_COLUMNS)), ()
    )


def results_with(base: dict[str, Any], search: Search = NO_SEARCH) -> Results:
    runs = [stored_run(arm, 0, {4: 0.5}) for arm in ("base", "clr")]
    return results_of(runs, search, arms={"base": base, "clr": CONSTANT}, seeds=1)


@pytest.mark.parametrize(
    ("schedule", "untuned"),
    [
        ({"name": "constant", "lr": 0.1}, True),
        ({"name": "constant", "lr": {"value": 0.1}}, True),
        ({"name": "constant", "lr": GIVEN}, False),
        ({"name": "constant", "lr": "range_test"}, True),
        ({"name": "constant", "lr": "range_test mean"}, True),
        ({"name": "constant", "lr": "range_test max_lr"}, True),
        ({"name": "triangular", **BOUNDS, "cycles": 2}, True),
        ({"name": "triangular", "bounds": BOUNDS, "cycles": 2}, True),
        ({"name": "triangular", "bounds": {**BOUNDS, "steps": 8250}, "cycles": 2}, False),
        ({"name": "triangular", "bounds": "range_test", "cycles": 2}, True),
        ({"name": "cosine", "lr": 0.1}, True),
        ({"name": "cosine", "lr": GIVEN}, False),
        ({"name": "linear_decay", "lr": "range_test max_lr"}, True),
        ({"name": "one_cycle", "max_lr": 0.1}, True),
        ({"name": "one_cycle", "max_lr": GIVEN}, False),
    ],
)
def test_a_rate_that_nobody_looked_for_is_untuned(schedule: dict[str, Any], untuned: bool) -> None:
    results = results_with({"schedule": schedule})
    assert is_untuned(results, Contest("torch", "clr", "base")) is untuned
    assert evidence_table(results)["untuned"].tolist() == [untuned]


@pytest.mark.parametrize(
    "base",
    [
        {"schedule": {"name": "constant", "lr": [0.1, 0.2]}},
        {"schedule": {"name": "constant", "lr": "range_test"}, "tune": {"rates": [0.1, 0.2]}},
    ],
)
def test_a_tuned_baseline_is_tuned_at_the_best_rate_and_untuned_at_the_rate_given(base: dict[str, Any]) -> None:
    results = results_with(base, searched(0.1, 0.2))
    given, best = (baseline for _, baseline in results.comparisons)
    assert (given.partition("@")[0], best) == ("base", "base")
    assert [is_untuned(results, Contest("torch", "clr", name)) for name in (given, best)] == [True, False]
    assert evidence_table(results)["untuned"].tolist() == [True, False]


def test_the_rate_given_is_tuned_where_the_search_chose_it_or_where_its_cost_is_stated() -> None:
    contest = Contest("torch", "clr", "base@0.1")
    tuned = {"schedule": {"name": "constant", "lr": [0.1, 0.2]}}
    assert not is_untuned(results_with(tuned, searched(0.1, 0.1)), contest)
    stated = {"schedule": {"name": "constant", "lr": GIVEN}, "tune": {"rates": [0.1, 0.2]}}
    assert not is_untuned(results_with(stated, searched(0.1, 0.2)), contest)


def test_a_search_of_which_every_try_diverged_has_tuned_nothing() -> None:
    tuned = {"schedule": {"name": "constant", "lr": [0.1, 0.2]}}
    results = results_with(tuned, searched(0.1, 0.1, loss=math.inf))
    assert [is_untuned(results, Contest("torch", *pair)) for pair in results.comparisons] == [True, True]


def test_a_baseline_of_an_arms_own_is_judged_by_itself() -> None:
    found = {"schedule": {"name": "constant", "lr": GIVEN}}
    arms = {
        "base": CONSTANT,
        "other": {**found, "baseline": "none"},
        "a": CONSTANT,
        "b": {**CONSTANT, "baseline": "other"},
    }
    results = results_of([stored_run(arm, 0, {4: 0.5}) for arm in arms], arms=arms, seeds=1)
    table = evidence_table(results)
    assert table[["candidate", "baseline", "untuned"]].to_numpy().tolist() == [
        ["a", "base", True],
        ["b", "other", False],
    ]


def test_the_mean_rates_stand_in_the_evidence() -> None:
    clr = {"name": "triangular", "base_lr": 0.01, "max_lr": 0.09, "step_size": "2 steps"}
    runs = [stored_run("base", 0, {8: 0.5}), stored_run("clr", 0, {8: 0.5}, schedule=clr)]
    arms = {"base": CONSTANT, "clr": {"schedule": clr}}
    row = evidence_table(results_of(runs, arms=arms, seeds=1)).iloc[0]
    assert row["candidate_mean_lr"] == pytest.approx(0.05, rel=1e-12)
    assert row["baseline_mean_lr"] == pytest.approx(0.1, rel=1e-12)
    missing = evidence_table(results_of(runs[1:], arms=arms, seeds=1)).iloc[0]
    assert math.isnan(missing["baseline_mean_lr"])

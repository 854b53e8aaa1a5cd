"""What an arm costs: its training, its range test, its search."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_in_memory import NO_SEARCH, make_spec, range_test_of, stored_run
from specs import CONSTANT

from clrbench.analysis.costs import cost_curve, cost_seconds_table, costs_table, steps_before_training
from clrbench.analysis.results import Results
from clrbench.analysis.search import Search
from clrbench.analysis.summary import timing_table
from clrbench.store import StoredRun

NAN = math.nan
ARMS: dict[str, Any] = {
    "fixed": {"schedule": {"name": "constant", "lr": 0.1}},
    "found": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 1}},
    "tuned": {"schedule": {"name": "constant", "lr": 0.1}, "tune": {"from": "range_test"}},
}


def five_updates(arm: str, seed: int, accuracy: list[float], **changes: Any) -> StoredRun:
    """Return a run of 5 updates in 1 second, evaluated after 2, 4 and 5 of them."""
    by_step = dict(zip((2, 4, 5), accuracy, strict=True))
    return stored_run(arm, seed, by_step, steps_per_epoch=2, train_seconds=1.0, **changes)


def make_results() -> Results:
    """Return two seeds of each arm, a range test of three seeds, of which one diverged after 3 updates, and one on Keras."""
    accuracies = ([0.1, 0.5, 0.8], [0.3, 0.7, 0.6])
    runs = [five_updates(arm, seed, accuracy) for arm in ARMS for seed, accuracy in enumerate(accuracies)]
    made = [(0, None, "torch"), (1, None, "torch"), (2, 3, "torch"), (0, None, "keras")]
    sweeps = [
        five_updates("range-test", seed, [0.1, 0.5, 0.8], updates_made=updates, backend=backend)
        for seed, updates, backend in made
    ]
    test = range_test_of(sweeps)
    chosen = pd.DataFrame([("torch", "tuned", 0.1, 0.1, 1, False, 70)], columns=NO_SEARCH.chosen.columns)
    search = Search((runs[0],), NO_SEARCH.tries, chosen, ())
    return Results(make_spec(arms=ARMS, duration="5 steps"), tuple(runs), search, {None: test})


def test_each_arm_pays_for_the_range_test_and_the_search_that_it_takes_its_rate_from() -> None:
    results = make_results()
    assert costs_table(results).to_dict("list") == {
        "backend": ["torch"] * 3,
        "arm": ["fixed", "found", "tuned"],
        "runs": [2] * 3,
        "test_accuracy_mean": pytest.approx([0.7] * 3),
        "train_steps": [5] * 3,
        "range_test_steps": [0, 13, 13],
        "search_steps": [0, 0, 70],
        "given_steps": [pytest.approx(NAN, nan_ok=True), 0, 0],
        "total_steps": [pytest.approx(NAN, nan_ok=True), 18, 88],
    }
    before = steps_before_training(results)
    assert math.isnan(before.pop(("torch", "fixed")))
    assert before == {("torch", "found"): 13, ("torch", "tuned"): 83}


def test_updates_stated_with_the_rates_are_charged_and_rates_without_them_have_no_total() -> None:
    given = {"value": 0.1, "steps": 40_000}
    bounds = {"base_lr": 0.01, "max_lr": 0.1, "steps": 8250}
    arms = {
        "typed": {"schedule": {"name": "constant", "lr": 0.1}},
        "unstated": {"schedule": {"name": "constant", "lr": {"value": 0.1}}},
        "given": {"schedule": {"name": "constant", "lr": given}},
        "peak": {"schedule": {"name": "one_cycle", "max_lr": given}},
        "bounds": {"schedule": {"name": "triangular", "bounds": bounds, "cycles": 1}},
        "both": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 1}},
        "tuned": {"schedule": {"name": "constant", "lr": given}, "tune": {"rates": [0.1, 0.2]}},
        "searched": {"schedule": {"name": "constant", "lr": [0.1, 0.2]}},
    }
    runs = [five_updates(arm, 0, [0.1, 0.5, 0.8]) for arm in arms]
    at_given = [
        run.standing_for(f"{arm}@0.1") for arm, run in zip(arms, runs, strict=True) if arm in ("tuned", "searched")
    ]
    rows = [("torch", arm, 0.1, 0.2, 2, False, 70) for arm in ("tuned", "searched")]
    search = Search((), NO_SEARCH.tries, pd.DataFrame(rows, columns=NO_SEARCH.chosen.columns), tuple(at_given))
    results = Results(make_spec(arms=arms, duration="5 steps", seeds=1), tuple(runs), search)
    table = costs_table(results).set_index("arm")
    expected = [NAN, NAN, 40_000, 40_000, 8250, NAN, 40_000, 0]
    np.testing.assert_array_equal(table["given_steps"], expected)
    np.testing.assert_array_equal(table["total_steps"], np.array(expected) + 5 + np.array([0] * 6 + [70] * 2))
    before = steps_before_training(results)
    np.testing.assert_array_equal([before["torch", label] for label in ("tuned@0.1", "searched@0.1")], [40_000, NAN])
    curve = cost_curve(results)
    assert curve is not None
    assert curve["arm"].unique().tolist() == ["given", "peak", "bounds", "tuned", "searched"]
    assert curve.groupby("arm")["total_step"].min().to_dict() == {
        "given": 40_002,
        "peak": 40_002,
        "bounds": 8252,
        "tuned": 40_072,
        "searched": 72,
    }


def test_seconds_hold_the_evaluations_of_sweeps_and_tries_and_are_added_on_one_machine_alone() -> None:
    results = make_results()
    tries = [
        five_updates("tuned@0.1", 1_000_000 + seed, [0.1, 0.5, 0.8], schedule=ARMS["fixed"]["schedule"])
        for seed in (0, 1)
    ]
    search = replace(results.search, runs=tuple(tries))
    found = cost_seconds_table(replace(results, search=search)).set_index("arm")
    # Every run took 1 s of training and 0.5 s of evaluation; the range test has three sweeps on torch.
    assert found["train_seconds"].tolist() == [1, 1, 1]
    assert found["range_test_seconds"].tolist() == [0, 4.5, 4.5]
    assert found["search_seconds"].tolist() == [0, 0, 3]
    np.testing.assert_array_equal(found["total_seconds"], [NAN, 5.5, 8.5])
    other = five_updates(
        "tuned@0.1", 1_000_002, [0.1, 0.5, 0.8], made_with={"threads": 2}, schedule=ARMS["fixed"]["schedule"]
    )
    mixed = cost_seconds_table(replace(results, search=replace(search, runs=(*tries, other)))).set_index("arm")
    np.testing.assert_array_equal(mixed["total_seconds"], [NAN, 5.5, NAN])


def test_without_range_test_and_search_an_arm_costs_its_training() -> None:
    results = Results(make_spec(arms=ARMS, duration="5 steps"), (five_updates("fixed", 0, [0.1, 0.5, 0.8]),), NO_SEARCH)
    table = costs_table(results)
    np.testing.assert_array_equal(table[["range_test_steps", "search_steps", "total_steps"]], [[0, 0, NAN]])
    assert cost_curve(results) is None


def test_an_arm_with_a_batch_size_of_its_own_pays_for_a_range_test_of_its_own() -> None:
    own = {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 1}, "batch_size": 50}
    sweeps = {
        arm: range_test_of([stored_run("range-test", num_steps=steps)]) for arm, steps in ((None, 7), ("own", 11))
    }
    runs = tuple(stored_run(arm, 0, {5: 0.5}) for arm in ("fixed", "found", "own"))
    arms = {"fixed": CONSTANT, "found": ARMS["found"], "own": own}
    table = costs_table(Results(make_spec(arms=arms), runs, NO_SEARCH, sweeps))
    assert table["range_test_steps"].tolist() == [0, 7, 11]


def test_cost_curve_is_the_mean_shifted_by_what_the_rates_cost() -> None:
    curve = cost_curve(make_results())
    assert curve is not None
    assert curve["arm"].tolist() == ["found"] * 3 + ["tuned"] * 3
    assert curve["total_step"].tolist() == [15, 17, 18, 85, 87, 88]
    np.testing.assert_allclose(curve["mean"], [0.2, 0.6, 0.7] * 2, rtol=1e-6)


def test_timing_names_the_purpose_of_every_run_last() -> None:
    table = timing_table(make_results())
    assert table.columns[-1] == "purpose"
    assert table["purpose"].tolist() == ["run"] * 6 + ["search"] + ["range_test"] * 4
    assert table["train_seconds"].tolist() == [1.0] * 11

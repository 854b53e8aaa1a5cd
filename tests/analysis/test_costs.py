"""What an arm costs: its training, its range test, its search."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_in_memory import NO_SEARCH, make_spec, stored_run
from specs import CONSTANT

from clrbench.analysis.bounds import RangeTest
from clrbench.analysis.costs import cost_curve, costs_table, steps_before_training
from clrbench.analysis.results import Results
from clrbench.analysis.search import Search
from clrbench.analysis.summary import timing_table
from clrbench.store import ResultsFolder, StoredRun

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
    test = RangeTest(ResultsFolder(sweeps[0].folder), tuple(sweeps), (), {})
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
        "total_steps": [5, 18, 88],
    }
    assert steps_before_training(results) == {("torch", "fixed"): 0, ("torch", "found"): 13, ("torch", "tuned"): 83}


def test_without_range_test_and_search_an_arm_costs_its_training() -> None:
    results = Results(make_spec(arms=ARMS, duration="5 steps"), (five_updates("fixed", 0, [0.1, 0.5, 0.8]),), NO_SEARCH)
    table = costs_table(results)
    assert table[["range_test_steps", "search_steps", "total_steps"]].to_numpy().tolist() == [[0, 0, 5]]
    assert cost_curve(results) is None


def test_an_arm_with_a_batch_size_of_its_own_pays_for_a_range_test_of_its_own() -> None:
    own = {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 1}, "batch_size": 50}
    sweeps = {
        arm: RangeTest(
            ResultsFolder(stored_run("range-test").folder), (stored_run("range-test", num_steps=steps),), (), {}
        )
        for arm, steps in ((None, 7), ("own", 11))
    }
    runs = tuple(stored_run(arm, 0, {5: 0.5}) for arm in ("fixed", "found", "own"))
    arms = {"fixed": CONSTANT, "found": ARMS["found"], "own": own}
    table = costs_table(Results(make_spec(arms=arms), runs, NO_SEARCH, sweeps))
    assert table["range_test_steps"].tolist() == [0, 7, 11]


def test_cost_curve_is_the_mean_shifted_by_what_the_rates_cost() -> None:
    curve = cost_curve(make_results())
    assert curve is not None
    assert curve["arm"].tolist() == ["fixed"] * 3 + ["found"] * 3 + ["tuned"] * 3
    assert curve["total_step"].tolist() == [2, 4, 5, 15, 17, 18, 85, 87, 88]
    np.testing.assert_allclose(curve["mean"], [0.2, 0.6, 0.7] * 3, rtol=1e-6)


def test_timing_names_the_purpose_of_every_run_last() -> None:
    table = timing_table(make_results())
    assert table.columns[-1] == "purpose"
    assert table["purpose"].tolist() == ["run"] * 6 + ["search"] + ["range_test"] * 4
    assert table["train_seconds"].tolist() == [1.0] * 11

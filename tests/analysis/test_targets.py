"""Crossings and automatic targets of runs whose values are known."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from runs_in_memory import NO_SEARCH, results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.results import Results
from clrbench.analysis.search import Search
from clrbench.analysis.targets import TARGET_COLUMNS, compared_targets, target_values, targets_table
from clrbench.store import StoredRun

INF, NAN = math.inf, math.nan


def test_first_and_sustained_crossing_of_an_accuracy_and_of_a_loss() -> None:
    run = stored_run("clr", 3, {10: 0.5, 15: 0.9, 20: 0.8, 30: 0.95, 40: 0.9})
    targets = targets_table(results_of([run], targets={"test_accuracy": (0.9,), "test_loss": (0.06,)}))
    assert list(targets) == list(TARGET_COLUMNS)
    accuracy, loss = targets.to_dict("records")
    assert list(accuracy.values()) == ["torch", "clr", "test_accuracy", 0.9, 3, 1.5, 15, 3.0, 30]
    assert list(loss.values()) == ["torch", "clr", "test_loss", 0.06, 3, 3.0, 30, INF, INF]


def test_balanced_accuracy_has_crossings_and_automatic_targets_of_its_own() -> None:
    run = stored_run("constant", 0, {10: 0.9, 20: 0.9}, balanced=[0.4, 0.6])
    targets = targets_table(results_of([run], targets={"test_balanced_accuracy": (0.5,), "test_accuracy": (0.5,)}))
    assert targets["first_step"].tolist() == [20, 10]
    automatic = results_of([run], verdict={"metric": "test_balanced_accuracy"}, targets="auto")
    assert target_values(automatic) == {"torch": {"test_balanced_accuracy": (0.6,)}}


def test_a_crossing_that_does_not_last_and_a_miss() -> None:
    run = stored_run("clr", 0, {2: 0.6, 4: 0.4, 5: 0.7}, steps_per_epoch=2)
    targets = targets_table(results_of([run], targets={"test_accuracy": (0.5, 0.9)})).set_index("target")
    assert targets.loc[0.5, ["first_step", "sustained_step"]].tolist() == [2, 5]
    assert targets.loc[0.5, ["first_epoch", "sustained_epoch"]].tolist() == [1.0, 2.5]
    assert np.isinf(targets.loc[0.9, ["first_step", "sustained_step"]].astype(float)).all()


def test_a_run_that_reaches_a_target_and_then_diverges_has_reached_it_and_not_stayed() -> None:
    run = stored_run("clr", 0, {10: 0.9, 20: NAN, 30: NAN})
    (row,) = targets_table(results_of([run], targets={"test_accuracy": (0.9,)})).to_dict("records")
    assert (row["first_step"], row["sustained_step"]) == (10, INF)


def test_a_run_that_diverges_between_evaluations_that_reach_a_target_has_not_stayed_there() -> None:
    run = replace(stored_run("clr", 0, {10: 0.9, 20: 0.9}), status="diverged")
    (row,) = targets_table(results_of([run], targets={"test_accuracy": (0.9,)})).to_dict("records")
    assert (row["first_step"], row["sustained_step"]) == (10, INF)


def test_without_targets_there_are_headers() -> None:
    targets = targets_table(results_of([stored_run("clr", 0, {10: 0.9})]))
    assert (list(targets), len(targets)) == (list(TARGET_COLUMNS), 0)


def test_runs_at_the_rates_given_are_compared_and_stand_in_no_table_of_their_own() -> None:
    given = Search((), NO_SEARCH.tries, NO_SEARCH.chosen, (stored_run("constant@0.01", 0, {10: 0.95}),))
    arms = {"constant": {"schedule": {"name": "constant", "lr": [0.01, 0.03]}}, "clr": CONSTANT}
    results = results_of([stored_run("clr", 0, {10: 0.9})], given, arms=arms, targets={"test_accuracy": (0.9,)})
    assert targets_table(results)["arm"].tolist() == ["clr"]
    assert compared_targets(results)["arm"].tolist() == ["clr", "constant@0.01"]


# Automatic targets.


def ends(arm: str, accuracy: list[float], **changes: Any) -> list[StoredRun]:
    """Return runs with two evaluations each, of which the last has this accuracy; nan for a run that diverged."""
    return [stored_run(arm, seed, {10: 0.99, 20: end}, **changes) for seed, end in enumerate(accuracy)]


def auto(runs: list[StoredRun], **changes: Any) -> Results:
    return results_of(runs, **{"targets": "auto", **changes})


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        ([0.97128, 0.9, 0.98], 0.9712),
        ([0.9712], 0.9712),
        ([0.97, 0.9713], 0.9706),
        ([0.056789], 0.05678),
        ([NAN, 0.9, 0.8], 0.8),
        ([NAN, NAN, 0.8], 0.25),
    ],
)
def test_automatic_accuracy_is_the_median_of_the_baseline_rounded_down(accuracy: list[float], expected: float) -> None:
    results = auto([*ends("clr", [0.999] * 3), *ends("constant", accuracy)], baseline="constant")
    assert target_values(results) == {"torch": {"test_accuracy": (expected,)}}


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [([0.5, 0.87654, 0.9], (0.1235,)), ([NAN, 0.75, 0.5], (0.5,)), ([NAN, 0.75], ()), ([NAN, NAN, 0.5], ())],
)
def test_automatic_loss_is_rounded_up_and_counts_divergence_as_infinite(
    accuracy: list[float], expected: tuple[float, ...]
) -> None:
    results = auto(ends("constant", accuracy), verdict={"metric": "test_loss"})
    assert target_values(results) == {"torch": {"test_loss": expected}}


def test_an_automatic_target_is_that_of_each_backend_and_stands_beside_given_ones() -> None:
    results = auto(
        [*ends("constant", [0.9]), *ends("constant", [0.8], backend="keras")],
        targets={"test_accuracy": "auto", "test_loss": (0.1, 0.2), "validation_accuracy": "auto"},
        backends=("torch", "keras"),
    )
    given = {"test_loss": (0.1, 0.2), "validation_accuracy": ()}
    assert target_values(results) == {
        "torch": {"test_accuracy": (0.9,), **given},
        "keras": {"test_accuracy": (0.8,), **given},
    }
    targets = targets_table(results)
    assert targets.loc[targets["metric"] == "test_accuracy", ["backend", "target"]].to_numpy().tolist() == [
        ["torch", 0.9],
        ["keras", 0.8],
    ]


def test_a_backend_without_a_run_of_the_baseline_has_no_automatic_target() -> None:
    results = auto([*ends("constant", [0.9]), *ends("clr", [0.8], backend="keras")], backends=("torch", "keras"))
    assert target_values(results) == {"torch": {"test_accuracy": (0.9,)}, "keras": {"test_accuracy": ()}}

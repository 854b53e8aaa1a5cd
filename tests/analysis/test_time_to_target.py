"""Speed-ups of runs that are known to reach a target at given steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_in_memory import NO_SEARCH, results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.results import Results
from clrbench.analysis.search import Search
from clrbench.analysis.time_to_target import (
    SECONDS_COLUMNS,
    TIME_TO_TARGET_COLUMNS,
    Times,
    seconds_table,
    speed_up,
    time_to_target_table,
)
from clrbench.stats import median_interval
from clrbench.store import StoredRun

INF = math.inf
STEPS = 1000
TARGET = {"test_accuracy": (0.9,)}
RANGED = {arm: {"schedule": {"name": "constant", "lr": "range_test"}} for arm in ("constant", "clr")}
"""Arms whose rates are not typed in; their range test is not there, and so costs nothing."""


def arriving(arm: str, seed: int, step: float, **changes: Any) -> StoredRun:
    """Return a run of 1000 steps in 10 seconds, unless told otherwise, that reaches 0.95 at a step and stays there."""
    num_steps = changes.pop("num_steps", STEPS)
    accuracy = {num_steps: 0.5} if math.isinf(step) else {int(step): 0.95, num_steps: 0.95}
    return stored_run(arm, seed, accuracy, num_steps=num_steps, **changes)


def all_arriving(steps: Mapping[str, Sequence[float]], **changes: Any) -> list[StoredRun]:
    return [arriving(arm, seed, step, **changes) for arm, found in steps.items() for seed, step in enumerate(found)]


def searched(steps: Mapping[tuple[str, str], int]) -> Search:
    """Return a search that took so many steps for the rates of each backend and arm."""
    rows = [(*key, 0.1, 0.1, 1, False, number) for key, number in steps.items()]
    chosen = pd.DataFrame(rows, columns=NO_SEARCH.chosen.columns)
    return Search((), NO_SEARCH.tries, chosen, ())


def rows_of(results: Results) -> list[Any]:
    return time_to_target_table(results).to_dict("records")


def two_arms(
    clr: list[float],
    constant: list[float],
    search: Search = NO_SEARCH,
    arms: Mapping[str, Any] | None = None,
    **of_clr: Any,
) -> Any:
    """Return the row of the first crossing where the runs of two arms reach 0.9 after these steps."""
    runs = [*all_arriving({"constant": constant}), *all_arriving({"clr": clr}, **of_clr)]
    first, sustained = rows_of(results_of(runs, search, targets=TARGET, arms=arms or RANGED))
    assert (first["kind"], sustained["kind"]) == ("first", "sustained")
    return first


# Paired speed-ups, in steps and epochs.


def test_the_columns_are_those_of_the_contract() -> None:
    bounds = [
        f"{way}{name}"
        for way in ("", "epochs_", "total_")
        for name in ("speed_up_low", "speed_up_high", "ci_low", "ci_high")
    ]
    assert ",".join(TIME_TO_TARGET_COLUMNS) == (
        "backend,candidate,baseline,metric,target,kind,candidate_runs,candidate_misses,baseline_runs,baseline_misses,"
        "candidate_median_steps,baseline_median_steps,candidate_median_epochs,baseline_median_epochs,"
        f"candidate_median_total_steps,baseline_median_total_steps,pairs,{','.join(bounds)}"
    )
    assert ",".join(SECONDS_COLUMNS) == (
        "backend,candidate,baseline,metric,target,kind,device,threads,executor,candidate_median_seconds,"
        "baseline_median_seconds,candidate_search_seconds,baseline_search_seconds,candidate_median_total_seconds,"
        f"baseline_median_total_seconds,pairs,{','.join([*bounds[:4], *bounds[8:]])}"
    )


def test_the_row_of_a_comparison_without_misses() -> None:
    row = two_arms([100, 200, 300, 100, 100, 200, 50], [200, 300, 300, 50, 400, 500, 150])
    ratios = [2, 1.5, 1, 0.5, 4, 2.5, 3]
    expected = {
        "backend": "torch",
        "candidate": "clr",
        "baseline": "constant",
        "metric": "test_accuracy",
        "target": 0.9,
        "kind": "first",
        "candidate_runs": 7,
        "candidate_misses": 0,
        "baseline_runs": 7,
        "baseline_misses": 0,
        "candidate_median_steps": 100,
        "baseline_median_steps": 300,
        "candidate_median_epochs": 10,
        "baseline_median_epochs": 30,
        "candidate_median_total_steps": 100,
        "baseline_median_total_steps": 300,
        "pairs": 7,
    }
    assert {key: row[key] for key in expected} == expected
    assert list(row) == list(TIME_TO_TARGET_COLUMNS)
    for way in ("", "epochs_", "total_"):
        found = [row[f"{way}{key}"] for key in ("speed_up_low", "speed_up_high", "ci_low", "ci_high")]
        np.testing.assert_allclose(found, [2, 2, *median_interval(ratios)], rtol=1e-12)
    assert median_interval(ratios) == (0.5, 4)


def test_of_an_even_number_of_pairs_the_middle_ratios_are_averaged_as_ratios() -> None:
    row = two_arms([100] * 6, [200, 800, 800, 200, 900, 100])
    assert row["speed_up_low"] == row["speed_up_high"] == pytest.approx(4)
    assert (row["ci_low"], row["ci_high"]) == (1, 9)


def test_fewer_than_six_pairs_bound_nothing() -> None:
    row = two_arms([100] * 5, [200] * 5)
    assert (row["speed_up_low"], row["ci_low"], row["ci_high"]) == (2, 0, INF)


def test_a_miss_of_the_baseline_is_a_lower_bound_and_joins_its_median() -> None:
    row = two_arms([100, 200, 250, 400, 500, 500], [INF, INF, INF, INF, 600, 700])
    # 10, 5, 4 and 2.5 at least; 1.2 and 1.4.
    assert (row["candidate_misses"], row["baseline_misses"], row["pairs"]) == (0, 4, 6)
    assert (row["candidate_median_steps"], row["baseline_median_steps"]) == (325, INF)
    assert row["speed_up_low"] == pytest.approx(math.sqrt(2.5 * 4))
    assert (row["speed_up_high"], row["ci_low"], row["ci_high"]) == (INF, 1.2, INF)


def test_a_miss_of_the_candidate_is_an_upper_bound() -> None:
    row = two_arms([INF, INF, 200, 100, 100, 100, 100], [500, 600, 200, 200, 300, 400, 500])
    # 0.5 and 0.6 at most; 1, 2, 3, 4, 5: the misses do not reach the middle.
    assert (row["speed_up_low"], row["speed_up_high"]) == (2, 2)
    assert (row["ci_low"], row["ci_high"]) == (0, 5)
    all_missed = two_arms([INF] * 6, [500, 600, 700, 800, 900, 1000])
    assert (all_missed["speed_up_low"], all_missed["ci_low"], all_missed["ci_high"]) == (0, 0, 1)
    assert all_missed["speed_up_high"] == pytest.approx(math.sqrt(0.7 * 0.8))


def test_where_all_miss_nothing_is_known() -> None:
    row = two_arms([INF] * 8, [INF] * 8)
    assert [row[key] for key in ("speed_up_low", "speed_up_high", "ci_low", "ci_high")] == [0, INF, 0, INF]
    assert (row["candidate_misses"], row["baseline_misses"], row["pairs"]) == (8, 8, 8)


def test_pairs_in_which_both_miss_widen_the_interval() -> None:
    row = two_arms([100] * 6 + [INF] * 3, [200] * 6 + [INF] * 3)
    assert (row["speed_up_low"], row["speed_up_high"], row["ci_low"], row["ci_high"]) == (2, 2, 0, INF)


def test_a_shorter_run_that_misses_may_still_be_the_faster_one() -> None:
    row = two_arms([INF] * 6, [500] * 6, num_steps=250)
    assert (row["speed_up_low"], row["speed_up_high"], row["ci_high"]) == (0, 2, 2)


def test_steps_of_another_batch_size_are_told_from_epochs() -> None:
    row = two_arms([100] * 6, [600] * 6, steps_per_epoch=1, num_steps=100)
    assert (row["speed_up_low"], row["ci_low"], row["ci_high"]) == (6, 6, 6)
    assert (row["epochs_speed_up_low"], row["epochs_ci_low"], row["epochs_ci_high"]) == (0.6, 0.6, 0.6)
    assert (row["candidate_median_epochs"], row["baseline_median_epochs"]) == (100, 60)


def test_the_search_is_added_to_each_run_and_to_what_a_run_that_misses_was_given() -> None:
    search = searched({("torch", "clr"): 300, ("torch", "constant"): 100, ("keras", "clr"): 9999})
    row = two_arms([100] * 6 + [INF], [700] * 6 + [500], search)
    assert (row["speed_up_low"], row["total_speed_up_low"], row["total_speed_up_high"]) == (7, 2, 2)
    assert (row["candidate_median_total_steps"], row["baseline_median_total_steps"]) == (400, 800)
    assert (row["total_ci_low"], row["total_ci_high"]) == (0, 2)
    missed = two_arms([INF] * 6, [500] * 6, search)
    assert (missed["total_speed_up_high"], missed["candidate_median_total_steps"]) == (600 / 1300, INF)


def test_the_updates_stated_with_the_rates_count_and_where_they_are_not_stated_there_is_no_total() -> None:
    def given(**rate: Any) -> dict[str, Any]:
        return {"schedule": {"name": "constant", "lr": {"value": 0.1, **rate}}}

    # What `policies` says of triangular2: 25.7 times sooner, as long as the 8250 updates of its range test are left out.
    search, runs = searched({("torch", "constant"): 19200}), ([800] * 6, [1000] * 6)
    known = RANGED["constant"]
    row = two_arms(*runs, search, arms={"constant": known, "clr": given(steps=8250)})
    assert row["total_speed_up_low"] == pytest.approx((1000 + 19200) / (800 + 8250))
    assert (row["candidate_median_total_steps"], row["baseline_median_total_steps"]) == (9050, 20200)
    for arms in ({"constant": known, "clr": given()}, {"constant": given(), "clr": given(steps=9)}):
        row = two_arms(*runs, arms=arms)
        assert (row["speed_up_low"], row["speed_up_high"]) == (1.25, 1.25)
        assert all(math.isnan(row[f"total_{name}"]) for name in ("speed_up_low", "speed_up_high", "ci_low", "ci_high"))
        unknown = [math.isnan(row[f"{role}_median_total_steps"]) for role in ("candidate", "baseline")]
        assert unknown == [name == given() for name in (arms["clr"], arms["constant"])]


def test_seeds_without_a_partner_count_as_runs_and_not_as_pairs() -> None:
    row = two_arms([100] * 6, [200] * 7)
    assert (row["candidate_runs"], row["baseline_runs"], row["pairs"]) == (6, 7, 6)
    alone = two_arms([100] * 6, [])
    assert (alone["baseline_runs"], alone["pairs"], alone["ci_low"], alone["ci_high"]) == (0, 0, 0, INF)
    assert math.isnan(alone["baseline_median_steps"])


def test_a_pair_of_two_versions_is_none() -> None:
    runs = all_arriving({"clr": [100] * 6, "constant": [200] * 7})
    runs.append(arriving("clr", 6, 1, made_with={"versions": {"torch": "2"}}))
    row, _ = rows_of(results_of(runs, targets=TARGET))
    assert (row["candidate_runs"], row["pairs"], row["ci_low"], row["ci_high"]) == (7, 6, 2, 2)


def test_arms_that_are_evaluated_at_different_steps_are_compared_where_each_was_seen_to_arrive() -> None:
    runs = [
        stored_run("clr", 0, {10: 0.5, 25: 0.9, 40: 0.9}),
        stored_run("constant", 0, {20: 0.5, 40: 0.6, 50: 0.9}),
    ]
    rows = rows_of(results_of(runs, targets=TARGET))
    assert [row["speed_up_low"] for row in rows] == [2, 2]
    assert [row["candidate_median_epochs"] for row in rows] == [2.5, 2.5]


def test_every_backend_target_and_comparison_has_its_rows() -> None:
    first = {"clr": [100.0], "constant": [300.0], "third": [600.0]}
    runs = [*all_arriving(first), *all_arriving(first, backend="keras")]
    arms = {"constant": CONSTANT, "clr": CONSTANT, "third": {**CONSTANT, "baseline": "clr"}}
    targets = {"test_accuracy": (0.9, 0.95)}
    table = time_to_target_table(results_of(runs, arms=arms, targets=targets, backends=("torch", "keras")))
    assert len(table) == 2 * 2 * 2 * 2
    speed_ups = table.groupby(["candidate", "baseline"])["speed_up_low"].unique()
    assert speed_ups["clr", "constant"].tolist() == [3]
    assert speed_ups["third", "clr"].tolist() == pytest.approx([1 / 6])
    alone = results_of(all_arriving({"constant": [300.0]}), arms={"constant": CONSTANT}, targets=targets)
    assert time_to_target_table(alone).empty


def test_without_targets_there_are_headers() -> None:
    results = results_of(all_arriving({"clr": [100]}))
    for table, columns in (
        (time_to_target_table(results), TIME_TO_TARGET_COLUMNS),
        (seconds_table(results), SECONDS_COLUMNS),
    ):
        assert (list(table), len(table)) == (list(columns), 0)


def test_the_interval_covers_the_true_median_as_often_as_promised_although_runs_are_cut_off() -> None:
    rng = np.random.default_rng(4)
    covered, misses = [], 0
    for _ in range(150):
        candidate, baseline = rng.lognormal(6.0, 0.4, 10), rng.lognormal(6.0 + math.log(1.5), 0.4, 10)
        candidate[candidate > STEPS / 2] = INF
        baseline[baseline > STEPS] = INF
        found = speed_up(
            Times(candidate, np.full(10, STEPS / 2)), Times(baseline, np.full(10, float(STEPS))), alpha=0.05
        )
        misses += int(np.isinf(candidate).sum() + np.isinf(baseline).sum())
        covered.append(found.ci_low <= 1.5 <= found.ci_high)
    assert misses > 500
    assert np.mean(covered) >= 0.95


# Seconds.


def test_seconds_are_steps_at_the_pace_of_the_run() -> None:
    def twice(arm: str, seed: int, step: int, train_seconds: float = 10.0) -> StoredRun:
        """Return a run that reaches the target after some steps, and stays there after twice as many."""
        accuracy = {step: 0.9, step + 1: 0.5, 2 * step: 0.9}
        return stored_run(arm, seed, accuracy, num_steps=STEPS, train_seconds=train_seconds)

    runs = [twice("clr", seed, 100, train_seconds=20.0) for seed in range(6)]
    runs += [*(twice("constant", seed, 400) for seed in range(5)), arriving("constant", 5, INF)]
    first, sustained = seconds_table(results_of(runs, targets=TARGET)).to_dict("records")
    assert list(first) == list(SECONDS_COLUMNS)
    assert (first["device"], first["threads"], first["executor"], first["pairs"]) == ("cpu", 1, "local", 6)
    assert (first["candidate_median_seconds"], first["baseline_median_seconds"]) == pytest.approx((2, 4))
    assert (first["speed_up_low"], first["speed_up_high"], first["ci_low"]) == pytest.approx((2, 2, 2))
    assert first["ci_high"] == INF
    assert sustained["candidate_median_seconds"] == pytest.approx(4)


def test_seconds_of_a_search_are_those_of_its_training_and_its_evaluations() -> None:
    arms = {"constant": {"schedule": {"name": "constant", "lr": [0.1, 0.2]}}, "clr": CONSTANT}
    runs = [*all_arriving({"clr": [100] * 6, "constant": [400] * 6})]
    tries = [
        stored_run(
            f"constant@{rate}", 1_000_000, {STEPS: 0.5}, schedule={"name": "constant", "lr": rate}, train_seconds=7.0
        )
        for rate in (0.1, 0.2)
    ]
    search = Search(tuple(tries), NO_SEARCH.tries, NO_SEARCH.chosen, ())
    row = seconds_table(results_of(runs, search, targets=TARGET, arms=arms, seeds=6)).to_dict("records")[1]
    assert (row["candidate"], row["baseline"]) == ("clr", "constant")
    # Two tries, each 7 s of training and half a second of evaluation; a step of a run takes 10 ms.
    assert row["baseline_search_seconds"] == 15
    assert row["baseline_median_total_seconds"] == pytest.approx(19)
    assert math.isnan(row["candidate_search_seconds"])
    assert math.isnan(row["total_speed_up_low"])
    assert row["speed_up_low"] == pytest.approx(4)


def test_the_pace_of_a_run_that_diverged_is_that_of_the_updates_it_made() -> None:
    runs = [arriving("clr", 0, 100, updates_made=500), arriving("constant", 0, 400)]
    row = seconds_table(results_of(runs, targets=TARGET)).iloc[0]
    assert (row["candidate_median_seconds"], row["baseline_median_seconds"]) == pytest.approx((2, 4))


def test_seconds_are_compared_only_on_one_device_with_equal_threads_and_executor() -> None:
    runs = all_arriving({"clr": [100] * 3})
    runs += [arriving("clr", 3, 100, made_with={"threads": 2}), arriving("constant", 0, 200)]
    runs += [arriving("constant", 1, 300, made_with={"device": "cuda"})]
    runs += [arriving("constant", 2, 400, made_with={"executor": "ray"})]
    runs += [arriving("constant", 3, 500, made_with={"threads": 2})]
    results = results_of(runs, targets=TARGET)
    table = seconds_table(results)
    first = table[table["kind"] == "first"]
    assert first[["threads", "pairs", "speed_up_low"]].to_numpy().tolist() == [[1, 1, 2], [2, 1, 5]]
    assert time_to_target_table(results)["pairs"].tolist() == [4, 4]

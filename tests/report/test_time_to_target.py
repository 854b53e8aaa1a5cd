"""Crossings, automatic targets and speed-ups of runs whose values are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clrbench.analysis.metrics_table import METRIC_COLUMNS
from clrbench.report.target_words import target_lines

from clrbench.analysis.pairs import Pairs
from clrbench.analysis.targets import TARGET_COLUMNS, target_values, targets_table
from clrbench.analysis.time_to_target import (
    SECONDS_COLUMNS,
    TIME_TO_TARGET_COLUMNS,
    seconds_table,
    time_to_target_table,
)
from clrbench.spec import Spec
from clrbench.stats import median_interval
from clrbench.store import StoredRun

INF, NAN = math.inf, math.nan
STEPS, STEPS_PER_EPOCH = 1000, 10


def make_spec(**changes: Any) -> Spec:
    constant = {"schedule": {"name": "constant", "lr": 0.1}}
    content = {
        "name": "test",
        "data": {"dataset": "mnist"},
        "model": {"name": "mlp"},
        "batch_size": 100,
        "duration": "12 epochs",
        "arms": {"constant": constant, "clr": constant},
        "targets": {"test_accuracy": (0.9,)},
    }
    return Spec.model_validate(content | changes)


def a_run(arm: str, seed: int, backend: str = "torch", **changes: Any) -> StoredRun:
    """Return a run as its folder would tell it; 1000 steps in 10 seconds if nothing else is said."""
    spec = {"backend": backend, "arm": arm, "seed": seed, "num_steps": STEPS, "steps_per_epoch": STEPS_PER_EPOCH}
    provenance = {"versions": {"numpy": "1"}, "device": "cpu", "threads": 1, "executor": "local"}
    spec, provenance = ({key: changes.get(key, value) for key, value in part.items()} for part in (spec, provenance))
    run = StoredRun(Path("nowhere"))
    seconds = changes.get("train_seconds", 10.0)
    vars(run)["info"] = {
        "num_classes": 4,
        "spec": spec,
        "provenance": provenance,
        "timing": {"train_seconds": seconds},
    }
    lr = np.where(np.arange(spec["num_steps"]) < changes.get("steps_done", INF), 0.1, NAN)
    vars(run)["steps"] = pd.DataFrame({"lr": lr})
    return run


def evaluations(arm: str, seed: int, accuracy: dict[int, float], backend: str = "torch", **more: Any) -> pd.DataFrame:
    """Return the rows of metrics.csv of a run, from the accuracy by step."""
    steps = list(accuracy)
    values = np.array([*accuracy.values()])
    row = {"experiment": "test", "backend": backend, "arm": arm, "seed": seed, "step": steps, "lr": 0.1}
    row |= {"epoch": np.array(steps) / STEPS_PER_EPOCH, "test_accuracy": values, "test_loss": 1 - values}
    return pd.DataFrame({**dict.fromkeys(METRIC_COLUMNS, NAN), "status": "finished", **row, **more})


def one_crossing(
    first: dict[str, list[float]], backend: str = "torch", steps_per_epoch: dict[str, int] | None = None
) -> pd.DataFrame:
    """Return a targets.csv in which each arm's runs reach 0.9 after these steps, and stay twice as late."""
    rows = []
    for arm, steps in first.items():
        per_epoch = (steps_per_epoch or {}).get(arm, STEPS_PER_EPOCH)
        for seed, step in enumerate(steps):
            row = (backend, arm, "test_accuracy", 0.9, seed, step / per_epoch, step, 2 * step / per_epoch, 2 * step)
            rows.append(row)
    return pd.DataFrame(rows, columns=list(TARGET_COLUMNS))


def make_pairs(runs: list[StoredRun], **changes: Any) -> Pairs:
    return Pairs(make_spec(**changes), runs, pd.DataFrame(), [("clr", "constant")])


def two_arms(clr: list[float], constant: list[float], search: dict[Any, float] | None = None, **of_clr: Any) -> Any:
    """Return the rows of both kinds of crossing for these first crossings."""
    runs = [a_run("constant", seed) for seed in range(len(constant))]
    runs += [a_run("clr", seed, **of_clr) for seed in range(len(clr))]
    per_epoch = {"clr": of_clr.get("steps_per_epoch", STEPS_PER_EPOCH)}
    targets = one_crossing({"clr": clr, "constant": constant}, steps_per_epoch=per_epoch)
    first, sustained = time_to_target_table(targets, make_pairs(runs), search).to_dict("records")
    assert (first["kind"], sustained["kind"]) == ("first", "sustained")
    return first


# The crossings of single runs.


def test_first_and_sustained_crossing_of_an_accuracy_and_of_a_loss() -> None:
    metrics = evaluations("clr", 3, {10: 0.5, 15: 0.9, 20: 0.8, 30: 0.95, 40: 0.9})
    targets = targets_table(metrics, {"torch": {"test_accuracy": (0.9,), "test_loss": (0.06,)}})
    assert list(targets) == list(TARGET_COLUMNS)
    accuracy, loss = targets.to_dict("records")
    assert list(accuracy.values()) == ["torch", "clr", "test_accuracy", 0.9, 3, 1.5, 15, 3.0, 30]
    assert list(loss.values()) == ["torch", "clr", "test_loss", 0.06, 3, 3.0, 30, INF, INF]


def test_a_run_that_reaches_a_target_and_then_diverges_has_reached_it_and_not_stayed() -> None:
    metrics = evaluations("clr", 0, {10: 0.9, 20: NAN, 30: NAN}, status="diverged")
    (row,) = targets_table(metrics, {"torch": {"test_accuracy": (0.9,)}}).to_dict("records")
    assert (row["first_step"], row["sustained_step"]) == (10, INF)


def test_without_targets_there_are_headers() -> None:
    metrics = evaluations("clr", 0, {10: 0.9})
    targets = targets_table(metrics, target_values(make_spec(targets={}), [a_run("clr", 0)], metrics))
    assert (list(targets), len(targets)) == (list(TARGET_COLUMNS), 0)
    pairs = make_pairs([a_run("clr", 0)])
    assert (list(time_to_target_table(targets, pairs)), len(time_to_target_table(targets, pairs))) == (
        list(TIME_TO_TARGET_COLUMNS),
        0,
    )
    assert list(seconds_table(targets, pairs)) == list(SECONDS_COLUMNS)
    assert list(target_lines(time_to_target_table(targets, pairs))) == []


# Automatic targets.


def ends(arm: str, accuracy: list[float], backend: str = "torch") -> pd.DataFrame:
    """Return two evaluations of each run, of which the last has this accuracy; nan for a run that diverged."""
    rows = [
        evaluations(arm, seed, {10: 0.99, 20: end}, backend, status="diverged" if math.isnan(end) else "finished")
        for seed, end in enumerate(accuracy)
    ]
    return pd.concat(rows)


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
    metrics = pd.concat([ends("clr", [0.999] * 3), ends("constant", accuracy)])
    spec = make_spec(targets="auto", baseline="constant")
    assert target_values(spec, [a_run("clr", 0)], metrics) == {"torch": {"test_accuracy": (expected,)}}


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [([0.5, 0.87654, 0.9], (0.1235,)), ([NAN, 0.75, 0.5], (0.5,)), ([NAN, 0.75], ()), ([NAN, NAN, 0.5], ())],
)
def test_automatic_loss_is_rounded_up_and_counts_divergence_as_infinite(
    accuracy: list[float], expected: tuple[float, ...]
) -> None:
    spec = make_spec(targets="auto", verdict={"metric": "test_loss"})
    found = target_values(spec, [a_run("clr", 0)], ends("constant", accuracy))
    assert found == {"torch": {"test_loss": expected}}


def test_an_automatic_target_is_that_of_each_backend_and_stands_beside_given_ones() -> None:
    metrics = pd.concat([ends("constant", [0.9]), ends("constant", [0.8], "keras")])
    spec = make_spec(targets={"test_accuracy": "auto", "test_loss": (0.1, 0.2), "validation_accuracy": "auto"})
    values = target_values(spec, [a_run("constant", 0)], metrics)
    given = {"test_loss": (0.1, 0.2), "validation_accuracy": ()}
    assert values == {"torch": {"test_accuracy": (0.9,), **given}, "keras": {"test_accuracy": (0.8,), **given}}
    targets = targets_table(metrics, values)
    assert targets.loc[targets["metric"] == "test_accuracy", ["backend", "target"]].to_numpy().tolist() == [
        ["torch", 0.9],
        ["keras", 0.8],
    ]


def test_a_backend_without_a_run_of_the_baseline_has_no_automatic_target() -> None:
    metrics = pd.concat([ends("constant", [0.9]), ends("clr", [0.8], "keras")])
    values = target_values(make_spec(targets="auto"), [a_run("constant", 0)], metrics)
    assert values == {"torch": {"test_accuracy": (0.9,)}, "keras": {"test_accuracy": ()}}


# The paired speed-up.


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
    (line, _) = target_lines(pd.DataFrame([row] * 2))
    assert "speed-up 6x, interval 6x, 6 pairs; in epochs speed-up 0.6x, interval 0.6x; 0 of 6" in line


def test_the_search_is_added_to_each_run_and_to_what_a_run_that_misses_was_given() -> None:
    search = {("torch", "clr"): 300, ("torch", "constant"): 100, ("keras", "clr"): 9999}
    row = two_arms([100] * 6 + [INF], [700] * 6 + [500], search)
    assert (row["speed_up_low"], row["total_speed_up_low"], row["total_speed_up_high"]) == (7, 2, 2)
    assert (row["candidate_median_total_steps"], row["baseline_median_total_steps"]) == (400, 800)
    assert (row["total_ci_low"], row["total_ci_high"]) == (0, 2)
    missed = two_arms([INF] * 6, [500] * 6, search)
    assert (missed["total_speed_up_high"], missed["candidate_median_total_steps"]) == (600 / 1300, INF)


def test_seeds_without_a_partner_count_as_runs_and_not_as_pairs() -> None:
    row = two_arms([100] * 6, [200] * 7)
    assert (row["candidate_runs"], row["baseline_runs"], row["pairs"]) == (6, 7, 6)
    alone = two_arms([100] * 6, [])
    assert (alone["baseline_runs"], alone["pairs"], alone["ci_low"], alone["ci_high"]) == (0, 0, 0, INF)
    assert math.isnan(alone["baseline_median_steps"])
    (line,) = target_lines(pd.DataFrame([alone]))
    assert "constant in no run" in line


def test_a_pair_of_two_versions_is_none() -> None:
    runs = [a_run(arm, seed) for arm in ("clr", "constant") for seed in range(6)]
    runs += [a_run("constant", 6), a_run("clr", 6, versions={"numpy": "2"})]
    targets = one_crossing({"clr": [100] * 6 + [1], "constant": [200] * 7})
    row = time_to_target_table(targets, make_pairs(runs)).iloc[0]
    assert (row["candidate_runs"], row["pairs"], row["ci_low"], row["ci_high"]) == (7, 6, 2, 2)


def test_arms_that_are_evaluated_at_different_steps_are_compared_where_each_was_seen_to_arrive() -> None:
    runs = [a_run("clr", 0), a_run("constant", 0)]
    rows = [evaluations("clr", 0, {10: 0.5, 25: 0.9, 40: 0.9}), evaluations("constant", 0, {20: 0.5, 40: 0.6, 50: 0.9})]
    targets = targets_table(pd.concat(rows), {"torch": {"test_accuracy": (0.9,)}})
    table = time_to_target_table(targets, make_pairs(runs))
    assert table["speed_up_low"].tolist() == [2, 2]
    assert table["candidate_median_epochs"].tolist() == [2.5, 2.5]


def test_every_backend_target_and_comparison_has_its_rows() -> None:
    runs = [a_run(arm, 0, backend) for backend in ("torch", "keras") for arm in ("clr", "constant", "third")]
    first = {"clr": [100.0], "constant": [300.0], "third": [600.0]}
    targets = pd.concat([one_crossing(first, backend) for backend in ("torch", "keras")])
    more = pd.concat([targets, targets.assign(target=0.95)])
    pairs = Pairs(make_spec(), runs, pd.DataFrame(), [("clr", "constant"), ("third", "clr")])
    table = time_to_target_table(more, pairs)
    assert len(table) == 2 * 2 * 2 * 2
    speed_ups = table.groupby(["candidate", "baseline"])["speed_up_low"].unique()
    assert speed_ups["clr", "constant"].tolist() == [3]
    assert speed_ups["third", "clr"].tolist() == pytest.approx([1 / 6])
    assert time_to_target_table(more, Pairs(make_spec(), runs, pd.DataFrame(), [])).empty


def test_the_interval_covers_the_true_median_as_often_as_promised_although_runs_are_cut_off() -> None:
    rng = np.random.default_rng(4)
    covered, misses = [], 0
    for _ in range(150):
        candidate, baseline = rng.lognormal(6.0, 0.4, 10), rng.lognormal(6.0 + math.log(1.5), 0.4, 10)
        candidate[candidate > STEPS / 2] = INF
        baseline[baseline > STEPS] = INF
        row = two_arms(candidate.tolist(), baseline.tolist(), num_steps=STEPS // 2)
        misses += row["candidate_misses"] + row["baseline_misses"]
        covered.append(row["ci_low"] <= 1.5 <= row["ci_high"])
    assert misses > 500
    assert np.mean(covered) >= 0.95


# Seconds.


def test_seconds_are_steps_at_the_pace_of_the_run() -> None:
    runs = [a_run("clr", seed, train_seconds=20.0) for seed in range(6)]
    runs += [a_run("constant", seed) for seed in range(6)]
    targets = one_crossing({"clr": [100] * 6, "constant": [400] * 5 + [INF]})
    first, sustained = seconds_table(targets, make_pairs(runs)).to_dict("records")
    assert list(first) == list(SECONDS_COLUMNS)
    assert (first["device"], first["threads"], first["executor"], first["pairs"]) == ("cpu", 1, "local", 6)
    assert (first["candidate_median_seconds"], first["baseline_median_seconds"]) == pytest.approx((2, 4))
    assert (first["speed_up_low"], first["speed_up_high"], first["ci_low"]) == pytest.approx((2, 2, 2))
    assert first["ci_high"] == INF
    assert sustained["candidate_median_seconds"] == pytest.approx(4)


def test_the_pace_of_a_run_that_diverged_is_that_of_the_updates_it_made() -> None:
    runs = [a_run("clr", 0, steps_done=500), a_run("constant", 0)]
    row = seconds_table(one_crossing({"clr": [100], "constant": [400]}), make_pairs(runs)).iloc[0]
    assert (row["candidate_median_seconds"], row["baseline_median_seconds"]) == pytest.approx((2, 4))


def test_seconds_are_compared_only_on_one_device_with_equal_threads_and_executor() -> None:
    runs = [a_run("clr", seed) for seed in range(3)] + [a_run("clr", 3, threads=2)]
    runs += [a_run("constant", 0), a_run("constant", 1, device="cuda"), a_run("constant", 2, executor="ray")]
    runs += [a_run("constant", 3, threads=2)]
    targets = one_crossing({"clr": [100] * 4, "constant": [200, 300, 400, 500]})
    table = seconds_table(targets, make_pairs(runs))
    first = table[table["kind"] == "first"]
    assert first[["threads", "pairs", "speed_up_low"]].to_numpy().tolist() == [[1, 1, 2], [2, 1, 5]]
    assert time_to_target_table(targets, make_pairs(runs))["pairs"].tolist() == [4, 4]


# Words.


def test_a_line_says_medians_speed_up_interval_pairs_and_misses() -> None:
    row = two_arms([500, 600, 500, 600, 500, 600, 500], [1000, 900, 1000, 900, INF, INF, 750])
    (line,) = target_lines(pd.DataFrame([row]))
    assert line == (
        "torch, test accuracy of at least 0.9, first reached in the median: by clr after 500 steps, by constant after 1,000 "
        "steps; speed-up 1.67x to 2x, interval at least 1.5x, 7 pairs; 0 of 7 and 2 of 7 runs never did."
    )


def test_lines_of_what_stays_of_losses_and_of_misses() -> None:
    row = two_arms([400] * 6, [INF] * 6)
    lost = two_arms([INF] * 6, [INF] * 6, {("torch", "clr"): 10})
    few = two_arms([100], [2000 / 15])
    searched = two_arms([100] * 6, [400] * 6, {("torch", "clr"): 100})
    rows = [row | {"kind": "sustained", "metric": "test_loss"}, lost, few, searched]
    assert [*target_lines(pd.DataFrame(rows))] == [
        "torch, test loss of at most 0.9, kept to the end in the median: by clr from step 400 on, by constant never; "
        "speed-up at least 2.5x, interval at least 2.5x, 6 pairs; 0 of 6 and 6 of 6 runs did not.",
        "torch, test accuracy of at least 0.9, first reached in the median: by clr never, by constant never; the misses "
        "leave the speed-up open, 6 pairs; 6 of 6 and 6 of 6 runs never did.",
        "torch, test accuracy of at least 0.9, first reached in the median: by clr after 100 steps, by constant after 133 "
        "steps; speed-up 1.33x, no bounded interval, 1 pair; 0 of 1 and 0 of 1 runs never did.",
        "torch, test accuracy of at least 0.9, first reached in the median: by clr after 100 steps, by constant after 400 "
        "steps; speed-up 4x, interval 4x, 6 pairs; with the search for the rates speed-up 2x, interval 2x; 0 of 6 and 0 of "
        "6 runs never did.",
    ]

"""What runs whose values are known come to at the end, and which rates they used."""

import math
from typing import Any

import numpy as np
import pytest
from runs_in_memory import NO_SEARCH, results_of, stored_run

from clrbench.analysis.search import Search
from clrbench.analysis.summary import (
    given_table,
    published_table,
    schedule_table,
    summary_table,
    thinned_steps,
    timing_table,
)
from clrbench.store import StoredRun

NAN = math.nan


def ending(arm: str, ends: list[float]) -> list[StoredRun]:
    return [stored_run(arm, seed, {2: 0.1, 4: 0.2, 5: end}, steps_per_epoch=2) for seed, end in enumerate(ends)]


def test_summary_statistics() -> None:
    ends = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76]
    summary = summary_table(results_of([*ending("constant", [0.7] * 6), *ending("clr", ends)]))
    assert list(summary)[8:12] == [f"test_balanced_accuracy_{name}" for name in ("mean", "sd", "min", "max")]
    assert list(summary)[:8] == [
        "backend",
        "arm",
        "runs",
        "diverged",
        "test_accuracy_mean",
        "test_accuracy_sd",
        "test_accuracy_min",
        "test_accuracy_max",
    ]
    row = summary[summary["arm"] == "clr"].iloc[0]
    expected = [np.mean(ends), np.std(ends, ddof=1), 0.71, 0.76]
    np.testing.assert_allclose(row.iloc[4:8].astype(float), expected, rtol=1e-12)


def test_diverged_runs_are_counted_and_left_out_of_the_statistics() -> None:
    summary = summary_table(results_of(ending("clr", [NAN, 0.7, 0.7])))
    assert summary[["runs", "diverged"]].to_numpy().tolist() == [[3, 1]]
    assert summary["test_accuracy_mean"].tolist() == pytest.approx([0.7])
    assert np.isnan(summary_table(results_of(ending("clr", [NAN])))["test_accuracy_mean"].item())


def test_the_arms_at_the_rates_given_have_a_summary_of_their_own() -> None:
    runs = ending("clr", [0.8])
    assert given_table(results_of(runs)).empty
    given = Search((), NO_SEARCH.tries, NO_SEARCH.chosen, tuple(ending("constant@0.01", [0.5])))
    results = results_of(runs, given)
    assert (given_table(results)["arm"].tolist(), summary_table(results)["arm"].tolist()) == (
        ["constant@0.01"],
        ["clr"],
    )


def test_published_values_stand_among_the_runs() -> None:
    arms = {"clr": {"schedule": {"name": "constant", "lr": 0.1}, "published": {"test_accuracy": 0.85}}}
    (row,) = published_table(results_of(ending("clr", [0.7, 0.8, 0.9]), arms=arms)).to_dict("records")
    assert (row["value"], row["runs"], row["runs_below"], row["median"]) == (0.85, 3, 2, 0.8)
    (row,) = published_table(results_of(ending("clr", [NAN, 0.9]), arms=arms)).to_dict("records")
    assert (row["runs"], row["runs_below"], row["min"], row["max"]) == (1, 0, 0.9, 0.9)


def test_published_seconds_stand_among_those_of_training() -> None:
    arms = {"clr": {"schedule": {"name": "constant", "lr": 0.1}, "published": {"train_seconds": 5.47}}}
    results = results_of(ending("clr", [0.7, 0.8, 0.9]), arms=arms)
    (row,) = published_table(results).to_dict("records")
    seconds = [run.timing.train_seconds for run in results.runs]
    assert (row["metric"], row["value"], row["runs"]) == ("train_seconds", 5.47, 3)
    assert (row["min"], row["max"], row["runs_below"]) == (min(seconds), max(seconds), sum(s < 5.47 for s in seconds))


def test_seconds_are_rounded_and_stand_beside_what_they_depend_on() -> None:
    run = stored_run("clr", 0, {5: 0.5}, train_seconds=1.23456, made_with={"threads": 2})
    (row,) = timing_table(results_of([run])).to_dict("records")
    expected: dict[str, Any] = {
        "backend": "torch",
        "arm": "clr",
        "seed": 0,
        "train_seconds": 1.2346,
        "evaluation_seconds": 0.5,
        "compile_seconds": 0.0,
        "load_seconds": 0.0,
        "images_per_second": 50,
        "threads": 2,
        "device": "cpu",
        "executor": "local",
        "purpose": "run",
    }
    assert (list(row), row) == (list(expected), expected)


def test_the_schedule_is_that_of_the_first_run_that_did_not_diverge() -> None:
    runs = [
        stored_run("clr", 0, {2: 0.5, 4: NAN}, updates_made=3, steps_per_epoch=2),
        stored_run("clr", 1, {4: 0.5}, lr=np.array([0.1, 0.2, 0.3, 0.2]), steps_per_epoch=2),
        stored_run("clr", 2, {4: 0.5}, lr=np.array([1.0, 1.0, 1.0, 1.0]), steps_per_epoch=2),
    ]
    table = schedule_table(results_of(runs))
    np.testing.assert_array_equal(table["lr"], np.array([0.1, 0.2, 0.3, 0.2], np.float32))
    assert table["epoch"].tolist() == [0.5, 1.0, 1.5, 2.0]
    (alone,) = schedule_table(results_of(runs[:1])).groupby("arm")["lr"].apply(list)
    assert np.isnan(alone[-1])


def test_thinned_steps_keep_ends_and_turning_points() -> None:
    step = np.arange(100_000)
    lr = 1 - np.abs(step % 20_001 / 10_000.5 - 1)
    kept = thinned_steps(lr)
    assert {0, 99_999} <= set(kept.tolist())
    assert len(kept) < 500
    np.testing.assert_allclose(np.interp(step, kept, lr[kept]), lr, atol=2e-4)

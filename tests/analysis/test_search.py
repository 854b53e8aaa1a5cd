"""Tries on disk -> their table, and the rate chosen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from runs_on_disk import run_record, run_spec
from specs import read_spec

from clrbench.analysis.search import Search, best_rate, read_search, scores
from clrbench.errors import ResultsError
from clrbench.planning.runs import BoundsTable
from clrbench.planning.tuning import Choice
from clrbench.rates import Rates
from clrbench.records import Evaluation, RunLog, Split, StepLog, Timing
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

CONSTANT = {"schedule": {"name": "constant", "lr": [0.01, 0.03, 0.1]}}
CLR = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 1}}
FROM_RANGE_TEST = {"schedule": {"name": "constant", "lr": "range_test"}, "tune": {"from": "range_test", "points": 3}}
SEED = 1_000_000


def make_spec(folder: Path, arm: dict[str, Any], **changes: Any) -> Spec:
    content = {"duration": "4 steps", "seeds": 2, "backends": ["torch"], "arms": {"constant": arm, "clr": CLR}}
    return read_spec(folder, **{**content, **changes}).spec


def write_try(folder: ResultsFolder, label: str, seed: int, accuracy: float) -> None:
    """Write a run of four updates at the rate in its label; accuracy nan stands for one that diverged at the second."""
    diverged = math.isnan(accuracy)
    values = np.array([0.1, 0.1, *([np.nan] * 2 if diverged else [0.1] * 2)], np.float32)
    log = RunLog(
        StepLog(values, values, values),
        np.array([2, 4], np.int32),
        {Split.VALIDATION: (Evaluation(3.0, 0.99), Evaluation(1 - accuracy, accuracy))},
        "diverged" if diverged else "finished",
        None,
        Timing(1.0, 0.5, 0.0, 0.0, 500),
    )
    spec = run_spec(
        label,
        seed,
        schedule={"name": "constant", "lr": float(label.partition("@")[2] or 0.1)},
        num_steps=4,
        evaluation_steps=(2, 4),
        evaluated_splits=("validation",),
    )
    record = run_record(spec)
    folder.create()
    folder.write_run(record, log)
    folder.add_runs("spec", "torch", [*folder.index().runs.get("torch", []), record.run_id], {})


def write_tries(folder: Path, accuracies: dict[str, list[float]]) -> ResultsFolder:
    results = ResultsFolder(folder)
    for label, values in accuracies.items():
        for seed, accuracy in enumerate(values, SEED):
            write_try(results.search(), label, seed, accuracy)
    return results


def search(folder: Path, spec: Spec, accuracies: dict[str, list[float]], bounds: BoundsTable | None = None) -> Search:
    return read_search(write_tries(folder, accuracies), spec, [], bounds or {})


def test_every_try_has_its_row_and_the_best_mean_is_chosen(tmp_path: Path) -> None:
    accuracies = {"constant@0.1": [0.9, 0.1], "constant@0.03": [0.7, 0.5], "constant@0.01": [0.5, 0.5]}
    found = search(tmp_path, make_spec(tmp_path, CONSTANT), accuracies)
    assert found.tries["lr"].tolist() == [0.01, 0.01, 0.03, 0.03, 0.1, 0.1]
    assert found.tries["seed"].tolist() == [SEED, SEED + 1] * 3
    np.testing.assert_allclose(found.tries["validation_accuracy"], [0.5, 0.5, 0.7, 0.5, 0.9, 0.1], atol=1e-12)
    assert found.chosen.to_dict("records") == [
        {
            "backend": "torch",
            "arm": "constant",
            "given_lr": 0.01,
            "lr": 0.03,
            "tries": 6,
            "at_edge": False,
            "search_steps": 24,
        }
    ]


def test_a_diverged_try_counts_as_a_blind_guess_and_costs_the_updates_it_made(tmp_path: Path) -> None:
    accuracies = {"constant@0.01": [0.2], "constant@0.03": [0.24], "constant@0.1": [math.nan]}
    found = search(tmp_path, make_spec(tmp_path, CONSTANT), accuracies)
    assert found.tries["validation_accuracy"].tolist() == [0.2, 0.24, 0.25]
    assert found.tries["validation_loss"].tolist() == [0.8, 0.76, math.inf]
    assert found.tries["steps"].tolist() == [4, 4, 2]
    assert found.chosen["lr"].tolist() == [0.1]


def test_where_every_try_diverged_the_lowest_rate_stands(tmp_path: Path) -> None:
    accuracies = {f"constant@{rate}": [math.nan] for rate in (0.01, 0.03, 0.1)}
    found = search(tmp_path, make_spec(tmp_path, CONSTANT), accuracies)
    assert found.chosen[["lr", "at_edge"]].to_numpy().tolist() == [[0.01, True]]


@pytest.mark.parametrize(
    ("metric", "chosen"), [("test_accuracy", 0.1), ("test_balanced_accuracy", 0.1), ("test_loss", 0.03)]
)
def test_the_score_is_of_the_kind_of_the_verdicts_metric(metric: str, chosen: float, tmp_path: Path) -> None:
    accuracies = {"constant@0.01": [0.1, 0.2], "constant@0.03": [0.2, 0.2], "constant@0.1": [0.9, math.nan]}
    spec = make_spec(tmp_path, CONSTANT, verdict={"metric": metric})
    found = search(tmp_path, spec, accuracies)
    assert found.chosen["lr"].tolist() == [chosen]
    (by_rate,) = scores(spec, found.tries).values()
    assert by_rate == pytest.approx(
        {0.01: 0.85, 0.03: 0.8, 0.1: math.inf} if metric == "test_loss" else {0.01: 0.15, 0.03: 0.2, 0.1: 0.575}
    )
    assert best_rate(spec, by_rate) == Choice(chosen, at_edge=chosen == 0.1)


@pytest.mark.parametrize("best", ["0.01", "0.1"])
def test_a_best_rate_at_the_edge_is_marked(best: str, tmp_path: Path) -> None:
    accuracies = {f"constant@{rate}": [0.9 if rate == best else 0.5] for rate in ("0.01", "0.03", "0.1")}
    found = search(tmp_path, make_spec(tmp_path, CONSTANT), accuracies)
    assert found.chosen[["lr", "at_edge"]].to_numpy().tolist() == [[float(best), True]]


def test_runs_at_the_rate_given_are_no_tries(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, CONSTANT)
    for seed in spec.seeds:
        write_try(ResultsFolder(tmp_path).search(), "constant@0.01", seed, 0.99)
    found = search(tmp_path, spec, {"constant@0.01": [0.5], "constant@0.03": [0.9], "constant@0.1": [0.5]})
    assert found.chosen["lr"].tolist() == [0.03]
    assert [run.key.seed for run in found.given_runs] == [0, 1]
    assert len(found.runs) == 5


def test_runs_at_another_rate_are_not_taken_for_those_at_the_rate_given(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, CONSTANT)
    for label in ("constant@0.03", "constant@0.01"):
        write_try(ResultsFolder(tmp_path).search(), label, 0, 0.99)
    found = search(tmp_path, spec, {"constant@0.01": [0.5], "constant@0.03": [0.9]})
    assert [run.key.arm for run in found.given_runs] == ["constant@0.01"]


def test_an_arm_that_keeps_the_rate_given_repeats_its_own_runs(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"schedule": {"name": "constant", "lr": [0.03, 0.01, 0.1]}})
    results = write_tries(tmp_path, {"constant@0.01": [0.5], "constant@0.03": [0.9], "constant@0.1": [0.5]})
    for arm in ("constant", "clr"):
        write_try(results, arm, 0, 0.9)
    runs = results.counted_runs()
    found = read_search(results, spec, runs, {})
    assert [run.key.arm for run in found.given_runs] == ["constant@0.03"]
    pd.testing.assert_frame_equal(found.given_runs[0].evaluations, runs[0].evaluations)
    assert runs[0].key.arm == "constant"


def test_the_rate_given_by_a_range_test_is_that_of_its_bounds(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, FROM_RANGE_TEST)
    accuracies = {"constant@0.01": [0.5], "constant@0.03": [0.9], "constant@0.09": [0.5]}
    found = search(
        tmp_path,
        spec,
        accuracies,
        {("torch", None): Rates(base_lr=0.01, max_lr=0.09, constant_lr=0.03, triangle_base_lr=0.01)},
    )
    assert found.chosen[["given_lr", "lr"]].to_numpy().tolist() == [[0.03, 0.03]]


def test_a_rate_given_by_a_range_test_that_is_gone_is_not_known(tmp_path: Path) -> None:
    found = search(tmp_path, make_spec(tmp_path, FROM_RANGE_TEST), {"constant@0.01": [0.5], "constant@0.03": [0.9]})
    assert found.chosen["lr"].tolist() == [0.03]
    assert found.chosen["given_lr"].isna().all()


@pytest.mark.parametrize("missing", ["tries", "runs at the rate given"])
def test_a_trained_arm_whose_search_is_not_finished_is_refused(missing: str, tmp_path: Path) -> None:
    spec = make_spec(tmp_path, CONSTANT)
    results = ResultsFolder(tmp_path)
    for arm in ("clr", "constant"):
        write_try(results, arm, 0, 0.9)
    if missing != "tries":
        write_try(results.search(), "constant@0.03", SEED, 0.9)
    with pytest.raises(ResultsError, match="search: the search for the rate of constant on torch is not finished"):
        read_search(results, spec, results.counted_runs(), {})


def test_without_tries_the_tables_have_their_header_only(tmp_path: Path) -> None:
    found = read_search(ResultsFolder(tmp_path), make_spec(tmp_path, CONSTANT), [], {})
    assert all(table.empty and len(table.columns) == 7 for table in (found.tries, found.chosen))
    assert (found.runs, found.given_runs) == ((), ())


def test_tries_of_an_earlier_spec_are_left_out(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, CONSTANT)
    found = search(tmp_path, spec, {"constant@0.01": [0.5], "other@0.03": [0.9]})
    assert found.tries["arm"].tolist() == ["constant"]
    assert [run.key.arm for run in found.runs] == ["constant@0.01"]


def test_tries_of_a_backend_that_the_spec_leaves_out_are_left_out(tmp_path: Path) -> None:
    write_tries(tmp_path, {"constant@0.01": [0.5]})
    found = read_search(ResultsFolder(tmp_path), make_spec(tmp_path, CONSTANT, backends=["keras"]), [], {})
    assert (found.tries.empty, found.runs) == (True, ())

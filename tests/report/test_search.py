"""Tries on disk -> their table, the rate chosen, and what is said about it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from clrbench.analysis.search import Search, read_search
from clrbench.errors import ResultsError
from clrbench.records import Evaluation, RunLog, Split, StepLog, Timing
from clrbench.spec import Spec, load_spec
from clrbench.store import ResultsFolder, StoredRun

CONSTANT = {"schedule": {"name": "constant", "lr": [0.01, 0.03, 0.1]}}
CLR = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 1}}
SEED = 1_000_000


def make_spec(folder: Path, arm: dict[str, Any], **changes: Any) -> Spec:
    content = {
        "name": "test",
        "data": {"dataset": "mnist"},
        "model": {"name": "mlp"},
        "batch_size": 10,
        "duration": "4 steps",
        "seeds": 2,
        "backends": ["torch"],
        "arms": {"constant": arm, "clr": CLR},
    }
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False), encoding="utf-8")
    return load_spec(path).spec


def write_try(folder: ResultsFolder, arm: str, seed: int, accuracy: float) -> None:
    """Write a run of four updates; nan stands for one that diverged at the second."""
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
    spec: dict[str, Any] = {"backend": "torch", "arm": arm, "seed": seed, "num_steps": 4, "evaluation_steps": [2, 4]}
    spec["evaluated_splits"] = ["validation"]
    run_id = f"torch-{arm}-s{seed}-00000000"
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.write_run(run_id, 2, log, {"status": log.status, "num_classes": 4, "spec": spec})
    folder.update_index({"runs": {"torch": [*folder.index().get("runs", {}).get("torch", []), run_id]}})


def search(folder: Path, spec: Spec, accuracies: dict[str, list[float]]) -> Search:
    results = ResultsFolder(folder)
    for label, values in accuracies.items():
        for seed, accuracy in enumerate(values, SEED):
            write_try(results.search(), label, seed, accuracy)
    return read_search(results, spec, [])


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
    assert found.warnings == []
    assert found.lines == [
        "torch: constant was tuned on validation rows: the best of 3 rates is 0.03 (given: 0.01); the search took 24 updates."
    ]


def test_a_diverged_try_counts_as_a_blind_guess_and_costs_the_updates_it_made(tmp_path: Path) -> None:
    accuracies = {"constant@0.01": [0.2], "constant@0.03": [0.24], "constant@0.1": [math.nan]}
    found = search(tmp_path, make_spec(tmp_path, CONSTANT), accuracies)
    assert found.tries["validation_accuracy"].tolist() == [0.2, 0.24, 0.25]
    assert found.tries["validation_loss"].tolist() == [0.8, 0.76, math.inf]
    assert found.tries["steps"].tolist() == [4, 4, 2]
    assert found.chosen["lr"].tolist() == [0.1]
    assert found.warnings[0] == "arm constant: 1 of 3 tries of its search on torch diverged"


def test_a_search_in_which_every_try_diverged_is_not_told_as_a_choice(tmp_path: Path) -> None:
    accuracies = {f"constant@{rate}": [math.nan] for rate in (0.01, 0.03, 0.1)}
    (warning,) = search(tmp_path, make_spec(tmp_path, CONSTANT), accuracies).warnings
    assert warning == (
        "arm constant: 3 of 3 tries of its search on torch diverged; no rate is better than another, the lowest stands"
    )


@pytest.mark.parametrize(("metric", "chosen"), [("test_accuracy", 0.1), ("test_loss", 0.03)])
def test_the_score_is_of_the_kind_of_the_verdicts_metric(metric: str, chosen: float, tmp_path: Path) -> None:
    accuracies = {"constant@0.01": [0.1, 0.2], "constant@0.03": [0.2, 0.2], "constant@0.1": [0.9, math.nan]}
    found = search(tmp_path, make_spec(tmp_path, CONSTANT, verdict={"metric": metric}), accuracies)
    assert found.chosen["lr"].tolist() == [chosen]


@pytest.mark.parametrize(("best", "edge"), [("0.01", "lowest"), ("0.1", "highest")])
def test_a_best_rate_at_the_edge_is_not_fully_tuned(best: str, edge: str, tmp_path: Path) -> None:
    accuracies = {f"constant@{rate}": [0.9 if rate == best else 0.5] for rate in ("0.01", "0.03", "0.1")}
    found = search(tmp_path, make_spec(tmp_path, CONSTANT), accuracies)
    assert found.warnings == [
        f"arm constant: not fully tuned on torch: {best} is the best rate and the {edge} of the 3 tried; list rates beyond it"
    ]


def test_runs_at_the_rate_given_are_no_tries(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, CONSTANT)
    for seed in spec.seeds:
        write_try(ResultsFolder(tmp_path).search(), "constant@0.01", seed, 0.99)
    found = search(tmp_path, spec, {"constant@0.01": [0.5], "constant@0.03": [0.9], "constant@0.1": [0.5]})
    assert found.chosen["lr"].tolist() == [0.03]
    assert [run.info["spec"]["seed"] for run in found.given_runs] == [0, 1]
    assert len(found.runs) == 5


def test_an_arm_that_keeps_the_rate_given_repeats_its_own_runs(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, {"schedule": {"name": "constant", "lr": [0.03, 0.01, 0.1]}})
    results = ResultsFolder(tmp_path)
    for arm in ("constant", "clr"):
        write_try(results, arm, 0, 0.9)
    runs = results.indexed_runs()
    search(tmp_path, spec, {"constant@0.01": [0.5], "constant@0.03": [0.9], "constant@0.1": [0.5]})
    found = read_search(results, spec, runs)
    assert [run.info["spec"]["arm"] for run in found.given_runs] == ["constant@0.03"]
    pd.testing.assert_frame_equal(found.given_runs[0].evaluations, runs[0].evaluations)
    assert runs[0].info["spec"]["arm"] == "constant"


def test_the_rate_given_by_a_range_test_is_read_from_its_bounds(tmp_path: Path) -> None:
    arm = {"schedule": {"name": "constant", "lr": "range_test"}, "tune": {"from": "range_test", "points": 3}}
    spec = make_spec(tmp_path, arm)
    bounds = {"torch": {"base_lr": 0.01, "max_lr": 0.09, "reason": None}, "keras": {"reason": "flat"}}
    (tmp_path / "range-test").mkdir()
    ResultsFolder(tmp_path).range_test(None).write_json("bounds.json", bounds)
    found = search(tmp_path, spec, {"constant@0.01": [0.5], "constant@0.03": [0.9], "constant@0.09": [0.5]})
    assert found.chosen[["given_lr", "lr"]].to_numpy().tolist() == [[0.03, 0.03]]


def test_a_rate_given_by_a_range_test_that_is_gone_is_not_known(tmp_path: Path) -> None:
    arm = {"schedule": {"name": "constant", "lr": "range_test"}, "tune": {"from": "range_test", "points": 3}}
    found = search(tmp_path, make_spec(tmp_path, arm), {"constant@0.01": [0.5], "constant@0.03": [0.9]})
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
        read_search(results, spec, results.indexed_runs())


def test_without_tries_the_tables_have_their_header_only(tmp_path: Path) -> None:
    found = read_search(ResultsFolder(tmp_path), make_spec(tmp_path, CONSTANT), [])
    assert dict(found.files()).keys() == {"search.csv", "chosen.csv"}
    assert all(table.empty and len(table.columns) == 7 for _, table in found.files())
    assert (found.lines, found.warnings, found.given_runs) == ([], [], [])


def test_tries_of_an_earlier_spec_are_left_out(tmp_path: Path) -> None:
    spec = make_spec(tmp_path, CONSTANT)
    found = search(tmp_path, spec, {"constant@0.01": [0.5], "other@0.03": [0.9]})
    assert found.tries["arm"].tolist() == ["constant"]
    assert [StoredRun(run.folder).info["spec"]["arm"] for run in found.runs] == ["constant@0.01"]

"""The evaluations of runs whose values are known, and what a diverged run counts as."""

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from runs_in_memory import make_spec, results_of, stored_run
from runs_on_disk import write_run
from specs import CONSTANT

from clrbench.analysis import metrics, pairs, search, targets
from clrbench.analysis.metrics import diverged_value, is_accuracy, last_rows, metrics_table
from clrbench.analysis.pairs import differences_table
from clrbench.analysis.search import search_table
from clrbench.analysis.targets import target_values
from clrbench.store import ResultsFolder

NAN = math.nan


def test_metrics_hold_means_since_the_row_before_and_the_last_rate(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write_run(folder, "clr", 0, [0.1, 0.2, 0.3])
    table = metrics_table("test", folder.counted_runs())
    assert ",".join(table) == (
        "experiment,backend,arm,seed,epoch,step,lr,train_loss,train_accuracy,validation_loss,validation_accuracy,"
        "test_loss,test_accuracy,test_balanced_accuracy,status"
    )
    assert table["epoch"].tolist() == [1.0, 2.0, 2.5]
    assert table["step"].tolist() == [2, 4, 5]
    np.testing.assert_array_equal(table["lr"], np.array([0.4, 0.2, 0.1], np.float32))
    np.testing.assert_allclose(table["train_loss"], [4.5, 2.5, 1.0], rtol=1e-12)
    np.testing.assert_allclose(table["train_accuracy"], [0.9, 0.5, 0.2], rtol=1e-7)
    np.testing.assert_array_equal(table["test_accuracy"], [0.1, 0.2, 0.3])
    assert table["validation_loss"].isna().all()


def test_every_evaluation_of_a_diverged_run_is_marked() -> None:
    table = metrics_table("test", [stored_run("clr", 0, {2: 0.4, 4: NAN}), stored_run("clr", 1, {2: 0.4, 4: 0.5})])
    assert table["status"].tolist() == ["diverged"] * 2 + ["finished"] * 2


def test_without_runs_there_are_headers() -> None:
    table = metrics_table("test", [])
    assert (list(table), len(table)) == (list(metrics.METRIC_COLUMNS), 0)


def test_the_last_row_of_every_run() -> None:
    runs = [stored_run("clr", seed, {2: 0.1, 4 + seed: 0.5}) for seed in range(2)]
    assert last_rows(metrics_table("test", runs))["step"].tolist() == [4, 5]


def test_a_diverged_run_counts_as_a_blind_guess_and_an_infinite_loss() -> None:
    assert [diverged_value(name, 4) for name in ("test_accuracy", "validation_loss")] == [0.25, math.inf]
    assert [is_accuracy(name) for name in ("train_accuracy", "train_loss")] == [True, False]


@pytest.mark.parametrize("module", [pairs, targets, search])
def test_comparison_automatic_targets_and_search_ask_one_function_what_a_diverged_run_counts_as(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "diverged_value", lambda metric, _: 0.125 if is_accuracy(metric) else 8.0)
    runs = [stored_run("constant", 0, {2: 0.5, 4: NAN}), stored_run("clr", 0, {2: 0.5, 4: 0.5})]
    results = results_of(runs, targets="auto")
    differences = differences_table(results)
    given = make_spec(arms={"constant": {"schedule": {"name": "constant", "lr": [0.1, 0.2]}}, "clr": CONSTANT})
    tried = [stored_run("constant@0.1", 1_000_000, {4: NAN})]
    found = {
        pairs: differences.loc[differences["metric"] == "test_accuracy", "difference"].item() - 0.5,
        targets: -target_values(results)["torch"]["test_accuracy"][0],
        search: -search_table(given, tried)["validation_accuracy"].item(),
    }
    assert found == {part: -0.125 if part is module else -0.25 for part in found}

"""What an arm costs: its training, its range test, its search."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from clrbench.analysis.metrics_table import metrics_table
from runs_on_disk import write_run

from clrbench.analysis.costs import cost_curve, costs_table, read_sweeps, whole_timing
from clrbench.analysis.tables import summary_table
from clrbench.spec import Spec, load_spec
from clrbench.store import ResultsFolder, StoredRun

ARMS: dict[str, Any] = {
    "fixed": {"schedule": {"name": "constant", "lr": 0.1}},
    "found": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 1}},
    "tuned": {"schedule": {"name": "constant", "lr": 0.1}, "tune": {"from": "range_test"}},
}
CHOSEN = pd.DataFrame({"backend": ["torch"], "arm": ["tuned"], "search_steps": [70]})
NOTHING = CHOSEN.iloc[:0]
"""Every run on disk has 5 updates, and evaluations after 2, 4 and 5 of them."""


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    content = {
        "name": "test",
        "data": {"dataset": "mnist"},
        "model": {"name": "mlp"},
        "batch_size": 10,
        "duration": "5 steps",
        "seeds": 2,
        "arms": ARMS,
    }
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_spec(path).spec


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """Two seeds of each arm, a range test of three seeds, of which one diverged after three updates, and one on Keras."""
    folder = ResultsFolder(tmp_path)
    for arm in ARMS:
        write_run(folder, arm, 0, [0.1, 0.5, 0.8])
        write_run(folder, arm, 1, [0.3, 0.7, 0.6])
    for seed, status in enumerate(("finished", "finished", "diverged")):
        write_run(folder.range_test(None), "range-test", seed, [0.1, 0.5, 0.8], status=status)
    write_run(folder.range_test(None), "range-test", 0, [0.1, 0.5, 0.8], backend="keras")
    return folder


def costs(spec: Spec, folder: ResultsFolder, chosen: pd.DataFrame) -> pd.DataFrame:
    runs = folder.indexed_runs()
    summary = summary_table(metrics_table("test", runs))
    return costs_table(spec, runs, summary, chosen, read_sweeps(folder, spec))


def test_each_arm_pays_for_the_range_test_and_the_search_that_it_takes_its_rate_from(
    spec: Spec, folder: ResultsFolder
) -> None:
    table = costs(spec, folder, CHOSEN)
    assert table.to_dict("list") == {
        "backend": ["torch"] * 3,
        "arm": ["fixed", "found", "tuned"],
        "runs": [2] * 3,
        "test_accuracy_mean": pytest.approx([0.7] * 3),
        "train_steps": [5] * 3,
        "range_test_steps": [0, 13, 13],
        "search_steps": [0, 0, 70],
        "total_steps": [5, 18, 88],
    }


def test_without_range_test_and_search_an_arm_costs_its_training(spec: Spec, tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "other")
    write_run(folder, "fixed", 0, [0.1, 0.5, 0.8])
    table = costs(spec, folder, NOTHING)
    assert table[["range_test_steps", "search_steps", "total_steps"]].to_numpy().tolist() == [[0, 0, 5]]


def test_cost_curve_is_the_mean_shifted_by_what_the_rates_cost(spec: Spec, folder: ResultsFolder) -> None:
    metrics = metrics_table("test", folder.indexed_runs())
    curve = cost_curve(metrics, costs(spec, folder, CHOSEN), "test_accuracy", list(ARMS))
    assert curve["arm"].tolist() == ["fixed"] * 3 + ["found"] * 3 + ["tuned"] * 3
    assert curve["total_step"].tolist() == [2, 4, 5, 15, 17, 18, 85, 87, 88]
    np.testing.assert_allclose(curve["mean"], [0.2, 0.6, 0.7] * 3, rtol=1e-6)


def test_timing_names_the_purpose_of_every_run_last(spec: Spec, folder: ResultsFolder) -> None:
    search: list[StoredRun] = folder.indexed_runs()[:1]
    table = whole_timing(folder.indexed_runs(), search, read_sweeps(folder, spec))
    assert table.columns[-1] == "purpose"
    assert table["purpose"].tolist() == ["run"] * 6 + ["search"] + ["range_test"] * 4
    assert table["train_seconds"].tolist() == [1.0] * 11

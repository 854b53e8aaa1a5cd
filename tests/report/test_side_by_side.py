"""Experiments next to each other, from tables on disk."""

import json
from pathlib import Path

import pytest
from page_samples import CONSTANT, PAIRS, make_spec
from runs_on_disk import write_run

from clrbench.analysis.tables import make_tables
from clrbench.errors import ResultsError
from clrbench.planning.advice import comparisons
from clrbench.report.side_by_side import side_by_side
from clrbench.spec import Spec, to_yaml
from clrbench.store import ResultsFolder

GAINS = [0.8, 0.81, 0.82, 0.83, 0.84, 0.85]
LOSSES = [0.6, 0.59, 0.58, 0.57, 0.56, 0.55]


def write_tables(folder: ResultsFolder, spec: Spec, warnings: list[str] | None = None) -> Path:
    """Write what is committed of an experiment, and return its folder."""
    for name, table in make_tables(spec, folder.indexed_runs(), comparisons(spec)).files():
        folder.write_table(name, table)
    folder.write_text("spec.yaml", to_yaml(spec))
    folder.update_index({"warnings": warnings or []})
    return folder.root


def experiment(
    root: Path, name: str, accuracies: list[float], warnings: list[str] | None = None, **changes: object
) -> Path:
    folder = ResultsFolder(root / name)
    for seed, accuracy in enumerate(accuracies):
        write_run(folder, "constant", seed, [0.4, 0.6, 0.7])
        write_run(folder, "clr", seed, [0.6, 0.4, accuracy])
    return write_tables(folder, make_spec(**{"name": name, "seeds": len(accuracies), **changes}), warnings)


def test_experiments_stand_in_the_order_named_and_losses_as_large_as_wins(tmp_path: Path) -> None:
    arms = {"constant": CONSTANT, "clr": {**CONSTANT, "batch_size": 500}}
    lost = experiment(tmp_path, "lost", LOSSES, ["arm clr: confounded"], arms=arms)
    won = experiment(tmp_path, "won", GAINS)
    assert (
        side_by_side([lost, won]).text
        == f"""\
Candidate - baseline, an experiment after the other; each stands for itself, nothing is pooled.

lost ({lost}): mlp on mnist, batch size 100 or 500, 12 epochs, 6 seeds
  Test accuracy, 95 % intervals of each alone, verdicts by Holm's method, margin 0.001:
  torch  clr - constant  -0.1250  -0.1500 to -0.1000  p = 0.0312  0 won, 0 tied, 6 lost  worse
  Mind: arm clr: confounded

won ({won}): mlp on mnist, batch size 100, 12 epochs, 6 seeds
  Test accuracy, 95 % intervals of each alone, verdicts by Holm's method, margin 0.001:
  torch  clr - constant  +0.1250  +0.1000 to +0.1500  p = 0.0312  6 won, 0 tied, 0 lost  better"""
    )


def test_data_holds_the_tables_as_they_are_and_no_pooled_value(tmp_path: Path) -> None:
    folders = [experiment(tmp_path, "won", GAINS), experiment(tmp_path, "few", GAINS[:2])]
    found = json.loads(json.dumps(side_by_side(folders).data, allow_nan=False))
    assert set(found) == {"experiments"}
    won, few = found["experiments"]
    assert (won["experiment"], won["results"], won["dataset"], won["metric"]) == (
        "won",
        str(folders[0]),
        "mnist",
        "test_accuracy",
    )
    (verdict,) = won["verdicts"]
    tables = make_tables(make_spec(), ResultsFolder(folders[0]).indexed_runs(), PAIRS)
    assert verdict["mean_difference"] == tables.comparison["mean_difference"][0]
    assert won["summary"][1]["test_accuracy_sd"] == tables.summary["test_accuracy_sd"][1]
    assert (verdict["pairs"], verdict["wins"], verdict["verdict"]) == (6, 6, "better")
    (verdict,) = few["verdicts"]
    assert (verdict["ci_low"], verdict["ci_high"], verdict["verdict"]) == (None, None, "cannot tell")
    assert [row["arm"] for row in few["summary"]] == ["constant", "clr"]


def test_only_the_metric_of_the_verdict_is_compared(tmp_path: Path) -> None:
    accuracy = experiment(tmp_path, "accuracy", GAINS)
    loss = experiment(tmp_path, "loss", GAINS, verdict={"metric": "test_loss", "margin": 0.01})
    found = side_by_side([accuracy, loss])
    assert [[row["metric"] for row in side["verdicts"]] for side in found.data["experiments"]] == [
        ["test_accuracy"],
        ["test_loss"],
    ]
    assert "Test loss, 95 % intervals of each alone, verdicts by Holm's method, margin 0.01:" in found.text
    assert found.text.count("+0.1250") == found.text.count("-0.1250") == 1


def test_an_arm_that_only_diverged_leaves_no_answer(tmp_path: Path) -> None:
    won = experiment(tmp_path, "won", GAINS)
    folder, spec = ResultsFolder(tmp_path / "wild"), make_spec(name="wild", seeds=1)
    write_run(folder, "constant", 0, [0.4, 0.6, 0.7])
    write_run(folder, "clr", 0, [float("nan")] * 3, status="diverged")
    write_tables(folder, spec)
    assert side_by_side([won]).has_answer
    found = side_by_side([won, folder.root])
    assert not found.has_answer
    assert "torch: 1 of 1 runs of clr diverged." in found.text
    assert "-0.4500  no interval" in found.text


def test_one_arm_alone_says_that_there_is_nothing_to_compare(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "alone")
    spec = make_spec(name="alone", seeds=1, arms={"nan": CONSTANT}, baseline="nan")
    write_run(folder, "nan", 0, [0.4, 0.6, 0.7])
    write_tables(folder, spec)
    found = side_by_side([folder.root, folder.root])
    assert found.text.count("There is nothing to compare") == 2
    assert found.has_answer


def test_names_that_look_like_numbers_or_gaps_stay_names(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "odd")
    spec = make_spec(name="odd", seeds=1, arms={"nan": CONSTANT, "007": CONSTANT}, baseline="nan")
    write_run(folder, "nan", 0, [0.4, 0.6, 0.7])
    write_run(folder, "007", 0, [0.4, 0.6, 0.8])
    write_tables(folder, spec)
    found = side_by_side([folder.root])
    assert "torch  007 - nan  +0.1000" in found.text
    assert [row["arm"] for row in found.data["experiments"][0]["summary"]] == ["nan", "007"]


def test_what_is_missing_or_damaged_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"nowhere: no spec\.yaml lies there; name the folder of an experiment"):
        side_by_side([tmp_path / "nowhere"])
    root = experiment(tmp_path, "won", GAINS)
    (root / "summary.csv").write_text("backend,arm\ntorch,clr\n")
    with pytest.raises(
        ResultsError, match=r"summary\.csv: got no column runs, diverged, test_accuracy_mean; run clrbench report"
    ):
        side_by_side([root])
    (root / "comparison.csv").unlink()
    with pytest.raises(
        ResultsError, match=r"comparison\.csv: cannot be read .* run clrbench report .*won to write it anew"
    ):
        side_by_side([root])
    (root / "spec.yaml").write_text("name: [")
    with pytest.raises(ResultsError, match=r"damaged: .*spec\.yaml"):
        side_by_side([root])

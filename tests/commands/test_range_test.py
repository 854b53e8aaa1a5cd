"""`clrbench range-test`, and what the other commands make of its bounds."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from command_line import Clrbench, answer, run_clrbench, write_spec

ARMS_FROM_RANGE_TEST = {
    "constant": {"schedule": {"name": "constant", "lr": "range_test"}},
    "clr": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 2}},
}


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which a range test has been run, and what it printed."""
    folder = tmp_path_factory.mktemp("tested")
    spec = write_spec(folder, arms=ARMS_FROM_RANGE_TEST, backends=["torch"])
    done = run_clrbench("range-test", spec, "--workers", 1, folder=folder, cold=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def test_range_test_writes_curve_bounds_and_plot(tested: tuple[Path, str]) -> None:
    workplace, stdout = tested
    folder = workplace / "results/quick/range-test"
    bounds = json.loads((folder / "bounds.json").read_text())["torch"]
    assert 0.001 <= bounds["base_lr"] < bounds["max_lr"] <= 2.0
    assert stdout.startswith(f"torch: base_lr {bounds['base_lr']:g}, max_lr {bounds['max_lr']:g}")
    curve = pd.read_csv(folder / "curve.csv")
    assert ",".join(curve) == "backend,seed,step,lr,train_loss,train_accuracy,validation_loss,validation_accuracy"
    assert len(curve) == 2 * 120
    assert curve["validation_accuracy"].notna().sum() == 2 * 100
    assert (folder / "range_test.png").read_bytes().startswith(b"\x89PNG")


def test_schedule_knows_the_bounds_once_they_are_found(tested: tuple[Path, str]) -> None:
    found = answer(run_clrbench("schedule", "quick.yaml", "--json", folder=tested[0]))
    bounds = json.loads((tested[0] / "results/quick/range-test/bounds.json").read_text())["torch"]
    assert found["arms"]["clr"]["highest_lr"] == pytest.approx(bounds["max_lr"], rel=1e-6)
    assert found["left_out"] == []


def test_report_rebuilds_a_range_test_without_arms(tested: tuple[Path, str], tmp_path: Path) -> None:
    shutil.copytree(tested[0] / "results/quick", tmp_path / "quick")
    spec = yaml.safe_load((tmp_path / "quick/spec.yaml").read_text())
    del spec["arms"], spec["baseline"]
    (tmp_path / "quick/spec.yaml").write_text(yaml.safe_dump(spec))
    folder = tmp_path / "quick/range-test"
    before = {name: (folder / name).read_bytes() for name in ("curve.csv", "bounds.json", "range_test.png")}
    for name in before:
        (folder / name).unlink()
    done = run_clrbench("report", "quick", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.acceptance
def test_check_length_sweeps_again_at_half_the_length_and_says_whether_the_bounds_hold(
    tested: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(tested[0] / "results", tmp_path / "results")
    shutil.copy(tested[0] / "quick.yaml", tmp_path)
    folder = tmp_path / "results/quick/range-test"
    before = json.loads((folder / "bounds.json").read_text())["torch"]
    times = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")}
    cost = answer(run_clrbench("range-test", "quick.yaml", "--check-length", "--dry-run", "--json", folder=tmp_path))
    assert (cost["num_runs"], cost["num_steps"]) == (4, 2 * 120 + 2 * 60)
    done = run_clrbench("range-test", "quick.yaml", "--check-length", "--workers", 1, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "At half the length" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("run.json")} == times
    bounds = json.loads((folder / "bounds.json").read_text())["torch"]
    half = bounds.pop("half_length")
    assert bounds == before
    assert list(half) == ["base_lr", "max_lr", "reason", "holds"]
    whole, curve = pd.read_csv(folder / "curve.csv"), pd.read_csv(folder / "curve-half.csv")
    assert list(curve) == list(whole)
    assert curve.groupby("seed")["step"].max().to_dict() == {1_000_000: 60, 1_000_001: 60}
    assert [curve["lr"].min(), curve["lr"].max()] == [whole["lr"].min(), whole["lr"].max()]
    assert curve["train_loss"].iloc[0] == whole["train_loss"].iloc[0]


@pytest.mark.acceptance
def test_check_length_works_for_arms_with_range_tests_of_their_own(clrbench: Clrbench, tmp_path: Path) -> None:
    clr = ARMS_FROM_RANGE_TEST["clr"]
    short = {"start_lr": 0.001, "end_lr": 2.0, "duration": "2 epochs", "seeds": 1}
    arms = {"clr": clr, "small": {**clr, "batch_size": 25}}
    spec = write_spec(tmp_path, arms=arms, backends=["torch"], range_test=short)
    found = answer(clrbench("range-test", spec, "--check-length", "--json"))
    assert len(found["range_tests"]) == 2
    for test, steps in zip(found["range_tests"], (20, 40), strict=True):
        assert set(test["backends"]["torch"]["half_length"]) == {"base_lr", "max_lr", "reason", "holds"}
        assert pd.read_csv(tmp_path / test["results"] / "curve-half.csv")["step"].max() == steps
        assert len(list((tmp_path / test["results"] / "half/runs").glob("torch-range-test-*"))) == 1


def test_check_length_refuses_a_test_whose_half_has_too_few_points(clrbench: Clrbench, tmp_path: Path) -> None:
    short = {"start_lr": 0.001, "end_lr": 2.0, "duration": "23 steps", "seeds": 2}
    done = clrbench("range-test", write_spec(tmp_path, range_test=short, backends=["torch"]), "--check-length")
    assert done.returncode == 2
    assert "range_test.duration: got 23 steps, which is 23 steps" in done.stderr
    assert "at least 24 steps" in done.stderr
    assert not (tmp_path / "results/quick/range-test").exists()


def test_report_refuses_where_the_runs_are_missing(tested: tuple[Path, str]) -> None:
    shutil.copytree(tested[0] / "results/quick", tested[0] / "copy", ignore=shutil.ignore_patterns("runs"))
    done = run_clrbench("report", "copy", folder=tested[0])
    assert done.returncode == 1
    assert "there is no folder runs/" in done.stderr


def test_compare_takes_bounds_from_the_range_test_which_is_not_made_again(tested: tuple[Path, str]) -> None:
    results = tested[0] / "results/quick"
    times = {path: path.stat().st_mtime_ns for path in (results / "range-test/runs").rglob("run.json")}
    done = run_clrbench("compare", "quick.yaml", "--workers", 1, folder=tested[0])
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (results / "range-test/runs").rglob("run.json")} == times
    bounds = json.loads((results / "range-test/bounds.json").read_text())["torch"]
    (clr,) = (results / "runs").glob("torch-clr-s0-*")
    steps = pd.read_csv(clr / "steps.csv")
    assert steps["lr"].min() == pytest.approx(bounds["base_lr"], rel=1e-6)
    assert steps["lr"].max() == pytest.approx(bounds["max_lr"], rel=1e-6)
    metrics = pd.read_csv(results / "metrics.csv")
    constant = metrics[metrics["arm"] == "constant"]["lr"].unique()
    assert constant == pytest.approx([(bounds["base_lr"] * bounds["max_lr"]) ** 0.5], rel=1e-6)


def test_without_an_answer_compare_and_range_test_exit_with_3_and_say_why(clrbench: Clrbench, tmp_path: Path) -> None:
    too_low = {"start_lr": 1e-7, "end_lr": 1e-6, "duration": "3 epochs", "seeds": 2}
    spec = write_spec(tmp_path, arms=ARMS_FROM_RANGE_TEST, backends=["torch"], range_test=too_low)
    for command in ("compare", "range-test"):
        done = clrbench(command, spec, "--workers", 1)
        assert done.returncode == 3
        assert "torch: no bounds can be named: " in done.stdout
        assert f"clrbench range-test {spec}" in done.stdout
    bounds = json.loads((tmp_path / "results/quick/range-test/bounds.json").read_text())["torch"]
    assert (bounds["base_lr"], bounds["max_lr"]) == (None, None)
    assert bounds["reason"]
    assert not (tmp_path / "results/quick/runs").exists()

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
    assert 0.001 <= bounds["triangle_base_lr"] < bounds["max_lr"] <= 2.0
    assert bounds["confirmed"] is True
    rates = f"max_lr {bounds['max_lr']:g}, constant {bounds['constant_lr']:g}; confirmed over "
    assert rates in " ".join(stdout.split())
    assert stdout.count("* chosen") == 2
    assert "\x1b" not in stdout
    assert max(map(len, stdout.splitlines())) <= 100
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
    before = {
        name: (folder / name).read_bytes()
        for name in ("curve.csv", "sweeps.csv", "confirmation.csv", "bounds.json", "range_test.png")
    }
    for name in before:
        (folder / name).unlink()
    done = run_clrbench("report", "quick", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_report_refuses_where_the_runs_are_missing(tested: tuple[Path, str]) -> None:
    shutil.copytree(tested[0] / "results/quick", tested[0] / "copy", ignore=shutil.ignore_patterns("runs"))
    done = run_clrbench("report", "copy", folder=tested[0])
    assert done.returncode == 1
    assert "there is no folder runs/" in done.stderr


@pytest.mark.acceptance
def test_compare_takes_bounds_from_the_range_test_which_is_not_made_again(tested: tuple[Path, str]) -> None:
    results = tested[0] / "results/quick"
    times = {path: path.stat().st_mtime_ns for path in (results / "range-test/runs").rglob("run.json")}
    done = run_clrbench("compare", "quick.yaml", "--workers", 1, folder=tested[0])
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (results / "range-test/runs").rglob("run.json")} == times
    bounds = json.loads((results / "range-test/bounds.json").read_text())["torch"]
    (clr,) = (results / "runs").glob("torch-clr-s0-*")
    steps = pd.read_csv(clr / "steps.csv")
    assert steps["lr"].min() == pytest.approx(bounds["triangle_base_lr"], rel=1e-6)
    assert steps["lr"].max() == pytest.approx(bounds["max_lr"], rel=1e-6)
    metrics = pd.read_csv(results / "metrics.csv")
    constant = metrics[metrics["arm"] == "constant"]["lr"].unique()
    assert constant == pytest.approx([bounds["constant_lr"]], rel=1e-6)
    files = [path for path in (results / "range-test").iterdir() if path.is_file()]
    written = [path.stat().st_ctime_ns for path in files]
    assert run_clrbench("compare", "quick.yaml", "--workers", 1, folder=tested[0]).returncode == 0
    assert [path.stat().st_ctime_ns for path in files] == written


@pytest.mark.acceptance
def test_without_an_answer_compare_and_range_test_exit_with_3_and_say_why(clrbench: Clrbench, tmp_path: Path) -> None:
    too_low = {"start_lr": 1e-7, "end_lr": 1e-6, "duration": "3 epochs", "seeds": 2, "confirm": False}
    spec = write_spec(tmp_path, arms=ARMS_FROM_RANGE_TEST, backends=["torch"], range_test=too_low)
    for command in ("compare", "range-test"):
        done = clrbench(command, spec, "--workers", 1)
        assert done.returncode == 3
        assert "torch: no rates suggested: " in done.stdout
        assert f"clrbench range-test {spec}" in " ".join(done.stdout.split())
    bounds = json.loads((tmp_path / "results/quick/range-test/bounds.json").read_text())["torch"]
    assert (bounds["base_lr"], bounds["max_lr"]) == (None, None)
    assert bounds["reason"]
    assert not (tmp_path / "results/quick/runs").exists()

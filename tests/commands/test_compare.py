"""`clrbench compare` on real MNIST rows, on both backends, end to end."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import Clrbench, answer, run_clrbench, write_spec

TABLES = ("metrics.csv", "summary.csv", "comparison.csv")
RUNS = ["constant", "clr"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the quick experiment has been run once."""
    folder = tmp_path_factory.mktemp("compare")
    done = run_clrbench("compare", write_spec(folder), "--workers", 1, folder=folder, cold=True)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def results(workplace: Path) -> Path:
    return workplace / "results" / "quick"


def run_folder(results: Path, backend: str, arm: str, seed: int) -> Path:
    (found,) = (results / "runs").glob(f"{backend}-{arm}-s{seed}-????????")
    return found


def test_every_contract_file_is_there(results: Path) -> None:
    files = {
        str(path.relative_to(results)) for path in results.rglob("*") if path.is_file() and "runs" not in path.parts
    }
    plots = {f"plots/{name}.png" for name in ("train_loss", "test_loss", "test_accuracy", "lr_schedule", "overview")}
    assert {"spec.yaml", *TABLES, "targets.csv", "timing.csv"} | plots <= files
    assert len([path for path in (results / "runs").iterdir() if path.is_dir()]) == 8


def test_the_answer_comes_first_on_stdout_and_progress_goes_to_stderr(workplace: Path) -> None:
    stdout, stderr = ((workplace / name).read_text() for name in ("stdout", "stderr"))
    assert stdout.startswith("quick: mlp on mnist")
    assert "cannot tell clr from constant (untuned)." in stdout
    assert "runs: 8 of 8 runs" in stderr
    assert "\x1b" not in stdout + stderr
    assert "too few seeds: 2 pairs can reach p = 0.5" in " ".join(stdout.split())


@pytest.mark.acceptance
@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_lr_column_is_that_of_torchs_own_cyclic_lr(results: Path, backend: str) -> None:
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.01)
    scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.01, 0.1, step_size_up=20, cycle_momentum=False)
    expected = []
    for _ in range(80):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    steps = pd.read_csv(run_folder(results, backend, "clr", 1) / "steps.csv")
    np.testing.assert_allclose(steps["lr"], expected, rtol=1e-6, atol=0)
    assert steps["step"].tolist() == list(range(1, 81))


def test_first_losses_are_equal_across_arms_and_backends(results: Path) -> None:
    for seed in (0, 1):
        first = [
            pd.read_csv(run_folder(results, backend, arm, seed) / "steps.csv")["train_loss"].iloc[0]
            for backend in ("torch", "keras")
            for arm in RUNS
        ]
        np.testing.assert_allclose(first, first[0], rtol=1e-6, atol=0)


def test_backends_give_the_same_accuracies(results: Path) -> None:
    metrics = pd.read_csv(results / "metrics.csv")
    torch, keras = (metrics[metrics["backend"] == name]["test_accuracy"].to_numpy() for name in ("torch", "keras"))
    assert len(torch) == 16
    np.testing.assert_allclose(torch, keras, atol=0.005)
    assert metrics["test_accuracy"].max() > 0.8


def test_run_json_says_what_the_run_was(results: Path) -> None:
    info = json.loads((run_folder(results, "keras", "clr", 0) / "run.json").read_text())
    provenance = info["provenance"]
    assert info["status"] == "finished"
    assert {"keras", "tensorflow", "numpy", "clrbench"} <= set(provenance["versions"])
    assert (provenance["device"], provenance["threads"], provenance["executor"]) == ("cpu", 1, "local")
    assert len(provenance["data_checksum"]) == len(info["identity"]) == 64


def test_a_second_call_trains_nothing_changes_no_byte_and_prints_one_json_document(
    workplace: Path, results: Path
) -> None:
    before = {name: (results / name).read_bytes() for name in TABLES}
    times = {path: path.stat().st_mtime_ns for path in (results / "runs").rglob("run.json")}
    done = run_clrbench("compare", "quick.yaml", "--quiet", "--json", folder=workplace)
    assert done.stderr == ""
    verdicts = answer(done)["verdicts"]
    assert [(verdict["backend"], verdict["verdict"]) for verdict in verdicts] == [
        ("torch", "cannot tell"),
        ("keras", "cannot tell"),
    ]
    assert {name: (results / name).read_bytes() for name in TABLES} == before
    assert {path: path.stat().st_mtime_ns for path in (results / "runs").rglob("run.json")} == times


@pytest.mark.acceptance
def test_report_rebuilds_tables_and_plots_without_a_framework(workplace: Path, results: Path, tmp_path: Path) -> None:
    for framework in ("torch", "keras", "tensorflow"):
        (tmp_path / f"{framework}.py").write_text("raise ImportError('no framework here')")
    names = [*TABLES, "targets.csv", "timing.csv", "plots/overview.png"]
    before = {name: (results / name).read_bytes() for name in names}
    for name in names:
        (results / name).unlink()
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = run_clrbench("report", "results/quick", folder=workplace, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    assert {name: (results / name).read_bytes() for name in names} == before


@pytest.mark.acceptance
def test_other_threads_or_device_later_is_an_error_that_names_both(workplace: Path) -> None:
    done = run_clrbench("compare", "quick.yaml", "--threads", "2", folder=workplace)
    assert done.returncode == 2
    assert "threads: got 2, but results/quick was started with threads 1" in done.stderr
    done = run_clrbench("compare", "quick.yaml", "--device", "cuda", folder=workplace)
    assert done.returncode == 2
    assert "device: got cuda, but results/quick was started with device cpu" in done.stderr


@pytest.mark.acceptance
def test_a_changed_arm_reruns_alone(workplace: Path, results: Path, tmp_path: Path) -> None:
    arms = {
        "constant": {"schedule": {"name": "constant", "lr": 0.05}},
        "clr": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.2, "cycles": 2}},
    }
    spec = write_spec(tmp_path, arms=arms, backends=["torch"])
    times = {path: path.stat().st_mtime_ns for path in (results / "runs").rglob("run.json")}
    done = run_clrbench("compare", spec, "--workers", 1, folder=workplace)
    assert done.returncode == 0
    after = {path: path.stat().st_mtime_ns for path in (results / "runs").rglob("run.json")}
    assert {path: after[path] for path in times} == times
    assert sorted(path.parent.name[:12] for path in set(after) - set(times)) == ["torch-clr-s0", "torch-clr-s1"]


@pytest.mark.acceptance
def test_two_workers_give_the_same_bytes_as_one(results: Path, tmp_path: Path) -> None:
    done = run_clrbench("compare", write_spec(tmp_path, backends=["torch"]), "--workers", 2, folder=tmp_path)
    assert done.returncode == 0
    made = [path for path in (tmp_path / "results/quick/runs").iterdir() if path.is_dir()]
    assert len(made) == 4
    for run in made:
        for name in ("steps.csv", "evaluations.csv"):
            assert (run / name).read_bytes() == (results / "runs" / run.name / name).read_bytes()


@pytest.mark.acceptance
def test_a_diverged_arm_is_a_result_and_leaves_no_answer(clrbench: Clrbench, tmp_path: Path) -> None:
    arms = {
        "constant": {"schedule": {"name": "constant", "lr": 0.05}},
        "wild": {"schedule": {"name": "constant", "lr": 1e6}},
    }
    done = clrbench("compare", write_spec(tmp_path, arms=arms, backends=["torch"]), "--workers", 1)
    assert done.returncode == 3
    assert "2 of 2 runs of wild diverged" in " ".join(done.stdout.split())
    metrics = pd.read_csv(tmp_path / "results/quick/metrics.csv")
    wild = metrics[metrics["arm"] == "wild"]
    assert (wild["status"] == "diverged").all()
    assert wild["test_accuracy"].isna().all()


@pytest.mark.acceptance
def test_own_data_needs_nothing_but_its_path(clrbench: Clrbench, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300).astype(np.int16)
    images = (rng.random((300, 9, 7, 3)) * 0.3 + labels[:, None, None, None] * 0.3).astype(np.float32)
    np.savez(tmp_path / "own.npz", x_train=images[:240], y_train=labels[:240], x_test=images[240:], y_test=labels[240:])
    spec = write_spec(tmp_path, data={"dataset": "own.npz"}, batch_size=20, model={"name": "cnn"}, seeds=1)
    done = clrbench("compare", spec, "--workers", 1)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "results/quick/summary.csv")
    assert len(summary) == 4
    assert (summary["test_accuracy_mean"] > 0.8).all()


@pytest.mark.acceptance
@pytest.mark.parametrize(("condition", "code"), [("worse", 0), ("not-better", 4)])
def test_fail_if_turns_a_verdict_into_an_exit_code(condition: str, code: int, workplace: Path) -> None:
    # Two pairs cannot tell, which is not better, and not worse.
    done = run_clrbench("compare", "quick.yaml", "--fail-if", condition, folder=workplace)
    assert done.returncode == code, done.stderr
    assert "cannot tell clr from constant" in done.stdout


@pytest.mark.acceptance
def test_where_every_run_diverges_at_once_the_answer_is_none_and_no_warning_is_printed(
    tmp_path: Path, clrbench: Clrbench
) -> None:
    gone = {"schedule": {"name": "constant", "lr": "1e20"}}
    path = write_spec(tmp_path, arms={"constant": gone, "clr": gone}, backends=["torch"], duration="1 epochs", seeds=2)
    done = clrbench("compare", path.name, "--json", "--quiet")
    assert done.returncode == 3
    assert "Warning" not in done.stderr
    found = answer(done)
    assert [(row["runs"], row["diverged"]) for row in found["summary"]] == [(2, 2), (2, 2)]
    assert [row["verdict"] for row in found["verdicts"]] == ["cannot tell"]

"""`--dry-run`: what an experiment would cost."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import Clrbench, answer, write_spec

from clrbench.cli import main
from clrbench.execution import executor
from clrbench.store import ResultsFolder


def test_dry_run_says_what_it_would_cost_and_does_nothing(clrbench: Clrbench, tmp_path: Path) -> None:
    found = answer(clrbench("compare", write_spec(tmp_path), "--dry-run", "--json"))
    assert (found["num_runs"], found["num_steps"], found["detectable_sds"]) == (8, 640, None)
    assert not (tmp_path / "results").exists()
    done = clrbench("compare", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("demo: ")
    assert "Warning" not in done.stderr


def test_devices_set_the_number_of_workers(clrbench: Clrbench, tmp_path: Path) -> None:
    planned = answer(clrbench("compare", write_spec(tmp_path), "--dry-run", "--json", "--devices", "0,1"))
    assert planned["workers"] == 2
    assert planned["memory_gigabytes"] == 2 * planned["one_worker_gigabytes"]


@pytest.mark.parametrize("options", [["--devices", "all"], ["--executor", "ray", "--ray-address", "head:6379"]])
def test_no_time_is_claimed_where_nobody_knows_how_many_workers_there_are(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "find_spec", lambda _: object())
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", str(write_spec(tmp_path)), "--dry-run", *options]
    planned = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert [planned[name] for name in ("workers", "minutes", "memory_gigabytes")] == [None] * 3
    assert planned["one_worker_minutes"] > 0
    said = CliRunner().invoke(main, arguments).stdout
    assert "min with 1 worker; with more it depends on how many the cluster or the devices allow" in said
    assert "GB of memory each" in said


def test_a_dry_run_counts_the_threads_that_the_experiment_was_started_with(clrbench: Clrbench, tmp_path: Path) -> None:
    planned = answer(clrbench("compare", spec := write_spec(tmp_path), "--dry-run", "--json"))
    ResultsFolder(tmp_path / "results/quick").create()
    ResultsFolder(tmp_path / "results/quick").settle_threads(10**6)
    again = answer(clrbench("compare", spec, "--dry-run", "--json"))
    assert (again["workers"], again["one_worker_minutes"]) == (1, planned["one_worker_minutes"])


def test_floats_take_four_times_the_memory_of_bytes(clrbench: Clrbench, tmp_path: Path) -> None:
    memory = []
    for kind in (np.uint8, np.float32):
        images = np.ones((1000, 100, 100), kind)
        labels = np.arange(1000) % 2
        np.savez_compressed(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
        data = {"dataset": str(tmp_path / "own.npz"), "validation": "500 rows"}
        path = write_spec(tmp_path, data=data, backends=["torch"])
        memory.append(answer(clrbench("compare", path, "--dry-run", "--json"))["one_worker_gigabytes"])
    assert memory[1] - memory[0] == pytest.approx(2 * 3 * 2000 * 100 * 100 / 1e9)


def test_equal_arms_are_one_training(clrbench: Clrbench, tmp_path: Path) -> None:
    constant = {"schedule": {"name": "constant", "lr": 0.05}}
    arms = {"a": constant, "b": constant, "c": {"schedule": {"name": "constant", "lr": 0.06}}}
    planned = answer(clrbench("compare", write_spec(tmp_path, arms=arms), "--dry-run", "--json"))
    assert (planned["num_runs"], planned["num_steps"]) == (8, 640)


def test_arms_whose_rates_are_not_known_yet_are_no_arm_with_a_given_rate(clrbench: Clrbench, tmp_path: Path) -> None:
    arms = {
        "found": {"schedule": {"name": "constant", "lr": "range_test"}},
        "given": {"schedule": {"name": "constant", "lr": 0.03}},
    }
    changes = {"arms": arms, "range_test": {"seeds": 1, "confirm": False, "start_lr": 0.001, "end_lr": 1.0}}
    planned = answer(clrbench("compare", write_spec(tmp_path, **changes), "--dry-run", "--json"))
    assert planned["num_runs"] == 8 + 2  # the sweeps of two backends

"""A file that is there is whole."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clrbench.errors import ResultsError
from clrbench.records import RunLog, StepLog, Timing
from clrbench.store import ResultsFolder, to_csv


def make_log(loss: float) -> RunLog:
    values = np.full(3, loss, np.float32)
    timing = Timing(1.0, 0.0, 0.0, 0.0, num_images=3)
    return RunLog(StepLog(values, values, values), np.array([3], np.int32), {}, "finished", None, timing)


INFO = {"spec": {"arm": "a", "num_steps": 3, "evaluation_steps": [3]}}


def write(folder: ResultsFolder, loss: float = 1.0) -> None:
    folder.write_run("run", 3, make_log(loss), {**INFO, "loss": loss})


def test_a_run_is_finished_once_it_is_written(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    assert not folder.is_finished("run")
    write(folder)
    assert folder.is_finished("run")


def test_a_second_writing_takes_the_place_of_the_first(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder, 1.0)
    write(folder, 2.0)
    assert json.loads((tmp_path / "runs/run/run.json").read_text())["loss"] == 2.0
    assert os.listdir(tmp_path / "runs") == ["run"]  # noqa: PTH208


@pytest.mark.parametrize("failing_write", [0, 1, 2])
def test_a_write_that_fails_leaves_nothing_that_looks_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing_write: int
) -> None:
    folder, writes = ResultsFolder(tmp_path), iter(range(10))

    def fsync(_descriptor: int) -> None:
        if next(writes) == failing_write:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(ResultsError, match=r"runs/run: cannot be written \(No space left on device\)"):
        write(folder)
    assert not folder.is_finished("run")
    assert list((tmp_path / "runs").iterdir()) == []


def test_floats_are_written_in_the_shortest_form_that_reads_back_the_same() -> None:
    table = pd.DataFrame({"lr": np.array([0.1, 1e-5, np.nan], np.float32), "p": [0.1, float("inf"), 1e-9]})
    assert to_csv(table).decode() == "lr,p\n0.1,0.1\n1e-05,inf\nnan,1e-09\n"


def test_index_keeps_the_entries_that_are_not_named(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    folder.update_index({"threads": 1, "runs": {"torch": ["a"]}})
    folder.update_index({"runs": {"keras": ["b"]}})
    assert folder.index() == {"threads": 1, "runs": {"torch": ["a"], "keras": ["b"]}}


def test_only_indexed_and_finished_runs_are_listed(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    folder.update_index({"runs": {"torch": ["missing", "run"]}})
    assert [run.folder.name for run in folder.indexed_runs()] == ["run"]


@pytest.mark.parametrize("damage", ["step,lr\n1,2\n", "step,lr,train_loss,train_accuracy\n1,0.1,2.3,0.1\n", ""])
def test_a_damaged_table_is_named(tmp_path: Path, damage: str) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    folder.update_index({"runs": {"torch": ["run"]}})
    (tmp_path / "runs/run/steps.csv").write_text(damage)
    (run,) = folder.indexed_runs()
    with pytest.raises(ResultsError, match=r"steps\.csv: (cannot be read|got 1 rows)"):
        _ = run.steps


def test_a_run_whose_json_is_damaged_is_to_be_made_again(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    (tmp_path / "runs/run/run.json").write_text("{")
    assert not folder.is_finished("run")


def test_a_run_serves_where_it_was_evaluated_at_more_points_than_asked_for(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    assert folder.has_evaluations("run", (3,))
    assert not folder.has_evaluations("run", (2, 3))


def test_a_damaged_index_is_named_and_costs_no_run(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    write(folder)
    (tmp_path / "experiment.json").write_text("{")
    with pytest.raises(ResultsError, match=r"experiment\.json: cannot be read .* remove this file"):
        folder.indexed_runs()


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no folder runs/"):
        ResultsFolder(tmp_path).indexed_runs()


def _hold_lock(root: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with ResultsFolder(root).run_lock("run"):
        ready.set()
        signal.pause()


def test_a_dead_process_lets_go_of_its_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold_lock, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(30)
    holder.kill()
    holder.join()
    with ResultsFolder(tmp_path).run_lock("run"):
        pass

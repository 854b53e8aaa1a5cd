"""The run of a script as an object: the files of its folder, read and written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folder import write_run_folder

from clrbench.api.current_run import CurrentRun, current_run
from clrbench.errors import ResultsError
from clrbench.execution.script_rows import read_rows


@pytest.fixture
def run(tmp_path: Path) -> CurrentRun:
    """A run of four updates."""
    return CurrentRun(write_run_folder(tmp_path, (0.4, 0.3, 0.2, 0.1)))


def test_rates_count_from_0_and_the_last_one_stays(run: CurrentRun) -> None:
    assert list(run.lr) == [0.4, 0.3, 0.2, 0.1]
    assert [run.lr[0], run.lr(1), run.lr(4), len(run.lr)] == [0.4, 0.3, 0.1, 4]
    assert (run.arm, run.seed, run.num_steps, run.epochs, run.resumes) == ("clr", 7, 4, 2, False)
    assert [step for step in range(6) if run.evaluate_at(step)] == [3, 4]


def test_an_update_too_many_is_told_where_to_stop(run: CurrentRun) -> None:
    assert [run.lr[-1], list(run.lr[2:9])] == [0.1, [0.2, 0.1]]
    with pytest.raises(IndexError, match=r"got lr\[4\]; allowed: up to lr\[3\], .* 4 updates; stop after num_steps"):
        run.lr[4]
    with pytest.raises(ValueError, match=r"got step 5; allowed: 1 to 4, .*; stop after num_steps"):
        run.log(5, train_loss=1.0)
    with pytest.raises(ValueError, match=r"got step 0; .* so far$"):
        run.log(0, train_loss=1.0)


def test_what_is_logged_is_what_is_read_whenever_a_name_comes(run: CurrentRun) -> None:
    run.log(1, train_loss=0.1 + 0.2)
    run.log(3, train_loss=0.25)
    run.log(3, test_f1=0.5, validation_loss=float("nan"))
    run.log(4, test_f1=0.75)
    rows = read_rows(run.folder / "metrics.csv", 4, resumed=False)
    assert rows.of("train_loss")[[0, 2]].tolist() == [0.1 + 0.2, 0.25]
    assert rows.of("test_f1")[2:].tolist() == [0.5, 0.75]
    assert rows.diverged(1000.0) == (3, "validation_loss after update 3 is nan, not finite")
    again = CurrentRun(run.folder)  # as a script that resumes does
    again.log(2, train_loss=0.3)
    assert read_rows(run.folder / "metrics.csv", 4, resumed=False).of("train_loss")[1] == 0.3


class Whole:
    """A tensor that is a whole number."""

    def __index__(self) -> int:
        return 3


def test_whole_numbers_of_any_library_are_steps(run: CurrentRun) -> None:
    for step in (np.int64(1), np.array(2), Whole()):
        run.log(step, train_loss=0.5)
    assert (run.folder / "metrics.csv").read_text() == "step,train_loss\n1,0.5\n2,0.5\n3,0.5\n"


def test_a_file_that_something_else_began_is_gone_on_with(run: CurrentRun) -> None:
    (run.folder / "metrics.csv").write_text('\ufeff"step","test_f1"\r\n1,0.5\r\n', encoding="utf-8")
    run.log(2, test_f1=0.75)
    assert read_rows(run.folder / "metrics.csv", 4, resumed=False).of("test_f1")[:2].tolist() == [0.5, 0.75]
    run.log(3, train_loss=0.25)
    rows = read_rows(run.folder / "metrics.csv", 4, resumed=False)
    assert (rows.own, rows.of("train_loss")[2], rows.last_step) == (("test_f1", "train_loss"), 0.25, 3)


@pytest.mark.parametrize(
    ("step", "name"),
    [
        *((step, "a") for step in (0, 5, 1.5, 2.0, True, "1", None, np.bool_(True), np.array([1, 2]))),
        *((1, name) for name in ("a b", "1st", "_a", "a" * 51, "epoch", "status")),
    ],
)
def test_steps_and_names_that_are_none_are_refused(step: Any, name: str, run: CurrentRun) -> None:
    with pytest.raises(ValueError, match="allowed"):
        run.log(step, **{name: 1.0})
    assert not (run.folder / "metrics.csv").exists()


def test_outside_of_a_run_the_message_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLRBENCH_RUN", raising=False)
    current_run.cache_clear()
    with pytest.raises(ResultsError, match="CLRBENCH_RUN is not set"):
        current_run()


@pytest.mark.parametrize("loses", ["the folder", "the rates", "a value"])
def test_a_folder_that_is_gone_or_damaged_is_named(
    loses: str, run: CurrentRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if loses == "the folder":
        shutil.rmtree(tmp_path)
    elif loses == "the rates":
        (tmp_path / "lr.csv").write_text("step,lr\n1,fast\n")
    else:
        (tmp_path / "run.json").write_text("{}")
    monkeypatch.setenv("CLRBENCH_RUN", str(tmp_path))
    current_run.cache_clear()
    with pytest.raises(ResultsError, match=f"{tmp_path}: .* cannot be used .*; run clrbench compare"):
        current_run()
    if loses == "the folder":
        with pytest.raises(ResultsError, match="cannot be used"):
            run.log(1, train_loss=0.5)

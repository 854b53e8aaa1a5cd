"""The run of a script as an object: the files of its folder, read and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clrbench.api.current_run import CurrentRun, current_run
from clrbench.errors import ResultsError
from clrbench.execution.script_rows import read_rows


@pytest.fixture
def run(tmp_path: Path) -> CurrentRun:
    """A run of four updates."""
    about = {
        "arm": "clr",
        "seed": 7,
        "num_steps": 4,
        "steps_per_epoch": 3,
        "evaluation_steps": [3, 4],
        "resumes": False,
    }
    (tmp_path / "run.json").write_text(json.dumps(about))
    (tmp_path / "lr.csv").write_text("step,lr\n1,0.4\n2,0.3\n3,0.2\n4,0.1\n")
    return CurrentRun(tmp_path)


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


@pytest.mark.parametrize(("step", "name"), [(0, "a"), (5, "a"), (1, "a b"), (1, "1st")])
def test_steps_and_names_that_are_none_are_refused(step: int, name: str, run: CurrentRun) -> None:
    with pytest.raises(ValueError, match="allowed"):
        run.log(step, **{name: 1.0})
    assert not (run.folder / "metrics.csv").exists()


def test_outside_of_a_run_the_message_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLRBENCH_RUN", raising=False)
    current_run.cache_clear()
    with pytest.raises(ResultsError, match="CLRBENCH_RUN is not set"):
        current_run()

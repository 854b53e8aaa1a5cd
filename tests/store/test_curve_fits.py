"""The fit of a range test's curve is found again where nothing that it was made from has changed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clrbench.rates import Outcome, Problem, Run
from clrbench.rates.sweep import read
from clrbench.records import Bounds
from clrbench.store import ResultsFolder, curve_fits
from clrbench.store.curve_fits import FITS_FILE, CurveFits

STEPS = 120
PROBLEM = Problem((40,) * 10, 10, STEPS, (0, 1), 400)
RUNS = tuple(Run("linear", 1e-3, 1.0, seed, STEPS) for seed in PROBLEM.seeds)
ODD = Bounds(
    None, 0.3, None, 0.1, 2, (None, 1e-3), (0.30000000000000004, 0.2), {"valley": None, "steepest": 1 / 3}, ("a",)
)


def outcome(run: Run, shift: float = 0.0) -> Outcome:
    """Return what a sweep left behind whose accuracy rises to a peak and falls."""
    steps = np.arange(4.0, STEPS + 1, 4)
    lr = run.lr()
    accuracy = 0.1 + 0.8 * np.exp(-((np.log10(lr) + 1 + shift) ** 2)) + 0.005 * np.sin(100 * lr + run.seed)
    return Outcome(2.3 - accuracy, steps, (2.3 - accuracy)[steps.astype(int) - 1], accuracy[steps.astype(int) - 1])


MADE = tuple(map(outcome, RUNS))


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The curves that were fitted."""
    seen: list[Any] = []

    def fit(*curve: Any) -> Bounds:
        seen.append(curve)
        return ODD

    monkeypatch.setattr(curve_fits, "read", fit)
    return seen


def test_the_answer_is_that_of_the_fit_the_first_time_and_from_the_file(tmp_path: Path) -> None:
    expected = read(PROBLEM, RUNS, MADE)
    assert expected.max_lr is not None
    for _ in range(2):
        assert CurveFits(ResultsFolder(tmp_path)).read(PROBLEM, RUNS, MADE) == expected


def test_nothing_is_fitted_a_second_time_by_this_process_or_the_next(tmp_path: Path, fitted: list[Any]) -> None:
    fits = CurveFits(ResultsFolder(tmp_path))
    for place in (fits, fits, CurveFits(ResultsFolder(tmp_path))):
        assert place.read(PROBLEM, RUNS, MADE) == ODD
    assert len(fitted) == 1


@pytest.mark.parametrize(
    "changed",
    [
        (replace(PROBLEM, class_counts=(60,) * 10), RUNS, MADE),
        (PROBLEM, (replace(RUNS[0], high=2.0), RUNS[1]), MADE),
        (PROBLEM, RUNS, (MADE[0], outcome(RUNS[1], 1e-9))),
        (PROBLEM, RUNS, (MADE[0], replace(MADE[1], train_loss=MADE[1].train_loss.copy() * np.nan))),
        (PROBLEM, RUNS[:1], MADE[:1]),
    ],
    ids=["rows", "rates", "accuracy", "loss", "seeds"],
)
def test_whatever_changes_is_fitted_anew(tmp_path: Path, fitted: list[Any], changed: Any) -> None:
    fits = CurveFits(ResultsFolder(tmp_path))
    fits.read(PROBLEM, RUNS, MADE)
    fits.read(*changed)
    assert len(fitted) == 2
    fits.read(PROBLEM, RUNS, MADE)
    assert len(fitted) == 2


def test_other_code_fits_anew(tmp_path: Path, fitted: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    CurveFits(ResultsFolder(tmp_path)).read(PROBLEM, RUNS, MADE)
    monkeypatch.setattr(curve_fits, "state_of_code", lambda: "another")
    CurveFits(ResultsFolder(tmp_path)).read(PROBLEM, RUNS, MADE)
    assert len(fitted) == 2


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"a": 1}', b'{"a": {"seed_base_lr": []}}', b"{"])
def test_a_damaged_file_is_written_anew(tmp_path: Path, fitted: list[Any], content: bytes) -> None:
    (tmp_path / FITS_FILE).write_bytes(content)
    assert CurveFits(ResultsFolder(tmp_path)).read(PROBLEM, RUNS, MADE) == ODD
    assert len(json.loads((tmp_path / FITS_FILE).read_bytes())) == 1
    assert len(fitted) == 1


def test_a_folder_that_cannot_be_written_to_costs_nothing_but_time(tmp_path: Path, fitted: list[Any]) -> None:
    gone = ResultsFolder(tmp_path / "gone")
    for _ in range(2):
        assert CurveFits(gone).read(PROBLEM, RUNS, MADE) == ODD
    assert len(fitted) == 2

"""What is said of range tests whose curves are known, alone and beside the same test at half the length."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clrbench.report.bounds import RangeTestReport, write_range_test

from clrbench.range_test import (
    FLAT,
    NAN_FROM_START,
    NEVER_STOPS,
    SEEDS_DISAGREE,
    STARTS_DIVERGED,
    TOO_FEW_POINTS,
)
from clrbench.records import DoubleArray, Evaluation, RunLog, Split, StepLog, Timing
from clrbench.report import bounds
from clrbench.spec import Spec
from clrbench.store import ResultsFolder

Curve = Callable[[DoubleArray], DoubleArray]
NEXT = "change range_test in mine.yaml, then run clrbench range-test mine.yaml"
STEPS = 120


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    # What it shows is tested elsewhere; drawing it would take most of the time here.
    monkeypatch.setattr(bounds, "range_test_figure", lambda *_: None)
    monkeypatch.setattr(bounds, "to_png", lambda *_: b"")


def spec_of(seeds: int = 2, backends: tuple[str, ...] = ("torch",)) -> Spec:
    return Spec.model_validate(
        {
            "name": "test",
            "data": {"dataset": "mnist"},
            "model": {"name": "mlp"},
            "batch_size": 100,
            "backends": backends,
            "range_test": {"seeds": seeds},
        }
    )


def peak_at(rate: float, onset: float = 0.01) -> Curve:
    """Return a curve that rises from the onset to a peak at this rate and falls from there."""
    return lambda lr: np.interp(np.log10(lr), np.log10([onset, rate, 10 * rate]), [0.1, 0.9, 0.2])


def write_run(folder: ResultsFolder, seed: int, curve: Curve, steps: int = STEPS, **changes: Any) -> None:
    lr = np.geomspace(1e-3, 1, steps)
    points = np.linspace(0, steps, min(60, steps) + 1)[1:].round().astype(np.int32)
    accuracy = curve(lr)
    loss = np.where(np.isnan(accuracy), np.nan, 2.3 - 2 * accuracy + 0.01 * np.sin(lr)).astype(np.float32)
    log = RunLog(
        StepLog(lr.astype(np.float32), loss, accuracy.astype(np.float32)),
        points,
        {Split.VALIDATION: tuple(Evaluation(1.0, accuracy[point - 1]) for point in points)},
        "finished",
        None,
        Timing(1.0, 0.5, 0.0, 0.0, 500),
    )
    sizes = {"num_steps": steps, "steps_per_epoch": 10, "evaluation_steps": points.tolist()}
    sizes["evaluated_splits"] = []
    run = {"backend": "torch", "arm": "range-test", "seed": seed, **sizes, **changes}
    info = {"status": "finished", "reason": None, "spec": run, "provenance": {"data_checksum": "abc"}}
    run_id = f"{run['backend']}-range-test-s{seed}-{len(folder.index().get('runs', {}))}"
    folder.root.mkdir(parents=True, exist_ok=True)
    folder.write_run(run_id, 10, log, info)
    known = folder.index().get("runs", {}).get(run["backend"], [])
    folder.update_index({"runs": {run["backend"]: [*known, run_id]}})


def report(root: Path, whole: Curve, half: Curve | None, half_steps: int = STEPS // 2) -> RangeTestReport:
    """Return the report of a range test with two seeds, and of the same test at half the length."""
    folder = ResultsFolder(root)
    for seed in range(2):
        write_run(folder, seed, whole)
        if half is not None:
            write_run(folder.half_length(), seed, half, half_steps)
    return write_range_test(folder, spec_of(), NEXT)


def half_length(found: RangeTestReport) -> dict[str, Any]:
    written = json.loads((found.folder.root / "bounds.json").read_text())
    assert written == found.bounds
    return dict(written["torch"]["half_length"])


@pytest.mark.parametrize(
    ("shift_decades", "holds", "words"),
    [(0.0, True, "the bounds hold."), (0.3, False, "the bounds depend on the length; trust the longer test.")],
)
@pytest.mark.parametrize("sign", [-1, 1])
def test_max_lr_may_move_by_a_factor_of_1_4_at_half_the_length(
    tmp_path: Path, shift_decades: float, holds: bool, words: str, sign: int
) -> None:
    found = report(tmp_path, peak_at(0.2), peak_at(0.2 * 10 ** (sign * shift_decades)))
    whole, half = found.bounds["torch"], half_length(found)
    assert half["holds"] is holds
    assert abs(math.log10(half["max_lr"] / whole["max_lr"]) - sign * shift_decades) < 0.05
    assert found.text.splitlines()[1] == (
        f"At half the length: base_lr {half['base_lr']:g} instead of {whole['base_lr']:g}, max_lr {half['max_lr']:g} "
        f"instead of {whole['max_lr']:g}: {words}"
    )
    assert found.has_answer


@pytest.mark.parametrize(("onset", "holds"), [(0.015, True), (0.04, False)])
def test_base_lr_may_move_by_a_factor_of_2_at_half_the_length(tmp_path: Path, onset: float, holds: bool) -> None:
    half = half_length(report(tmp_path, peak_at(0.2), peak_at(0.2, onset)))
    assert half["base_lr"] == pytest.approx(onset, rel=0.3)
    assert half["holds"] is holds


def test_base_lr_may_move_further_where_that_is_a_small_part_of_max_lr(tmp_path: Path) -> None:
    found = report(tmp_path, peak_at(0.2, 0.002), peak_at(0.2, 0.007))
    half = half_length(found)
    assert half["base_lr"] / found.bounds["torch"]["base_lr"] > 2.5
    assert half["holds"]


def flat(lr: DoubleArray) -> DoubleArray:
    return np.full(len(lr), 0.1)


@pytest.mark.parametrize(
    ("whole", "half", "words"),
    [
        (peak_at(0.2), flat, "At half the length no bounds can be named (flat): they depend on the length; trust the"),
        (flat, peak_at(0.2), "; trust the longer test, which names none."),
        (flat, flat, "At half the length none can be named either (flat)."),
    ],
)
def test_a_refusal_at_either_length_is_named(tmp_path: Path, whole: Curve, half: Curve, words: str) -> None:
    found = report(tmp_path, whole, half)
    assert words in found.text.splitlines()[1]
    assert half_length(found)["holds"] is False
    assert found.has_answer is (whole is not flat)


def test_the_curve_at_half_the_length_has_the_columns_of_the_other(tmp_path: Path) -> None:
    report(tmp_path, peak_at(0.2), peak_at(0.2))
    whole, half = (pd.read_csv(tmp_path / name) for name in ("curve.csv", "curve-half.csv"))
    assert list(half) == list(whole)
    assert half.groupby("seed")["step"].max().tolist() == [STEPS // 2] * 2


def test_what_was_made_for_another_test_is_not_set_beside_this_one(tmp_path: Path) -> None:
    (tmp_path / "curve-half.csv").touch()
    found = report(tmp_path, peak_at(0.2), peak_at(0.2), half_steps=STEPS // 3)
    assert "half_length" not in found.bounds["torch"]
    assert "half" not in found.text
    assert not (tmp_path / "curve-half.csv").exists()


def test_half_the_seeds_say_nothing_of_the_length(tmp_path: Path) -> None:
    found = report(tmp_path, peak_at(0.2), None)
    write_run(found.folder.half_length(), 0, peak_at(0.2), STEPS // 2)
    assert "half_length" not in write_range_test(found.folder, spec_of(), NEXT).bounds["torch"]


def test_each_backend_is_set_beside_its_own_half(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for backend, peak in (("torch", 0.2), ("keras", 0.05)):
        write_run(folder, 0, peak_at(0.2), backend=backend)
        write_run(folder.half_length(), 0, peak_at(peak), STEPS // 2, backend=backend)
    found = write_range_test(folder, spec_of(1, ("torch", "keras")), NEXT)
    assert [found.bounds[name]["half_length"]["holds"] for name in ("torch", "keras")] == [True, False]
    assert [line.split(":")[0] for line in found.text.splitlines()[:4]] == [
        "torch",
        "At half the length",
        "keras",
        "At half the length",
    ]


def nan_from_start(lr: DoubleArray) -> DoubleArray:
    return np.full(len(lr), np.nan)


@pytest.mark.parametrize(
    ("reason", "curves", "steps"),
    [
        (FLAT, (flat, flat), STEPS),
        (STARTS_DIVERGED, (lambda lr: 0.1 + 0.5 * np.exp(-lr / 0.01),) * 2, STEPS),
        (NEVER_STOPS, (peak_at(20.0),) * 2, STEPS),
        (SEEDS_DISAGREE, (peak_at(0.05), peak_at(0.5)), STEPS),
        (TOO_FEW_POINTS, (peak_at(0.2),) * 2, 11),
        (NAN_FROM_START, (nan_from_start,) * 2, STEPS),
    ],
)
def test_every_refusal_names_its_reason_what_to_change_and_the_next_command(
    tmp_path: Path, reason: str, curves: tuple[Curve, Curve], steps: int
) -> None:
    folder = ResultsFolder(tmp_path)
    for seed, curve in enumerate(curves):
        write_run(folder, seed, curve, steps)
    found = write_range_test(folder, spec_of(), NEXT)
    written = json.loads((tmp_path / "bounds.json").read_text())["torch"]
    assert [written[name] for name in ("reason", "base_lr", "max_lr", "constant_lr")] == [reason, None, None, None]
    assert found.text.splitlines()[:2] == [f"torch: no bounds can be named: {reason}", f"Next: {NEXT}"]
    assert any(key in reason.split(": ")[1] for key in ("start_lr", "end_lr", "steps", "longer range test"))
    assert not found.has_answer

"""`clrbench.RangeTest` around a loop of one's own."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_loop import Regression

import clrbench
from clrbench import RangeTest
from clrbench.api.bounds import RangeTestBounds
from clrbench.errors import ScheduleError, SpecError
from clrbench.rates.course import NOT_CONFIRMED

SHORT: dict[str, Any] = {"start_lr": 1e-3, "end_lr": 10.0, "steps": 100}


def swept(seeds: int = 2, *, accuracy: bool = True, **changes: Any) -> RangeTest:
    test = RangeTest(**{**SHORT, **changes})
    for seed in range(seeds):
        model = Regression(seed)
        for lr in test:
            loss, fraction = model.train_step(lr)
            test.record(loss, fraction if accuracy else None)
    return test


def swept_over(losses: list[float], steps: int = 20) -> RangeTest:
    test = RangeTest(1e-3, 1.0, steps)
    for _, loss in zip(test, losses, strict=False):
        test.record(loss)
    return test


@pytest.fixture(scope="module")
def bounds() -> RangeTestBounds:
    return swept(3, steps=150).bounds()


def test_importing_clrbench_loads_nothing_heavy() -> None:
    code = (
        "import sys, clrbench; heavy = {'numpy', 'pandas', 'scipy', 'matplotlib', 'torch', 'pydantic'} & set(sys.modules); "
        "assert not heavy, heavy; assert 'RangeTest' in dir(clrbench); clrbench.RangeTest; "
        "assert not {'torch', 'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'RangeTset'"):
        _ = clrbench.RangeTset


@pytest.mark.parametrize("ramp", ["exponential", "linear"])
def test_a_sweep_hands_out_the_rates_of_the_ramp(ramp: Any) -> None:
    test = RangeTest(1e-3, 1.0, 50, ramp)
    rates = []
    for lr in test:
        rates.append(lr)
        test.record(1.0, 0.5)
    spaced = np.geomspace if ramp == "exponential" else np.linspace
    np.testing.assert_allclose(rates, spaced(1e-3, 1.0, 50))


def test_the_rates_are_those_of_what_was_learned(bounds: RangeTestBounds) -> None:
    assert bounds.reason is None
    assert bounds.max_lr is not None
    assert 0.005 <= bounds.max_lr <= 2
    assert bounds.constant_lr == pytest.approx(bounds.max_lr / 3, rel=0.01)
    assert bounds.base_lr is None or bounds.base_lr < bounds.max_lr
    assert not bounds.confirmed
    assert NOT_CONFIRMED in bounds.caveats


def test_a_notebook_shows_picture_and_text(bounds: RangeTestBounds) -> None:
    shown = bounds._repr_html_()
    assert shown.startswith('<img width="800" alt="LR range test" src="data:image/png;base64,iVBOR')
    assert "not confirmed" in shown
    assert repr(bounds).startswith("base_lr")
    assert len(bounds.plot().axes) == 2


def test_saving_writes_rates_curve_and_plot(bounds: RangeTestBounds, tmp_path: Path) -> None:
    bounds.save(tmp_path / "a" / "folder")
    written = json.loads((tmp_path / "a/folder/bounds.json").read_text())
    assert written["max_lr"] == bounds.max_lr
    curve = pd.read_csv(tmp_path / "a/folder/curve.csv")
    assert list(curve) == ["seed", "point", "lr", "loss", "accuracy", "smoothed_loss", "smoothed_accuracy"]
    assert len(curve) == 3 * 150
    assert (tmp_path / "a/folder/range_test.png").read_bytes().startswith(b"\x89PNG")
    bounds.save(tmp_path / "one.json")
    assert json.loads((tmp_path / "one.json").read_text()) == written
    with pytest.raises(SpecError, match=r"ends in \.txt; allowed: \.json, \.csv, \.png"):
        bounds.save(tmp_path / "one.txt")
    assert not (tmp_path / "one.txt").exists()


@pytest.mark.parametrize("name", ["results-0.2", "v1.0-rc1", "run.final", "2026.12.01"])
def test_a_dot_in_a_name_makes_no_file(bounds: RangeTestBounds, tmp_path: Path, name: str) -> None:
    bounds.save(tmp_path / name)
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["bounds.json", "curve.csv", "range_test.png"]


def test_a_suffix_in_capitals_is_that_of_a_file(bounds: RangeTestBounds, tmp_path: Path) -> None:
    bounds.save(tmp_path / "CURVE.CSV")
    assert len(pd.read_csv(tmp_path / "CURVE.CSV")) == 3 * 150


def test_the_loss_alone_is_enough_and_marked() -> None:
    found = swept(accuracy=False).bounds()
    assert found.max_lr is not None
    assert "read off the loss alone, without accuracy" in found.caveats
    assert len(found.plot().axes) == 1


def test_trials_confirm_the_constant_rate() -> None:
    test = swept(3)
    tried = []
    for trial in test.trials():
        model = Regression(trial.seed)
        for _ in range(trial.steps):
            model.train_step(trial.lr)
        reached = model.validate()
        trial.record(*reached)
        tried.append((trial.lr, reached[1]))
    found = test.bounds()
    assert found.confirmed
    assert NOT_CONFIRMED not in found.caveats
    assert 4 <= len(tried) <= 16
    assert found.constant_lr in [lr for lr, _ in tried]
    best = max(accuracy for _, accuracy in tried)
    assert dict(tried)[found.constant_lr] >= best - 0.03
    assert found.max_lr is not None
    assert found.constant_lr <= found.max_lr


def test_trials_by_the_loss_alone() -> None:
    test = swept(2, accuracy=False)
    for trial in test.trials():
        trial.record(abs(math.log10(trial.lr / 0.1)) + 0.1)
    assert test.bounds().constant_lr == pytest.approx(0.1, rel=0.5)
    assert test.bounds().confirmed


def test_trials_that_all_diverge_leave_no_answer() -> None:
    test = swept()
    for trial in test.trials():
        trial.record(math.nan)
    assert test.bounds().constant_lr is None
    assert str(test.bounds().reason).startswith("flat")


def test_trials_broken_off_confirm_nothing() -> None:
    test = swept()
    for trial in test.trials():
        trial.record(1.0, 0.5)
        break
    found = test.bounds()
    assert not found.confirmed
    assert found.caveats[0].startswith("the trials were cut short")


def test_a_trial_that_was_not_recorded_is_asked_for() -> None:
    with pytest.raises(SpecError, match="nothing was recorded"):
        for _ in swept().trials():
            pass


def test_a_curve_without_an_answer_has_nothing_to_try() -> None:
    rng = np.random.default_rng(0)
    test = swept_over((2.3 + 0.01 * rng.standard_normal(60)).tolist(), 60)
    assert list(test.trials()) == []
    assert test.bounds().reason is not None
    assert repr(test.bounds()).startswith("No rates suggested")
    assert test.bounds().plot().axes[0].get_title(loc="left").startswith("no rates")


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ([2.3, 2.2, math.nan, 1.0], 2),
        ([2.3, 2.2, math.inf], 2),
        ([2.3, 23.5, 1.0], 1),
        ([2.3, 22.9, 1.0, 1.0], 4),
        ([math.nan, 1.0], 0),
    ],
)
def test_a_sweep_ends_by_itself_at_divergence(losses: list[float], kept: int) -> None:
    test = RangeTest(1e-3, 1.0, len(losses) + 20)
    given = iter(losses)
    handed = 0
    for _ in test:
        handed += 1
        loss = next(given, 1.0)
        test.record(loss, 0.5)
    diverges = kept < len(losses)
    assert handed == (kept + 1 if diverges else len(losses) + 20)
    assert test.bounds().curve["loss"].notna().sum() == (kept if diverges else handed)


def test_seeds_may_diverge_at_different_updates() -> None:
    test = RangeTest(1e-3, 10.0, 60)
    for seed in range(2):
        for done, _ in enumerate(test):
            test.record(math.nan if done == 40 + 5 * seed else 2.3 - 0.04 * done, min(0.02 * done, 1.0))
    curve = test.bounds().curve
    assert curve.groupby("seed")["loss"].count().tolist() == [40, 45]


def test_a_loop_shorter_than_the_sweep_is_named() -> None:
    found = swept_over([2.3 - 0.02 * update for update in range(40)], 60).bounds()
    assert found.caveats[0] == (
        "seed 0 was left after 40 of 60 updates without diverging: the curve ends there; make the loop longer"
    )
    assert len(found.curve) == 40


def test_a_sweep_that_was_hardly_begun_counts_for_nothing() -> None:
    test = RangeTest(**SHORT)
    for lr in test:
        test.record(1.0, 0.5)
        if lr > 1e-3:
            break
    model = Regression(0)
    for lr in test:
        test.record(*model.train_step(lr))
    assert test.bounds().curve["seed"].nunique() == 1
    assert not any("was left" in caveat for caveat in test.bounds().caveats)


class Tensor:
    """What frameworks hand out: something that `float` takes."""

    def __float__(self) -> float:
        return 0.75


def test_numbers_of_frameworks_are_taken() -> None:
    test = RangeTest(1e-3, 1.0, 12)
    for _ in test:
        test.record(Tensor(), np.float32(0.5))
    assert test.bounds().curve["loss"].tolist() == [0.75] * 12


def test_a_running_mean_is_said_to_look_like_one() -> None:
    rng = np.random.default_rng(0)
    raw = 2.3 * (1 + 0.1 * rng.standard_normal(100))
    test = swept_over((np.cumsum(raw) / np.arange(1, 101)).tolist(), 100)
    assert any("the loss looks like a running mean" in caveat for caveat in test.bounds().caveats)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 11}, "steps: got 11; allowed: a whole number of at least 12"),
        ({"steps": 30.5}, "steps: got 30.5"),
        ({"steps": True}, "steps: got True"),
        ({"ramp": "cosine"}, "ramp: got 'cosine'; allowed: linear or exponential"),
        ({"start_lr": 0}, "start_lr: got 0"),
        ({"end_lr": 1e-4}, "end_lr: got 0.0001; allowed: a finite number > start_lr"),
        ({"end_lr": math.inf}, "end_lr: got inf"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises((SpecError, ScheduleError), match=said):
        RangeTest(**{**SHORT, **change})


def test_misuse_is_named() -> None:
    test = RangeTest(**SHORT)
    with pytest.raises(SpecError, match="no sweep is finished"):
        test.bounds()
    with pytest.raises(SpecError, match="no sweep is under way"):
        test.record(1.0)
    with pytest.raises(SpecError, match="update 1: nothing was recorded"):
        for _ in test:
            pass
    sweep = iter(test)
    next(sweep)
    with pytest.raises(SpecError, match="accuracy: got 57; allowed: a fraction"):
        test.record(1.0, 57)
    test.record(1.0, 0.5)
    next(sweep)
    with pytest.raises(SpecError, match="got it for some updates or trials only"):
        test.record(1.0)


def test_two_records_of_an_update_are_refused() -> None:
    test = RangeTest(**SHORT)
    for done, _ in enumerate(test, 1):
        test.record(1.0, 0.5)
        with pytest.raises(SpecError, match=f"update {done} has been recorded; call it once in each turn"):
            test.record(2.0, 0.5)
    assert test.bounds().curve["loss"].tolist() == [1.0] * 100


@pytest.mark.parametrize("way", ["left", "diverged", "finished", "failed"])
def test_a_record_after_a_sweep_is_refused(way: str) -> None:
    test = RangeTest(**SHORT)

    def sweep() -> None:
        for lr in test:
            if way == "failed" and lr > 0.1:
                raise RuntimeError
            test.record(math.nan if way == "diverged" and lr > 0.1 else 1.0, 0.5)
            if way == "left" and lr > 0.1:
                break

    if way == "failed":
        with pytest.raises(RuntimeError):
            sweep()
    else:
        sweep()
    with pytest.raises(SpecError, match="no sweep is under way"):
        test.record(1.0, 0.5)
    for lr in test:
        test.record(1 + lr / 10, 0.5)
    curve = test.bounds().curve
    last = curve[curve["seed"] == 1]
    np.testing.assert_allclose(last["loss"], 1 + last["lr"] / 10)


def test_a_record_goes_to_the_sweep_whose_rate_was_handed_out_last() -> None:
    test = RangeTest(1e-3, 1.0, 12)
    for _ in zip(test, strict=True):
        test.record(1.0)
    for place, _ in enumerate(zip(test, range(12), strict=False)):
        test.record(2.0 + place)
    assert test.bounds().curve["loss"].tolist() == [1.0] * 12 + [2.0 + place for place in range(12)]


@pytest.mark.parametrize("first", [None, 0.5])
def test_an_accuracy_in_one_sweep_or_trial_and_not_in_the_next_is_refused(first: float | None) -> None:
    test = swept(2, accuracy=first is not None)
    other = 0.5 if first is None else None
    refused = pytest.raises(SpecError, match="got it for some updates or trials only; give it in all")
    with refused:
        for _ in test:
            test.record(1.0, other)
    test = swept(2, accuracy=first is not None)
    trial = next(test.trials())
    with refused:
        trial.record(1.0, other)
    trial.record(1.0, first)
    trial.record(math.nan, other)

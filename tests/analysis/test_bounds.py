"""What range tests whose curves are known suggest, alone and beside the same test at half the length."""

import math
from pathlib import Path

import numpy as np
import pytest
from range_test_runs import STEPS, Curve, flat, make_spec, nan_from_start, peak_at, read_pair, write_sweep

from clrbench.analysis.bounds import RangeTest, accuracy_column, bounds_table, curve_table, read_range_test
from clrbench.errors import ResultsError
from clrbench.range_test import (
    FLAT,
    NAN_FROM_START,
    NEVER_STOPS,
    SEEDS_DISAGREE,
    STARTS_DIVERGED,
    TOO_FEW_POINTS,
)
from clrbench.records import Bounds, HalfLengthBounds, StoppedSweep
from clrbench.store import ResultsFolder


def half_length(test: RangeTest) -> HalfLengthBounds:
    found = test.bounds["torch"].half_length
    assert found is not None
    return found


@pytest.mark.parametrize(("shift_decades", "holds"), [(0.0, True), (0.3, False)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_max_lr_may_move_by_a_factor_of_1_4_at_half_the_length(
    tmp_path: Path, shift_decades: float, holds: bool, sign: int
) -> None:
    test = read_pair(tmp_path, peak_at(0.2), peak_at(0.2 * 10 ** (sign * shift_decades)))
    half = half_length(test)
    assert half.holds is holds
    _, max_lr = test.bounds["torch"].rates
    assert half.max_lr is not None
    assert abs(math.log10(half.max_lr / max_lr) - sign * shift_decades) < 0.05
    assert test.has_answer


@pytest.mark.parametrize(("onset", "holds"), [(0.015, True), (0.04, False)])
def test_base_lr_may_move_by_a_factor_of_2_at_half_the_length(tmp_path: Path, onset: float, holds: bool) -> None:
    half = half_length(read_pair(tmp_path, peak_at(0.2), peak_at(0.2, onset)))
    assert half.base_lr == pytest.approx(onset, rel=0.3)
    assert half.holds is holds


def test_base_lr_may_move_further_where_that_is_a_small_part_of_max_lr(tmp_path: Path) -> None:
    test = read_pair(tmp_path, peak_at(0.2, 0.002), peak_at(0.2, 0.007))
    half, (base_lr, _) = half_length(test), test.bounds["torch"].rates
    assert half.base_lr is not None
    assert half.base_lr / base_lr > 2.5
    assert half.holds


@pytest.mark.parametrize(("whole", "half"), [(peak_at(0.2), flat), (flat, peak_at(0.2)), (flat, flat)])
def test_bounds_that_one_length_refuses_do_not_hold(tmp_path: Path, whole: Curve, half: Curve) -> None:
    test = read_pair(tmp_path, whole, half)
    assert half_length(test).holds is False
    assert (half_length(test).reason is None) is (half is not flat)
    assert test.has_answer is (whole is not flat)


def test_the_curve_at_half_the_length_has_the_columns_of_the_other(tmp_path: Path) -> None:
    test = read_pair(tmp_path, peak_at(0.2), peak_at(0.2))
    whole, half = curve_table(test.runs), curve_table(test.half_runs)
    assert list(half) == list(whole)
    assert half.groupby("seed")["step"].max().tolist() == [STEPS // 2] * 2


def test_what_was_made_for_another_test_is_not_set_beside_this_one(tmp_path: Path) -> None:
    test = read_pair(tmp_path, peak_at(0.2), peak_at(0.2), half_steps=STEPS // 3)
    assert (test.bounds["torch"].half_length, test.half_runs) == (None, ())


def test_half_the_seeds_say_nothing_of_the_length(tmp_path: Path) -> None:
    folder = read_pair(tmp_path, peak_at(0.2), None).folder
    write_sweep(folder.half_length(), 0, peak_at(0.2), STEPS // 2)
    assert read_range_test(folder, make_spec()).bounds["torch"].half_length is None


def test_each_backend_is_set_beside_its_own_half(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for backend, peak in (("torch", 0.2), ("keras", 0.05)):
        write_sweep(folder, 0, peak_at(0.2), backend=backend)
        write_sweep(folder.half_length(), 0, peak_at(peak), STEPS // 2, backend=backend)
    found = read_range_test(folder, make_spec(1, ("torch", "keras"))).bounds
    assert [bounds.half_length and bounds.half_length.holds for bounds in found.values()] == [True, False]
    assert list(found) == ["torch", "keras"]
    assert list(read_range_test(folder, make_spec(1, ("keras",))).bounds) == ["keras"]


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
def test_every_refusal_names_its_reason_and_what_to_change(
    tmp_path: Path, reason: str, curves: tuple[Curve, Curve], steps: int
) -> None:
    folder = ResultsFolder(tmp_path)
    for seed, curve in enumerate(curves):
        write_sweep(folder, seed, curve, steps)
    test = read_range_test(folder, make_spec())
    found = test.bounds["torch"]
    assert (found.base_lr, found.max_lr, found.constant_lr) == (None, None, None)
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert any(key in reason.split(": ")[1] for key in ("start_lr", "end_lr", "steps", "longer range test", "the data"))
    assert not test.has_answer


def test_bounds_have_three_digits_and_say_what_they_were_read_off(tmp_path: Path) -> None:
    found = read_pair(tmp_path, peak_at(0.2), None).bounds["torch"]
    rates = [*found.rates, found.constant_lr, *found.seed_base_lr, *found.seed_max_lr, *found.loss_rules.values()]
    assert all(rate is None or rate == float(f"{rate:.3g}") for rate in rates)
    assert found.max_lr == pytest.approx(0.2, rel=0.2)
    assert (found.seeds, len(found.seed_max_lr), found.accuracy, found.stopped) == (2, 2, "validation_accuracy", ())


def test_sweeps_that_diverged_are_named_with_their_reason(tmp_path: Path) -> None:
    def diverging(lr: np.ndarray) -> np.ndarray:
        return np.where(lr > 0.8, np.nan, peak_at(0.2)(lr))

    folder = ResultsFolder(tmp_path)
    write_sweep(folder, 0, peak_at(0.2))
    write_sweep(folder, 1, diverging)
    assert read_range_test(folder, make_spec()).bounds["torch"].stopped == (StoppedSweep(1, "the loss is nan"),)


def test_accuracy_is_that_of_the_mini_batches_where_there_are_no_validation_rows(tmp_path: Path) -> None:
    curve = curve_table(read_pair(tmp_path, peak_at(0.2), None).runs)
    assert accuracy_column(curve) == "validation_accuracy"
    assert accuracy_column(curve.assign(validation_accuracy=math.nan)) == "train_accuracy"


def test_runs_that_the_spec_does_not_ask_for_are_left_out(tmp_path: Path) -> None:
    folder = read_pair(tmp_path, peak_at(0.2), None).folder
    assert [run.key.seed for run in read_range_test(folder, make_spec(1)).runs] == [0]
    with pytest.raises(ResultsError, match="no run is finished; run `clrbench range-test` again"):
        read_range_test(folder, make_spec(1, ("keras",)))


def test_the_table_of_bounds_leaves_out_refusals() -> None:
    found, refused = Bounds(0.1, 1.0), Bounds(None, None, FLAT)
    folder = ResultsFolder(Path("nowhere"))
    shared = RangeTest(folder, (), (), {"torch": found, "keras": refused})
    own = RangeTest(folder, (), (), {"torch": refused})
    assert bounds_table({None: shared, "clr": own}) == {("torch", None): found}

"""What range tests whose curves are known come to, without trainings at rates; see `test_course` for those with them."""

import math
from pathlib import Path

import numpy as np
import pytest
from range_test_runs import (
    STEPS,
    Curve,
    flat,
    make_spec,
    nan_from_start,
    peak_at,
    read,
    read_test,
    write_sweep,
    write_test,
)

from clrbench.analysis.bounds import (
    CONFIRMATION_COLUMNS,
    CURVE_COLUMNS,
    SWEEP_COLUMNS,
    RangeTest,
    accuracy_column,
    bounds_table,
    confirmation_table,
    curve_table,
    sweeps_table,
)
from clrbench.analysis.course import NOT_FINISHED, Course
from clrbench.errors import ResultsError
from clrbench.range_test import FLAT, NAN_FROM_START, NEVER_STOPS, SEEDS_DISAGREE, STARTS_DIVERGED, TOO_FEW_POINTS
from clrbench.rates import Problem, Rates
from clrbench.rates.course import NOT_CONFIRMED
from clrbench.store import ResultsFolder


@pytest.mark.parametrize(
    ("reason", "curves"),
    [
        (FLAT, (flat, flat)),
        (STARTS_DIVERGED, (lambda lr: 0.1 + 0.5 * np.exp(-lr / 0.01),) * 2),
        (SEEDS_DISAGREE, (peak_at(0.05), peak_at(0.5))),
        (NAN_FROM_START, (nan_from_start,) * 2),
    ],
)
def test_every_refusal_names_its_reason_and_what_to_change(
    tmp_path: Path, reason: str, curves: tuple[Curve, Curve]
) -> None:
    folder = ResultsFolder(tmp_path)
    for seed, curve in enumerate(curves):
        write_sweep(folder, seed, curve)
    test = read(folder, make_spec())
    found = test.bounds["torch"]
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert (found.base_lr, found.max_lr, found.constant_lr) == (None, None, None)
    assert not test.has_answer


def test_too_short_a_sweep_is_refused(tmp_path: Path) -> None:
    spec = make_spec(1, duration="11 steps")
    folder = ResultsFolder(tmp_path)
    write_sweep(folder, 0, peak_at(0.2), spec)
    with pytest.raises(ResultsError, match="no run is finished"):
        read(folder, spec)  # which asks for no run at all
    assert TOO_FEW_POINTS.startswith("too few points")


def test_a_curve_that_never_stops_rising_asks_for_one_more_sweep(tmp_path: Path) -> None:
    test = read(write_test(tmp_path, peak_at(20.0)), make_spec())
    (course,) = test.courses.values()
    assert course.rates.reason == NOT_FINISHED
    assert [(run.arm, run.seed) for run in course.missing] == [("range-test-2", 0), ("range-test-2", 1)]
    wider = course.missing[0].schedule.model_dump()
    assert (wider["start_lr"], wider["end_lr"]) == (0.001, 10.0)
    assert NEVER_STOPS.startswith("never stops rising")
    assert bounds_table({None: test}) == {}


def test_rates_have_three_digits_and_the_constant_is_not_confirmed(tmp_path: Path) -> None:
    found = read_test(tmp_path, peak_at(0.2)).bounds["torch"]
    rates = [*found.bounds, found.constant_lr, *found.seed_max_lr.values(), *found.loss_rules.values()]
    assert all(rate is None or rate == float(f"{rate:.3g}") for rate in rates)
    assert found.max_lr == pytest.approx(0.2, rel=0.2)
    assert found.constant_lr == pytest.approx(found.bounds[1] / 3, rel=0.01)
    assert (found.confirmed, list(found.seed_max_lr)) == (False, [0, 1])
    assert NOT_CONFIRMED in found.caveats


def test_each_backend_has_a_course_in_the_order_of_the_spec(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path)
    for backend, peak in (("keras", 0.05), ("torch", 0.2)):
        write_sweep(folder, 0, peak_at(peak), make_spec(1), backend=backend)
    both = make_spec(1, ("torch", "keras"))
    test = read(folder, both)
    assert list(test.bounds) == ["torch", "keras"]
    assert list(read(folder, make_spec(1, ("keras",))).bounds) == ["keras"]
    assert [run.key.backend for run in test.runs] == ["torch", "keras"]


def test_tables_of_a_range_test_without_confirmation(tmp_path: Path) -> None:
    test = read_test(tmp_path, peak_at(0.2))
    curve, sweeps = curve_table(test.sweeps), sweeps_table(test)
    assert tuple(curve) == CURVE_COLUMNS
    assert tuple(sweeps) == SWEEP_COLUMNS
    assert curve.groupby("seed")["step"].max().tolist() == [STEPS] * 2
    assert sweeps[["stage", "attempt"]].drop_duplicates().to_numpy().tolist() == [["sweep", 1]]
    confirmation = confirmation_table(test)
    assert tuple(confirmation) == CONFIRMATION_COLUMNS
    assert confirmation.empty


def test_accuracy_is_that_of_the_mini_batches_where_there_are_no_validation_rows(tmp_path: Path) -> None:
    curve = curve_table(read_test(tmp_path, peak_at(0.2)).sweeps)
    assert accuracy_column(curve) == "validation_accuracy"
    assert accuracy_column(curve.assign(validation_accuracy=math.nan)) == "train_accuracy"


def test_runs_that_the_spec_does_not_ask_for_are_left_out(tmp_path: Path) -> None:
    folder = write_test(tmp_path, peak_at(0.2))
    assert [run.key.seed for run in read(folder, make_spec(1)).runs] == [0]
    with pytest.raises(ResultsError, match="no run is finished; run `clrbench range-test` again"):
        read(folder, make_spec(1, ("keras",)))
    with pytest.raises(ResultsError, match="no run is finished"):
        read(folder, make_spec(end_lr=2.0))


def test_the_table_of_bounds_leaves_out_refusals() -> None:
    def course(rates: Rates) -> Course:
        return Course(Problem((), 10, 100, (0,)), rates, ())

    found, refused = Rates(0.1, 1.0, 0.3, 0.1), Rates(reason=FLAT)
    folder = ResultsFolder(Path("nowhere"))
    shared = RangeTest(folder, {"torch": course(found), "keras": course(refused)})
    own = RangeTest(folder, {"torch": course(refused)})
    assert bounds_table({None: shared, "clr": own}) == {("torch", None): found}

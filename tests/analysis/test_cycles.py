"""What stands at the ends of cycles, in runs whose values are known."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from runs_in_memory import STEPS_PER_EPOCH, results_of, stored_run
from specs import CONSTANT

from clrbench.analysis.cycles import (
    BEST_COLUMNS,
    CYCLE_COLUMNS,
    PEAK_COLUMNS,
    best_table,
    cycle_peaks_table,
    cycles_table,
)
from clrbench.analysis.results import Results
from clrbench.store import StoredRun

NAN = math.nan
CLR = {"name": "triangular", "base_lr": 0.1, "max_lr": 1.0}


def results(*runs: StoredRun, **keys: Any) -> Results:
    """Return the results of runs, the arm clr with these keys in its schedule, or with cycles of two epochs."""
    clr = {"schedule": CLR | (keys or {"step_size": "1 epochs"})}
    return results_of(runs, arms={"constant": CONSTANT, "clr": clr}, backends=("torch", "keras"))


def every_epoch(arm: str, seed: int, accuracy: Sequence[float], **changes: Any) -> StoredRun:
    """Return a run that is evaluated once an epoch; its rate is lowest after even epochs, the loss 1 - accuracy."""
    lr = np.where(np.arange(STEPS_PER_EPOCH * len(accuracy)) // STEPS_PER_EPOCH % 2, 0.125, 1.0)
    by_step = {STEPS_PER_EPOCH * epoch: value for epoch, value in enumerate(accuracy, 1)}
    return stored_run(arm, seed, by_step, lr=lr, **changes)


RISING = [0.5, 0.7, 0.6, 0.8, 0.7, 0.9]


def both_arms(**keys: Any) -> Results:
    return results(every_epoch("constant", 0, RISING), every_epoch("clr", 0, RISING), **keys)


# cycles.csv


def test_the_evaluations_at_the_ends_of_the_cycles_of_cyclic_arms() -> None:
    cycles = cycles_table(both_arms())
    assert list(cycles) == list(CYCLE_COLUMNS)
    assert ",".join(cycles) == "backend,arm,seed,cycle,epoch,step,lr,validation_accuracy,test_loss,test_accuracy"
    assert cycles[["arm", "cycle", "epoch", "step", "lr", "test_accuracy"]].to_numpy().tolist() == [
        ["clr", 1, 2.0, 20, 0.125, 0.7],
        ["clr", 2, 4.0, 40, 0.125, 0.8],
        ["clr", 3, 6.0, 60, 0.125, 0.9],
    ]
    np.testing.assert_allclose(cycles["test_loss"], [0.3, 0.2, 0.1])


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({"step_size": "2 epochs"}, [40]),
        ({"cycles": 6}, [10, 20, 30, 40, 50, 60]),
        ({"cycles": 2, "warmup": "2 epochs"}, [40, 60]),
        ({"cycles": 7}, []),
        ({"cycles": 4, "warmup": "3 epochs"}, []),
        ({"step_size": "4 epochs"}, []),
    ],
)
def test_cycles_of_an_epoch_or_more_count_after_the_warm_up(keys: dict[str, Any], steps: list[int]) -> None:
    cycles = cycles_table(both_arms(**keys))
    assert cycles["step"].tolist() == steps
    assert cycles["cycle"].tolist() == list(range(1, len(steps) + 1))


def test_without_a_cyclic_arm_every_table_of_cycles_has_headers_only() -> None:
    alone = results(every_epoch("constant", 0, RISING))
    cycles, peaks = cycles_table(alone), cycle_peaks_table(alone)
    assert (list(cycles), len(cycles)) == (list(CYCLE_COLUMNS), 0)
    assert (list(peaks), len(peaks)) == (list(PEAK_COLUMNS), 0)


def test_a_diverged_run_keeps_its_cycle_ends_as_nan() -> None:
    cycles = cycles_table(results(every_epoch("clr", 0, [0.5, 0.7, NAN, NAN, NAN, NAN])))
    np.testing.assert_array_equal(cycles["test_accuracy"], [0.7, NAN, NAN])


# best.csv


def test_the_best_validation_epoch_stands_beside_the_end_and_the_last_cycle_end() -> None:
    validation = [0.5, 0.6, 0.9, 0.9, 0.7, 0.8, 0.6]
    accuracy = [*RISING, 0.65]
    best = best_table(results(*(every_epoch(arm, 2, accuracy, validation=validation) for arm in ("clr", "constant"))))
    assert list(best) == list(BEST_COLUMNS)
    clr, constant = best.to_numpy().tolist()
    shared = [2, 3.0, 0.9, 0.6, 0.4, 7.0, 0.65, 0.35]
    assert clr[:2] == ["torch", "clr"]
    np.testing.assert_allclose(clr[2:], [*shared, 6.0, 0.9, 0.1])
    np.testing.assert_allclose(constant[2:], [*shared, NAN, NAN, NAN])


def test_without_validation_there_is_no_best_epoch() -> None:
    best = best_table(both_arms())
    assert (list(best), len(best)) == (list(BEST_COLUMNS), 0)


def test_a_diverged_run_has_the_best_epoch_that_it_had_or_none() -> None:
    accuracies = ([0.4, 0.7, NAN], [NAN] * 3)
    runs = [every_epoch("clr", seed, found, validation=found) for seed, found in enumerate(accuracies)]
    first, second = best_table(results(*runs)).to_dict("records")
    assert (first["best_validation_epoch"], first["test_accuracy_at_best"]) == (2.0, 0.7)
    assert (first["test_accuracy_at_cycle_end"], first["cycle_end_epoch"]) == (0.7, 2.0)
    assert math.isnan(first["test_accuracy_at_end"])
    assert np.isnan([second[key] for key in BEST_COLUMNS if "best" in key]).all()


# cycle_peaks.csv


def peaks_of(*accuracy: Sequence[float], **keys: Any) -> Any:
    """Return the row of runs of clr with these accuracies, one an epoch."""
    runs = [every_epoch("clr", seed, values) for seed, values in enumerate(accuracy)]
    (row,) = cycle_peaks_table(results(*runs, **keys)).to_dict("records")
    return row


def test_peaks_at_the_ends_of_cycles() -> None:
    row = peaks_of(RISING)
    assert list(row) == list(PEAK_COLUMNS)
    assert (row["backend"], row["arm"], row["runs"]) == ("torch", "clr", 1)
    assert (row["peaks_at_end"], row["evaluations_at_end"]) == (1, 0.5)
    assert (row["peaks_near_end"], row["evaluations_near_end"]) == (1, 1)
    assert (row["accuracy_at_ends"], row["accuracy_elsewhere"]) == pytest.approx((0.8, 0.6))
    # Epochs 2 and 4 have neighbours on both sides: 0.7 - 0.55 and 0.8 - 0.65.
    assert row["above_neighbours"] == pytest.approx(0.15)
    # The three lowest rates share the ranks 1 to 3 of 6.
    assert row["peak_lr_rank"] == pytest.approx((2 - 1) / (6 - 1))


def test_peaks_away_from_the_ends_and_what_chance_would_give() -> None:
    accuracy = [0.9, 0.8, 0.7, 0.6, 0.7, 0.8, 0.7, 0.6]
    row = peaks_of(accuracy, accuracy, [0.9] * 7 + [0.95], step_size="2 epochs")
    assert row["runs"] == 3
    assert (row["peaks_at_end"], row["evaluations_at_end"]) == pytest.approx((1 / 3, 2 / 8))
    assert (row["peaks_near_end"], row["evaluations_near_end"]) == pytest.approx((1 / 3, 5 / 8))
    assert row["accuracy_at_ends"] == pytest.approx((0.6 + 0.6 + 0.925) / 3)
    assert row["accuracy_elsewhere"] == pytest.approx((4.6 / 6 * 2 + 0.9) / 3)
    assert row["above_neighbours"] == pytest.approx((-0.1 - 0.1 + 0) / 3)


def test_every_backend_has_a_row_of_its_own() -> None:
    runs = [every_epoch("clr", 0, RISING), every_epoch("clr", 0, RISING[::-1], backend="keras")]
    table = cycle_peaks_table(results(*runs))
    assert table[["backend", "peaks_at_end"]].to_numpy().tolist() == [["torch", 1], ["keras", 0]]


def test_a_steadily_rising_curve_is_better_at_the_ends_and_not_above_its_neighbours() -> None:
    row = peaks_of([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert row["accuracy_at_ends"] > row["accuracy_elsewhere"] + 0.05
    assert row["above_neighbours"] == pytest.approx(0, abs=1e-12)


def test_neighbours_at_uneven_distances_are_interpolated() -> None:
    run = stored_run("clr", 0, {18: 0.5, 20: 0.8, 28: 0.9})
    (row,) = cycle_peaks_table(results(run)).to_dict("records")
    assert row["above_neighbours"] == pytest.approx(0.8 - (0.5 + 0.2 * 0.4))


def test_where_every_evaluation_is_a_cycle_end_there_is_nothing_to_compare() -> None:
    row = peaks_of(RISING, cycles=6)
    assert (row["evaluations_at_end"], row["peaks_at_end"]) == (1, 1)
    assert math.isnan(row["accuracy_elsewhere"])
    assert math.isnan(row["above_neighbours"])


def test_runs_that_diverged_count_up_to_there() -> None:
    row = peaks_of(RISING, [0.8, 0.7, *[NAN] * 4], [NAN] * 6)
    assert row["runs"] == 2
    assert row["peaks_at_end"] == 0.5
    assert row["accuracy_at_ends"] == pytest.approx((0.8 + 0.7) / 2)
    assert cycle_peaks_table(results(every_epoch("clr", 0, [NAN] * 6))).empty

"""What stands at the ends of cycles, in runs whose values are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from clrbench.analysis.metrics_table import METRIC_COLUMNS

from clrbench.analysis.cycles import (
    BEST_COLUMNS,
    CYCLE_COLUMNS,
    PEAK_COLUMNS,
    best_table,
    cycle_lines,
    cycle_peaks_table,
    cycles_table,
)
from clrbench.spec import Spec
from clrbench.store import StoredRun

NAN = math.nan
STEPS_PER_EPOCH = 10
CLR = {"name": "triangular", "base_lr": 0.1, "max_lr": 1.0}


def make_spec(**keys: Any) -> Spec:
    """Return an experiment whose arm clr has these keys in its schedule."""
    content = {
        "name": "test",
        "data": {"dataset": "mnist"},
        "model": {"name": "mlp"},
        "batch_size": 100,
        "duration": "6 epochs",
        "arms": {
            "constant": {"schedule": {"name": "constant", "lr": 0.1}},
            "clr": {"schedule": CLR | (keys or {"step_size": "1 epochs"})},
        },
    }
    return Spec.model_validate(content)


def a_run(arm: str, seed: int = 0, num_steps: int = 60, backend: str = "torch") -> StoredRun:
    run = StoredRun(Path("nowhere"))
    sizes = {"num_steps": num_steps, "steps_per_epoch": STEPS_PER_EPOCH}
    vars(run)["info"] = {"spec": {"backend": backend, "arm": arm, "seed": seed, **sizes}}
    return run


def evaluations(arm: str, seed: int, accuracy: list[float], **more: Any) -> pd.DataFrame:
    """Return rows of metrics.csv, one an epoch; the rate is lowest after even epochs, the loss 1 - accuracy."""
    epochs = np.arange(1.0, len(accuracy) + 1)
    row = {"experiment": "test", "backend": "torch", "arm": arm, "seed": seed, "epoch": epochs}
    row |= {"step": (10 * epochs).astype(int), "lr": np.where(epochs % 2, 1.0, 0.1)}
    row |= {"test_accuracy": accuracy, "test_loss": 1 - np.array(accuracy)}
    return pd.DataFrame({**dict.fromkeys(METRIC_COLUMNS, NAN), "status": "finished", **row, **more})


RISING = [0.5, 0.7, 0.6, 0.8, 0.7, 0.9]


def both_arms() -> tuple[Spec, list[StoredRun], pd.DataFrame]:
    metrics = pd.concat([evaluations("constant", 0, RISING), evaluations("clr", 0, RISING)], ignore_index=True)
    return make_spec(), [a_run("constant"), a_run("clr")], metrics


# cycles.csv


def test_the_evaluations_at_the_ends_of_the_cycles_of_cyclic_arms() -> None:
    cycles = cycles_table(*both_arms())
    assert list(cycles) == list(CYCLE_COLUMNS)
    assert ",".join(cycles) == "backend,arm,seed,cycle,epoch,step,lr,validation_accuracy,test_loss,test_accuracy"
    assert cycles[["arm", "cycle", "epoch", "step", "lr", "test_accuracy"]].to_numpy().tolist() == [
        ["clr", 1, 2.0, 20, 0.1, 0.7],
        ["clr", 2, 4.0, 40, 0.1, 0.8],
        ["clr", 3, 6.0, 60, 0.1, 0.9],
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
    _, runs, metrics = both_arms()
    cycles = cycles_table(make_spec(**keys), runs, metrics)
    assert cycles["step"].tolist() == steps
    assert cycles["cycle"].tolist() == list(range(1, len(steps) + 1))


def test_without_a_cyclic_arm_every_table_of_cycles_has_headers_only() -> None:
    metrics = evaluations("constant", 0, RISING)
    cycles = cycles_table(make_spec(), [a_run("constant")], metrics)
    assert (list(cycles), len(cycles)) == (list(CYCLE_COLUMNS), 0)
    peaks = cycle_peaks_table(metrics, cycles)
    assert (list(peaks), len(peaks)) == (list(PEAK_COLUMNS), 0)
    assert list(cycle_lines(peaks)) == []


def test_a_diverged_run_keeps_its_cycle_ends_as_nan() -> None:
    metrics = evaluations("clr", 0, [0.5, 0.7, NAN, NAN, NAN, NAN], status="diverged")
    cycles = cycles_table(make_spec(), [a_run("clr")], metrics)
    np.testing.assert_array_equal(cycles["test_accuracy"], [0.7, NAN, NAN])


# best.csv


def test_the_best_validation_epoch_stands_beside_the_end_and_the_last_cycle_end() -> None:
    validation = [0.5, 0.6, 0.9, 0.9, 0.7, 0.8, 0.6]
    accuracy = [*RISING, 0.65]
    metrics = pd.concat([evaluations(arm, 2, accuracy, validation_accuracy=validation) for arm in ("clr", "constant")])
    runs = [a_run("clr", 2, 70), a_run("constant", 2, 70)]
    best = best_table(metrics, cycles_table(make_spec(), runs, metrics))
    assert list(best) == list(BEST_COLUMNS)
    clr, constant = best.to_numpy().tolist()
    shared = [2, 3.0, 0.9, 0.6, 0.4, 7.0, 0.65, 0.35]
    assert clr[:2] == ["torch", "clr"]
    np.testing.assert_allclose(clr[2:], [*shared, 6.0, 0.9, 0.1])
    np.testing.assert_allclose(constant[2:], [*shared, NAN, NAN, NAN])


def test_without_validation_there_is_no_best_epoch() -> None:
    spec, runs, metrics = both_arms()
    best = best_table(metrics, cycles_table(spec, runs, metrics))
    assert (list(best), len(best)) == (list(BEST_COLUMNS), 0)


def test_a_diverged_run_has_the_best_epoch_that_it_had_or_none() -> None:
    some, none = [0.4, 0.7, NAN], [NAN] * 3
    metrics = pd.concat(
        [
            evaluations("clr", i, part, validation_accuracy=part, status="diverged")
            for i, part in enumerate((some, none))
        ]
    )
    runs = [a_run("clr", seed, 30) for seed in (0, 1)]
    first, second = best_table(metrics, cycles_table(make_spec(), runs, metrics)).to_dict("records")
    assert (first["best_validation_epoch"], first["test_accuracy_at_best"]) == (2.0, 0.7)
    assert (first["test_accuracy_at_cycle_end"], first["cycle_end_epoch"]) == (0.7, 2.0)
    assert math.isnan(first["test_accuracy_at_end"])
    assert np.isnan([second[key] for key in BEST_COLUMNS if "best" in key]).all()


# cycle_peaks.csv


def peaks_of(*accuracy: list[float], num_steps: int = 60, **keys: Any) -> Any:
    """Return the row of runs of clr with these accuracies, one an epoch."""
    metrics = pd.concat([evaluations("clr", seed, values) for seed, values in enumerate(accuracy)])
    runs = [a_run("clr", seed, num_steps) for seed in range(len(accuracy))]
    (row,) = cycle_peaks_table(metrics, cycles_table(make_spec(**keys), runs, metrics)).to_dict("records")
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
    row = peaks_of(accuracy, accuracy, [0.9] * 7 + [0.95], num_steps=80, step_size="2 epochs")
    assert row["runs"] == 3
    assert (row["peaks_at_end"], row["evaluations_at_end"]) == pytest.approx((1 / 3, 2 / 8))
    assert (row["peaks_near_end"], row["evaluations_near_end"]) == pytest.approx((1 / 3, 5 / 8))
    assert row["accuracy_at_ends"] == pytest.approx((0.6 + 0.6 + 0.925) / 3)
    assert row["accuracy_elsewhere"] == pytest.approx((4.6 / 6 * 2 + 0.9) / 3)
    assert row["above_neighbours"] == pytest.approx((-0.1 - 0.1 + 0) / 3)


def test_every_backend_has_a_row_of_its_own() -> None:
    rows = [evaluations("clr", 0, RISING), evaluations("clr", 0, RISING[::-1], backend="keras")]
    metrics = pd.concat(rows, ignore_index=True)
    runs = [a_run("clr"), a_run("clr", backend="keras")]
    table = cycle_peaks_table(metrics, cycles_table(make_spec(), runs, metrics))
    assert table[["backend", "peaks_at_end"]].to_numpy().tolist() == [["torch", 1], ["keras", 0]]


def test_a_steadily_rising_curve_is_better_at_the_ends_and_not_above_its_neighbours() -> None:
    row = peaks_of([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert row["accuracy_at_ends"] > row["accuracy_elsewhere"] + 0.05
    assert row["above_neighbours"] == pytest.approx(0, abs=1e-12)


def test_neighbours_at_uneven_distances_are_interpolated() -> None:
    metrics = evaluations("clr", 0, [0.5, 0.8, 0.9], step=[18, 20, 28])
    cycles = cycles_table(make_spec(), [a_run("clr", num_steps=28)], metrics)
    (row,) = cycle_peaks_table(metrics, cycles).to_dict("records")
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
    metrics = evaluations("clr", 0, [NAN] * 6)
    assert cycle_peaks_table(metrics, cycles_table(make_spec(), [a_run("clr")], metrics)).empty


# Words.


def test_a_line_for_each_backend_and_arm() -> None:
    assert list(cycle_lines(pd.DataFrame([peaks_of(RISING, [0.9, 0.7, 0.6, 0.8, 0.7, 0.5])]))) == [
        "torch: the best test accuracy of clr lies within one evaluation of a cycle's end in 100% of 2 runs, as do 100% of "
        "all evaluations; at the end itself in 50%, as do 50%; mean test accuracy is 0.7333 at the ends, which come late, "
        "and 0.6667 elsewhere; an end differs from the evaluations around it by +0.1000; the rate at the best evaluation "
        "ranks at 0.50 (0 lowest, 1 highest)."
    ]


def test_a_line_leaves_out_what_is_not_known() -> None:
    row = peaks_of([0.5], num_steps=10, cycles=1)
    assert list(cycle_lines(pd.DataFrame([row]))) == [
        "torch: the best test accuracy of clr lies within one evaluation of a cycle's end in 100% of 1 run, as do 100% of "
        "all evaluations; at the end itself in 100%, as do 100%."
    ]

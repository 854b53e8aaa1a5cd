"""The runs of an experiment: how long, in which order, with which rates, evaluated where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned_specs import SIZES, cyclic, evaluations, make
from specs import CONSTANT

from clrbench.planning.runs import (
    SplitSizes,
    arm_clock,
    cycle_end_epochs,
    lr_table,
    needed_range_tests,
    rows_of,
    split_of,
    split_sizes,
    training_runs,
)
from clrbench.records import Split
from clrbench.spec import Clock, RunSpec
from clrbench.spec.model import Adaptive, Sgd
from clrbench.spec.schedules import Constant, Triangular


@pytest.mark.parametrize(
    ("metric", "split", "rows"),
    [
        ("test_balanced_accuracy", Split.TEST, 3),
        ("validation_loss", Split.VALIDATION, 2),
        ("train_accuracy", Split.TRAIN, 1),
        ("top5_accuracy", None, 0),
        ("testing_f1", None, 0),
        ("f1", None, 0),
    ],
)
def test_the_name_of_a_metric_says_its_split(metric: str, split: Split | None, rows: int) -> None:
    assert (split_of(metric), rows_of(metric, SplitSizes(1, 2, 3))) == (split, rows)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, SplitSizes(990, 110, 300)),
        ({"validation": "100 rows"}, SplitSizes(1000, 100, 300)),
        ({"validation": "0 rows"}, SplitSizes(1100, 0, 300)),
        ({"validation": "1099 rows"}, SplitSizes(1, 1099, 300)),
        ({"validation": "25 %", "train_rows": 825, "test_rows": 300}, SplitSizes(825, 275, 300)),
        ({"validation": "100 rows", "train_rows": 50, "test_rows": 20}, SplitSizes(50, 100, 20)),
    ],
)
def test_rows_of_each_split(data: dict[str, Any], expected: SplitSizes, tmp_path: Path) -> None:
    assert split_sizes(make(tmp_path, data={"dataset": "mnist", **data}), SIZES) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, SplitSizes(1_100, 70, 300)),
        ({"validation": "100 rows"}, SplitSizes(1_100, 70, 300)),
        ({"validation": "5000 rows"}, SplitSizes(1_100, 70, 300)),
        ({"validation": "0 rows"}, SplitSizes(1_100, 0, 300)),
        ({"validation": "0 %"}, SplitSizes(1_100, 0, 300)),
        ({"train_rows": 1_100}, SplitSizes(1_100, 70, 300)),
        ({"train_rows": 50, "test_rows": 20}, SplitSizes(50, 70, 20)),
    ],
)
def test_own_validation_rows_leave_the_training_rows_whole(
    data: dict[str, Any], expected: SplitSizes, tmp_path: Path
) -> None:
    sizes = replace(SIZES, validation_rows=70)
    assert split_sizes(make(tmp_path, data={"dataset": "mnist", **data}), sizes) == expected


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        (CONSTANT, Clock(10, 50)),
        ({**CONSTANT, "batch_size": 300}, Clock(3, 15)),  # 3 full batches, 100 rows left over
        ({**CONSTANT, "batch_size": 1000}, Clock(1, 5)),
        ({**CONSTANT, "duration": "2.5 epochs"}, Clock(10, 25)),
        ({**CONSTANT, "duration": "7 steps"}, Clock(10, 7)),
        ({**CONSTANT, "duration": "0.06 epochs"}, Clock(10, 1)),
        (cyclic(cycles=3), Clock(10, 50)),
        (cyclic(step_size="2 epochs", duration="3 cycles"), Clock(10, 120)),
        (cyclic(step_size="2 epochs", duration="2.5 cycles"), Clock(10, 100)),
        (cyclic(step_size="7 steps", duration="1 cycle"), Clock(10, 14)),
        (cyclic(step_size="2 epochs", duration="3 cycles", warmup="1 epoch"), Clock(10, 130)),
        (cyclic(step_size="2 epochs", duration="3 cycles", batch_size=300), Clock(3, 36)),
        (cyclic(step_size="1 step", duration="0.01 cycles"), Clock(10, 1)),
    ],
)
def test_steps_of_an_epoch_and_of_the_run(arm: dict[str, Any], expected: Clock, tmp_path: Path) -> None:
    assert arm_clock(make(tmp_path, arms={"arm": arm}), "arm", train_rows=1000) == expected


def test_runs_stand_backend_by_backend_seed_by_seed_arm_by_arm(tmp_path: Path) -> None:
    spec = make(tmp_path, arms={"b": CONSTANT, "a": cyclic(cycles=2)})
    runs = training_runs(spec, SIZES, ("keras", "torch"), {})
    assert [(run.backend, run.seed, run.arm) for run in runs] == [
        ("keras", 7, "b"),
        ("keras", 7, "a"),
        ("keras", 3, "b"),
        ("keras", 3, "a"),
        ("torch", 7, "b"),
        ("torch", 7, "a"),
        ("torch", 3, "b"),
        ("torch", 3, "a"),
    ]


def test_run_holds_all_that_decides_its_numbers(tmp_path: Path) -> None:
    arms = {
        "constant": CONSTANT,
        "clr": cyclic(cycles=1, batch_size=500, optimizer={"name": "adam"}, duration="4 epochs"),
    }
    spec = make(tmp_path, arms=arms, seeds=1)
    constant, clr = training_runs(spec, SIZES, ("torch",), {})
    shared = {
        "backend": "torch",
        "seed": 0,
        "data": spec.data,
        "model": spec.model,
        "evaluated_splits": ("validation", "test"),
        "divergence_factor": 1000.0,
    }
    assert constant == RunSpec(
        arm="constant",
        optimizer=Sgd(name="sgd", momentum=0.9),
        batch_size=100,
        schedule=Constant(name="constant", lr=0.1),
        num_steps=50,
        steps_per_epoch=10,
        evaluation_steps=(10, 20, 30, 40, 50),
        **shared,
    )
    assert clr == RunSpec(
        arm="clr",
        optimizer=Adaptive(name="adam"),
        batch_size=500,
        schedule=Triangular(name="triangular", base_lr=0.01, max_lr=0.1, cycles=1),
        num_steps=8,
        steps_per_epoch=2,
        evaluation_steps=(2, 4, 6, 8),
        **shared,
    )
    for run in (constant, clr):
        assert RunSpec.model_validate_json(run.model_dump_json()) == run


def test_runs_without_validation_rows_are_evaluated_on_the_test_split_only(tmp_path: Path) -> None:
    spec = make(tmp_path, data={"dataset": "mnist", "validation": "0 %"})
    assert {run.evaluated_splits for run in training_runs(spec, SIZES, ("torch",), {})} == {("test",)}


@pytest.mark.parametrize(
    ("arms", "expected"),
    [
        # Each epoch and the end.
        ({"a": {**CONSTANT, "duration": "34 steps"}}, {"a": [10, 20, 30, 34]}),
        ({"a": {**CONSTANT, "duration": "9 steps"}}, {"a": [9]}),
        # Two cycles of 2.5 epochs each; every arm is evaluated where a cycle of any arm ends.
        (
            {"a": CONSTANT, "b": cyclic(cycles=2)},
            {"a": [10, 20, 25, 30, 40, 50], "b": [10, 20, 25, 30, 40, 50]},
        ),
        # With 4 steps per epoch, 2.5 epochs are 10 steps.
        (
            {"a": {**CONSTANT, "batch_size": 250}, "b": cyclic(cycles=2)},
            {"a": [4, 8, 10, 12, 16, 20], "b": [10, 20, 25, 30, 40, 50]},
        ),
        # Cycle ends of two arms: at 12 steps an epoch and a fifth, at 26 steps.
        (
            {"a": cyclic(step_size="6 steps"), "b": cyclic(step_size="13 steps")},
            {name: [10, 12, 20, 24, 26, 30, 36, 40, 48, 50] for name in "ab"},
        ),
        # Cycles shorter than an epoch do not count, also after a warm-up that lasts longer.
        ({"a": cyclic(cycles=10)}, {"a": [10, 20, 30, 40, 50]}),
        ({"a": cyclic(step_size="3 steps", warmup="1 epoch", duration="19 steps")}, {"a": [10, 19]}),
        # Cycles of exactly one epoch.
        ({"a": cyclic(cycles=5)}, {"a": [10, 20, 30, 40, 50]}),
        ({"a": cyclic(step_size="5 steps", warmup="5 steps")}, {"a": [*range(10, 51, 5)]}),
        # Cycles start after the warm-up: 5 + 14, 5 + 28, 5 + 42.
        ({"a": cyclic(step_size="7 steps", warmup="5 steps")}, {"a": [10, 19, 20, 30, 33, 40, 47, 50]}),
        # An arm's own end is its own; a shorter arm ends before the points of a longer one.
        (
            {"a": {**CONSTANT, "duration": "23 steps"}, "b": cyclic(cycles=2)},
            {"a": [10, 20, 23], "b": [10, 20, 25, 30, 40, 50]},
        ),
        # A cycle that does not end within the run.
        ({"a": cyclic(step_size="3 epochs")}, {"a": [10, 20, 30, 40, 50]}),
    ],
)
def test_evaluations_stand_at_epochs_cycle_ends_and_the_end(
    arms: dict[str, Any], expected: dict[str, list[int]], tmp_path: Path
) -> None:
    assert evaluations(make(tmp_path, arms=arms, seeds=1)) == expected


@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(
    step_size=st.integers(1, 40),
    warmup=st.integers(1, 30),
    num_steps=st.integers(1, 90),
    batch_size=st.sampled_from([100, 130, 333, 1000]),
)
def test_cycle_ends_are_where_the_rate_is_lowest_again(
    tmp_path_factory: pytest.TempPathFactory, step_size: int, warmup: int, num_steps: int, batch_size: int
) -> None:
    arm = cyclic(step_size=f"{step_size} steps", warmup=f"{warmup} steps", duration=f"{num_steps + warmup} steps")
    spec = make(tmp_path_factory.getbasetemp(), arms={"arm": {**arm, "batch_size": batch_size}}, seeds=1)
    clock = arm_clock(spec, "arm", 1000)
    longer = lr_table(spec.resolved_arm("arm"), Clock(clock.steps_per_epoch, clock.num_steps + 1))
    main = longer[warmup:]
    ends = warmup + np.flatnonzero(main == main.min())[1:]  # after so many updates the next one has the lowest rate
    found = np.array(list(cycle_end_epochs(spec.arms["arm"].schedule, clock)))
    np.testing.assert_allclose(found * clock.steps_per_epoch, ends, rtol=1e-12)
    (run,) = training_runs(spec, SIZES, ("torch",), {})
    expected = set(range(clock.steps_per_epoch, clock.num_steps + 1, clock.steps_per_epoch)) | {clock.num_steps}
    expected |= set(ends.tolist()) if 2 * step_size >= clock.steps_per_epoch else set()
    assert list(run.evaluation_steps) == sorted(expected)


def test_schedules_without_cycles_have_no_cycle_ends() -> None:
    assert list(cycle_end_epochs(Constant(name="constant", lr=1), Clock(10, 50))) == []


def test_what_finding_the_rates_took_changes_no_run(tmp_path: Path) -> None:
    found = {
        "constant": {"schedule": {"name": "constant", "lr": {"value": 0.1, "steps": 40_000}}},
        "clr": cyclic(bounds={"base_lr": 0.01, "max_lr": 0.1, "steps": 8250}, cycles=2),
        "cosine": {"schedule": {"name": "cosine", "lr": {"value": 0.1, "steps": 1}}},
    }
    plain = {"constant": CONSTANT, "clr": cyclic(cycles=2), "cosine": {"schedule": {"name": "cosine", "lr": 0.1}}}
    with_steps, without = (make(tmp_path, arms=arms) for arms in (found, plain))
    assert needed_range_tests(with_steps) == []
    runs = training_runs(with_steps, SIZES, ("torch",), {})
    assert runs == training_runs(without, SIZES, ("torch",), {})
    for run in runs:
        # A run's own spec, of which its identity is made, holds numbers alone.
        assert "steps" not in run.model_dump(mode="json")["schedule"]
        assert isinstance(run.schedule.table(Clock(10, 50)), np.ndarray)


def test_cycles_between_bounds_found_elsewhere_are_evaluated_where_they_end(tmp_path: Path) -> None:
    arms = {"clr": cyclic(bounds={"base_lr": 0.01, "max_lr": 0.1, "steps": 9}, cycles=2)}
    assert evaluations(make(tmp_path, arms=arms)) == evaluations(make(tmp_path, arms={"clr": cyclic(cycles=2)}))

"""The runs of an experiment: how long, in which order, with which rates, evaluated where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import CONSTANT, read_spec

from clrbench.data import DatasetSizes
from clrbench.errors import SpecError
from clrbench.planning.runs import (
    RangeTestGroup,
    SplitSizes,
    arm_clock,
    cycle_end_epochs,
    lr_table,
    needed_range_tests,
    range_test_group,
    range_test_runs,
    split_sizes,
    training_runs,
)
from clrbench.rates import Rates
from clrbench.spec import Clock, RunSpec, Spec, SpecFile, load_spec, to_yaml
from clrbench.spec.model import Adaptive, Sgd
from clrbench.spec.schedules import Constant, Ramp, Triangular

SIZES = DatasetSizes(train_rows=1_100, test_rows=300, image_shape=(2, 2, 1))
"""With 100 rows for validation and a batch size of 100, an epoch has 10 steps."""

SPEC: dict[str, Any] = {
    "data": {"dataset": "mnist", "validation": "100 rows"},
    "optimizer": {"name": "sgd", "momentum": 0.9},
    "duration": "5 epochs",
    "seeds": [7, 3],
    "arms": {"constant": CONSTANT},
}


def cyclic(**keys: Any) -> dict[str, Any]:
    """Return an arm; its keys are those of the schedule, but for those that an arm itself holds."""
    own = {key: keys.pop(key) for key in ("batch_size", "optimizer", "duration", "baseline") if key in keys}
    rates = {} if "bounds" in keys else {"base_lr": 0.01, "max_lr": 0.1}
    return {"schedule": {"name": "triangular", **rates, **keys}, **own}


def load(folder: Path, **changes: Any) -> SpecFile:
    return read_spec(folder, **{**SPEC, **changes})


def make(folder: Path, **changes: Any) -> Spec:
    return load(folder, **changes).spec


def evaluations(spec: Spec) -> dict[str, list[int]]:
    return {run.arm: list(run.evaluation_steps) for run in training_runs(spec, SIZES, ("torch",), {})}


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
        # With 4 steps an epoch, 2.5 epochs are 10 steps.
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


def test_range_test_runs(tmp_path: Path) -> None:
    spec = make(tmp_path, range_test={"start_lr": 0.01, "end_lr": 2, "ramp": "exponential", "seeds": [5, 4]})
    group = RangeTestGroup(None, spec.optimizer, 20)
    runs = range_test_runs(spec, group, SIZES, ("torch", "keras"))
    assert [(run.backend, run.seed) for run in runs] == [("torch", 5), ("torch", 4), ("keras", 5), ("keras", 4)]
    assert runs[0] == RunSpec(
        backend="torch",
        arm="range-test",
        seed=5,
        data=spec.data,
        model=spec.model,
        optimizer=spec.optimizer,
        batch_size=20,
        schedule=Ramp(start_lr=0.01, end_lr=2, kind="exponential"),
        num_steps=250,
        steps_per_epoch=50,
        evaluation_steps=runs[0].evaluation_steps,
        evaluated_splits=("validation",),
        divergence_factor=10.0,
    )
    assert {run.evaluation_steps for run in runs} == {runs[0].evaluation_steps}
    assert RunSpec.model_validate_json(runs[0].model_dump_json()) == runs[0]


@pytest.mark.parametrize(
    ("duration", "steps", "gaps"),
    [
        ("100 epochs", 1000, {10}),
        ("351 steps", 351, {3, 4}),
        ("101 steps", 101, {1, 2}),
        ("2 epochs", 20, {1}),
        ("2 steps", 2, {1}),
    ],
)
def test_range_test_is_evaluated_at_even_distances(duration: str, steps: int, gaps: set[int], tmp_path: Path) -> None:
    spec = make(tmp_path, range_test={"duration": duration, "seeds": 1})
    (run,) = range_test_runs(spec, RangeTestGroup(None, spec.optimizer, 100), SIZES, ("torch",))
    points = np.array(run.evaluation_steps)
    assert (len(points), points[-1]) == (min(steps, 100), steps)
    assert set(np.diff(points, prepend=0).tolist()) == gaps


def test_arms_share_the_range_test_of_the_spec_unless_they_override(tmp_path: Path) -> None:
    found = {"bounds": "range_test", "cycles": 2}
    spec = make(
        tmp_path,
        arms={
            "fixed": {**CONSTANT, "batch_size": 10},
            "constant": {"schedule": {"name": "constant", "lr": "range_test"}},
            "clr": cyclic(**found),
            "same": cyclic(**found, batch_size=100, duration="5 epochs", optimizer={"name": "sgd", "momentum": 0.9}),
            "large": cyclic(**found, batch_size=500),
            "adam": cyclic(**found, optimizer={"name": "adam"}),
            "long": cyclic(**found, duration="9 epochs"),
        },
    )
    shared = RangeTestGroup(None, spec.optimizer, 100)
    large = RangeTestGroup("large", spec.optimizer, 500)
    adam = RangeTestGroup("adam", Adaptive(name="adam"), 100)
    long = RangeTestGroup("long", spec.optimizer, 100)
    assert [range_test_group(spec, name) for name in ("constant", "clr", "same", "large", "adam", "long")] == [
        shared,
        shared,
        shared,
        large,
        adam,
        long,
    ]
    assert needed_range_tests(spec) == [shared, large, adam, long]


def test_no_range_test_is_needed_where_every_rate_is_given(tmp_path: Path) -> None:
    assert needed_range_tests(make(tmp_path, arms={"a": CONSTANT, "b": cyclic(cycles=2)})) == []


def test_bounds_found_replace_the_word_by_backend_and_group(tmp_path: Path) -> None:
    spec = make(
        tmp_path,
        seeds=1,
        arms={
            "constant": {"schedule": {"name": "constant", "lr": "range_test", "warmup": "2 steps"}},
            "clr": cyclic(bounds="range_test", cycles=2),
            "large": cyclic(bounds="range_test", cycles=2, batch_size=500),
            "fixed": cyclic(cycles=2),
        },
    )
    bounds = {
        ("torch", None): Rates(0.02, 0.08, 0.03, 0.02),
        ("torch", "large"): Rates(None, 0.4, 0.2, 0.1),
        ("keras", None): Rates(0.03, 0.27, 0.06, 0.03),
        ("keras", "large"): Rates(0.5, 2.0, 1.0, 0.5),
    }
    runs = training_runs(spec, SIZES, ("torch", "keras"), bounds)  # type: ignore[arg-type]
    found = [
        (run.schedule.lr if isinstance(run.schedule, Constant) else (run.schedule.base_lr, run.schedule.max_lr))  # type: ignore[union-attr]
        for run in runs
    ]
    assert found == [
        0.03,
        (0.02, 0.08),
        (0.1, 0.4),
        (0.01, 0.1),
        0.06,
        (0.03, 0.27),
        (0.5, 2.0),
        (0.01, 0.1),
    ]
    assert not any(run.schedule.needs_range_test for run in runs if not isinstance(run.schedule, Ramp))
    assert str(runs[0].schedule.warmup) == "2 steps"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "line", "key", "message"),
    [
        ({"batch_size": 2000}, "batch_size: 2000", "batch_size", "got 2000; allowed: at most 1000, the training rows"),
        (
            {"arms": {"a": CONSTANT, "b": {**CONSTANT, "batch_size": 1001}}},
            "    batch_size: 1001",
            "arms.b.batch_size",
            "got 1001; allowed: at most 1000, the training rows",
        ),
        (
            {"data": {"dataset": "mnist", "validation": "1100 rows"}},
            "  validation: 1100 rows",
            "data.validation",
            "got '1100 rows' of 1100 training rows; allowed: what leaves at least one row for validation and one for "
            "training, or '0 rows' for no validation",
        ),
        (
            {"data": {"dataset": "mnist", "validation": "0.01 %"}},
            "  validation: 0.01 %",
            "data.validation",
            "got '0.01 %' of 1100 training rows; allowed: what leaves at least one row for validation and one for "
            "training, or '0 rows' for no validation",
        ),
        (
            {"data": {"dataset": "mnist", "train_rows": 991}},
            "  train_rows: 991",
            "data.train_rows",
            "got 991; allowed: at most 990, the rows there are",
        ),
        (
            {"data": {"dataset": "mnist", "test_rows": 301}},
            "  test_rows: 301",
            "data.test_rows",
            "got 301; allowed: at most 300, the rows there are",
        ),
        (
            {"duration": "2000001 epochs"},
            "duration: 2000001 epochs",
            "duration",
            "got 2000001 epochs, which is 20000010 steps; allowed: at most 20000000 steps",
        ),
        (
            {"arms": {"a": {**CONSTANT, "duration": "1e8 steps"}}},
            "    duration: 1e8 steps",
            "arms.a.duration",
            "got 100000000 steps, which is 100000000 steps; allowed: at most 20000000 steps",
        ),
        (
            {"arms": {"a": {"schedule": {**CONSTANT["schedule"], "warmup": "5 epochs"}}}},
            "      warmup: 5 epochs",
            "arms.a.schedule.warmup",
            "got 5 epochs, which is 50 steps; allowed: less than the run, which has 50 steps",
        ),
        (
            {"arms": {"a": cyclic(warmup="7 epochs", cycles=2)}},
            "      warmup: 7 epochs",
            "arms.a.schedule.warmup",
            "got 7 epochs, which is 70 steps; allowed: less than the run, which has 50 steps",
        ),
        (
            {"arms": {"a": cyclic(warmup="1 epoch", cycles=20.5)}},
            "      cycles: 20.5",
            "arms.a.schedule.cycles",
            "got 20.5; allowed: at most 20, as a cycle has at least 2 steps and the run 40 after its warm-up",
        ),
    ],
)
def test_misfit_between_spec_and_data_is_located(
    changes: dict[str, Any], line: str, key: str, message: str, tmp_path: Path
) -> None:
    file = load(tmp_path, **changes)
    number = file.path.read_text(encoding="utf-8").splitlines().index(line) + 1
    with pytest.raises(SpecError) as caught, file.locating():
        training_runs(file.spec, SIZES, ("torch",), {})
    assert str(caught.value) == f"{file.path}:{number}: {key}: {message}"


@pytest.mark.parametrize(
    ("duration", "message"),
    [
        ("1 step", "got 1 steps; allowed: at least 2 steps"),
        ("1e8 epochs", "got 100000000 epochs, which is 1000000000 steps; allowed: at most 20000000 steps"),
    ],
)
def test_range_test_that_is_too_short_or_too_long(duration: str, message: str, tmp_path: Path) -> None:
    file = load(tmp_path, range_test={"duration": duration})
    with pytest.raises(SpecError) as caught, file.locating():
        range_test_runs(file.spec, RangeTestGroup(None, file.spec.optimizer, 100), SIZES, ("torch",))
    number = file.path.read_text(encoding="utf-8").splitlines().index(f"  duration: {duration}") + 1
    assert str(caught.value) == f"{file.path}:{number}: range_test.duration: {message}"


@pytest.mark.parametrize(("own", "key"), [({"batch_size": 2000}, "arms.a.batch_size"), ({}, "batch_size")])
def test_range_test_names_the_batch_size_that_does_not_fit(own: dict[str, Any], key: str, tmp_path: Path) -> None:
    arm = cyclic(bounds="range_test", cycles=2, optimizer={"name": "adam"}, **own)
    file = load(tmp_path, batch_size=2000 if not own else 10, arms={"a": arm})
    (group,) = needed_range_tests(file.spec)
    with pytest.raises(SpecError) as caught, file.locating():
        range_test_runs(file.spec, group, SIZES, ("torch",))
    assert str(caught.value).endswith(f": {key}: got 2000; allowed: at most 1000, the training rows")


def test_schedule_that_does_not_fit_the_run_is_located(tmp_path: Path) -> None:
    arms = {"a": CONSTANT, "late": {"schedule": {"name": "one_cycle", "max_lr": 1, "pct_start": 0.01}}}
    file = load(tmp_path, arms=arms)
    clock = arm_clock(file.spec, "late", 1000)
    with pytest.raises(SpecError) as caught, file.locating():
        lr_table(file.spec.resolved_arm("late"), clock)
    number = file.path.read_text(encoding="utf-8").splitlines().index("  late:") + 2
    expected = "arms.late.schedule: num_steps: got 50; allowed: more than 100 steps (1 / pct_start)"
    assert str(caught.value) == f"{file.path}:{number}: {expected}"


@pytest.mark.parametrize(
    ("arm", "key"),
    [
        ({**CONSTANT, "duration": "0.001 epochs"}, "duration"),
        (cyclic(step_size="0.04 epochs"), "step_size"),
        ({"schedule": {"name": "constant", "lr": 0.1, "warmup": "0.001 epochs"}}, "warmup"),
        ({"schedule": {"name": "step_decay", "lr": 0.1, "factor": 0.5, "every": "0.001 epochs"}}, "every"),
        ({"schedule": {"name": "cosine_restarts", "lr": 0.1, "period": "0.001 epochs"}}, "period"),
    ],
)
def test_a_length_below_a_step_is_refused_not_stretched(arm: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"which is less than a step; allowed: at least 0\.1 epochs") as caught:
        arm_clock(make(tmp_path, arms={"arm": arm}), "arm", train_rows=1000)
    assert caught.value.key[-1] == key


def test_rates_of_a_range_test_that_sink_below_float32_are_refused_at_the_schedule(tmp_path: Path) -> None:
    sinking = {"schedule": {"name": "exponential_decay", "lr": "range_test", "gamma": 1e-7}}
    spec = make(tmp_path, arms={"arm": sinking})
    assert training_runs(spec, SIZES, ("torch",), {("torch", None): Rates(0.5, 2.0, 1.0, 0.5)})
    with pytest.raises(SpecError, match=r"allowed: 1\.18e-38 to") as caught:
        training_runs(spec, SIZES, ("torch",), {("torch", None): Rates(1e-5, 1e-5, 1e-5, 1e-5)})
    assert caught.value.key == ("arms", "arm", "schedule")


def test_the_default_end_of_a_decay_from_the_lowest_rate_can_be_read_again(tmp_path: Path) -> None:
    arms = {name: {"schedule": {"name": name, "lr": "1e-30"}} for name in ("linear_decay", "cosine")}
    spec = make(tmp_path, arms=arms)
    (tmp_path / "again.yaml").write_text(to_yaml(spec), encoding="utf-8")
    assert load_spec(tmp_path / "again.yaml").spec == spec


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

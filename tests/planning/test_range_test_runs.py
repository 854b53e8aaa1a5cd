"""The runs of range tests: which arms share one, how long it is, and whose rates follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_specs import SIZES, cyclic, load, make
from specs import CONSTANT

from clrbench.errors import SpecError
from clrbench.planning.runs import (
    RangeTestGroup,
    needed_range_tests,
    range_test_group,
    training_runs,
)
from clrbench.planning.trials import range_test_runs
from clrbench.rates import Rates
from clrbench.spec import RunSpec
from clrbench.spec.model import Adaptive
from clrbench.spec.schedules import Constant, Ramp


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
    ("duration", "message"),
    [
        ("1 step", "got 1 step; allowed: at least 2 steps"),
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

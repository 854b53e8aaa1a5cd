"""What of a spec does not fit its data or its length is refused at its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from planned_specs import SIZES, cyclic, load, make
from specs import CONSTANT

from clrbench.errors import SpecError
from clrbench.planning.runs import (
    arm_clock,
    lr_table,
    training_runs,
)
from clrbench.rates import Rates
from clrbench.spec import load_spec, to_yaml


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
            "got 991; allowed: at most 990, the available rows",
        ),
        (
            {"data": {"dataset": "mnist", "test_rows": 301}},
            "  test_rows: 301",
            "data.test_rows",
            "got 301; allowed: at most 300, the available rows",
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

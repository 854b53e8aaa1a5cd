"""Every schedule of a spec hands its lengths, in steps, to the function of the same name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from clrbench import schedules
from clrbench.errors import ScheduleError
from clrbench.spec import BaseCyclic, Clock, Ramp, Schedule
from clrbench.spec.rate_file import packed
from clrbench.spec.schedules import Constant

PARSED: TypeAdapter[Any] = TypeAdapter(Schedule)
CLOCK = Clock(steps_per_epoch=20, num_steps=100)
WARMUP_STEPS = 15
BOUNDS = {"base_lr": 0.01, "max_lr": 0.1}
RATES = np.geomspace(0.3, 0.01, 85)

# Keys in the spec, and the arguments they become for the 85 steps after a warm-up of 15.
EVERY_KIND: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("constant", {"lr": 0.03}, {"lr": 0.03}),
    ("triangular", {**BOUNDS, "step_size": "2 epochs"}, {**BOUNDS, "step_size": 40}),
    ("triangular", {**BOUNDS, "cycles": 2.5}, {**BOUNDS, "step_size": 17}),
    ("triangular2", {**BOUNDS, "step_size": "30 steps"}, {**BOUNDS, "step_size": 30}),
    ("exp_range", {**BOUNDS, "step_size": "0.5 epochs", "gamma": 0.99}, {**BOUNDS, "step_size": 10, "gamma": 0.99}),
    ("exp_range_paper", {**BOUNDS, "cycles": 1, "gamma": 0.99}, {**BOUNDS, "step_size": 42.5, "gamma": 0.99}),
    (
        "triangular2",
        {**BOUNDS, "step_size": "0.5 epochs", "step_size_down": "25 steps"},
        {**BOUNDS, "step_size": 10, "step_size_down": 25},
    ),
    (
        "piecewise",
        {"lr": 0.1, "milestones": {"1 epoch": 0.5, "3.5 epochs": "1e-1"}},
        {"lr": 0.1, "milestones": {20: 0.5, 70: 0.1}},
    ),
    ("table", {"file": "rates.csv", "rates": packed(RATES)}, {"rates": RATES.astype(np.float32)}),
    ("polynomial", {"lr": 0.1, "power": 2}, {"lr": 0.1, "end_lr": 0.0001, "power": 2.0}),
    ("wsd", {"lr": 0.1}, {"lr": 0.1, "end_lr": 0.0001, "decay_share": 0.2, "shape": "linear"}),
    ("wsd", {"lr": 0.1, "decay": "35 %", "shape": "sqrt"}, {"lr": 0.1, "decay_share": 0.35, "shape": "sqrt"}),
    (
        "one_cycle",
        {"max_lr": 0.3},
        {"max_lr": 0.3, "pct_start": 0.3, "div_factor": 25, "final_div_factor": 1e4, "anneal": "cos"},
    ),
    (
        "one_cycle",
        {"max_lr": 0.3, "anneal": "linear", "pct_start": 0.5},
        {"max_lr": 0.3, "anneal": "linear", "pct_start": 0.5},
    ),
    ("linear_decay", {"lr": 0.1}, {"lr": 0.1, "end_lr": 0.0001}),
    ("cosine", {"lr": 0.1, "end_lr": 0.01}, {"lr": 0.1, "end_lr": 0.01}),
    ("step_decay", {"lr": 0.1, "factor": 0.5, "every": "1.5 epochs"}, {"lr": 0.1, "factor": 0.5, "every_steps": 30}),
    ("exponential_decay", {"lr": 0.1, "gamma": 0.9}, {"lr": 0.1, "gamma": 0.9, "steps_per_epoch": 20}),
    (
        "cosine_restarts",
        {"lr": 0.1, "period": "1 epoch", "multiplier": 2},
        {"lr": 0.1, "end_lr": 0.0001, "period_steps": 20, "multiplier": 2},
    ),
]


def test_every_schedule_can_be_named_in_a_spec() -> None:
    assert {name for name, _, _ in EVERY_KIND} == set(schedules.SCHEDULES)
    assert len(schedules.SCHEDULES) == 15


@pytest.mark.parametrize(("name", "keys", "arguments"), EVERY_KIND)
def test_table_is_that_of_the_function_of_the_same_name(
    name: str, keys: dict[str, Any], arguments: dict[str, Any]
) -> None:
    table = PARSED.validate_python({"name": name, **keys}).table(Clock(steps_per_epoch=20, num_steps=85))
    np.testing.assert_array_equal(table, schedules.SCHEDULES[name].make(85, **arguments))


@pytest.mark.parametrize(("name", "keys", "arguments"), EVERY_KIND)
def test_warmup_rises_to_the_first_rate_and_the_schedule_covers_the_rest(
    name: str, keys: dict[str, Any], arguments: dict[str, Any]
) -> None:
    schedule = PARSED.validate_python({"name": name, **keys, "warmup": "15 steps"})
    main = schedules.SCHEDULES[name].make(85, **arguments)
    rise = main[0] * np.arange(1, 16) / 16
    assert schedule.warmup_steps(CLOCK) == WARMUP_STEPS
    np.testing.assert_allclose(schedule.table(CLOCK), np.concatenate([rise, main]), rtol=1e-15)


@pytest.mark.parametrize(("name", "keys", "arguments"), EVERY_KIND)
def test_warmup_in_epochs(name: str, keys: dict[str, Any], arguments: dict[str, Any]) -> None:
    del arguments
    in_epochs = PARSED.validate_python({"name": name, **keys, "warmup": "0.75 epochs"})
    in_steps = PARSED.validate_python({"name": name, **keys, "warmup": "15 steps"})
    np.testing.assert_array_equal(in_epochs.table(CLOCK), in_steps.table(CLOCK))


@pytest.mark.parametrize("name", ["triangular", "triangular2"])
@pytest.mark.parametrize("cycles", [1, 3, 4.5])
def test_training_ends_where_a_cycle_ends(name: str, cycles: float) -> None:
    schedule = PARSED.validate_python({"name": name, **BOUNDS, "cycles": cycles})
    assert schedule.step_size_steps(CLOCK) * 2 * cycles == CLOCK.num_steps


def test_bounds_of_a_range_test_replace_the_word() -> None:
    keys = {"name": "triangular", "cycles": 3, "warmup": "1 epoch"}
    unbounded = PARSED.validate_python({**keys, "bounds": "range_test"})
    assert isinstance(unbounded, BaseCyclic)
    assert unbounded.needs_range_test
    bounded = unbounded.with_bounds(0.02, 0.5, 0.1)
    assert bounded == PARSED.validate_python({**keys, "base_lr": 0.02, "max_lr": 0.5})
    assert not bounded.needs_range_test


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"name": "constant", "lr": "range_test mean"}, {"name": "constant", "lr": 0.26}),
        ({"name": "linear_decay", "lr": "range_test max_lr"}, {"name": "linear_decay", "lr": 0.5, "end_lr": 0.0005}),
        ({"name": "cosine", "lr": "range_test", "end_lr": 0.3}, {"name": "cosine", "lr": 0.1, "end_lr": 0.1}),
        ({"name": "one_cycle", "max_lr": "range_test max_lr"}, {"name": "one_cycle", "max_lr": 0.5}),
        (
            {"name": "exponential_decay", "lr": "range_test mean", "gamma": 0.9},
            {"name": "exponential_decay", "lr": 0.26, "gamma": 0.9},
        ),
    ],
)
def test_every_control_takes_its_rate_from_the_range_test(keys: dict[str, Any], expected: dict[str, Any]) -> None:
    unbounded = PARSED.validate_python(keys)
    assert unbounded.needs_range_test
    bounded = unbounded.with_bounds(0.02, 0.5, 0.1)
    assert not bounded.needs_range_test
    assert bounded.model_dump(exclude_none=True) == PARSED.validate_python(expected).model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"name": "constant", "lr": 0.1}, {"lr": 0.4}),
        ({"name": "step_decay", "lr": 0.1, "factor": 0.5, "every": "1 epoch"}, {"lr": 0.4}),
        ({"name": "one_cycle", "max_lr": 0.1}, {"max_lr": 0.4}),
        ({"name": "triangular", **BOUNDS, "cycles": 2}, {"max_lr": 0.4}),
        # An end that nobody gave stays a thousandth of the rate; one that somebody gave stays what it is.
        ({"name": "cosine", "lr": 0.1}, {"lr": 0.4, "end_lr": 0.0004}),
        ({"name": "cosine", "lr": 0.1, "end_lr": 0.01}, {"lr": 0.4}),
        ({"name": "cosine", "lr": 0.8, "end_lr": 0.6}, {"lr": 0.4, "end_lr": 0.4}),
        ({"name": "cosine", "lr": "range_test", "end_lr": 0.01}, {"lr": 0.4}),
    ],
)
def test_another_rate_changes_nothing_else(keys: dict[str, Any], expected: dict[str, Any]) -> None:
    changed = PARSED.validate_python(keys).with_rate(0.4)
    assert changed.rate == 0.4
    assert changed.model_dump() == PARSED.validate_python(keys | expected).model_dump()


@pytest.mark.parametrize(
    ("keys", "plain"),
    [
        ({"name": "constant", "lr": {"value": 0.1, "steps": 9}}, {"name": "constant", "lr": 0.1}),
        ({"name": "one_cycle", "max_lr": {"value": 0.1, "steps": 9}}, {"name": "one_cycle", "max_lr": 0.1}),
        ({"name": "cosine", "lr": {"value": 0.1, "steps": 9}}, {"name": "cosine", "lr": 0.1}),
        (
            {"name": "step_decay", "lr": {"value": "1e-1", "steps": "9"}, "factor": 0.5, "every": "1 epoch"},
            {"name": "step_decay", "lr": 0.1, "factor": 0.5, "every": "1 epoch"},
        ),
        (
            {"name": "linear_decay", "lr": {"value": 0.1, "steps": 9}, "end_lr": 0.01, "warmup": "3 steps"},
            {"name": "linear_decay", "lr": 0.1, "end_lr": 0.01, "warmup": "3 steps"},
        ),
        (
            {"name": "triangular2", "bounds": {**BOUNDS, "steps": 9}, "step_size": "2 epochs"},
            {"name": "triangular2", **BOUNDS, "step_size": "2 epochs"},
        ),
    ],
)
def test_what_finding_a_rate_took_changes_nothing_but_what_is_known_of_its_cost(
    keys: dict[str, Any], plain: dict[str, Any]
) -> None:
    found, expected = PARSED.validate_python(keys), PARSED.validate_python(plain)
    assert (found.found_steps, expected.found_steps) == (9, None)
    assert not found.needs_range_test
    assert found.plain() == expected
    assert found.plain().model_dump() == expected.model_dump()
    assert expected.plain() is expected
    assert PARSED.validate_python(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    "keys", [{"name": "constant", "lr": {"value": 0.1}}, {"name": "triangular", "bounds": BOUNDS, "cycles": 2}]
)
def test_rates_found_elsewhere_at_a_cost_that_nobody_knows_are_rates_typed_in(keys: dict[str, Any]) -> None:
    found = PARSED.validate_python(keys)
    assert found.found_steps is None
    assert found.plain().table(CLOCK).max() == pytest.approx(0.1)


def test_a_schedule_that_waits_for_a_range_test_is_plain_already() -> None:
    for keys in ({"name": "constant", "lr": "range_test"}, {"name": "triangular", "bounds": "range_test", "cycles": 2}):
        schedule = PARSED.validate_python(keys)
        assert schedule.needs_range_test
        assert schedule.found_steps is None
        assert schedule.plain() is schedule


def test_constant_takes_the_constant_rate_of_a_range_test() -> None:
    bounded = Constant(name="constant", lr="range_test").with_bounds(0.02, 0.5, 0.1)
    assert bounded == Constant(name="constant", lr=0.1)
    assert not bounded.needs_range_test


@pytest.mark.parametrize(("name", "keys", "arguments"), EVERY_KIND)
def test_every_kind_is_written_and_read_back_and_can_be_a_key(
    name: str, keys: dict[str, Any], arguments: dict[str, Any]
) -> None:
    del arguments
    schedule = PARSED.validate_python({"name": name, **keys})
    again = PARSED.validate_python(schedule.model_dump(mode="json"))
    assert again == schedule
    assert hash(again) == hash(schedule)


def test_a_key_that_is_not_used_stands_in_no_run_so_that_older_runs_stay_what_they_are() -> None:
    plain = PARSED.validate_python({"name": "triangular", **BOUNDS, "step_size": "2 epochs"})
    assert set(plain.model_dump(mode="json")) == {
        "name",
        "warmup",
        "base_lr",
        "max_lr",
        "bounds",
        "step_size",
        "cycles",
    }


def test_a_cycle_is_both_of_its_parts() -> None:
    lopsided = PARSED.validate_python(
        {"name": "triangular", **BOUNDS, "step_size": "1 epoch", "step_size_down": "30 steps"}
    )
    assert (lopsided.step_size_steps(CLOCK), lopsided.step_size_down_steps(CLOCK)) == (20, 30)
    assert lopsided.cycle_steps(CLOCK) == 50
    assert set(lopsided.lengths) == {("step_size",), ("step_size_down",)}


def test_milestones_are_lengths_with_a_key_each() -> None:
    stairs = PARSED.validate_python({"name": "piecewise", "lr": 0.1, "milestones": {"2 epoch": 0.5, "90 epochs": 2}})
    assert list(stairs.lengths) == [("milestones", "2 epochs"), ("milestones", "90 epochs")]
    assert stairs.with_rate(0.4).rate == 0.4


@pytest.mark.parametrize("kind", ["linear", "exponential"])
def test_ramp_of_a_range_test(kind: Any) -> None:
    table = Ramp(start_lr=0.001, end_lr=1, kind=kind).table(CLOCK)
    np.testing.assert_array_equal(table, schedules.ramp(100, start_lr=0.001, end_lr=1, kind=kind))


@pytest.mark.parametrize(
    "keys",
    [
        {"name": "constant", "lr": 0.1, "warmup": "5 epochs"},
        {"name": "one_cycle", "max_lr": 0.1, "pct_start": 0.01},
        {"name": "exp_range_paper", **BOUNDS, "step_size": "1 epoch", "gamma": 0.1},
        {"name": "triangular", **BOUNDS, "cycles": 51},
    ],
)
def test_schedule_that_does_not_fit_the_run(keys: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError, match="allowed: "):
        PARSED.validate_python(keys).table(CLOCK)

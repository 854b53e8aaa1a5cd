"""The constant rate, the warm-up and the ramp."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_cases import (
    INFINITY,
    NAN,
    NUM_STEPS,
    TorchRates,
    equal,
    lengths,
    property_test,
    rate_pairs,
    refuses,
)

from clrbench.schedules import (
    constant,
    cosine,
    linear_decay,
    piecewise,
    ramp,
    table,
    triangular,
    warmup,
)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("linear", [0.01, 2.5075, 5.005, 7.5025, 10.0]), ("exponential", [0.01, 10**-1.25, 10**-0.5, 10**0.25, 10.0])],
)
def test_ramp_equals_its_golden_table(kind: Any, expected: list[float]) -> None:
    equal(ramp(5, start_lr=0.01, end_lr=10.0, kind=kind), expected)


@pytest.mark.parametrize(("milestones", "gamma"), [([1], 0.1), ([300, 5000], 0.5), ([7, 8, 9, 20_000], 3.0)])
def test_piecewise_equals_torch(torch_rates: TorchRates, milestones: list[int], gamma: float) -> None:
    expected = torch_rates(
        0.5, lambda schedulers, optimizer: schedulers.MultiStepLR(optimizer, milestones=milestones, gamma=gamma)
    )
    factors = {step: gamma ** (index + 1) for index, step in enumerate(milestones)}
    equal(piecewise(NUM_STEPS, lr=0.5, milestones=factors), expected)


def test_milestones_may_stand_in_any_order() -> None:
    expected = piecewise(9, lr=0.5, milestones={2: 0.5, 6: 0.1})
    np.testing.assert_array_equal(piecewise(9, lr=0.5, milestones={6: 0.1, 2: 0.5}), expected)


@pytest.mark.parametrize(
    ("milestones", "message"),
    [
        ({0: 0.5}, "milestones: got 0; allowed: a finite number of steps >= 1"),
        ({3: 0.0}, "milestones at step 3: got 0.0; allowed: a finite number > 0"),
        ({3: 1.0, 4: NAN}, "milestones at step 4: got nan; allowed: a finite number > 0"),
    ],
)
def test_a_milestone_out_of_range_is_refused(milestones: dict[int, float], message: str) -> None:
    refuses(message, lambda: piecewise(9, lr=0.1, milestones=milestones))


def test_a_table_is_what_it_lists() -> None:
    rates = np.geomspace(1e-3, 3.0, 50)
    np.testing.assert_array_equal(table(50, rates=rates), rates)
    np.testing.assert_array_equal(table(50, rates=tuple(rates)), rates)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ((0.1, 0.2), "rates: got 2 rates; allowed: 3, one for each update"),
        ((0.1, 0.2, 0.3, 0.4), "rates: got 4 rates; allowed: 3, one for each update"),
        ((0.1, 0.0, 0.3), "rates: got 0.0; allowed: a finite number > 0"),
        ((0.1, -0.2, 0.3), "rates: got -0.2; allowed: a finite number > 0"),
        ((0.1, NAN, 0.3), "rates: got nan; allowed: a finite number > 0"),
        ((0.1, INFINITY, 0.3), "rates: got inf; allowed: a finite number > 0"),
    ],
)
def test_a_table_of_another_length_or_of_no_rates_is_refused(rates: tuple[float, ...], message: str) -> None:
    refuses(message, lambda: table(3, rates=rates))


def test_warmup_rises_to_the_first_rate_and_then_starts_the_schedule_at_its_step_zero() -> None:
    schedule = partial(triangular, base_lr=0.4, max_lr=0.8, step_size=2)
    equal(warmup(8, warmup_steps=3, schedule=schedule), [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.6, 0.4])


def test_warmup_gives_the_schedule_the_steps_that_are_left() -> None:
    table = warmup(100, warmup_steps=30, schedule=partial(cosine, lr=0.1))
    np.testing.assert_array_equal(table[30:], cosine(70, lr=0.1))


def test_warmup_of_no_steps_is_the_schedule_itself() -> None:
    np.testing.assert_array_equal(warmup(9, warmup_steps=0, schedule=partial(cosine, lr=0.1)), cosine(9, lr=0.1))


@property_test
@given(num_steps=st.integers(2, 400), bounds=rate_pairs.filter(lambda pair: pair[1] > 1.001 * pair[0]))
def test_ramps_rise_at_every_step_and_keep_their_ends(num_steps: int, bounds: list[float]) -> None:
    start_lr, end_lr = bounds
    for kind in ("linear", "exponential"):
        table = ramp(num_steps, start_lr=start_lr, end_lr=end_lr, kind=kind)
        assert (np.diff(table) > 0).all()
        assert table[0] == start_lr
        assert table[-1] == end_lr


@property_test
@given(num_steps=lengths, data=st.data())
def test_warmup_rises_in_equal_steps_from_above_zero(num_steps: int, data: st.DataObject) -> None:
    warmup_steps = data.draw(st.integers(0, num_steps - 1))
    table = warmup(num_steps, warmup_steps=warmup_steps, schedule=partial(linear_decay, lr=0.2))
    assert len(table) == num_steps
    assert table[warmup_steps] == 0.2
    equal(np.diff(table[: warmup_steps + 1], prepend=0), 0.2 / (warmup_steps + 1))


@pytest.mark.parametrize(("num_steps", "warmup_steps"), [(5, 5), (5, 6), (5, -1), (1, 1)])
def test_warmup_must_leave_steps_for_the_schedule(num_steps: int, warmup_steps: int) -> None:
    message = f"warmup_steps: got {warmup_steps}; allowed: 0 to {num_steps - 1} steps (num_steps is {num_steps})"
    refuses(message, lambda: warmup(num_steps, warmup_steps=warmup_steps, schedule=partial(constant, lr=0.1)))


def test_warmup_of_a_table_of_no_steps_is_refused() -> None:
    message = "num_steps: got 0; allowed: a finite number of steps >= 1"
    refuses(message, lambda: warmup(0, warmup_steps=0, schedule=partial(constant, lr=0.1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_steps": 1}, "num_steps: got 1; allowed: >= 2 steps"),
        ({"start_lr": 0.0}, "start_lr: got 0.0; allowed: a finite number > 0"),
        ({"start_lr": NAN}, "start_lr: got nan; allowed: a finite number > 0"),
        ({"end_lr": 0.01}, "end_lr: got 0.01; allowed: a finite number > start_lr (0.01)"),
        ({"end_lr": NAN}, "end_lr: got nan; allowed: a finite number > start_lr (0.01)"),
        ({"end_lr": INFINITY}, "end_lr: got inf; allowed: a finite number > start_lr (0.01)"),
        ({"kind": "log"}, "kind: got log; allowed: linear or exponential"),
    ],
)
def test_a_ramp_out_of_range_is_refused(wrong: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"num_steps": 9, "start_lr": 0.01, "end_lr": 1.0, "kind": "linear", **wrong}
    refuses(message, lambda: ramp(arguments.pop("num_steps"), **arguments))

"""What no table may hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from schedule_cases import (
    refuses,
)

from clrbench.records import DoubleArray
from clrbench.schedules import (
    constant,
    exp_range_paper,
    exponential_decay,
    linear_decay,
    one_cycle,
    ramp,
    step_decay,
    warmup,
)

FLOAT32_RANGE = "1.18e-38 to 3.4e+38 (float32); change the rates or the decay"


@pytest.mark.parametrize(
    ("build", "step", "rate"),
    [
        (lambda: constant(3, lr=1e-40), 0, "1e-40"),
        (lambda: constant(3, lr=1e39), 0, "1e+39"),
        (lambda: linear_decay(3, lr=1e-37), 2, "1e-40"),
        (lambda: exp_range_paper(4, base_lr=1.0, max_lr=1.0, step_size=1, gamma=2.0**-50), 3, "7.01e-46"),
        (lambda: exp_range_paper(4, base_lr=1.0, max_lr=1.0, step_size=1, gamma=1e-300), 2, "0"),
        (lambda: step_decay(4, lr=1.0, factor=2.0**-50, every_steps=1), 3, "7.01e-46"),
        (lambda: exponential_decay(4, lr=1.0, gamma=2.0**-50, steps_per_epoch=1), 3, "7.01e-46"),
        (lambda: one_cycle(5, max_lr=1.0, div_factor=2.0**100, final_div_factor=2.0**50), 4, "7.01e-46"),
        (lambda: warmup(4, warmup_steps=3, schedule=partial(constant, lr=2e-38)), 0, "5e-39"),
        (lambda: ramp(3, start_lr=1e-40, end_lr=1.0, kind="linear"), 0, "1e-40"),
        (lambda: ramp(3, start_lr=1.0, end_lr=1e39, kind="exponential"), 2, "1e+39"),
    ],
)
def test_rates_that_float32_cannot_hold_are_refused(build: Callable[[], DoubleArray], step: int, rate: str) -> None:
    refuses(f"learning rate at step {step}: got {rate}; allowed: {FLOAT32_RANGE}", build)

"""The decays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_cases import (
    ARGUMENTS,
    NUM_STEPS,
    TorchRates,
    equal,
    lengths,
    property_test,
    rate_pairs,
)

from clrbench.schedules import (
    SCHEDULES,
    cosine,
    cosine_restarts,
    exponential_decay,
    linear_decay,
    step_decay,
)

MONOTONE_DECAYS = ("constant", "linear_decay", "cosine", "step_decay", "exponential_decay")


@pytest.mark.parametrize(("lr", "end_lr"), [(0.1, 0.0001), (1.0, 0.5), (0.3, 0.3)])
def test_cosine_equals_torch(torch_rates: TorchRates, lr: float, end_lr: float) -> None:
    expected = torch_rates(
        lr, lambda schedulers, optimizer: schedulers.CosineAnnealingLR(optimizer, T_max=NUM_STEPS - 1, eta_min=end_lr)
    )
    equal(cosine(NUM_STEPS, lr=lr, end_lr=end_lr), expected)


@pytest.mark.parametrize(("period_steps", "multiplier"), [(1, 1), (300, 1), (300, 2), (7, 3)])
def test_cosine_restarts_equals_torch(torch_rates: TorchRates, period_steps: int, multiplier: int) -> None:
    expected = torch_rates(
        0.5,
        lambda schedulers, optimizer: schedulers.CosineAnnealingWarmRestarts(
            optimizer, T_0=period_steps, T_mult=multiplier, eta_min=0.001
        ),
    )
    table = cosine_restarts(NUM_STEPS, lr=0.5, end_lr=0.001, period_steps=period_steps, multiplier=multiplier)
    equal(table, expected)


@pytest.mark.parametrize(("factor", "every_steps"), [(0.1, 3000), (0.97, 90), (1.0, 7)])
def test_step_decay_equals_torch(torch_rates: TorchRates, factor: float, every_steps: int) -> None:
    expected = torch_rates(
        0.5, lambda schedulers, optimizer: schedulers.StepLR(optimizer, step_size=every_steps, gamma=factor)
    )
    equal(step_decay(NUM_STEPS, lr=0.5, factor=factor, every_steps=every_steps), expected)


def test_linear_decay_equals_torch(torch_rates: TorchRates) -> None:
    expected = torch_rates(
        0.5,
        lambda schedulers, optimizer: schedulers.LinearLR(
            optimizer, start_factor=1.0, end_factor=0.001, total_iters=NUM_STEPS - 1
        ),
    )
    equal(linear_decay(NUM_STEPS, lr=0.5), expected)


def test_exponential_decay_equals_torch_stepped_every_step_by_a_root_of_gamma(torch_rates: TorchRates) -> None:
    expected = torch_rates(
        0.5, lambda schedulers, optimizer: schedulers.ExponentialLR(optimizer, gamma=0.9 ** (1 / 300))
    )
    equal(exponential_decay(NUM_STEPS, lr=0.5, gamma=0.9, steps_per_epoch=300), expected)


def test_exponential_decay_meets_torch_stepped_every_epoch_at_the_start_of_each_epoch(torch_rates: TorchRates) -> None:
    expected = torch_rates(0.5, lambda schedulers, optimizer: schedulers.ExponentialLR(optimizer, gamma=0.99))[:100]
    equal(exponential_decay(100 * 50, lr=0.5, gamma=0.99, steps_per_epoch=50)[::50], expected)


@property_test
@given(num_steps=lengths, bounds=rate_pairs)
def test_decays_never_rise_and_keep_their_ends(num_steps: int, bounds: list[float]) -> None:
    end_lr, lr = bounds
    for schedule in (linear_decay, cosine):
        table = schedule(num_steps, lr=lr, end_lr=end_lr)
        assert (np.diff(table) <= 0).all()
        assert table[0] == lr
        assert table[-1] == (end_lr if num_steps > 1 else lr)


@pytest.mark.parametrize("name", MONOTONE_DECAYS)
def test_decays_never_rise_over_many_steps(name: str) -> None:
    table = SCHEDULES[name].make(NUM_STEPS, **ARGUMENTS[name])
    assert table[0] == ARGUMENTS[name]["lr"]
    assert (np.diff(table) <= 0).all()


@property_test
@given(num_steps=lengths, bounds=rate_pairs, period_steps=st.integers(1, 50), multiplier=st.integers(1, 4))
def test_cosine_restarts_starts_every_period_at_its_highest_rate(
    num_steps: int, bounds: list[float], period_steps: int, multiplier: int
) -> None:
    end_lr, lr = bounds
    table = cosine_restarts(num_steps, lr=lr, end_lr=end_lr, period_steps=period_steps, multiplier=multiplier)
    start = 0
    while start < num_steps:
        period = table[start : start + period_steps]
        assert period[0] == lr
        assert (np.diff(period) <= 0).all()
        assert period[-1] >= end_lr
        start, period_steps = start + period_steps, period_steps * multiplier

"""The decays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_cases import (
    ARGUMENTS,
    NUM_STEPS,
    TOLERANCE,
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
    polynomial,
    step_decay,
    wsd,
)

MONOTONE_DECAYS = (
    "constant",
    "piecewise",
    "linear_decay",
    "cosine",
    "step_decay",
    "exponential_decay",
    "polynomial",
    "wsd",
)


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


@pytest.mark.parametrize(
    "power", [0.5, 2.0, *(pytest.param(power, marks=pytest.mark.acceptance) for power in (1.0, 5.0))]
)
@pytest.mark.parametrize("end_lr", [0.4, 1e-5])
def test_polynomial_equals_torch(torch_rates: TorchRates, power: float, end_lr: float) -> None:
    """Torch ends at 0; so the fall is taken from it."""
    fall = torch_rates(
        0.5 - end_lr,
        lambda schedulers, optimizer: schedulers.PolynomialLR(optimizer, total_iters=NUM_STEPS - 1, power=power),
    )
    table = polynomial(NUM_STEPS, lr=0.5, end_lr=end_lr, power=power)
    # Torch multiplies by a factor each step, and so gathers rounding errors.
    np.testing.assert_allclose(table, end_lr + np.array(fall), rtol=1e-9, atol=TOLERANCE)


def transformers_wsd(
    step: int, num_stable_steps: int, num_decay_steps: int, decay_type: str, min_lr_ratio: float
) -> float:
    """Return the factor of get_wsd_schedule of Hugging Face transformers 4.57, without its warm-up, from its own formula."""
    if step < num_stable_steps:
        return 1.0
    if step < num_stable_steps + num_decay_steps:
        progress = float(step - num_stable_steps) / float(max(1, num_decay_steps))
        if decay_type == "linear":
            factor = 1.0 - progress
        elif decay_type == "cosine":
            factor = 0.5 * (1.0 + math.cos(math.pi * progress))
        else:
            factor = 1.0 - math.sqrt(progress)
        return max(0.0, factor * (1.0 - min_lr_ratio) + min_lr_ratio)
    return min_lr_ratio


@pytest.mark.parametrize(("shape", "theirs"), [("linear", "linear"), ("cosine", "cosine"), ("sqrt", "1-sqrt")])
@pytest.mark.parametrize(("share", "num_decay_steps"), [(0.2, 2000), (0.1234, 1234), (1.0, 9999), (1e-9, 1)])
def test_wsd_equals_transformers(shape: Any, theirs: str, share: float, num_decay_steps: int) -> None:
    stable = NUM_STEPS - 1 - num_decay_steps
    expected = [0.5 * transformers_wsd(step, stable, num_decay_steps, theirs, 0.01) for step in range(NUM_STEPS)]
    equal(wsd(NUM_STEPS, lr=0.5, end_lr=0.005, decay_share=share, shape=shape), expected)


@property_test
@given(num_steps=lengths, bounds=rate_pairs)
def test_decays_never_rise_and_keep_their_ends(num_steps: int, bounds: list[float]) -> None:
    end_lr, lr = bounds
    for schedule in (linear_decay, cosine, polynomial, wsd):
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

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrbench.errors import ScheduleError
from clrbench.records import DoubleArray
from clrbench.schedules import (
    SCHEDULES,
    constant,
    cosine,
    cosine_restarts,
    cycle_end_steps,
    exp_range,
    exp_range_paper,
    exponential_decay,
    linear_decay,
    one_cycle,
    ramp,
    step_decay,
    triangular,
    triangular2,
    warmup,
)

NUM_STEPS = 10_000
TOLERANCE = 1e-12

BOUNDS = {"base_lr": 0.001, "max_lr": 0.6}

# Valid arguments of every kind; the last entry of each decay stays well above what float32 can hold.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "constant": {"lr": 0.03},
    "triangular": {**BOUNDS, "step_size": 700},
    "triangular2": {**BOUNDS, "step_size": 700},
    "exp_range": {**BOUNDS, "step_size": 700, "gamma": 0.9994},
    "exp_range_paper": {**BOUNDS, "step_size": 700, "gamma": 0.9994},
    "one_cycle": {"max_lr": 0.6},
    "linear_decay": {"lr": 0.1},
    "cosine": {"lr": 0.1},
    "step_decay": {"lr": 0.1, "factor": 0.5, "every_steps": 900},
    "exponential_decay": {"lr": 0.1, "gamma": 0.9, "steps_per_epoch": 300},
    "cosine_restarts": {"lr": 0.1, "period_steps": 300, "multiplier": 2},
}
MONOTONE_DECAYS = ("constant", "linear_decay", "cosine", "step_decay", "exponential_decay")

property_test = settings(deadline=None, derandomize=True, database=None, max_examples=100)
rates = st.floats(1e-6, 10.0)
rate_pairs = st.tuples(rates, rates).map(sorted)
lengths = st.integers(1, 400)
half_cycles = st.integers(1, 100) | st.floats(1.0, 100.0)


def equal(table: DoubleArray, expected: Any) -> None:
    np.testing.assert_allclose(table, expected, rtol=0, atol=TOLERANCE)


# Golden tables, worked out by hand.

GOLDEN: list[tuple[str, int, dict[str, Any], list[float]]] = [
    ("constant", 4, {"lr": 0.03}, [0.03, 0.03, 0.03, 0.03]),
    (
        "triangular",
        10,
        {"base_lr": 0.1, "max_lr": 0.5, "step_size": 4},
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1, 0.2],
    ),
    ("triangular", 5, {"base_lr": 0.1, "max_lr": 0.5, "step_size": 1}, [0.1, 0.5, 0.1, 0.5, 0.1]),
    (
        "triangular",
        6,
        {"base_lr": 0.1, "max_lr": 0.5, "step_size": 2.5},
        [0.1, 0.26, 0.42, 0.42, 0.26, 0.1],
    ),
    (
        "triangular2",
        13,
        {"base_lr": 0.1, "max_lr": 0.9, "step_size": 2},
        [0.1, 0.5, 0.9, 0.5, 0.1, 0.3, 0.5, 0.3, 0.1, 0.2, 0.3, 0.2, 0.1],
    ),
    (
        "exp_range",
        7,
        {"base_lr": 1.0, "max_lr": 3.0, "step_size": 2, "gamma": 0.5},
        [1.0, 1.5, 1.5, 1.125, 1.0, 1.03125, 1.03125],
    ),
    (
        "exp_range_paper",
        6,
        {"base_lr": 1.0, "max_lr": 3.0, "step_size": 2, "gamma": 0.5},
        [1.0, 1.0, 0.75, 0.25, 0.0625, 0.0625],
    ),
    (
        "one_cycle",
        7,
        {"max_lr": 1.0, "pct_start": 3 / 7, "div_factor": 4, "final_div_factor": 10, "anneal": "linear"},
        [0.25, 0.625, 1.0, 0.75625, 0.5125, 0.26875, 0.025],
    ),
    (
        "one_cycle",
        5,
        {"max_lr": 1.0, "pct_start": 0.6, "div_factor": 4, "final_div_factor": 10, "anneal": "cos"},
        [0.25, 0.625, 1.0, 0.5125, 0.025],
    ),
    ("linear_decay", 5, {"lr": 0.5, "end_lr": 0.1}, [0.5, 0.4, 0.3, 0.2, 0.1]),
    ("linear_decay", 3, {"lr": 1.0}, [1.0, 0.5005, 0.001]),
    ("linear_decay", 1, {"lr": 1.0}, [1.0]),
    (
        "cosine",
        5,
        {"lr": 1.0, "end_lr": 0.2},
        [1.0, 0.882842712474619, 0.6, 0.317157287525381, 0.2],
    ),
    ("cosine", 3, {"lr": 1.0}, [1.0, 0.5005, 0.001]),
    ("cosine", 1, {"lr": 1.0}, [1.0]),
    ("step_decay", 7, {"lr": 0.8, "factor": 0.5, "every_steps": 3}, [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]),
    (
        "exponential_decay",
        6,
        {"lr": 0.8, "gamma": 0.25, "steps_per_epoch": 2},
        [0.8, 0.4, 0.2, 0.1, 0.05, 0.025],
    ),
    (
        "cosine_restarts",
        7,
        {"lr": 1.0, "end_lr": 0.2, "period_steps": 3},
        [1.0, 0.8, 0.4, 1.0, 0.8, 0.4, 1.0],
    ),
    (
        "cosine_restarts",
        9,
        {"lr": 1.0, "end_lr": 0.2, "period_steps": 1, "multiplier": 3},
        [1.0, 1.0, 0.8, 0.4, 1.0, 0.975877048314363, 0.9064177772475912, 0.8, 0.669459271066772],
    ),
    ("cosine_restarts", 3, {"lr": 1.0, "period_steps": 2}, [1.0, 0.5005, 1.0]),
]


@pytest.mark.parametrize(("name", "num_steps", "arguments", "expected"), GOLDEN)
def test_schedule_equals_its_golden_table(
    name: str, num_steps: int, arguments: dict[str, Any], expected: list[float]
) -> None:
    equal(SCHEDULES[name].make(num_steps, **arguments), expected)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("linear", [0.01, 2.5075, 5.005, 7.5025, 10.0]), ("exponential", [0.01, 10**-1.25, 10**-0.5, 10**0.25, 10.0])],
)
def test_ramp_equals_its_golden_table(kind: Any, expected: list[float]) -> None:
    equal(ramp(5, start_lr=0.01, end_lr=10.0, kind=kind), expected)


def test_warmup_rises_to_the_first_rate_and_then_starts_the_schedule_at_its_step_zero() -> None:
    schedule = partial(triangular, base_lr=0.4, max_lr=0.8, step_size=2)
    equal(warmup(8, warmup_steps=3, schedule=schedule), [0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.6, 0.4])


def test_warmup_gives_the_schedule_the_steps_that_are_left() -> None:
    table = warmup(100, warmup_steps=30, schedule=partial(cosine, lr=0.1))
    np.testing.assert_array_equal(table[30:], cosine(70, lr=0.1))


def test_warmup_of_no_steps_is_the_schedule_itself() -> None:
    np.testing.assert_array_equal(warmup(9, warmup_steps=0, schedule=partial(cosine, lr=0.1)), cosine(9, lr=0.1))


@pytest.mark.parametrize(
    ("num_steps", "step_size", "expected"),
    [
        (12, 2, [4, 8, 12]),
        (13, 2, [4, 8, 12]),
        (11, 2, [4, 8]),
        (3, 2, []),
        (100, 100 / 6, [33, 67, 100]),
        (10, 2.5, [5, 10]),
        (1, 1, []),
    ],
)
def test_cycles_end_at_whole_steps(num_steps: int, step_size: float, expected: list[int]) -> None:
    ends = cycle_end_steps(num_steps, step_size)
    assert ends.dtype == np.int32
    assert ends.tolist() == expected


# Every kind.


def test_registry_holds_the_kinds_of_the_spec_under_their_own_names() -> None:
    assert list(SCHEDULES) == list(ARGUMENTS)
    assert [kind.make.__name__ for kind in SCHEDULES.values()] == list(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_kind_makes_float64_rates_that_are_normal_as_float32(name: str) -> None:
    table = SCHEDULES[name].make(NUM_STEPS, **ARGUMENTS[name])
    assert table.shape == (NUM_STEPS,)
    assert table.dtype == np.float64
    assert table.astype(np.float32).min() >= np.finfo(np.float32).tiny


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if "max_lr" not in ARGUMENTS[name]])
def test_whole_numbers_as_rates_still_make_float64(name: str) -> None:
    table = SCHEDULES[name].make(7, **{**ARGUMENTS[name], "lr": 1})
    assert table.dtype == np.float64
    np.testing.assert_array_equal(table, SCHEDULES[name].make(7, **{**ARGUMENTS[name], "lr": 1.0}))


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_kind_takes_its_arguments_by_keyword_only(name: str) -> None:
    first, *others = inspect.signature(SCHEDULES[name].make).parameters.values()
    assert first.name == "num_steps"
    assert {parameter.kind for parameter in others} == {inspect.Parameter.KEYWORD_ONLY}


# Oracles: torch's schedulers and bckenstler's CLR.

MakeScheduler = Callable[[Any, Any], Any]


@pytest.fixture(scope="module")
def torch_rates() -> Callable[[float, MakeScheduler], list[float]]:
    """Collect the rate that each of 10,000 updates uses under a torch scheduler."""
    import torch

    def collect(lr: float, make_scheduler: MakeScheduler) -> list[float]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        scheduler = make_scheduler(torch.optim.lr_scheduler, optimizer)
        used = []
        for _ in range(NUM_STEPS):
            used.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return used

    return collect


TorchRates = Callable[[float, MakeScheduler], list[float]]

half_cycle_cases = pytest.mark.parametrize("step_size", [17, NUM_STEPS / 6, 333.3, 20_000])


@half_cycle_cases
@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic_policies_equal_torch(torch_rates: TorchRates, mode: str, step_size: float) -> None:
    decay = {"gamma": 0.9994} if mode == "exp_range" else {}
    expected = torch_rates(
        0.1,
        lambda schedulers, optimizer: schedulers.CyclicLR(
            optimizer, **BOUNDS, step_size_up=step_size, mode=mode, cycle_momentum=False, **decay
        ),
    )
    equal(SCHEDULES[mode].make(NUM_STEPS, **BOUNDS, step_size=step_size, **decay), expected)


def bckenstler(step: DoubleArray, step_size: float, scale: DoubleArray | float, bounds: tuple[Any, Any]) -> DoubleArray:
    """Return the rates of bckenstler's Keras callback, from its own formula."""
    cycle = np.floor(1 + step / (2 * step_size))
    x = np.abs(step / step_size - 2 * cycle + 1)
    base_lr, max_lr = bounds
    table: DoubleArray = base_lr + (max_lr - base_lr) * np.maximum(0, 1 - x) * scale
    return table


@half_cycle_cases
def test_cyclic_policies_equal_bckenstler(step_size: float) -> None:
    step = np.arange(NUM_STEPS, dtype=np.float64)
    cycle = np.floor(1 + step / (2 * step_size))
    decay = 0.9994**step
    arguments = {**BOUNDS, "step_size": step_size}
    bounds = (BOUNDS["base_lr"], BOUNDS["max_lr"])
    decayed_bounds = (bounds[0] * decay, bounds[1] * decay)
    equal(triangular(NUM_STEPS, **arguments), bckenstler(step, step_size, 1.0, bounds))
    equal(triangular2(NUM_STEPS, **arguments), bckenstler(step, step_size, 1 / 2.0 ** (cycle - 1), bounds))
    equal(exp_range(NUM_STEPS, **arguments, gamma=0.9994), bckenstler(step, step_size, decay, bounds))
    equal(exp_range_paper(NUM_STEPS, **arguments, gamma=0.9994), bckenstler(step, step_size, 1.0, decayed_bounds))


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("shape", [{}, {"pct_start": 0.45, "div_factor": 10.0, "final_div_factor": 1.0}])
def test_one_cycle_equals_torch(torch_rates: TorchRates, anneal: Any, shape: dict[str, float]) -> None:
    expected = torch_rates(
        0.1,
        lambda schedulers, optimizer: schedulers.OneCycleLR(
            optimizer, max_lr=0.6, total_steps=NUM_STEPS, anneal_strategy=anneal, cycle_momentum=False, **shape
        ),
    )
    equal(one_cycle(NUM_STEPS, max_lr=0.6, anneal=anneal, **shape), expected)


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


# Properties.


@property_test
@given(num_steps=lengths, bounds=rate_pairs, step_size=half_cycles, gamma=st.floats(0.9, 1.0))
def test_cyclic_policies_stay_between_their_bounds(
    num_steps: int, bounds: list[float], step_size: float, gamma: float
) -> None:
    base_lr, max_lr = bounds
    arguments: dict[str, float] = {"base_lr": base_lr, "max_lr": max_lr, "step_size": step_size}
    wave = triangular(num_steps, **arguments)
    for table in (wave, triangular2(num_steps, **arguments), exp_range(num_steps, **arguments, gamma=gamma)):
        assert table[0] == base_lr
        assert table.min() >= base_lr
        assert (table <= wave).all()
    assert wave.max() <= max_lr


@property_test
@given(bounds=rate_pairs, step_size=st.integers(1, 60), cycles=st.integers(1, 5))
def test_triangular_repeats_every_cycle_and_reaches_both_bounds_exactly(
    bounds: list[float], step_size: int, cycles: int
) -> None:
    base_lr, max_lr = bounds
    table = triangular(2 * step_size * cycles, base_lr=base_lr, max_lr=max_lr, step_size=step_size)
    np.testing.assert_array_equal(table, np.tile(table[: 2 * step_size], cycles))
    assert (table[:: 2 * step_size] == base_lr).all()
    assert (table[step_size :: 2 * step_size] == max_lr).all()


@property_test
@given(bounds=rate_pairs, step_size=st.integers(1, 40))
def test_triangular2_halves_its_amplitude_every_cycle(bounds: list[float], step_size: int) -> None:
    base_lr, max_lr = bounds
    table = triangular2(2 * step_size * 4, base_lr=base_lr, max_lr=max_lr, step_size=step_size)
    first, *others = (table - base_lr).reshape(4, -1)
    for index, cycle in enumerate(others, start=1):
        equal(cycle, first / 2**index)


@property_test
@given(num_steps=st.integers(2, 3000), data=st.data())
def test_a_number_of_cycles_ends_the_training_at_the_end_of_a_cycle(num_steps: int, data: st.DataObject) -> None:
    cycles = data.draw(st.integers(1, num_steps // 2))
    step_size = num_steps / (2 * cycles)
    ends = cycle_end_steps(num_steps, step_size)
    assert len(ends) == cycles
    assert ends[-1] == num_steps
    table = triangular(num_steps, base_lr=0.01, max_lr=0.1, step_size=step_size)
    equal(table[1:], table[:0:-1])


@property_test
@given(num_steps=lengths, step_size=half_cycles)
def test_cycle_ends_are_the_whole_steps_nearest_to_the_low_points(num_steps: int, step_size: float) -> None:
    ends = cycle_end_steps(num_steps, step_size)
    assert (np.diff(ends, prepend=0) > 0).all()
    assert (np.abs(ends - 2 * step_size * np.arange(1, len(ends) + 1)) <= 0.5 + 1e-9).all()
    assert 2 * step_size * (len(ends) + 1) > num_steps


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
@given(num_steps=st.integers(5, 400), pct_start=st.floats(0.21, 0.99), anneal=st.sampled_from(["cos", "linear"]))
def test_one_cycle_rises_once_and_falls_once(num_steps: int, pct_start: float, anneal: Any) -> None:
    table = one_cycle(num_steps, max_lr=0.3, pct_start=pct_start, anneal=anneal)
    top = int(table.argmax())
    assert (np.diff(table[: top + 1]) >= 0).all()
    assert (np.diff(table[top:]) <= 0).all()
    assert table[0] == 0.3 / 25
    assert table.max() <= 0.3
    assert table[-1] == 0.3 / 25 / 1e4


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


# Errors.

NAN, INFINITY = float("nan"), float("inf")
NO_RATES = (0.0, -0.1, NAN, INFINITY)
NO_LENGTHS = (0, -3, NAN, INFINITY)
NO_FACTORS = (0.0, -0.5, 1.0001, NAN, INFINITY)
CYCLIC = ("triangular", "triangular2", "exp_range", "exp_range_paper")
DECAYS = ("linear_decay", "cosine", "cosine_restarts")

# Kinds, an argument of theirs, values that it cannot have, and what the message calls allowed.
OUT_OF_RANGE: list[tuple[tuple[str, ...], str, tuple[Any, ...], str]] = [
    (("constant", *DECAYS, "step_decay", "exponential_decay"), "lr", NO_RATES, "a finite number > 0"),
    (CYCLIC, "base_lr", NO_RATES, "a finite number > 0"),
    (CYCLIC, "max_lr", (0.00099, -1.0, NAN, INFINITY), "a finite number >= base_lr (0.001)"),
    (CYCLIC, "step_size", (0, -3, 0.99, NAN, INFINITY), "a finite number of steps >= 1"),
    (("exp_range", "exp_range_paper", "exponential_decay"), "gamma", NO_FACTORS, "a number > 0 and <= 1"),
    (("one_cycle",), "max_lr", NO_RATES, "a finite number > 0"),
    (("one_cycle",), "pct_start", (0.0, 1.0, -0.3, NAN), "in (0, 1), both excluded"),
    (("one_cycle",), "div_factor", (0.99, -25.0, NAN, INFINITY), "a finite number >= 1"),
    (("one_cycle",), "final_div_factor", (0.99, -1e4, NAN, INFINITY), "a finite number >= 1"),
    (("one_cycle",), "anneal", ("cosine",), "cos or linear"),
    (DECAYS, "end_lr", (0.0, -0.1, 0.11, NAN, INFINITY), "a number > 0 and <= lr (0.1)"),
    (("step_decay",), "factor", NO_FACTORS, "a number > 0 and <= 1"),
    (("step_decay",), "every_steps", NO_LENGTHS, "a finite number of steps >= 1"),
    (("exponential_decay",), "steps_per_epoch", NO_LENGTHS, "a finite number of steps >= 1"),
    (("cosine_restarts",), "period_steps", NO_LENGTHS, "a finite number of steps >= 1"),
    (("cosine_restarts",), "multiplier", (0, -2, NAN, INFINITY), "a finite number >= 1"),
]


def refuses(message: str, build: Callable[[], object]) -> None:
    with pytest.raises(ScheduleError) as caught:
        build()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "argument", "value", "allowed"),
    [
        (name, argument, value, allowed)
        for names, argument, values, allowed in OUT_OF_RANGE
        for name in names
        for value in values
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(name: str, argument: str, value: Any, allowed: str) -> None:
    arguments = {**ARGUMENTS[name], argument: value}
    refuses(f"{argument}: got {value}; allowed: {allowed}", lambda: SCHEDULES[name].make(1000, **arguments))


def test_every_argument_of_every_kind_is_tried_out_of_range() -> None:
    tried = {(name, argument) for names, argument, _, _ in OUT_OF_RANGE for name in names}
    arguments = {(name, argument) for name in SCHEDULES for argument in inspect.signature(SCHEDULES[name].make).parameters}
    assert tried == {(name, argument) for name, argument in arguments if argument != "num_steps"}


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("num_steps", [0, -5])
def test_a_table_of_no_steps_is_refused(name: str, num_steps: int) -> None:
    message = f"num_steps: got {num_steps}; allowed: a finite number of steps >= 1"
    refuses(message, lambda: SCHEDULES[name].make(num_steps, **ARGUMENTS[name]))


@pytest.mark.parametrize(("num_steps", "pct_start", "more_than"), [(3, 0.3, "3.33333"), (10, 0.1, "10"), (1, 0.5, "2")])
def test_one_cycle_without_a_step_to_rise_is_refused(num_steps: int, pct_start: float, more_than: str) -> None:
    message = f"num_steps: got {num_steps}; allowed: more than {more_than} steps (1 / pct_start)"
    refuses(message, lambda: one_cycle(num_steps, max_lr=0.1, pct_start=pct_start))


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


def test_exp_range_may_lose_its_whole_amplitude() -> None:
    table = exp_range(100, base_lr=0.1, max_lr=1.0, step_size=1, gamma=1e-30)
    assert table[99] == 0.1


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


@pytest.mark.parametrize(
    ("num_steps", "step_size", "message"),
    [
        (0, 2.0, "num_steps: got 0; allowed: a finite number of steps >= 1"),
        (9, 0.5, "step_size: got 0.5; allowed: a finite number of steps >= 1"),
        (9, NAN, "step_size: got nan; allowed: a finite number of steps >= 1"),
        (9, INFINITY, "step_size: got inf; allowed: a finite number of steps >= 1"),
    ],
)
def test_cycle_ends_out_of_range_are_refused(num_steps: int, step_size: float, message: str) -> None:
    refuses(message, lambda: cycle_end_steps(num_steps, step_size))

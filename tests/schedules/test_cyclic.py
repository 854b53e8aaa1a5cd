"""The cyclical policies and one-cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_cases import (
    BOUNDS,
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

from clrbench.records import DoubleArray
from clrbench.schedules import (
    SCHEDULES,
    cycle_end_steps,
    exp_range,
    exp_range_paper,
    one_cycle,
    triangular,
    triangular2,
)

half_cycles = st.integers(1, 100) | st.floats(1.0, 100.0)


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


half_cycle_cases = pytest.mark.parametrize("step_size", [17, NUM_STEPS / 6, 333.3, 20_000])


@pytest.mark.parametrize(
    ("step_size", "down"),
    [
        *[(NUM_STEPS / 6, None), (333.3, None), (17, 40), (2000, 20_000)],
        *(
            pytest.param(*case, marks=pytest.mark.acceptance)
            for case in [(17, None), (20_000, None), (700, 1), (1, 333.3)]
        ),
    ],
)
@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic_policies_equal_torch(torch_rates: TorchRates, mode: str, step_size: float, down: float | None) -> None:
    decay = {"gamma": 0.9994} if mode == "exp_range" else {}
    expected = torch_rates(
        0.1,
        lambda schedulers, optimizer: schedulers.CyclicLR(
            optimizer,
            **BOUNDS,
            step_size_up=step_size,
            step_size_down=down,
            mode=mode,
            cycle_momentum=False,
            **decay,
        ),
    )
    equal(SCHEDULES[mode].make(NUM_STEPS, **BOUNDS, step_size=step_size, step_size_down=down, **decay), expected)


@pytest.mark.parametrize("name", ["triangular", "triangular2", "exp_range", "exp_range_paper"])
@property_test
@given(step_size=half_cycles)
def test_falling_as_long_as_rising_is_the_same_cycle(name: str, step_size: float) -> None:
    decay = {"gamma": 0.99} if name.startswith("exp_range") else {}
    make = SCHEDULES[name].make
    both = make(300, **BOUNDS, step_size=step_size, step_size_down=step_size, **decay)
    equal(both, make(300, **BOUNDS, step_size=step_size, **decay))


@pytest.mark.parametrize(
    ("up", "down", "expected"), [(2, 6, [8, 16]), (6, 2, [8, 16]), (1.5, 4, [6, 11, 16]), (9, 12, [])]
)
def test_lopsided_cycles_end_where_the_rate_is_lowest(up: float, down: float, expected: list[int]) -> None:
    assert cycle_end_steps(17, up, down).tolist() == expected


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
@given(num_steps=st.integers(5, 400), pct_start=st.floats(0.21, 0.99), anneal=st.sampled_from(["cos", "linear"]))
def test_one_cycle_rises_once_and_falls_once(num_steps: int, pct_start: float, anneal: Any) -> None:
    table = one_cycle(num_steps, max_lr=0.3, pct_start=pct_start, anneal=anneal)
    top = int(table.argmax())
    assert (np.diff(table[: top + 1]) >= 0).all()
    assert (np.diff(table[top:]) <= 0).all()
    assert table[0] == 0.3 / 25
    assert table.max() <= 0.3
    assert table[-1] == 0.3 / 25 / 1e4


@pytest.mark.parametrize(("num_steps", "pct_start", "more_than"), [(3, 0.3, "3.33333"), (10, 0.1, "10"), (1, 0.5, "2")])
def test_one_cycle_without_a_step_to_rise_is_refused(num_steps: int, pct_start: float, more_than: str) -> None:
    message = f"num_steps: got {num_steps}; allowed: more than {more_than} steps (1 / pct_start)"
    refuses(message, lambda: one_cycle(num_steps, max_lr=0.1, pct_start=pct_start))


def test_exp_range_may_lose_its_whole_amplitude() -> None:
    table = exp_range(100, base_lr=0.1, max_lr=1.0, step_size=1, gamma=1e-30)
    assert table[99] == 0.1


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

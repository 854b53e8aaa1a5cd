"""What the schedules check their arguments and their tables for, and the arithmetic that they share."""

import math

import numpy as np
import numpy.typing as npt

from clrbench.errors import ScheduleError
from clrbench.records import DoubleArray


def steps(num_steps: int) -> npt.NDArray[np.int64]:
    """Return int64[num_steps], the numbers of the steps from 0 on."""
    check_steps("num_steps", num_steps)
    return np.arange(num_steps, dtype=np.int64)


def between(low: float | DoubleArray, high: float, weight: DoubleArray) -> DoubleArray:
    """Interpolate linearly: exactly `low` where the weight is 0, exactly `high` where it is 1, and nothing outside."""
    table: DoubleArray = np.clip(low * (1 - weight) + high * weight, low, high)
    return table


def checked(table: npt.NDArray[np.floating]) -> DoubleArray:
    """Return a table as float64; raise if float32, in which backends train, overflows or is subnormal at some step."""
    smallest, largest = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    allowed = f"{smallest:.3g} to {largest:.3g} (float32); change the rates or the decay"
    for step in (table.argmin(), table.argmax()):
        rate = float(table[step])
        check(f"learning rate at step {step}", f"{rate:.3g}", allowed, holds=smallest <= rate <= largest)
    return table.astype(np.float64, copy=False)


def check_steps(name: str, steps: float) -> None:
    """Require a length of at least one step."""
    check(name, steps, "a finite number of steps >= 1", holds=1 <= steps < math.inf)


def check_ratio(name: str, ratio: float) -> None:
    """Require a finite ratio of at least 1."""
    check(name, ratio, "a finite number >= 1", holds=1 <= ratio < math.inf)


def check_rate(name: str, rate: float) -> None:
    """Require a finite rate above 0."""
    check(name, rate, "a finite number > 0", holds=0 < rate < math.inf)


def check_factor(name: str, factor: float) -> None:
    """Require a factor above 0 and at most 1."""
    check(name, factor, "a number > 0 and <= 1", holds=0 < factor <= 1)


def check(name: str, got: object, allowed: str, *, holds: bool) -> None:
    """Raise a ScheduleError that says what `name` was and may be, unless a condition holds."""
    if not holds:
        raise ScheduleError(f"{name}: got {got}; allowed: {allowed}")

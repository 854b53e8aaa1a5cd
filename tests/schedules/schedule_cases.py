"""Arguments of every schedule, and what the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

from clrbench.errors import ScheduleError
from clrbench.records import DoubleArray

NUM_STEPS = 10_000
TOLERANCE = 1e-12
NAN, INFINITY = float("nan"), float("inf")

MakeScheduler = Callable[[Any, Any], Any]
TorchRates = Callable[[float, MakeScheduler], list[float]]

BOUNDS = {"base_lr": 0.001, "max_lr": 0.6}

# The last entry of each decay stays well above what float32 can hold.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "constant": {"lr": 0.03},
    "piecewise": {"lr": 0.1, "milestones": {4000: 0.5, 9000: 0.1}},
    "table": {"rates": tuple(np.geomspace(0.5, 0.001, NUM_STEPS).tolist())},
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
    "polynomial": {"lr": 0.1, "power": 2.0},
    "wsd": {"lr": 0.1},
}

property_test = settings(deadline=None, derandomize=True, database=None, max_examples=100)
rates = st.floats(1e-6, 10.0)
rate_pairs = st.tuples(rates, rates).map(sorted)
lengths = st.integers(1, 400)


def equal(table: DoubleArray, expected: Any) -> None:
    np.testing.assert_allclose(table, expected, rtol=0, atol=TOLERANCE)


def refuses(message: str, build: Callable[[], object]) -> None:
    with pytest.raises(ScheduleError) as caught:
        build()
    assert str(caught.value) == message

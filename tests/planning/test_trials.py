"""The problem that a range test is to solve."""

from typing import Any

import pytest
import specs
from specs import CONSTANT

from clrbench.planning.runs import all_range_tests
from clrbench.planning.trials import range_test_problem
from clrbench.records import SplitSizes
from clrbench.spec import Spec

ROWS = SplitSizes(train=1000, validation=100, test=100)
FROM_RANGE_TEST = {"schedule": {"name": "constant", "lr": "range_test"}}


def make_spec(arms: dict[str, Any] | None, duration: str | None) -> Spec:
    return specs.make_spec(arms=arms, duration=duration, batch_size=50, range_test={"duration": "5 epochs", "seeds": 2})


def lengths(spec: Spec) -> dict[str | None, int | None]:
    return {group.arm: range_test_problem(spec, group, ROWS, (10,) * 10).arm_steps for group in all_range_tests(spec)}


@pytest.mark.parametrize(
    ("arms", "duration", "expected"),
    [
        pytest.param({"a": CONSTANT, "b": CONSTANT}, "3 epochs", 60, id="no arm takes rates"),
        pytest.param(
            {"a": CONSTANT | {"duration": "9 epochs"}, "b": FROM_RANGE_TEST}, "3 epochs", 60, id="a longer arm"
        ),
        pytest.param(None, "3 epochs", 60, id="no arms"),
        pytest.param(None, "700 steps", 700, id="no arms, steps"),
        pytest.param(None, None, None, id="neither arms nor duration"),
    ],
)
def test_rates_are_for_trainings_as_long_as_the_arms_that_take_them(
    arms: dict[str, Any] | None, duration: str | None, expected: int | None
) -> None:
    assert lengths(make_spec(arms, duration))[None] == expected


def test_an_arm_of_another_length_has_a_range_test_for_that_length() -> None:
    arms = {"a": FROM_RANGE_TEST, "b": FROM_RANGE_TEST | {"duration": "9 epochs"}}
    assert lengths(make_spec(arms, "3 epochs")) == {None: 60, "b": 180}

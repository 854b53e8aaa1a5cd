"""Learning rates in a spec: one, a list to tune by, one that is taken from the range test, or one found elsewhere."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, PlainValidator, Tag, model_validator

from clrbench.spec.messages import nearest
from clrbench.spec.part import Part, any_of, at_key, list_schema
from clrbench.spec.quantities import Number, Whole, as_number

MIN_RATE, MAX_RATE = 1e-30, 1e30
MAX_RATES = 50
"""Rates that an arm may be tuned by."""
MAX_FOUND_STEPS = 10**12
"""Updates that may have found a rate."""


def _fits_float32(value: float) -> float:
    if not MIN_RATE <= value <= MAX_RATE:
        raise ValueError(f"a learning rate from {MIN_RATE:g} to {MAX_RATE:g}, which float32 can hold")
    return value


Rate: TypeAlias = Annotated[Number, Field(gt=0), AfterValidator(_fits_float32)]


def as_float32(rate: float) -> float:
    """Return the shortest number that gives the same float32."""
    return float(str(np.float32(rate)))


def _different_rates(rates: tuple[float, ...]) -> tuple[float, ...]:
    rounded = tuple(map(as_float32, rates))
    if len(set(rounded)) < max(2, len(rounded)):
        raise ValueError(ALLOWED_RATES)
    return rounded


ALLOWED_RATES = f"2 to {MAX_RATES} different rates greater than 0, such as [0.01, 0.03, 0.1]"
Rates: TypeAlias = Annotated[
    tuple[Rate, ...],
    Field(max_length=MAX_RATES),
    AfterValidator(_different_rates),
    Field(json_schema_extra={"minItems": 2, "uniqueItems": True}),
]
_RATE_SCHEMA: dict[str, object] = {"type": "number", "exclusiveMinimum": 0}
_RATES_SCHEMA = list_schema(_RATE_SCHEMA) | {"minItems": 2, "maxItems": MAX_RATES}
TunableRate: TypeAlias = Annotated[Rate, any_of(_RATE_SCHEMA, _RATES_SCHEMA)]
"""A rate that an arm may list several of, to be tuned; a schedule itself holds the first of them."""
RANGE_TEST_RATES = {"range_test": "suggestion", "range_test mean": "mean", "range_test max_lr": "max_lr"}
"""How a spec asks for a rate of the range test: its constant_lr, the mean of the bounds, or the upper one."""


FoundSteps: TypeAlias = Annotated[Whole, Field(ge=1, le=MAX_FOUND_STEPS)]


class FoundRate(Part):
    """A rate that was found elsewhere, and how many updates finding it took, where that is known."""

    value: Rate
    steps: FoundSteps | None = None


class FoundBounds(Part):
    """Bounds that were found elsewhere, and how many updates finding them took, where that is known."""

    base_lr: Rate
    max_lr: Rate
    steps: FoundSteps | None = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.max_lr < self.base_lr:
            raise at_key(("max_lr",), f"a rate of at least base_lr, which is {self.base_lr:g}")
        return self


_PLAIN, _FOUND = "[plain]", "[found]"


def _form(value: object) -> str:
    return _FOUND if isinstance(value, Mapping | FoundRate | FoundBounds) else _PLAIN


def _parse_rate_or_test(value: object) -> float | str:
    if isinstance(value, str) and value in RANGE_TEST_RATES:
        return value
    allowed = f"a number greater than 0, or {', '.join(RANGE_TEST_RATES)}"
    number = as_number(value, f"{allowed}{nearest(value, RANGE_TEST_RATES)}")
    if not isinstance(number, int | float) or not number > 0:
        raise ValueError(allowed)
    return _fits_float32(float(number))


_PlainRate: TypeAlias = Annotated[
    float | str,
    PlainValidator(_parse_rate_or_test),
    any_of(_RATE_SCHEMA, {"enum": list(RANGE_TEST_RATES)}, _RATES_SCHEMA),
]
RateOrRangeTest: TypeAlias = Annotated[
    Annotated[_PlainRate, Tag(_PLAIN)] | Annotated[FoundRate, Tag(_FOUND)], Discriminator(_form)
]


def _check_bounds_word(value: object) -> object:
    if value != "range_test":
        allowed = "range_test, or bounds found elsewhere, such as {base_lr: 0.01, max_lr: 0.1, steps: 8250}"
        raise ValueError(f"{allowed}{nearest(value, ['range_test'])}")
    return value


_BoundsWord: TypeAlias = Annotated[Literal["range_test"], BeforeValidator(_check_bounds_word)]
BoundsOrRangeTest: TypeAlias = Annotated[
    Annotated[_BoundsWord, Tag(_PLAIN)] | Annotated[FoundBounds, Tag(_FOUND)], Discriminator(_form)
]

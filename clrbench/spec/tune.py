"""Which rates an arm is tuned by, as a list in its schedule or beside it."""

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from clrbench.spec.part import Part, at_key
from clrbench.spec.quantities import Whole
from clrbench.spec.rates import ALLOWED_RATES, Rates
from clrbench.spec.schedules import RATE_KEYS

DEFAULT_POINTS = 5
RATES: TypeAdapter[tuple[float, ...]] = TypeAdapter(Rates)


class Tune(Part):
    """Which rates of a schedule are tried on the validation split, and over how many seeds of their own."""

    rates: Rates | None = None
    from_: Literal["range_test"] | None = Field(default=None, alias="from")
    points: Annotated[Whole, Field(ge=2, le=50)] | None = Field(default=None, validate_default=True)
    seeds: Annotated[Whole, Field(ge=1, le=100)] = 3

    @field_validator("points", mode="after")
    @classmethod
    def _fill_in_points(cls, points: int | None, info: ValidationInfo) -> int | None:
        return DEFAULT_POINTS if points is None and info.data.get("from_") is not None else points

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.rates is None) == (self.from_ is None):
            raise at_key(("rates",), "either rates (a list of those to try) or from: range_test, exactly one of them")
        if self.rates is not None and self.points is not None:
            raise at_key(("points",), "no such key beside rates; it says how many rates are taken from the range test")
        return self


def with_rates_moved(arm: object) -> object:
    """Return the content of an arm with a list of rates moved from its schedule to `tune`; the schedule keeps the first.

    Anything else is returned as it is, for the models to accept or refuse.
    """
    if not isinstance(arm, dict) or not isinstance(schedule := arm.get("schedule"), dict):
        return arm
    key = RATE_KEYS.get(str(schedule.get("name")))
    if key is None:
        return arm
    for other, entry in schedule.items():
        if isinstance(entry, list) and other != key and other.endswith("lr"):
            allowed = f"one rate; a schedule {schedule['name']} may list several for {key} only"
            raise at_key(("schedule", other), allowed)
    tune = arm.get("tune") or {}
    if not isinstance(schedule.get(key), list) or not isinstance(tune, dict):
        return arm
    try:
        rates = RATES.validate_python(schedule[key])
    except ValidationError as err:
        raise at_key(("schedule", key), f"one rate, or {ALLOWED_RATES}") from err
    for source in ("rates", "from"):
        if source in tune:
            raise at_key(("tune", source), f"no such key beside the list of rates at schedule.{key}")
    return {**arm, "schedule": {**schedule, key: rates[0]}, "tune": {**tune, "rates": rates}}

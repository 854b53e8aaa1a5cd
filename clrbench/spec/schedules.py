"""Schedules as a spec names them: one model for each function of `clrbench.schedules`, made from its signature."""

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias, Union, cast, get_args, get_origin

from pydantic import Field, ValidationInfo, create_model, field_validator, model_validator

from clrbench.records import DoubleArray
from clrbench.schedules import END_LR_DIVISOR, SCHEDULES, ramp, warmup
from clrbench.schedules.registry import Kind
from clrbench.spec.milestones import Milestones
from clrbench.spec.part import Part, at_key
from clrbench.spec.quantities import Clock, Length, Number, Percentage, Share, Span, Whole
from clrbench.spec.rate_file import MAX_PATH, PackedRates, packed, read_rate_file, unpacked
from clrbench.spec.rates import (
    MIN_RATE,
    RANGE_TEST_RATES,
    BoundsOrRangeTest,
    FoundBounds,
    FoundRate,
    Rate,
    RateOrRangeTest,
    TunableRate,
    as_float32,
)

RATE_KEYS = {
    name: next(key for key in ("lr", "max_lr") if key in kind.parameters)
    for name, kind in SCHEDULES.items()
    if {"lr", "max_lr"} & set(kind.parameters)
}
"""The key of the rate that an arm may be tuned by, by the name of its schedule; a table of rates has none."""


class BaseSchedule(Part):
    """What all schedules have in common: a warm-up, and at most one rate that an arm may be tuned by."""

    name: str
    warmup: Span | None = None

    @property
    def rate_key(self) -> str | None:
        """The key of the rate that an arm may be tuned by; None where there is none."""
        return RATE_KEYS.get(self.name)

    @property
    def lengths(self) -> dict[tuple[str, ...], Length]:
        """The lengths that were given, by the path of their key from here."""
        milestones: Milestones = getattr(self, "milestones", ())
        return {
            **{(key,): value for key, value in self if isinstance(value, Length)},
            **{("milestones", length.written()): length for length, _ in milestones},
        }

    @property
    def rate(self) -> float | str:
        """The rate that an arm may be tuned by: a number, or how it is taken from the range test."""
        rate = self._tunable_rate
        return rate if isinstance(rate, str) else as_float32(rate)

    @property
    def _tunable_rate(self) -> Any:
        return None if self.rate_key is None else getattr(self, self.rate_key)

    @property
    def lowest_rate(self) -> float:
        """The lowest value that `rate` may take."""
        return MIN_RATE

    def with_rate(self, rate: float) -> Self:
        """Return this schedule with another value of `rate`."""
        return self.model_copy(update={str(self.rate_key): rate})

    @property
    def found_steps(self) -> int | None:
        """How many updates found the rates that stand in the spec; None where it does not say."""
        rate = self._tunable_rate
        return rate.steps if isinstance(rate, FoundRate) else None

    def plain(self) -> Self:
        """Return this schedule with its rates as numbers alone, without what finding them took."""
        rate = self._tunable_rate
        return self.model_copy(update={str(self.rate_key): rate.value}) if isinstance(rate, FoundRate) else self

    @property
    def needs_range_test(self) -> bool:
        """Whether a rate is to be taken from the range test of the same spec."""
        return bool(self._rates_to_find())

    def with_bounds(self, base_lr: float, max_lr: float, constant_lr: float) -> Self:
        """Return this schedule with the rates that it takes from a range test."""
        found = {"suggestion": constant_lr, "mean": (base_lr + max_lr) / 2, "max_lr": max_lr}
        return self.model_copy(update={key: found[which] for key, which in self._rates_to_find().items()})

    @property
    def takes_tried_rates(self) -> bool:
        """Whether what it takes from a range test is what that trains at: a constant rate as such, bounds as bounds."""
        return set(self._rates_to_find().values()) <= {"suggestion"}

    def _rates_to_find(self) -> dict[str, str]:
        """Return which rate of a range test each key takes."""
        asked = {key: getattr(self, key, None) for key in ("lr", "max_lr")}
        return {key: RANGE_TEST_RATES[value] for key, value in asked.items() if isinstance(value, str)}

    def arguments(self, clock: Clock) -> dict[str, object]:
        """Return the arguments of this kind's function, lengths in steps of the part after the warm-up."""
        return {name: self._argument(name, clock) for name in SCHEDULES[self.name].parameters}

    def _argument(self, name: str, clock: Clock) -> object:
        if name == "steps_per_epoch":
            return clock.steps_per_epoch
        value = getattr(self, _key(name))
        match name:
            case "milestones":
                return {clock.steps(length): factor for length, factor in value}
            case "rates":
                return unpacked(value)
            case _ if isinstance(value, Share):
                return value.amount / 100
        return clock.steps(value) if isinstance(value, Length) else value

    def warmup_steps(self, clock: Clock) -> int:
        """Return the length of the warm-up in steps; 0 where there is none."""
        return 0 if self.warmup is None else clock.steps(self.warmup)

    def table(self, clock: Clock) -> DoubleArray:
        """Return the rate of every update, float64[clock.num_steps].

        Raises:
            ScheduleError: If an argument does not fit this number of steps.
        """

        def after_warmup(num_steps: int) -> DoubleArray:
            return SCHEDULES[self.name].make(num_steps, **self.arguments(Clock(clock.steps_per_epoch, num_steps)))

        return warmup(clock.num_steps, warmup_steps=self.warmup_steps(clock), schedule=after_warmup)


class BaseCyclic(BaseSchedule):
    """A rate that cycles between two bounds, given as numbers or, under `bounds`, with where they come from."""

    base_lr: Rate | None = None
    max_lr: TunableRate | None = None
    bounds: BoundsOrRangeTest | None = None
    step_size: Span | None = None
    step_size_down: Span | None = Field(default=None, exclude_if=lambda value: value is None)
    cycles: Annotated[Number, Field(gt=0, le=1e6)] | None = None

    @field_validator("base_lr", "max_lr", mode="before")
    @classmethod
    def _refuse_found_rate(cls, value: object) -> object:
        if isinstance(value, Mapping):
            raise ValueError(
                "a number, or both under bounds, such as bounds: {base_lr: 0.01, max_lr: 0.1, steps: 8250}"
            )
        return value

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        given = [key for key in ("base_lr", "max_lr") if getattr(self, key) is not None]
        if self.bounds is not None and given:
            raise at_key((given[0],), "no such key beside bounds, which give base_lr and max_lr")
        if self.bounds is None and len(given) < 2:
            missing = "base_lr" if self.base_lr is None else "max_lr"
            raise at_key((missing,), "both base_lr and max_lr, or bounds: range_test")
        if self.base_lr is not None and self.max_lr is not None and self.max_lr < self.base_lr:
            raise at_key(("max_lr",), f"a rate of at least base_lr, which is {self.base_lr:g}")
        if (self.step_size is None) == (self.cycles is None):
            allowed = "either step_size (half a cycle, such as '2 epochs') or cycles (how many), exactly one of them"
            raise at_key(("step_size",), allowed)
        if self.step_size_down is not None and self.step_size is None:
            raise at_key(
                ("step_size_down",), "no such key beside cycles; give step_size (the rising part) in its place"
            )
        return self

    @property
    def lowest_rate(self) -> float:
        """The lower bound."""
        return self.base_lr or MIN_RATE

    @property
    def needs_range_test(self) -> bool:
        """Whether both bounds are to be taken from the range test."""
        return self.bounds == "range_test"

    @property
    def found_steps(self) -> int | None:
        """How many updates found the bounds that stand in the spec; None where it does not say."""
        return self.bounds.steps if isinstance(self.bounds, FoundBounds) else None

    def plain(self) -> Self:
        """Return this schedule with its bounds as numbers alone, without what finding them took."""
        found = self.bounds
        return self._between(found.base_lr, found.max_lr) if isinstance(found, FoundBounds) else self

    def with_bounds(self, base_lr: float, max_lr: float, constant_lr: float) -> Self:
        """Return this schedule between the bounds given."""
        return self._between(base_lr, max_lr)

    def _between(self, base_lr: float, max_lr: float) -> Self:
        return self.model_copy(update={"base_lr": base_lr, "max_lr": max_lr, "bounds": None})

    def step_size_steps(self, clock: Clock) -> float:
        """Return half a cycle in steps of the part after the warm-up, fractional where `cycles` does not divide it."""
        if self.cycles is not None:
            return clock.num_steps / (2 * self.cycles)
        return clock.steps(self.step_size or Length(1, "steps"))

    def step_size_down_steps(self, clock: Clock) -> float | None:
        """Return the falling part of a cycle in steps; None where it is as long as the rising one."""
        return None if self.step_size_down is None else clock.steps(self.step_size_down)

    def cycle_steps(self, clock: Clock) -> float:
        """Return a whole cycle in steps of the part after the warm-up."""
        up, down = self.step_size_steps(clock), self.step_size_down_steps(clock)
        return up + (up if down is None else down)

    def _argument(self, name: str, clock: Clock) -> object:
        return self.step_size_steps(clock) if name == "step_size" else super()._argument(name, clock)


def _default_end_lr(lr: float) -> float:
    """Return where a decay ends that is given no end; no lower than a spec may say, as it stands in the resolved one."""
    return max(lr / END_LR_DIVISOR, MIN_RATE)


def _known_rate(rate: object) -> float | None:
    """Return a rate in a spec as a number; None where a range test has yet to find it, or it is no rate."""
    value = rate.value if isinstance(rate, FoundRate) else rate
    return value if isinstance(value, float) else None


class BaseDecay(BaseSchedule):
    """A rate that falls to an end, by default a thousandth of where it starts."""

    lr: RateOrRangeTest
    end_lr: Rate | None = Field(default=None, validate_default=True)

    @field_validator("end_lr", mode="after")
    @classmethod
    def _fill_in_end(cls, end_lr: float | None, info: ValidationInfo) -> float | None:
        lr = _known_rate(info.data.get("lr"))
        return _default_end_lr(lr) if end_lr is None and lr is not None else end_lr

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        lr = _known_rate(self.lr)
        if lr is not None and self.end_lr is not None and self.end_lr > lr:
            raise at_key(("end_lr",), f"a rate of at most lr, which is {lr:g}")
        return self

    def with_rate(self, rate: float) -> Self:
        """Return this schedule from another rate on; an end that is the default moves along, another is at most the rate."""
        known = _known_rate(self.lr)
        default = None if known is None else _default_end_lr(known)
        end_lr = _default_end_lr(rate) if self.end_lr in {None, default} else min(self.end_lr, rate)
        return self.model_copy(update={"lr": rate, "end_lr": end_lr})

    def with_bounds(self, base_lr: float, max_lr: float, constant_lr: float) -> Self:
        """Return this schedule with the rates that it takes from a range test."""
        found = super().with_bounds(base_lr, max_lr, constant_lr)
        lr = cast(float, found.lr)
        end_lr = _default_end_lr(lr) if self.end_lr is None else min(self.end_lr, lr)
        return found.model_copy(update={"end_lr": end_lr})


class BaseTable(BaseSchedule):
    """Rates from a file, which the schedule holds packed once it is read, so that what is trained needs the file no more.

    Attributes:
        file: A CSV file with columns step and lr; see `rate_file.read_rate_file`.
        rates: Its rates; filled in.
    """

    file: Annotated[str, Field(max_length=MAX_PATH)]
    rates: PackedRates = ""

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, value: object, info: ValidationInfo) -> object:
        file = value.get("file") if isinstance(value, dict) and "rates" not in value else None
        if not isinstance(value, dict) or not isinstance(file, str) or not file.isprintable() or len(file) > MAX_PATH:
            return value
        folder: Path = (info.context or {}).get("folder", Path())
        try:
            return {**value, "rates": packed(read_rate_file(folder / file))}
        except ValueError as err:
            raise at_key(("file",), str(err)) from err


class Ramp(Part):
    """The rising rate of a range test; no arm can name it."""

    name: Literal["ramp"] = "ramp"
    start_lr: Rate
    end_lr: Rate
    kind: Literal["linear", "exponential"]

    def table(self, clock: Clock) -> DoubleArray:
        """Return the rate of every update, float64[clock.num_steps]."""
        return ramp(clock.num_steps, start_lr=self.start_lr, end_lr=self.end_lr, kind=self.kind)


def _type(parameter: inspect.Parameter) -> object:
    """Return the type of the key that a parameter stands for; see `schedules.registry.register`."""
    if parameter.name in {"lr", "max_lr"}:
        return RateOrRangeTest
    if parameter.name.endswith("lr"):
        return Rate
    if parameter.name.endswith("_steps"):
        return Span
    if parameter.name.endswith("_share"):
        return Percentage
    if parameter.name == "milestones":
        return Milestones
    annotation = parameter.annotation
    kind, *bounds = get_args(annotation) if get_origin(annotation) is Annotated else [annotation]
    plain = {float: Number, int: Whole}.get(kind)
    return annotation if plain is None else Annotated[plain, *bounds]


def _key(name: str) -> str:
    """Return the key that a parameter stands under; see `schedules.registry.register`."""
    return name.removesuffix("_steps").removesuffix("_share")


def _default(parameter: inspect.Parameter) -> object:
    """Return the default of the key that a parameter stands for; ... for none."""
    if parameter.default is parameter.empty:
        return ...
    if parameter.name.endswith("_share"):
        return Field(default=str(Share(parameter.default * 100, "%")), validate_default=True)
    return parameter.default


def _base(parameters: Collection[str]) -> type[BaseSchedule]:
    if "rates" in parameters:
        return BaseTable
    if {"base_lr", "max_lr", "step_size"} <= set(parameters):
        return BaseCyclic
    return BaseDecay if {"lr", "end_lr"} <= set(parameters) else BaseSchedule


def _model(name: str, kind: Kind) -> type[BaseSchedule]:
    """Return the model of a schedule."""
    base = _base(kind.parameters)
    fields: dict[str, Any] = {
        _key(key): (_type(parameter), _default(parameter))
        for key, parameter in kind.parameters.items()
        if key not in {*base.model_fields, "steps_per_epoch"}
    }
    title = "".join(word.capitalize() for word in name.split("_"))
    fields["name"] = (Literal[name], ...)
    return create_model(title, __base__=base, __doc__=kind.summary, __module__=__name__, **fields)


MODELS = tuple(_model(name, kind) for name, kind in SCHEDULES.items())
"""The model of every schedule, in the order of `SCHEDULES`."""
globals().update({model.__name__: model for model in MODELS})  # where pickle looks for them

if TYPE_CHECKING:
    Schedule: TypeAlias = BaseSchedule
else:
    Schedule = Annotated[Union[MODELS], Field(discriminator="name")]  # noqa: UP007

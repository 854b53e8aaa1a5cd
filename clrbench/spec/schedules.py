"""Schedules as a spec names them: one class a kind, which hands its lengths in steps to `clrbench.schedules`.

A new schedule needs a function there and a class here.
"""

from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, get_args

from pydantic import Field, model_validator

from clrbench.records import DoubleArray
from clrbench.schedules import END_LR_DIVISOR, SCHEDULES, ramp, warmup
from clrbench.spec.quantities import (
    RANGE_TEST_RATES,
    SMALLEST_LR,
    Clock,
    Length,
    Number,
    Part,
    Rate,
    RateOrRangeTest,
    Span,
    TunableRate,
    Whole,
    as_float32,
    at_key,
)

Gamma: TypeAlias = Annotated[Number, Field(gt=0, le=1)]


class BaseSchedule(Part):
    """What all schedules have in common."""

    rate_key: ClassVar[str] = "lr"
    """Which key holds the rate that an arm may be tuned by."""

    name: str
    warmup: Span | None = None

    @property
    def rate(self) -> float | str:
        """The rate that an arm may be tuned by: a number, or how it is taken from the range test."""
        rate = getattr(self, self.rate_key)
        return rate if isinstance(rate, str) else as_float32(rate)

    @property
    def lowest_rate(self) -> float:
        """The lowest value that `rate` may take."""
        return SMALLEST_LR

    def with_rate(self, rate: float) -> Self:
        """Return this schedule with another value of `rate`."""
        return self.model_copy(update={self.rate_key: rate})

    @property
    def needs_range_test(self) -> bool:
        """Whether a rate is to be taken from the range test of the same spec."""
        return bool(self._rates_to_find())

    def with_bounds(self, base_lr: float, max_lr: float) -> Self:
        """Return this schedule with the rates that it takes from a range test."""
        found = {"suggestion": (base_lr * max_lr) ** 0.5, "mean": (base_lr + max_lr) / 2, "max_lr": max_lr}
        return self.model_copy(update={key: found[which] for key, which in self._rates_to_find().items()})

    def _rates_to_find(self) -> dict[str, str]:
        """Return which rate of a range test each key takes."""
        asked = {key: getattr(self, key, None) for key in ("lr", "max_lr")}
        return {key: RANGE_TEST_RATES[value] for key, value in asked.items() if isinstance(value, str)}

    def arguments(self, clock: Clock) -> dict[str, Any]:
        """Return the arguments of this kind's function in `clrbench.schedules`, lengths in steps."""
        return self.model_dump(exclude={"name", "warmup"}, exclude_none=True)

    def warmup_steps(self, clock: Clock) -> int:
        """Return the length of the warm-up in steps; 0 where there is none."""
        return 0 if self.warmup is None else clock.steps(self.warmup)

    def table(self, clock: Clock) -> DoubleArray:
        """Return the rate of every update.

        Returns:
            float64[clock.num_steps]

        Raises:
            ScheduleError: If an argument does not fit this number of steps.
        """

        def after_warmup(num_steps: int) -> DoubleArray:
            return SCHEDULES[self.name](num_steps, **self.arguments(Clock(clock.steps_per_epoch, num_steps)))

        return warmup(clock.num_steps, warmup_steps=self.warmup_steps(clock), schedule=after_warmup)


class Constant(BaseSchedule):
    """The same rate throughout."""

    name: Literal["constant"]
    lr: RateOrRangeTest


class BaseCyclic(BaseSchedule):
    """A rate that cycles between two bounds; `bounds: range_test` takes both from the range test."""

    rate_key: ClassVar[str] = "max_lr"

    base_lr: Rate | None = None
    max_lr: TunableRate | None = None
    bounds: Literal["range_test"] | None = None
    step_size: Span | None = None
    cycles: Annotated[Number, Field(gt=0, le=1e6)] | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        given = [key for key in ("base_lr", "max_lr") if getattr(self, key) is not None]
        if self.bounds is not None and given:
            raise at_key((given[0],), "no such key beside bounds: range_test, which gives base_lr and max_lr")
        if self.bounds is None and len(given) < 2:
            missing = "base_lr" if self.base_lr is None else "max_lr"
            raise at_key((missing,), "both base_lr and max_lr, or bounds: range_test")
        if self.base_lr is not None and self.max_lr is not None and self.max_lr < self.base_lr:
            raise at_key(("max_lr",), f"a rate of at least base_lr, which is {self.base_lr:g}")
        if (self.step_size is None) == (self.cycles is None):
            raise at_key(
                ("step_size",),
                "either step_size (half a cycle, such as '2 epochs') or cycles (how many), exactly one of them",
            )
        return self

    @property
    def lowest_rate(self) -> float:
        """The lower bound."""
        return self.base_lr or SMALLEST_LR

    @property
    def needs_range_test(self) -> bool:
        """Whether both bounds are to be taken from the range test."""
        return self.bounds is not None

    def with_bounds(self, base_lr: float, max_lr: float) -> Self:
        """Return this schedule between the bounds given."""
        return self.model_copy(update={"base_lr": base_lr, "max_lr": max_lr, "bounds": None})

    def step_size_steps(self, clock: Clock) -> float:
        """Return half a cycle in steps, fractional where `cycles` does not divide the run evenly.

        Args:
            clock: Of the part after the warm-up.
        """
        if self.cycles is not None:
            return clock.num_steps / (2 * self.cycles)
        return clock.steps(self.step_size or Length(1, "steps"))

    def arguments(self, clock: Clock) -> dict[str, Any]:
        """Return the bounds, half a cycle in steps, and gamma where the kind has one."""
        rest = self.model_dump(include={"base_lr", "max_lr", "gamma"}, exclude_none=True)
        return {**rest, "step_size": self.step_size_steps(clock)}


class Triangular(BaseCyclic):
    """Linear up and down between the bounds, every cycle alike."""

    name: Literal["triangular"]


class Triangular2(BaseCyclic):
    """As triangular, the amplitude halved at the end of each cycle."""

    name: Literal["triangular2"]


class ExpRange(BaseCyclic):
    """As triangular, the amplitude times `gamma` each step, as the widespread implementations do."""

    name: Literal["exp_range"]
    gamma: Gamma


class ExpRangePaper(BaseCyclic):
    """As triangular, both bounds times `gamma` each step, as the paper's text says."""

    name: Literal["exp_range_paper"]
    gamma: Gamma


class OneCycle(BaseSchedule):
    """One rise and one long fall, as torch's `OneCycleLR`."""

    rate_key: ClassVar[str] = "max_lr"

    name: Literal["one_cycle"]
    max_lr: RateOrRangeTest
    pct_start: Annotated[Number, Field(gt=0, lt=1)] = 0.3
    div_factor: Annotated[Number, Field(ge=1)] = 25.0
    final_div_factor: Annotated[Number, Field(ge=1)] = 1e4
    anneal: Literal["cos", "linear"] = "cos"


def _default_end_lr(lr: float) -> float:
    """Return where a decay ends that is given no end; no lower than a spec may say, as it stands in the resolved one."""
    return max(lr / END_LR_DIVISOR, SMALLEST_LR)


class _Decay(BaseSchedule):
    lr: RateOrRangeTest
    end_lr: Rate | None = None

    @model_validator(mode="after")
    def _check_end(self) -> Self:
        if isinstance(self.lr, str):
            return self
        if self.end_lr is None:
            object.__setattr__(self, "end_lr", _default_end_lr(self.lr))
        elif self.end_lr > self.lr:
            raise at_key(("end_lr",), f"a rate of at most lr, which is {self.lr:g}")
        return self

    def with_rate(self, rate: float) -> Self:
        """Return this schedule from another rate on; an end that is the default moves along, another is at most the rate."""
        default = None if isinstance(self.lr, str) else _default_end_lr(self.lr)
        end_lr = _default_end_lr(rate) if self.end_lr in {None, default} else min(self.end_lr, rate)
        return self.model_copy(update={"lr": rate, "end_lr": end_lr})

    def with_bounds(self, base_lr: float, max_lr: float) -> Self:
        """Return this schedule with the rates that it takes from a range test."""
        found = super().with_bounds(base_lr, max_lr)
        end_lr = _default_end_lr(float(found.lr)) if self.end_lr is None else min(self.end_lr, float(found.lr))
        return found.model_copy(update={"end_lr": end_lr})


class LinearDecay(_Decay):
    """Linear from `lr` to `end_lr`."""

    name: Literal["linear_decay"]


class Cosine(_Decay):
    """Half a cosine from `lr` to `end_lr`."""

    name: Literal["cosine"]


class StepDecay(BaseSchedule):
    """Times `factor` after every so many epochs or steps."""

    name: Literal["step_decay"]
    lr: RateOrRangeTest
    factor: Gamma
    every: Span

    def arguments(self, clock: Clock) -> dict[str, Any]:
        """Return the rate, the factor, and how often it applies in steps."""
        return {"lr": self.lr, "factor": self.factor, "every_steps": clock.steps(self.every)}


class ExponentialDecay(BaseSchedule):
    """Times `gamma` an epoch, smoothly."""

    name: Literal["exponential_decay"]
    lr: RateOrRangeTest
    gamma: Gamma

    def arguments(self, clock: Clock) -> dict[str, Any]:
        """Return the rate, gamma and the steps of an epoch."""
        return {"lr": self.lr, "gamma": self.gamma, "steps_per_epoch": clock.steps_per_epoch}


class CosineRestarts(_Decay):
    """Half cosines that start again, each `multiplier` times as long as the one before."""

    name: Literal["cosine_restarts"]
    period: Span
    multiplier: Annotated[Whole, Field(ge=1, le=1000)] = 1

    def arguments(self, clock: Clock) -> dict[str, Any]:
        """Return the rates, the multiplier, and the first period in steps."""
        rates = self.model_dump(include={"lr", "end_lr", "multiplier"}, exclude_none=True)
        return {**rates, "period_steps": clock.steps(self.period)}


class Ramp(Part):
    """The rising rate of a range test; no arm can name it."""

    name: Literal["ramp"] = "ramp"
    start_lr: Rate
    end_lr: Rate
    kind: Literal["linear", "exponential"]

    def table(self, clock: Clock) -> DoubleArray:
        """Return the rate of every update, float64[clock.num_steps]."""
        return ramp(clock.num_steps, start_lr=self.start_lr, end_lr=self.end_lr, kind=self.kind)


Schedule: TypeAlias = Annotated[
    Constant
    | Triangular
    | Triangular2
    | ExpRange
    | ExpRangePaper
    | OneCycle
    | LinearDecay
    | Cosine
    | StepDecay
    | ExponentialDecay
    | CosineRestarts,
    Field(discriminator="name"),
]

RATE_KEYS = {
    get_args(kind.model_fields["name"].annotation)[0]: kind.rate_key for kind in get_args(get_args(Schedule)[0])
}
"""Which rate an arm may be tuned by, by the name of its schedule."""

"""The spec and a run as frozen pydantic models: every key, its type, its default, and what must hold between keys."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeAlias, cast

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from clrbench.data import Reading
from clrbench.records import AdaptiveName, OptimizerSettings, UpdateRule
from clrbench.spec import names
from clrbench.spec.data import Data
from clrbench.spec.messages import nearest
from clrbench.spec.network import Model, OwnModel, Unseen
from clrbench.spec.part import Part, at_key, at_name
from clrbench.spec.quantities import Duration, Flag, Fraction, Length, Name, Number, Whole
from clrbench.spec.range_test import RANGE_TEST_SEEDS, RangeTest
from clrbench.spec.schedules import BaseCyclic, Ramp, Schedule
from clrbench.spec.train import PLACES, SCRIPT, UNSEEN_DATA, Train, refuse_beside_train
from clrbench.spec.tune import Tune, with_rates_moved
from clrbench.spec.verdict import Verdict

NO_BASELINE = "none"
"""The baseline of an arm that is compared with nothing."""

OVERRIDES = ("batch_size", "optimizer", "duration")
"""Keys of the spec that an arm may set for itself."""

# An arm's own range test lies in `range-test/<arm>/`, beside files and folders of these names.
_RANGE_TEST_FILES = ("curve.csv", "sweeps.csv", "confirmation.csv", "bounds.json", "range_test.png", "experiment.json")
RESERVED_ARM_NAMES = ("runs", "plots", *_RANGE_TEST_FILES)


_STAND_INS = {"data": UNSEEN_DATA, "model": Unseen(), "optimizer": {"name": "sgd"}, "batch_size": 1}


class _OfModelOrScript(Part):
    """A spec or a run: of a model, or of a script (`train`), which is written without what stands for model and data."""

    @field_validator("model", mode="wrap", check_fields=False)
    @classmethod
    def _keep_unseen(cls, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        return value if isinstance(value, Unseen) else handler(value)

    @field_serializer("model", mode="wrap", check_fields=False)
    def _write_no_unseen(self, value: object, handler: SerializerFunctionWrapHandler) -> object:
        return None if isinstance(value, Unseen) else handler(value)

    @model_serializer(mode="wrap")
    def _write_what_applies(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        content: dict[str, object] = handler(self)
        left_out = ("train", "metrics") if getattr(self, "train", None) is None else PLACES
        return {key: value for key, value in content.items() if key not in left_out}


class BaseOptimizer(Part):
    """What all optimizers have in common."""

    name: str
    weight_decay: Annotated[Number, Field(ge=0, le=1e6)] = 0.0
    update_rule: UpdateRule = "native"

    def settings(self) -> OptimizerSettings:
        """Return the choice as a record."""
        return OptimizerSettings(**self.model_dump())


class Sgd(BaseOptimizer):
    """Stochastic gradient descent, with optional momentum."""

    name: Literal["sgd"]
    momentum: Fraction = 0.0
    nesterov: Flag = False

    @model_validator(mode="after")
    def _check_nesterov(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise at_key(("nesterov",), "true only with a momentum greater than 0")
        return self


class Adaptive(BaseOptimizer):
    """An optimizer with a step size for each weight."""

    name: AdaptiveName


Optimizer: TypeAlias = Annotated[Sgd | Adaptive, Field(discriminator="name")]
BatchSize: TypeAlias = Annotated[Whole, Field(ge=1, le=10_000_000)]


class Arm(Part):
    """One way to train: a schedule, and what it overrides in the spec."""

    schedule: Schedule
    batch_size: BatchSize | None = None
    optimizer: Optimizer | None = None
    duration: Duration | None = None
    baseline: str | None = None
    published: names.Published = {}
    tune: Tune | None = None

    @model_validator(mode="before")
    @classmethod
    def _move_rates(cls, value: object) -> object:
        return with_rates_moved(value)

    @model_validator(mode="after")
    def _check_tune(self) -> Self:
        if self.tune is None:
            return self
        key = self.schedule.rate_key
        if key is None:
            raise at_key(
                ("tune",), f"no search in an arm whose schedule is a {self.schedule.name}, as it has no rate to try"
            )
        lowest = self.schedule.plain().lowest_rate
        if isinstance(self.schedule, BaseCyclic) and self.schedule.needs_range_test:
            raise at_key(("schedule", "bounds"), "base_lr and max_lr in an arm that is tuned")
        if isinstance(self.schedule, BaseCyclic) and self.tune.from_ is not None:
            raise at_key(("tune", "from"), "a list of rates, as this schedule has a base_lr of its own")
        if self.tune.rates is not None and min(self.tune.rates) < lowest:
            allowed = f"rates to try of at least base_lr, which is {lowest:g} ({min(self.tune.rates):g} is below it)"
            raise at_key(("schedule", key), allowed)
        return self

    @property
    def needs_range_test(self) -> bool:
        """Whether its rate, or those that it is tuned by, are taken from a range test."""
        return self.schedule.needs_range_test or (self.tune is not None and self.tune.from_ is not None)


class Spec(_OfModelOrScript):
    """A whole experiment.

    Attributes:
        train: A script of the user's own, in place of `data`, `model`, `optimizer`, `batch_size` and `backends`.
        metrics: Metrics of the script's own, and which way is better.
    """

    name: Name
    train: Train | None = None
    data: Data
    model: Model
    optimizer: Optimizer = Sgd(name="sgd")
    batch_size: BatchSize
    duration: Duration | None = None
    seeds: names.Seeds = tuple(range(10))
    backends: names.Backends = "installed"
    baseline: str | None = None
    arms: dict[Name, Arm] = Field(default={}, json_schema_extra={"additionalProperties": False})
    metrics: Annotated[dict[names.OwnMetric, names.Direction], Field(json_schema_extra=names.OWN_METRICS_SCHEMA)] = {}
    targets: names.Targets = {}
    verdict: Verdict = Verdict()
    range_test: RangeTest = Field(default_factory=dict, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _stand_for_script(cls, value: object) -> object:
        if not isinstance(value, Mapping) or value.get("train") is None:
            return value
        refuse_beside_train(value)
        return {**_STAND_INS, "backends": (SCRIPT,), **value}

    @field_validator("range_test", mode="before")
    @classmethod
    def _give_range_test_seeds_of_its_own(cls, value: object, info: ValidationInfo) -> object:
        """Put seeds that the spec does not name in the place of a number of them."""
        if not isinstance(value, Mapping):
            return value
        seeds = value.get("seeds", RANGE_TEST_SEEDS)
        # What is neither a number nor a list is left to the range test, which says so.
        with suppress(ValueError):
            seeds = names.own_seed_list(seeds, info.data.get("seeds", ()))
        return {**value, "seeds": seeds}

    @model_validator(mode="after")
    def _check_metrics(self) -> Self:
        if self.metrics and self.train is None:
            raise at_name(("metrics",), "no such key without train: it names what your own script writes")
        for name, direction in self.metrics.items():
            known = names.own_metric_is_higher(name)
            if known is not None and known != (direction == "higher"):
                raise at_key(("metrics", name), f"{'higher' if known else 'lower'}, as its name says")
        allowed = [*names.METRICS, *(name for name in self.metrics if name not in names.METRICS)]
        for key, metric in self._used_metrics():
            if metric not in allowed:
                raise _unknown_metric(key, metric, allowed, can_declare=self.train is not None)
        return self

    @model_validator(mode="after")
    def _check_between_keys(self) -> Self:
        if not self.arms and "range_test" not in self.model_fields_set:
            raise at_key(("arms",), "at least one arm, such as {constant: {schedule: {name: constant, lr: 0.03}}}")
        lower_case: dict[str, str] = {}
        for name in self.arms:
            other = lower_case.setdefault(name.lower(), name)
            if other != name:
                raise at_name(("arms", name), f"a name that differs from {other!r} in more than upper and lower case")
        if self.baseline is not None:
            self._check_arm_name(("baseline",), self.baseline)
        for name, arm in self.arms.items():
            if name in RESERVED_ARM_NAMES:
                allowed = f"any name but {', '.join(RESERVED_ARM_NAMES)}, which range-test/ holds itself"
                raise at_name(("arms", name), allowed)
            self._check_arm(name, arm)
        if self.data.validation.amount == 0:
            self._check_no_validation_metric()
            for name in self.tuned_arms:
                raise at_key(("data", "validation"), f"validation rows, on which arm {name} is tuned")
        return self

    @property
    def all_metrics(self) -> tuple[names.Metric, ...]:
        """Every metric that tables may hold: those of all runs, then those that `metrics` declares."""
        return (*names.METRICS, *(name for name in self.metrics if name not in names.METRICS))

    def higher_is_better(self, metric: names.Metric) -> bool:
        """Return whether more of a metric is better: of an accuracy, or where `metrics` says so."""
        return self.metrics.get(metric, "higher" if names.own_metric_is_higher(metric) else "lower") == "higher"

    @property
    def tuned_arms(self) -> list[str]:
        """The arms whose rate is chosen among several."""
        return [name for name, arm in self.arms.items() if arm.tune is not None]

    def reading(self) -> Reading:
        """Return how the data set is to be read for the model."""
        return self.data.reading(as_given=isinstance(self.model, OwnModel))

    def _check_no_validation_metric(self) -> None:
        for key, metric in self._used_metrics():
            if metric.startswith("validation_"):
                raise at_key(key, f"no validation metric while data.validation is '{self.data.validation}'")

    def _used_metrics(self) -> list[tuple[tuple[str, ...], names.Metric]]:
        """Return each metric that the spec names, with the path of its key."""
        used: list[tuple[tuple[str, ...], names.Metric]] = [(("verdict", "metric"), self.verdict.metric)]
        used += [(("targets", metric), metric) for metric in self.targets_by_metric]
        for name, arm in self.arms.items():
            used += [(("arms", name, "published", m), m) for m in arm.published if m != names.TRAIN_SECONDS]
        return used

    @property
    def named_metrics(self) -> set[names.Metric]:
        """The metrics of the verdict, of targets and of values published elsewhere."""
        return {metric for _, metric in self._used_metrics()}

    def _check_arm_name(self, key: tuple[str, ...], name: str) -> None:
        if name not in self.arms:
            arms = ", ".join(self.arms) or "there is none"
            raise at_key(key, f"the name of an arm: {arms}{nearest(name, self.arms)}")

    def _check_arm(self, name: str, arm: Arm) -> None:
        if arm.baseline not in {None, NO_BASELINE}:
            self._check_arm_name(("arms", name, "baseline"), arm.baseline)
            if arm.baseline == name:
                raise at_key(("arms", name, "baseline"), "another arm than itself")
        duration = arm.duration or self.duration
        if duration is None:
            raise at_key(("duration",), "a length with a unit (epochs, steps, cycles), such as '12 epochs'")
        cyclic = isinstance(arm.schedule, BaseCyclic) and arm.schedule.step_size is not None
        if duration.unit == "cycles" and not cyclic:
            key = ("arms", name, "duration") if arm.duration else ("duration",)
            raise at_key(key, f"cycles only where the schedule has a step_size (that of arm {name} has none)")

    @property
    def targets_by_metric(self) -> names.TargetsByMetric:
        """The targets by metric; `auto` alone asks for one in the metric of the verdict."""
        return {self.verdict.metric: names.AUTO} if self.targets == names.AUTO else self.targets

    def resolved_arm(self, name: str) -> "ResolvedArm":
        """Return an arm with what it does not override filled in from the spec."""
        arm = self.arms[name]
        default_baseline = self.baseline or next(iter(self.arms))
        baseline = arm.baseline or (default_baseline if default_baseline != name else NO_BASELINE)
        return ResolvedArm(
            name=name,
            schedule=arm.schedule.plain(),
            batch_size=arm.batch_size or self.batch_size,
            optimizer=arm.optimizer or self.optimizer,
            duration=cast(Length, arm.duration or self.duration),
            baseline=None if baseline == NO_BASELINE else baseline,
        )


def _unknown_metric(
    key: tuple[str, ...], metric: str, allowed: Sequence[str], *, can_declare: bool
) -> PydanticCustomError:
    advice = f"; or declare it: metrics: {{{metric}: higher}} (or lower)" if can_declare else ""
    text = f"{', '.join(allowed)}{nearest(metric, allowed)}{advice}"
    return at_name(key, text) if key[-1] == metric else at_key(key, text)


@dataclass(frozen=True)
class ResolvedArm:
    """An arm with every default filled in; `baseline` is None where it is compared with no other.

    Attributes:
        schedule: Without what finding its rates took, which changes nothing that is trained.
    """

    name: str
    schedule: Schedule
    batch_size: int
    optimizer: Optimizer
    duration: Length
    baseline: str | None


class RunSpec(_OfModelOrScript):
    """One run: every default filled in, every length in steps.

    Attributes:
        arm: Name of its arm; `range-test` in a range test.
        seed: Decides its initial weights, batch order and dropout.
        evaluation_steps: Numbers of updates after which it is evaluated, ascending.
        divergence_factor: It has diverged once the loss of a mini-batch exceeds this many times ln(classes); of a script,
            this many times the largest of the first losses that it writes.
    """

    backend: names.BackendName
    arm: str
    seed: int
    data: Data
    model: Model
    optimizer: Optimizer
    batch_size: int
    schedule: Annotated[Schedule | Ramp, Field(union_mode="left_to_right")]
    num_steps: int
    steps_per_epoch: int
    evaluation_steps: tuple[int, ...]
    evaluated_splits: tuple[Literal["validation", "test"], ...]
    divergence_factor: float
    train: Train | None = None

    @model_validator(mode="before")
    @classmethod
    def _stand_for_script(cls, value: object) -> object:
        if not isinstance(value, Mapping) or value.get("train") is None:
            return value
        return {**_STAND_INS, **value}

    def reading(self) -> Reading:
        """Return how the data set is to be read for the model."""
        return self.data.reading(as_given=isinstance(self.model, OwnModel))

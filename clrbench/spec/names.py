"""What a spec names or lists: data sets, backends, metrics, seeds."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.config import JsonDict

from clrbench import data
from clrbench.metric_names import NO_METRICS, OWN_METRIC
from clrbench.own_code import is_reference
from clrbench.spec.messages import nearest
from clrbench.spec.part import any_of, at_key, list_schema
from clrbench.spec.quantities import Number, Whole, as_number

BackendName: TypeAlias = Literal["torch", "keras", "script"]
BACKEND_NAMES: tuple[BackendName, ...] = ("torch", "keras")
"""Those that a spec may name; `script` is that of a training script of the user's own."""
METRICS = (
    "test_accuracy",
    "test_balanced_accuracy",
    "test_loss",
    "validation_accuracy",
    "validation_loss",
    "train_accuracy",
    "train_loss",
)
LOSSES = tuple(metric for metric in METRICS if metric.endswith("_loss"))
Direction: TypeAlias = Literal["higher", "lower"]


def own_metric_is_higher(name: str) -> bool | None:
    """Return whether more of a metric is better, as far as its name says: an accuracy, or a loss; None for others."""
    return {"accuracy": True, "loss": False}.get(name.rpartition("_")[2])


def _check_metric(value: object) -> str:
    if not isinstance(value, str) or not OWN_METRIC.fullmatch(value):
        raise ValueError(f"{', '.join(METRICS)}{nearest(value, METRICS)}")
    return value


def _check_own_metric(value: object) -> str:
    if not isinstance(value, str) or not OWN_METRIC.fullmatch(value) or value in NO_METRICS:
        raise ValueError(
            "a name of at most 50 letters, digits and '_' that starts with a letter, and none of "
            + ", ".join(NO_METRICS)
        )
    return value


_METRIC_SCHEMAS: tuple[dict[str, object], ...] = (
    {"enum": list(METRICS)},
    {"type": "string", "pattern": rf"^{OWN_METRIC.pattern}$"},
)
Metric: TypeAlias = Annotated[str, PlainValidator(_check_metric), any_of(*_METRIC_SCHEMAS)]
"""One of `METRICS`, or a name that `metrics` of the same spec declares."""
OwnMetric: TypeAlias = Annotated[
    str, PlainValidator(_check_own_metric), WithJsonSchema({"type": "string", "pattern": rf"^{OWN_METRIC.pattern}$"})
]

OWN_METRICS_SCHEMA: JsonDict = {
    "additionalProperties": False,
    "propertyNames": {"not": {"enum": list(NO_METRICS)}},
}
"""What the JSON Schema of `metrics` holds beside names and directions."""

MAX_PATH = 1000
"""Characters of a path or a function; on macOS no path is longer than 1,024 bytes."""
MAX_SEEDS = 10_000
FIRST_OWN_SEED = 1_000_000


def _check_dataset(value: object, info: ValidationInfo) -> str:
    if value in data.NAMES:
        return str(value)
    folder: Path = (info.context or {}).get("folder", Path())
    if not isinstance(value, str) or not _is_path(value, folder):
        raise ValueError(f"{data.ALLOWED}{nearest(value, data.NAMES)}")
    place = value.rpartition(":")[0] if is_reference(value) else value
    try:
        (folder / place).resolve()
    except (OSError, RuntimeError) as err:
        raise ValueError(f"a path that can be followed ({err})") from err
    return value


def _is_path(value: str, folder: Path) -> bool:
    """Return whether a text is meant as a path or a function, and not as a name that is misspelt."""
    if not value.isprintable() or len(value) > MAX_PATH:
        return False
    is_file_name = value.lower().endswith((".npz", *data.FOREIGN_SUFFIXES))
    looks_like_one = is_reference(value) or is_file_name or "/" in value or "\\" in value
    return looks_like_one or os.path.isdir(folder / value)  # noqa: PTH112 (`is_dir` raises where a name is too long)


DatasetName: TypeAlias = Annotated[
    str,
    PlainValidator(_check_dataset),
    any_of({"enum": list(data.NAMES)}, {"type": "string", "pattern": r"\.npz$|[/\\:]"}),
]


def own_seeds(number: int, named: Collection[int]) -> tuple[int, ...]:
    """Return so many seeds of runs that find a rate: the smallest from 1,000,000 on that are not `named`."""
    return tuple(islice((seed for seed in count(FIRST_OWN_SEED) if seed not in named), number))


def own_seed_list(value: object, named: Collection[int]) -> object:
    """Return a list of seeds as it is, and for a number so many `own_seeds`.

    Raises:
        ValueError: If the value is neither.
    """
    return _seed_list(value, lambda number: own_seeds(number, named))


def _seed_list(value: object, seeds: Callable[[int], tuple[int, ...]]) -> object:
    """Return a list as it is, and for a number so many `seeds`."""
    if isinstance(value, list | tuple):
        return value
    allowed = f"how many seeds (1 to {MAX_SEEDS}), or a list of them such as [0, 1, 2]"
    number = as_number(value, allowed)
    if not isinstance(number, int) or not 1 <= number <= MAX_SEEDS:
        raise ValueError(allowed)
    return seeds(number)


Item = TypeVar("Item", bound=Hashable)


def _distinct(values: tuple[Item, ...]) -> tuple[Item, ...]:
    if not values:
        raise ValueError("a list of at least one entry")
    value, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise ValueError(f"a list without duplicates ({value} appears {times} times)")
    return values


_SeedList: TypeAlias = Annotated[
    tuple[Annotated[Whole, Field(ge=0, lt=2**63)], ...], Field(max_length=MAX_SEEDS), AfterValidator(_distinct)
]
_SEEDS_SCHEMA = any_of(
    {"type": "integer", "minimum": 1, "maximum": MAX_SEEDS}, list_schema({"type": "integer", "minimum": 0})
)
Seeds: TypeAlias = Annotated[
    _SeedList, BeforeValidator(partial(_seed_list, seeds=lambda number: tuple(range(number)))), _SEEDS_SCHEMA
]
OwnSeeds: TypeAlias = Annotated[_SeedList, BeforeValidator(partial(own_seed_list, named=())), _SEEDS_SCHEMA]
"""A number stands for the first seeds from 1,000,000 on; `Spec` leaves out those that it names itself."""


def _check_backends(value: object) -> object:
    if value in ("installed", ("script",)):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError(f"a list such as [torch, keras], or installed{nearest(value, ['installed'])}")
    for item in value:
        if item not in BACKEND_NAMES:
            raise ValueError(f"a list of {', '.join(BACKEND_NAMES)}, or installed{nearest(item, BACKEND_NAMES)}")
    return _distinct(tuple(value))


Backends: TypeAlias = Annotated[
    Literal["installed"] | tuple[BackendName, ...],
    BeforeValidator(_check_backends),
    any_of({"const": "installed"}, list_schema({"enum": list(BACKEND_NAMES)})),
]

AUTO: Literal["auto"] = "auto"
ByMetric = TypeVar("ByMetric", bound=Mapping[Metric, tuple[float, ...] | float | Literal["auto"]])


def _check_fractions(by_metric: ByMetric) -> ByMetric:
    for metric, value in by_metric.items():
        values = value if isinstance(value, tuple) else () if value == AUTO else (value,)
        if metric.endswith("_accuracy") and not all(0 <= number <= 1 for number in values):
            raise at_key((metric,), "fractions from 0 to 1, such as 0.95 for 95 %")
    return by_metric


def _is_auto(value: object) -> str:
    return AUTO if value == AUTO else _GIVEN


def _check_type(value: object, kinds: tuple[type, ...], allowed: str) -> object:
    if not isinstance(value, kinds):
        raise ValueError(f"{allowed}, or {AUTO}{nearest(value, [AUTO])}")
    return value


_check_list = partial(_check_type, kinds=(list, tuple), allowed="a list such as [0.95, 0.97]")
_check_mapping = partial(_check_type, kinds=(Mapping,), allowed="targets by metric such as {test_accuracy: [0.95]}")
_GIVEN = "[given]"
Auto: TypeAlias = Annotated[Literal["auto"], Tag(AUTO)]
TargetList: TypeAlias = Annotated[
    tuple[Number, ...],
    AfterValidator(_distinct),
    BeforeValidator(_check_list),
    Field(json_schema_extra={"minItems": 1, "uniqueItems": True}),
]
MetricTargets: TypeAlias = Annotated[Auto | Annotated[TargetList, Tag(_GIVEN)], Discriminator(_is_auto)]
TargetsByMetric: TypeAlias = Annotated[
    dict[Metric, MetricTargets],
    AfterValidator(_check_fractions),
    BeforeValidator(_check_mapping),
    Field(json_schema_extra={"propertyNames": {"anyOf": [*_METRIC_SCHEMAS]}}),
]
Targets: TypeAlias = Annotated[Auto | Annotated[TargetsByMetric, Tag(_GIVEN)], Discriminator(_is_auto)]
TRAIN_SECONDS: Literal["train_seconds"] = "train_seconds"
Published: TypeAlias = Annotated[
    dict[Metric | Literal["train_seconds"], Annotated[Number, Field(ge=0)]], AfterValidator(_check_fractions)
]

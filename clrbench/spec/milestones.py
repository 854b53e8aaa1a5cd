"""The milestones of a schedule: from which length on the rate is so many times the first one."""

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from clrbench.spec.part import at_key
from clrbench.spec.quantities import LENGTH_PATTERN, Length, as_number, parse_span

MAX_MILESTONES = 100
MAX_FACTOR = 1e6

_ALLOWED = f"1 to {MAX_MILESTONES} lengths and factors of lr, such as {{6 epochs: 0.1, 9 epochs: 0.01}}"
_ASCENDING = "lengths in one unit that grow from each to the next"
_Milestones: TypeAlias = tuple[tuple[Length, float], ...]


def _parse(value: object) -> _Milestones:
    if not isinstance(value, Mapping) or not 1 <= len(value) <= MAX_MILESTONES:
        raise ValueError(_ALLOWED)
    found: list[tuple[Length, float]] = []
    for key, factor in value.items():
        try:
            length = parse_span(key)
        except ValueError as err:
            raise at_key((str(key),), f"{err} as the key") from err
        if found and (length.unit != found[-1][0].unit or length.amount <= found[-1][0].amount):
            raise at_key((str(key),), f"{_ASCENDING}; {length} comes after {found[-1][0]}")
        found.append((length, _factor(str(key), factor)))
    return tuple(found)


def _factor(key: str, value: object) -> float:
    allowed = f"a factor of lr greater than 0 and at most {MAX_FACTOR:g}"
    try:
        factor = as_number(value, allowed)
    except ValueError as err:
        raise at_key((key,), allowed) from err
    if not isinstance(factor, int | float) or not isfinite(factor) or not 0 < factor <= MAX_FACTOR:
        raise at_key((key,), allowed)
    return float(factor)


def _plain(milestones: _Milestones) -> dict[str, float]:
    return {length.written(): factor for length, factor in milestones}


Milestones: TypeAlias = Annotated[
    _Milestones,
    PlainValidator(_parse),
    PlainSerializer(_plain, return_type=dict[str, float]),
    WithJsonSchema(
        {
            "type": "object",
            "patternProperties": {LENGTH_PATTERN: {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_FACTOR}},
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": MAX_MILESTONES,
            "examples": [{"6 epochs": 0.1, "9 epochs": 0.01}],
        }
    ),
]

"""The values a spec is made of: numbers, names, lengths with a unit and shares of rows."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypeAlias, cast

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from clrbench.spec.messages import nearest

Unit: TypeAlias = Literal["epochs", "steps", "cycles"]

MAX_AMOUNT = 1e8
"""Of epochs, steps, cycles or rows."""
MAX_TEXT = 100
"""Matching a quantity takes time in the square of its length, or its cube."""


def _plain_number(amount: float) -> str:
    return str(amount).removesuffix(".0")


@dataclass(frozen=True)
class Length:
    """How long something lasts: an amount (> 0) and its unit."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        """Return the length as people write it, such as `1 epoch`."""
        return self.written().removesuffix("s") if self.amount == 1 else self.written()

    def written(self) -> str:
        """Return the length as files hold it, such as `1 epochs`: what runs are known by does not change with the wording."""
        return f"{_plain_number(self.amount)} {self.unit}"


@dataclass(frozen=True)
class Clock:
    """What turns lengths into steps; `num_steps` are those of the whole run, or of the part that a schedule covers."""

    steps_per_epoch: int
    num_steps: int

    def steps(self, length: Length) -> int:
        """Return a length in epochs or steps as a whole number of steps, at least 1."""
        per_unit = self.steps_per_epoch if length.unit == "epochs" else 1
        return max(1, round(length.amount * per_unit))


def as_number(value: object, kind: str = "a number") -> object:
    """Return a number as it is, and text such as `1e-3`, which PyYAML does not take for a number, as one."""
    if isinstance(value, bool):
        raise ValueError(kind)
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(kind) from None
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number: TypeAlias = Annotated[float, BeforeValidator(as_number), Field(allow_inf_nan=False)]
Whole: TypeAlias = Annotated[int, BeforeValidator(partial(as_number, kind="a whole number"))]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]
Fraction: TypeAlias = Annotated[Number, Field(ge=0, lt=1)]
NAME_PATTERN = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"
Name: TypeAlias = Annotated[str, Field(pattern=NAME_PATTERN)]

_NUMBER = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
_QUANTITY = re.compile(rf"(?P<amount>{_NUMBER})(?P<unit>[A-Za-z%]+)\s*")
_SINGULAR = {"epoch": "epochs", "step": "steps", "cycle": "cycles", "row": "rows"}


def _parse(value: object, units: tuple[str, ...], allowed: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) and len(value) <= MAX_TEXT else None
    if match is None:
        raise ValueError(allowed)
    unit = _SINGULAR.get(match["unit"], match["unit"])
    if unit not in units:
        raise ValueError(f"{allowed}{nearest(unit, units)}")
    return float(match["amount"]), unit


def _parse_length(value: object, units: tuple[Unit, ...]) -> Length:
    if isinstance(value, Length):
        return value
    amount, unit = _parse(value, units, f"a length with a unit ({', '.join(units)}), such as '2 {units[0]}'")
    if not 0 < amount <= MAX_AMOUNT or (unit == "steps" and not amount.is_integer()):
        raise ValueError(f"a length greater than 0 and at most {MAX_AMOUNT:g}, steps in whole numbers")
    return Length(amount, cast(Unit, unit))


def _length_pattern(*units: Unit) -> str:
    return rf"^{_NUMBER}({'|'.join(f'{unit[:-1]}s?' for unit in units)})\s*$"


def _length_schema(*units: Unit) -> WithJsonSchema:
    pattern = _length_pattern(*units)
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [f"2 {unit}" for unit in units]})


Duration: TypeAlias = Annotated[
    Length,
    PlainValidator(partial(_parse_length, units=("epochs", "steps", "cycles"))),
    PlainSerializer(Length.written, return_type=str),
    _length_schema("epochs", "steps", "cycles"),
]
parse_span = partial(_parse_length, units=("epochs", "steps"))
"""Return a text such as `2 epochs` as a length; a ValueError says what is allowed."""
LENGTH_PATTERN = _length_pattern("epochs", "steps")
Span: TypeAlias = Annotated[
    Length,
    PlainValidator(parse_span),
    PlainSerializer(Length.written, return_type=str),
    _length_schema("epochs", "steps"),
]


@dataclass(frozen=True)
class Share:
    """A part of a whole: so many rows, or so many per cent."""

    amount: float
    unit: Literal["rows", "%"]

    def __str__(self) -> str:
        """Return the share as people write it, such as `1 row`."""
        return "1 row" if self == Share(1, "rows") else self.written()

    def written(self) -> str:
        """Return the share as files hold it, such as `5000 rows`."""
        return f"{_plain_number(self.amount)} {self.unit}"

    def rows(self, num_rows: int) -> int:
        """Return how many of `num_rows` rows this is."""
        return round(self.amount if self.unit == "rows" else num_rows * self.amount / 100)


def _parse_share(value: object) -> Share:
    if isinstance(value, Share):
        return value
    amount, unit = _parse(value, ("rows", "%"), "a number of rows or a percentage, such as '5000 rows' or '10 %'")
    if unit == "rows" and amount >= 0 and amount.is_integer() and amount <= MAX_AMOUNT:
        return Share(amount, "rows")
    if unit == "%" and 0 <= amount < 100:
        return Share(amount, "%")
    raise ValueError("a whole number of rows, 0 or more, or a percentage from 0 to below 100")


ShareOfRows: TypeAlias = Annotated[
    Share,
    PlainValidator(_parse_share),
    PlainSerializer(Share.written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^{_NUMBER}(rows?|%)\s*$", "examples": ["5000 rows", "10 %"]}),
]


def _parse_percentage(value: object) -> Share:
    allowed = "a percentage greater than 0 and at most 100, such as '20 %'"
    if isinstance(value, Share):
        return value
    amount, _ = _parse(value, ("%",), allowed)
    if not 0 < amount <= 100:
        raise ValueError(allowed)
    return Share(amount, "%")


Percentage: TypeAlias = Annotated[
    Share,
    PlainValidator(_parse_percentage),
    PlainSerializer(Share.written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^{_NUMBER}%\s*$", "examples": ["20 %"]}),
]

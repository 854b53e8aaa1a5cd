"""A look at the verdict of a backend, as `experiment.json` keeps it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, NamedTuple, TypeAlias, get_args

from clrbench.records import Json

LookStatus: TypeAlias = Literal["charged", "pending", "free"]


class LookPlan(NamedTuple):
    """What a look was to decide, as the spec asked for it, whatever was finished by then."""

    asked_seeds: tuple[int, ...]
    metric: str
    margin: float | None
    alpha: float
    comparisons: tuple[str, ...]


@dataclass(frozen=True)
class Look:
    """A time that the numbers behind the verdict of a backend were shown.

    Attributes:
        asked_seeds: The seeds of the spec, ascending.
        comparisons: Each candidate and its baseline, by name.
        shown_seeds: The seeds that a number was shown of, ascending; not those of pairs with mixed provenance.
        runs: SHA-256, in hex, of which runs were compared, whatever their arms are called.
        num_pairs: Pairs of the comparison that had most, in this metric.
        index: The verdict is judged at alpha / index.
        status: `charged` where it could have decided; `pending` where it could have, had its experiment been finished;
            `free` where its pairs were too few.
    """

    backend: str
    metric: str
    margin: float | None
    alpha: float
    asked_seeds: tuple[int, ...]
    comparisons: tuple[str, ...]
    shown_seeds: tuple[int, ...]
    runs: str
    num_pairs: int
    index: int = 1
    status: LookStatus = "charged"

    @property
    def plan(self) -> LookPlan:
        """What it was to decide."""
        return LookPlan(self.asked_seeds, self.metric, self.margin, self.alpha, self.comparisons)

    def is_same_as(self, other: "Look") -> bool:
        """Return whether another look showed the same numbers for the same question."""
        return self._shown == other._shown

    @property
    def _shown(self) -> tuple[object, ...]:
        return self.backend, self.metric, self.margin, self.alpha, self.asked_seeds, self.runs, self.num_pairs


_COLUMNS = {field.name for field in fields(Look)}
_TEXTS = ("backend", "metric", "runs")
_NUMBERS = ("alpha", "num_pairs", "index")
_LISTS: tuple[tuple[str, type], ...] = (("asked_seeds", int), ("comparisons", str), ("shown_seeds", int))


def look_to_json(look: Look) -> dict[str, Json]:
    """Return a look as `experiment.json` holds it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(look).items()}


def is_look(content: Json) -> bool:
    """Return whether this is what `look_to_json` returns."""
    return (
        isinstance(content, dict)
        and content.keys() == _COLUMNS
        and all(isinstance(content[name], str) for name in _TEXTS)
        and all(isinstance(content[name], int | float) for name in _NUMBERS)
        and isinstance(content["margin"], int | float | None)
        and all(_is_list_of(content[name], kind) for name, kind in _LISTS)
        and content["status"] in get_args(LookStatus)
    )


def look_from_json(content: Mapping[str, Json]) -> Look:
    """Return a look from what `experiment.json` holds; see `is_look`."""
    # `is_look` has seen that each value is of the type of its field.
    return Look(**{name: tuple(value) if isinstance(value, list) else value for name, value in content.items()})  # type: ignore[arg-type]


def _is_list_of(content: Json, kind: type) -> bool:
    return isinstance(content, list) and all(isinstance(item, kind) for item in content)

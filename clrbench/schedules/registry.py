"""The schedules that a spec can name, each under the name of its function."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, TypeAlias, TypeVar

from annotated_types import Gt, Le

from clrbench.records import DoubleArray

Factor: TypeAlias = Annotated[float, Gt(0), Le(1)]
Make = TypeVar("Make", bound=Callable[..., DoubleArray])


@dataclass(frozen=True)
class Kind:
    """A kind of schedule.

    Attributes:
        make: Takes the number of steps and, by keyword, all that `parameters` names; returns float64[num_steps].
        summary: One sentence, for the JSON Schema of a spec.
    """

    make: Callable[..., DoubleArray]
    summary: str

    @cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """The parameters of `make` but the number of steps, their annotations resolved."""
        _, *others = inspect.signature(self.make, eval_str=True).parameters.values()
        return {parameter.name: parameter for parameter in others}


_kinds: dict[str, Kind] = {}
SCHEDULES: Mapping[str, Kind] = MappingProxyType(_kinds)
"""Every schedule by its name in a spec, in the order of registration."""


def register(summary: str) -> Callable[[Make], Make]:
    """Return a decorator that lets a spec name a schedule by the name of its function.

    The summary, one sentence, is for the JSON Schema of a spec; the keys of the spec follow from the signature:

    - `lr`, or else `max_lr`, is the rate that an arm may be tuned by or take from a range test; other `*_lr` are rates.
    - `base_lr`, `max_lr` and `step_size` together, or `lr` and `end_lr`, are the keys of a cyclic schedule or a decay.
    - `*_steps` is a length with a unit, under the name without `_steps`, and `*_share` a percentage, likewise.
    - `milestones` are factors by length, and `rates` are read from the CSV file that the key `file` names.
    - `steps_per_epoch` is no key; it is filled in.
    - Any other `float` or `int` is a number within the bounds of its annotation, and a `Literal` is one of its words.
    """

    def decorate(make: Make) -> Make:
        _kinds[make.__name__] = Kind(make, summary)
        return make

    return decorate

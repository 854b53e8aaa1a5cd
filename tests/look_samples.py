"""Looks at an experiment, and what they are charged."""

from collections.abc import Callable
from typing import Any, cast

from store_samples import sample_look

from clrbench.analysis.looks import looked_at, with_look
from clrbench.analysis.results import Results
from clrbench.store import Look, ResultsFolder


def indexes(*looks: Look) -> list[tuple[int, str]]:
    """Return index and status of each look, when it is taken."""
    taken, found = (), []
    for look in looks:
        taken = with_look(taken, look)
        (kept,) = (one for one in taken if one.is_same_as(look))
        found.append((kept.index, kept.status))
    return found


def seeds(number: int, **changes: Any) -> Look:
    """Return a look at the first seeds."""
    return sample_look(*range(number), **changes)


def half_way(finished: int, asked: int, **changes: Any) -> Look:
    """Return a look at an experiment of which so many pairs of all are finished."""
    others = {"asked_seeds": tuple(range(asked)), "status": "pending"}
    return seeds(finished, **{**others, **changes})


class Folder:
    """The looks that a folder would keep."""

    def __init__(self) -> None:
        self.looks: tuple[Look, ...] = ()

    def record_looks(self, change: Callable[[tuple[Look, ...]], tuple[Look, ...]]) -> tuple[Look, ...]:
        self.looks = change(self.looks)
        return self.looks


def looked(results: Results, folder: Folder) -> Results:
    """Return results that were looked at, as they stand in a folder."""
    # Of a folder, `looked_at` takes nothing but `record_looks`.
    return looked_at(results, cast(ResultsFolder, folder))

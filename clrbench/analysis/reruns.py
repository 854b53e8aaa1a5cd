"""Whether a run that was made again is the same run: a pure comparison of the tables that both left behind."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from clrbench.records import DoubleArray

TOLERANCE = 1e-3
"""Largest difference of a value that counts as rounding: absolute, plus as much of the value itself.

On one processor with one set of versions a run comes out the same bit for bit. Others add float32 numbers in another
order, and training lets that rounding grow: a run stays within this for tens to thousands of updates, then leaves it.
"""

ROUNDING = 1e-5
"""Largest relative difference of two losses that other arithmetic alone makes in an update: some 100 float32 roundings."""

BoolArray: TypeAlias = npt.NDArray[np.bool_]


class Outcome(StrEnum):
    """How much alike two runs are."""

    BIT_EQUAL = "bit-equal"
    WITHIN_TOLERANCE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Parting:
    """Where one column of two runs' tables parts.

    Attributes:
        column: Its name.
        num_rows: How many rows were compared.
        num_apart: How many of them differ.
        first_step: The first that does, by its updates done; None where none does.
        first_relative: By how much it does, as a share of the larger value.
        largest_absolute: Largest difference; infinite where one value alone is nan.
        largest_absolute_step: Where it is; None where none differs.
        largest_relative: Largest difference as a share of the larger value.
        largest_relative_step: Where it is; None where none differs.
        within: Whether every row is within the tolerance.
    """

    column: str
    num_rows: int
    num_apart: int
    first_step: int | None
    first_relative: float
    largest_absolute: float
    largest_absolute_step: int | None
    largest_relative: float
    largest_relative_step: int | None
    within: bool


@dataclass(frozen=True)
class RunTables:
    """What a run left behind: a row an update, and a row an evaluation."""

    steps: pd.DataFrame
    evaluations: pd.DataFrame


@dataclass(frozen=True)
class Likeness:
    """A run and its rerun side by side.

    Attributes:
        updates: Of each column with a row an update.
        evaluations: Of each column with a row an evaluation.
        same_rows: Whether both runs have the same updates and evaluations.
        last_evaluation: Each metric at the last evaluation that both have, as it was and as it is now.
    """

    updates: tuple[Parting, ...]
    evaluations: tuple[Parting, ...]
    same_rows: bool
    last_evaluation: dict[str, tuple[float, float]]

    @property
    def outcome(self) -> Outcome:
        """How much alike the two runs are."""
        partings = (*self.updates, *self.evaluations)
        if not self.same_rows or not all(parting.within for parting in partings):
            return Outcome.DIFFERENT
        return Outcome.WITHIN_TOLERANCE if any(parting.num_apart for parting in partings) else Outcome.BIT_EQUAL

    @property
    def begins_as_rounding(self) -> bool:
        """Whether the first update that parts does so by no more than other arithmetic explains."""
        return self.same_rows and self.first_update is not None and self.first_update.first_relative <= ROUNDING

    @property
    def first_update(self) -> Parting | None:
        """The column of the updates that parts first, or None."""
        return _first(self.updates)

    @property
    def first_evaluation(self) -> Parting | None:
        """The column of the evaluations that parts first, or None."""
        return _first(self.evaluations)


def compare(before: RunTables, after: RunTables) -> Likeness:
    """Return a run and its rerun side by side; where one of them has more rows, those that both have.

    Args:
        before: The run as it was made first.
        after: The same run, made again.
    """
    steps, evaluations = _shared(before.steps, after.steps), _shared(before.evaluations, after.evaluations)
    last = {
        str(column): (float(evaluations[0][column].iloc[-1]), float(evaluations[1][column].iloc[-1]))
        for column in _values(evaluations[0])
        if len(evaluations[0]) and not (evaluations[0][column].isna().all() and evaluations[1][column].isna().all())
    }
    return Likeness(
        updates=tuple(_partings(*steps)),
        evaluations=tuple(_partings(*evaluations)),
        same_rows=all(
            table.equals(other)
            for table, other in (
                (before.steps["step"], after.steps["step"]),
                (before.evaluations["step"], after.evaluations["step"]),
            )
        ),
        last_evaluation=last,
    )


def _shared(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of two tables that have their updates in common."""
    return before[before["step"].isin(after["step"])], after[after["step"].isin(before["step"])]


def _values(table: pd.DataFrame) -> list[str]:
    return [str(column) for column in table if column not in {"step", "epoch"}]


def _partings(before: pd.DataFrame, after: pd.DataFrame) -> Iterable[Parting]:
    steps = before["step"].to_numpy()
    for column in _values(before):
        yield _parting(column, steps, before[column].to_numpy(np.float64), after[column].to_numpy(np.float64))


def _parting(column: str, steps: npt.NDArray[np.int64], before: DoubleArray, after: DoubleArray) -> Parting:
    apart = np.flatnonzero(~_same(before, after))
    if not len(apart):
        return Parting(column, len(steps), 0, None, 0.0, 0.0, None, 0.0, None, within=True)
    absolute, relative = _differences(before[apart], after[apart])
    return Parting(
        column=column,
        num_rows=len(steps),
        num_apart=len(apart),
        first_step=int(steps[apart[0]]),
        first_relative=float(relative[0]),
        largest_absolute=float(absolute.max()),
        largest_absolute_step=int(steps[apart[absolute.argmax()]]),
        largest_relative=float(relative.max()),
        largest_relative_step=int(steps[apart[relative.argmax()]]),
        within=bool(np.isclose(after, before, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).all()),
    )


def _same(before: DoubleArray, after: DoubleArray) -> BoolArray:
    """Return where two values are the same, bit for bit; all nan are one."""
    both_nan = np.isnan(before) & np.isnan(after)
    same: BoolArray = both_nan | ((before == after) & (np.signbit(before) == np.signbit(after)))
    return same


def _differences(before: DoubleArray, after: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return by how much values differ, absolutely and relatively; infinitely where one of them is not finite."""
    finite = np.isfinite(before) & np.isfinite(after)
    absolute = np.full(len(before), np.inf)
    absolute[finite] = np.abs(after[finite] - before[finite])
    larger = np.maximum(np.abs(before), np.abs(after))
    relative = np.full(len(before), np.inf)
    # Zeros of two signs differ in a bit, and by nothing.
    relative[finite] = absolute[finite] / np.where(larger[finite] > 0, larger[finite], 1.0)
    return absolute, relative


def _first(partings: Iterable[Parting]) -> Parting | None:
    apart = [parting for parting in partings if parting.first_step is not None]
    return min(apart, key=lambda parting: parting.first_step or 0, default=None)

"""Whether a run that was made again is the same run: a pure comparison of the tables that both left behind."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pandas as pd

from clrbench.records import BoolArray, DoubleArray

TOLERANCE = 1e-3
"""Largest difference of a value that counts as rounding: absolute, plus as much of the value itself.

On one processor with one set of versions a run comes out the same bit for bit. Others add float32 numbers in another
order, and training lets that rounding grow: a run stays within this for tens to thousands of updates, then leaves it.
"""

ROUNDING = 1e-5
"""Largest relative difference of two losses that other arithmetic alone makes in an update: some 100 float32 roundings."""


class Outcome(StrEnum):
    """How much alike two runs are."""

    BIT_EQUAL = "bit-equal"
    WITHIN_TOLERANCE = "within tolerance"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Parting:
    """Where one column of two runs' tables parts.

    Attributes:
        num_apart: How many of the `num_rows` compared differ.
        first_step: The number of updates done where the first of them does; None where none does.
        first_relative: The difference there, as a share of the larger value.
        largest_absolute: Largest difference; infinite where one value alone is nan.
        largest_relative: Largest difference as a share of the larger value.
        within: Whether every row is within the tolerance.
    """

    column: str
    num_rows: int
    num_apart: int = 0
    first_step: int | None = None
    first_relative: float = 0.0
    largest_absolute: float = 0.0
    largest_absolute_step: int | None = None
    largest_relative: float = 0.0
    largest_relative_step: int | None = None
    within: bool = True


@dataclass(frozen=True)
class RunTables:
    """What a run left behind: one row per update, one row per evaluation, and which test rows are right at the end, if any."""

    steps: pd.DataFrame
    evaluations: pd.DataFrame
    test_hits: BoolArray | None = None


@dataclass(frozen=True)
class Likeness:
    """A run and its rerun side by side.

    Attributes:
        updates: Of each column with one row per update.
        evaluations: Of each column with one row per evaluation.
        same_rows: Whether both runs have the same updates and evaluations.
        hits_apart: How many test rows are right at the end of one of the two runs alone; all of them where one has no hits.
        last_evaluation: Each metric at the last evaluation that both have, as it was and as it is now.
    """

    updates: tuple[Parting, ...]
    evaluations: tuple[Parting, ...]
    same_rows: bool
    hits_apart: int
    last_evaluation: dict[str, tuple[float, float]]

    @property
    def outcome(self) -> Outcome:
        """How much alike the two runs are."""
        partings = (*self.updates, *self.evaluations)
        if not self.same_rows or not all(parting.within for parting in partings):
            return Outcome.DIFFERENT
        if any(parting.num_apart for parting in partings):
            return Outcome.WITHIN_TOLERANCE
        # Rounding that leaves every loss as it was turns no row.
        return Outcome.DIFFERENT if self.hits_apart else Outcome.BIT_EQUAL

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

    A column that only one of them has, as a script may write, is nan in the other.
    """
    then, now = _aligned(before.evaluations, after.evaluations)
    measured = [column for column in then if then[column].notna().any() or now[column].notna().any()]
    last = {str(column): (float(then[column].iloc[-1]), float(now[column].iloc[-1])) for column in measured}
    return Likeness(
        updates=_partings(*_aligned(before.steps, after.steps)),
        evaluations=_partings(then, now),
        same_rows=before.steps["step"].equals(after.steps["step"])
        and before.evaluations["step"].equals(after.evaluations["step"]),
        hits_apart=_hits_apart(before.test_hits, after.test_hits),
        last_evaluation=last,
    )


def _hits_apart(before: BoolArray | None, after: BoolArray | None) -> int:
    if before is None or after is None or len(before) != len(after):
        return max(0 if hits is None else len(hits) for hits in (before, after))
    return int((before != after).sum())


def _aligned(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the values of two tables by updates done: in the rows that both have, and in the columns that either has."""
    then, now = _shared(before, after), _shared(after, before)
    columns = list(dict.fromkeys([*then, *now]))
    return then.reindex(columns=columns), now.reindex(columns=columns)


def _shared(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the values of a table by updates done, without the rows that the other table lacks."""
    return table[table["step"].isin(other["step"])].set_index("step").drop(columns="epoch", errors="ignore")


def _partings(before: pd.DataFrame, after: pd.DataFrame) -> tuple[Parting, ...]:
    steps, (then, now) = before.index.to_numpy(), (before.astype(np.float64), after.astype(np.float64))
    return tuple(_parting(str(column), steps, then[column].to_numpy(), now[column].to_numpy()) for column in then)


def _parting(column: str, steps: npt.NDArray[np.int64], before: DoubleArray, after: DoubleArray) -> Parting:
    same = (before == after) & (np.signbit(before) == np.signbit(after))
    apart = np.flatnonzero(~same & ~(np.isnan(before) & np.isnan(after)))
    if not len(apart):
        return Parting(column, len(before))
    absolute, relative = _differences(before[apart], after[apart])
    steps = steps[apart]
    return Parting(
        column=column,
        num_rows=len(before),
        num_apart=len(apart),
        first_step=int(steps[0]),
        first_relative=float(relative[0]),
        largest_absolute=float(absolute.max()),
        largest_absolute_step=int(steps[absolute.argmax()]),
        largest_relative=float(relative.max()),
        largest_relative_step=int(steps[relative.argmax()]),
        within=bool(np.isclose(after, before, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True).all()),
    )


def _differences(before: DoubleArray, after: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return by how much values differ, absolutely and relatively; infinitely where one of them is not finite."""
    finite = np.isfinite(before) & np.isfinite(after)
    absolute, relative = np.full(len(before), np.inf), np.full(len(before), np.inf)
    absolute[finite] = np.abs(after[finite] - before[finite])
    larger = np.maximum(np.abs(before), np.abs(after))[finite]
    # Zeros of two signs differ in a bit, and by nothing.
    relative[finite] = absolute[finite] / np.where(larger > 0, larger, 1.0)
    return absolute, relative


def _first(partings: tuple[Parting, ...]) -> Parting | None:
    apart = [parting for parting in partings if parting.first_step is not None]
    return min(apart, key=lambda parting: parting.first_step or 0, default=None)

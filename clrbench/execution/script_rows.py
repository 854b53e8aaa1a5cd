"""What a training script wrote: the rows of its metrics.csv, checked, by column and step."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clrbench.counted import counted
from clrbench.metric_names import ALLOWED_COLUMNS, is_column
from clrbench.records import BoolArray, DoubleArray
from clrbench.spec.reader import shortened

MAX_BYTES = 500_000_000
"""Of metrics.csv; a longer one is taken for a mistake."""
RATE_TOLERANCE = 1e-3
"""Largest relative difference between a rate that a script says it used and that of its table; it may write four digits."""
END_BYTES = 1000
"""Of what was read, by which a file that grows is told from one that was written anew."""
FIRST_LOSSES = 10
"""The largest of so many is what an untrained network may lose on a mini-batch."""
STEP = "step"
_HEADER = (
    "its first line must name the columns, separated by commas: step, then any of lr, train_loss, test_accuracy, ..."
)
_STEPS = "step n means after n updates, so the first is 1"


class RowsError(ValueError):
    """What a script wrote cannot be its run; says what, and in which line."""


@dataclass(frozen=True, eq=False)
class Rows:
    """What a script wrote.

    Attributes:
        columns: float64[num_steps] by name, entry i after i + 1 updates; nan where nothing was written.
        written: bool[num_steps] likewise, where something was, be it nan.
    """

    num_steps: int
    columns: Mapping[str, DoubleArray] = field(default_factory=dict)
    written: Mapping[str, BoolArray] = field(default_factory=dict)

    def of(self, name: str) -> DoubleArray:
        """Return a column; nan throughout where it was never written."""
        found = self.columns.get(name)
        return np.full(self.num_steps, np.nan) if found is None else found

    @property
    def own(self) -> tuple[str, ...]:
        """The columns, step and rate left out."""
        return tuple(name for name in self.columns if name not in {STEP, "lr"})

    @property
    def last_step(self) -> int:
        """The last step that anything was written for; 0 for none."""
        places = [int(np.flatnonzero(there)[-1]) + 1 for there in self.written.values() if there.any()]
        return max(places, default=0)

    def diverged(self, factor: float) -> tuple[int, str] | None:
        """Return the step after which a run has diverged, and why; None where it has not.

        It has where a loss is not finite, or one of training exceeds `factor` times the largest of the first ones; one alone may
        be next to nothing by chance.
        """
        found = [_first_beyond(self, name, factor) for name in self.columns if name.rpartition("_")[2] == "loss"]
        return min((one for one in found if one is not None), default=None)


def _first_beyond(rows: Rows, name: str, factor: float) -> tuple[int, str] | None:
    values, there = rows.columns[name], rows.written[name]
    limit = math.inf
    finite = values[there & np.isfinite(values)]
    if name == "train_loss" and len(finite):
        limit = _limit(finite[:FIRST_LOSSES].tolist(), factor)
    beyond = np.flatnonzero(there & ~((values <= limit) & np.isfinite(values)))
    if not len(beyond):
        return None
    step, value = int(beyond[0]) + 1, float(values[beyond[0]])
    what = f"past {limit:.4g}, {factor:g} times the largest of the first ones" if math.isfinite(value) else "not finite"
    return step, f"{name} after update {step} is {value:.4g}, {what}"


def _limit(first: Sequence[float], factor: float) -> float:
    """Return the loss beyond which a run has diverged, by its first losses; without a limit where they are not positive."""
    largest = max(first, default=0.0)
    return factor * largest if largest > 0 else math.inf


def read_rows(path: Path, num_steps: int, *, resumed: bool) -> Rows:
    """Return what a script wrote; a run that was `resumed` may have written steps again, of which the last counts.

    Raises:
        RowsError: If there is nothing, or it is no table of numbers by step.
        OSError: If it cannot be read.
    """
    if not path.is_file():
        raise RowsError(
            "wrote no metrics.csv into its run folder, which the environment variable CLRBENCH_RUN names; write one, with a "
            "row step,test_accuracy or the like, or call clrbench.current_run().log(step, ...)"
        )
    if path.stat().st_size > MAX_BYTES:
        raise RowsError(f"wrote more than {MAX_BYTES / 1e6:g} MB into metrics.csv; write at most one row per update")
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            return _collect(csv.reader(file), num_steps, resumed=resumed)
        except (UnicodeDecodeError, csv.Error) as err:
            raise RowsError(f"wrote a metrics.csv that is not CSV in UTF-8 ({err}); {_HEADER}") from err


def _collect(lines: Iterator[list[str]], num_steps: int, *, resumed: bool) -> Rows:
    names = _names(next(lines, []))
    columns = {name: np.full(num_steps, np.nan) for name in names if name != STEP}
    written = {name: np.zeros(num_steps, np.bool_) for name in columns}
    at_step = names.index(STEP)
    for number, cells in enumerate(lines, 2):
        if not any(cell.strip() for cell in cells) or [cell.strip() for cell in cells] == names:
            continue  # an empty line, or the header once more
        if len(cells) > len(names):
            raise RowsError(
                f"line {number} of metrics.csv has {counted(len(cells), 'field')}, and its first line {len(names)}"
            )
        place = _step(cells[at_step] if at_step < len(cells) else "", number, num_steps) - 1
        for name, cell in zip(names, cells, strict=False):
            if name == STEP or not cell.strip():
                continue
            value = _number(cell, name, number)
            before = float(columns[name][place])
            same = before == value or (math.isnan(before) and math.isnan(value))
            if written[name][place] and not (resumed or same):
                raise RowsError(
                    f"line {number} of metrics.csv gives {name} of step {place + 1} once more, {before:.6g} and "
                    f"then {value:.6g}; {_STEPS}, and each has one value"
                )
            columns[name][place], written[name][place] = value, True
    if not any(there.any() for there in written.values()):
        raise RowsError("wrote nothing but the header into metrics.csv; write a row as soon as a value is known")
    return Rows(num_steps, columns, written)


def _names(header: Sequence[str]) -> list[str]:
    names = [name.strip() for name in header]
    if STEP not in names:
        raise RowsError(f"begins metrics.csv with {shortened(','.join(names))!r}; {_HEADER}")
    for name in names:
        if not is_column(name):
            raise RowsError(f"has the column {shortened(name)!r} in metrics.csv; {ALLOWED_COLUMNS}")
    if len(set(names)) < len(names):
        raise RowsError(f"has a column twice in metrics.csv: {shortened(','.join(names))}")
    return names


def _step(cell: str, line: int, num_steps: int) -> int:
    try:
        step = float(cell)
    except ValueError:
        raise RowsError(f"line {line} of metrics.csv has the step {shortened(cell)!r}; {_STEPS}") from None
    if not step.is_integer() or not 1 <= step <= num_steps:
        raise RowsError(f"line {line} of metrics.csv has the step {cell.strip()}; {_STEPS}, and the last {num_steps}")
    return int(step)


def _number(cell: str, name: str, line: int) -> float:
    try:
        return float(cell)
    except ValueError:
        raise RowsError(f"line {line} of metrics.csv has {name} {shortened(cell)!r}, which is not a number") from None


def check_rates(rows: Rows, lr: DoubleArray) -> None:
    """Raise RowsError unless the rates that a script says it used are those of its table, float64[num_steps]."""
    said, there = rows.of("lr"), rows.written.get("lr")
    if there is None:
        return
    apart = np.flatnonzero(there & ~(np.abs(said - lr) <= RATE_TOLERANCE * lr))
    if len(apart):
        step = int(apart[0]) + 1
        raise RowsError(
            f"says that update {step} used a learning rate of {said[apart[0]]:.6g}, but its table, lr.csv, has "
            f"{lr[apart[0]]:.6g} there ({len(apart)} of {counted(int(there.sum()), 'rate')} differ); use the rate of every update"
        )


class Follower:
    """Reads metrics.csv while it grows: how far the script is, and whether there is nothing more to wait for."""

    def __init__(self, path: Path, num_steps: int, factor: float) -> None:
        self._path, self._num_steps, self._factor = path, num_steps, factor
        self._start()
        self.last_step = 0
        self.is_over = False
        """Whether it has diverged, has written a step that there is not, or has written far too much."""

    def _start(self) -> None:
        """Read from the beginning."""
        self._offset, self._end = 0, b""
        self._names, self._first = list[str](), list[float]()

    def look(self) -> None:
        """Read what has been added."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset - len(self._end))
                if file.read(len(self._end)) != self._end:
                    # It was written anew, with more columns perhaps. Its inode may be that of the file before the last.
                    self._start()
                    file.seek(0)
                added = file.read(MAX_BYTES)
        except OSError:
            return
        whole = added[: max(added.rfind(b"\n"), added.rfind(b"\r")) + 1]
        # As `read_rows` reads it: a mark of the byte order may stand before the header.
        text = whole.decode("utf-8" if self._offset else "utf-8-sig", errors="replace")
        self._offset += len(whole)
        self._end = (self._end + whole)[-END_BYTES:]
        self.is_over |= self._offset > MAX_BYTES
        with suppress(csv.Error):  # whoever reads it whole says what is wrong
            for fields in csv.reader(io.StringIO(text, newline="")):
                self._take([cell.strip() for cell in fields])

    def _take(self, cells: list[str]) -> None:
        """Take a line, of which the first names the columns."""
        if self._names:
            self._follow(dict(zip(self._names, cells, strict=False)))
        else:
            self._names = cells

    def _follow(self, row: Mapping[str, str]) -> None:
        try:
            step = int(float(row.get(STEP, "")))
            losses = {name: float(cell) for name, cell in row.items() if cell and name.rpartition("_")[2] == "loss"}
        except (ValueError, OverflowError):
            return  # whoever reads it whole says what is wrong
        self.last_step = max(self.last_step, min(step, self._num_steps))
        train_loss = losses.get("train_loss", math.nan)
        if math.isfinite(train_loss) and len(self._first) < FIRST_LOSSES:
            self._first.append(train_loss)
        limit = _limit(self._first, self._factor)
        self.is_over |= step > self._num_steps or not all(map(math.isfinite, losses.values())) or train_loss > limit

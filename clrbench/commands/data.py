"""The data sets that have names: what is here, fetching, checking."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from clrbench.data import NAMES, Library, Show, Status
from clrbench.errors import SpecError


@dataclass(frozen=True)
class DataStatus:
    """What is known of some data sets.

    Attributes:
        statuses: Of each.
        has_answer: Always.
    """

    statuses: Sequence[Status]
    has_answer = True

    @property
    def text(self) -> str:
        """A table, a row a data set."""
        head = ("name", "train rows", "test rows", "shape", "size", "licence", "state", "where")
        rows = [head, *map(_row, self.statuses)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    @property
    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"datasets": [_plain(status) for status in self.statuses]}


def _row(status: Status) -> tuple[str, ...]:
    sizes = status.sizes
    return (
        status.name,
        str(sizes.train_rows),
        str(sizes.test_rows),
        " x ".join(map(str, sizes.image_shape)),
        f"{_num_bytes(status) / 1e6:.0f} MB",
        status.licence,
        status.state,
        str(status.place or "-"),
    )


def _plain(status: Status) -> dict[str, Any]:
    plain = asdict(status)
    return {**plain.pop("sizes"), **plain, "place": status.place and str(status.place), "bytes": _num_bytes(status)}


def _num_bytes(status: Status) -> int:
    return (status.sizes.train_rows + status.sizes.test_rows) * prod(status.sizes.image_shape)


def list_datasets(library: Library) -> DataStatus:
    """Return what is known of every data set that has a name."""
    return DataStatus(library.statuses())


def fetch_dataset(library: Library, name: str, show: Show) -> DataStatus:
    """Fetch or make a data set unless it is there, and return what is known of it.

    Args:
        library: Has it.
        name: Its name.
        show: Shows how far it is.

    Raises:
        SpecError: If there is no such name.
        DataError: If it cannot be had.
    """
    _check_name(name)
    library.load(name, show)
    return DataStatus([library.status(name)])


def verify_dataset(library: Library, name: str) -> DataStatus:
    """Check every byte of a data set against its checksums, and return what is known of it.

    Raises:
        SpecError: If there is no such name.
        DataError: If it is not there, or damaged.
    """
    _check_name(name)
    library.verify(name)
    return DataStatus([library.status(name)])


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise SpecError(f"got {name!r}; allowed: {', '.join(NAMES)}")

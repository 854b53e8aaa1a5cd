"""`clrbench data list`, `fetch` and `verify`: the data sets that have names."""

from collections.abc import Sequence
from dataclasses import asdict
from math import prod

from clrbench.answer import Answer
from clrbench.data import NAMES, Library, Show, Status
from clrbench.errors import SpecError

HEAD = ("name", "train rows", "test rows", "shape", "size", "licence", "state", "where")


def list_datasets(library: Library) -> Answer:
    """Return what is known of every data set that has a name."""
    return _answer(library.statuses())


def fetch_dataset(library: Library, name: str, show: Show) -> Answer:
    """Fetch or make a data set unless it is here, and return what is known of it."""
    _check_name(name)
    library.load(name, show)
    return _answer([library.status(name)])


def verify_dataset(library: Library, name: str) -> Answer:
    """Check every byte of a data set against its checksums, and return what is known of it."""
    _check_name(name)
    library.verify(name)
    return _answer([library.status(name)])


def _answer(statuses: Sequence[Status]) -> Answer:
    rows = [HEAD, *map(_row, statuses)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return Answer("\n".join(lines), {"datasets": [_plain(status) for status in statuses]})


def _row(status: Status) -> tuple[str, ...]:
    rows, shape = (status.sizes.train_rows, status.sizes.test_rows), " x ".join(map(str, status.sizes.image_shape))
    size = f"{_num_bytes(status) / 1e6:.0f} MB"
    return (status.name, *map(str, rows), shape, size, status.licence, status.state, str(status.place or "-"))


def _plain(status: Status) -> dict[str, object]:
    plain = asdict(status)
    return {**plain.pop("sizes"), **plain, "place": status.place and str(status.place), "bytes": _num_bytes(status)}


def _num_bytes(status: Status) -> int:
    return (status.sizes.train_rows + status.sizes.test_rows) * prod(status.sizes.image_shape)


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise SpecError(f"got {name!r}; allowed: {', '.join(NAMES)}")

"""`clrbench data list`, `fetch` and `verify`: the data sets that have names."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console

from clrbench.answer import Answer
from clrbench.data import NAMES, Library, Show, Status
from clrbench.errors import SpecError
from clrbench.report.console import WordTable, print_line, print_table, rendered

_SIZE_HEADINGS = ("name", "train + test rows", "shape", "size", "licence")


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
    def text(width: int) -> str:
        return rendered(lambda console: _write(console, statuses), width).lstrip("\n")

    return Answer(text, {"datasets": [_plain(status) for status in statuses]})


def _write(console: Console, statuses: Sequence[Status]) -> None:
    print_table(console, WordTable("", _SIZE_HEADINGS, [_sizes(status) for status in statuses]), wrapping={4})
    states = [(one.name, f"{'+' if one.is_ready else '-'} {one.state}") for one in statuses]
    print_table(console, WordTable("", ("name", "state"), states), wrapping={1})
    console.print()
    for folder in dict.fromkeys(one.place.parent for one in statuses if one.place):
        print_line(console, "Folder", str(folder))


def _sizes(status: Status) -> tuple[str, ...]:
    sizes = status.sizes
    rows, shape = f"{sizes.train_rows} + {sizes.test_rows}", " x ".join(map(str, sizes.image_shape))
    return (status.name, rows, shape, f"{sizes.num_bytes / 1e6:.0f} MB", status.licence)


def _plain(status: Status) -> dict[str, object]:
    plain = asdict(status)
    return {**plain.pop("sizes"), **plain, "place": status.place and str(status.place), "bytes": status.sizes.num_bytes}


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise SpecError(f"got {name!r}; allowed: {', '.join(NAMES)}")

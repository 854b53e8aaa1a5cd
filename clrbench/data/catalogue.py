"""The data sets that are known by name: what they are, and how each is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from clrbench.data import cifar10, fashion_mnist, mnist, street_digits, svhn
from clrbench.data.content import Arrays, DatasetSizes
from clrbench.data.download import RemoteFile
from clrbench.data.progress import Show


@dataclass(frozen=True)
class Named:
    """A data set that has a name in specs, the licence of its images, and its sizes as published or rendered."""

    name: str
    licence: str
    sizes: DatasetSizes


@dataclass(frozen=True)
class Bundled(Named):
    """A data set in the package; `read` unpacks it, and verifies it, too.

    Attributes:
        checksum: The `content_checksum` of its arrays.
    """

    checksum: str
    read: Callable[[], Arrays]


@dataclass(frozen=True)
class Installed:
    """A copy of a published data set that a package of the system puts into a folder; `read` verifies it, too."""

    folder: Path
    is_there: Callable[[], bool]
    read: Callable[[], Arrays]


@dataclass(frozen=True)
class Fetched(Named):
    """A published data set that is downloaded on first use; `read` takes the path of each verified file, by its key."""

    files: Mapping[str, RemoteFile]
    read: Callable[[Mapping[str, Path]], Arrays]
    installed: Installed | None = None


@dataclass(frozen=True)
class Made(Named):
    """A data set that is rendered on first use; `made_with` returns the versions that its bytes depend on."""

    make: Callable[[Show], Arrays]
    made_with: Callable[[], str]


Entry: TypeAlias = Bundled | Fetched | Made


def _make_street_digits(show: Show) -> Arrays:
    sizes = street_digits.SIZES
    with show(f"{street_digits.NAME}: rendering images", sizes.train_rows + sizes.test_rows) as advance:
        return street_digits.make(advance=advance)


_DEBIAN = Installed(fashion_mnist.DEBIAN_FOLDER, fashion_mnist.has_debian_files, fashion_mnist.read_debian)
_ENTRIES: tuple[Entry, ...] = (
    Bundled("mnist", "CC BY-SA 3.0", mnist.SIZES, mnist.CHECKSUM, mnist.read),
    Fetched("fashion_mnist", "MIT", mnist.SIZES, fashion_mnist.FILES, fashion_mnist.read, _DEBIAN),
    Fetched("svhn", "non-commercial use only", svhn.SIZES, svhn.FILES, svhn.read),
    Fetched("cifar10", "not stated; cite Krizhevsky 2009", cifar10.SIZES, cifar10.FILES, cifar10.read),
    Made(
        street_digits.NAME,
        "none needed: rendered, a stand-in for SVHN",
        street_digits.SIZES,
        _make_street_digits,
        lambda: f"pillow-{version('pillow')}",
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}
NAMES = tuple(CATALOGUE)
STAND_INS = {street_digits.NAME: "SVHN"}
"""Data sets that are rendered, and what each stands in for."""

FETCHED_FILES = {name: tuple(entry.files) for name, entry in CATALOGUE.items() if isinstance(entry, Fetched)}
"""The keys of the files of each data set that is fetched."""

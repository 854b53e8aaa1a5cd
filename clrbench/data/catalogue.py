"""The data sets that are known by name: what they are, and how each is read."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

from clrbench.data import cifar10, fashion_mnist, mnist, street_digits, svhn
from clrbench.data.content import Arrays, DatasetSizes
from clrbench.data.progress import Show
from clrbench.data.sources import RemoteFile

Read: TypeAlias = Callable[[Mapping[str, Path]], Arrays]


@dataclass(frozen=True)
class Bundled:
    """A data set in the package.

    Attributes:
        name: In a spec.
        licence: Of its images.
        sizes: Of it.
        read: Returns its arrays, verified.
    """

    name: str
    licence: str
    sizes: DatasetSizes
    read: Callable[[], Arrays]


@dataclass(frozen=True)
class Fetched:
    """A published data set that is downloaded on first use.

    Attributes:
        name: In a spec.
        licence: Of its images.
        sizes: As published.
        files: As published, by key.
        read: Returns the arrays in verified files, by their keys.
        installed: Where a package of the system puts it, or None.
    """

    name: str
    licence: str
    sizes: DatasetSizes
    files: Mapping[str, RemoteFile]
    read: Read
    installed: "Installed | None" = None


@dataclass(frozen=True)
class Installed:
    """A copy of a published data set that a package of the system puts in place.

    Attributes:
        folder: Where.
        is_there: Returns whether it is installed.
        read: Returns its arrays, verified.
    """

    folder: Path
    is_there: Callable[[], bool]
    read: Callable[[], Arrays]


@dataclass(frozen=True)
class Made:
    """A data set that is rendered on first use.

    Attributes:
        name: In a spec.
        licence: Of its images.
        sizes: Of it.
        make: Renders its arrays; is given what to tell how many rows are done.
        made_with: Names what its bytes depend on.
    """

    name: str
    licence: str
    sizes: DatasetSizes
    make: Callable[[Show], Arrays]
    made_with: Callable[[], str]


Entry: TypeAlias = Bundled | Fetched | Made


def _make_street_digits(show: Show) -> Arrays:
    sizes = CATALOGUE[street_digits.NAME].sizes
    with show(f"{street_digits.NAME}: rendering images", sizes.train_rows + sizes.test_rows) as advance:
        return street_digits.make(sizes.train_rows, sizes.test_rows, advance)


_STREET_DIGITS_SIZES = DatasetSizes(street_digits.TRAIN_ROWS, street_digits.TEST_ROWS, street_digits.IMAGE_SHAPE)

CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Bundled(mnist.NAME, mnist.LICENCE, mnist.SIZES, mnist.read),
        Fetched(
            fashion_mnist.NAME,
            fashion_mnist.LICENCE,
            fashion_mnist.SIZES,
            fashion_mnist.FILES,
            fashion_mnist.read,
            Installed(fashion_mnist.DEBIAN_FOLDER, fashion_mnist.has_debian_files, fashion_mnist.read_debian),
        ),
        Fetched(svhn.NAME, svhn.LICENCE, svhn.SIZES, svhn.FILES, svhn.read),
        Fetched(cifar10.NAME, cifar10.LICENCE, cifar10.SIZES, cifar10.FILES, cifar10.read),
        Made(
            street_digits.NAME,
            "none needed: rendered, a stand-in for SVHN",
            _STREET_DIGITS_SIZES,
            _make_street_digits,
            lambda: f"pillow-{version('pillow')}",
        ),
    )
}

NAMES = tuple(CATALOGUE)
STAND_INS = {street_digits.NAME: "SVHN"}
"""Data sets that are rendered, and what each stands in for."""

FETCHED_FILES = {name: tuple(entry.files) for name, entry in CATALOGUE.items() if isinstance(entry, Fetched)}
"""The keys of the files of each data set that is fetched."""


def prepared_key(files: Mapping[str, RemoteFile]) -> str:
    """Return what names the arrays made from files: other files give other arrays."""
    return hashlib.sha256("".join(file.sha256 for file in files.values()).encode()).hexdigest()[:12]

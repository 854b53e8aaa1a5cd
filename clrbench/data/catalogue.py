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
    """What is known of every data set that has a name.

    Attributes:
        name: Its name in a spec.
        licence: The licence of its images.
        sizes: How large it is, as published or rendered.
    """

    name: str
    licence: str
    sizes: DatasetSizes


@dataclass(frozen=True)
class Bundled(Named):
    """A data set in the package.

    Attributes:
        read: Returns its arrays, verified.
    """

    read: Callable[[], Arrays]


@dataclass(frozen=True)
class Installed:
    """A copy of a published data set that a package of the system puts in place.

    Attributes:
        folder: The folder of the package's files.
        is_there: Returns whether it is installed.
        read: Returns its arrays, verified.
    """

    folder: Path
    is_there: Callable[[], bool]
    read: Callable[[], Arrays]


@dataclass(frozen=True)
class Fetched(Named):
    """A published data set that is downloaded on first use.

    Attributes:
        files: The published files, by key.
        read: Takes the path of each verified file, by key, and returns the arrays in them.
        installed: The copy that a package of the system may have put in place.
    """

    files: Mapping[str, RemoteFile]
    read: Callable[[Mapping[str, Path]], Arrays]
    installed: Installed | None = None


@dataclass(frozen=True)
class Made(Named):
    """A data set that is rendered on first use.

    Attributes:
        make: Renders its arrays, and shows how many rows are done.
        made_with: Returns the versions that its bytes depend on.
    """

    make: Callable[[Show], Arrays]
    made_with: Callable[[], str]


Entry: TypeAlias = Bundled | Fetched | Made


def _make_street_digits(show: Show) -> Arrays:
    sizes = street_digits.SIZES
    with show(f"{street_digits.NAME}: rendering images", sizes.train_rows + sizes.test_rows) as advance:
        return street_digits.make(advance=advance)


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
            street_digits.LICENCE,
            street_digits.SIZES,
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

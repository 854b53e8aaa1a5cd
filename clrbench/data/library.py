"""Every data set by the name or path that a spec gives it: measured, fetched, loaded, verified."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from clrbench.data import image_folder, npy_folder, npz, prepared, user_function
from clrbench.data.catalogue import CATALOGUE, NAMES, Bundled, Entry, Fetched, Installed, Made
from clrbench.data.content import Arrays, DatasetSizes, make_dataset
from clrbench.data.download import RemoteFile, Replacement, fetch, verify
from clrbench.data.progress import Show, in_silence
from clrbench.data.user_function import is_reference
from clrbench.errors import DataError, SpecError
from clrbench.files import checksum
from clrbench.records import Dataset

ALLOWED = (
    f"{', '.join(NAMES)}, the path of an .npz file, of a folder of .npy files (x_train, y_train, x_test, y_test) or of images "
    "(train/<class>/ and test/<class>/), ./file.py:function or package.module:function"
)


@dataclass(frozen=True)
class Status:
    """What is known of a data set that has a name.

    Attributes:
        place: Its folder, whether it is there yet or not; None for one in the package.
        is_ready: Whether it can be used without a download.
    """

    name: str
    sizes: DatasetSizes
    licence: str
    place: Path | None
    state: str
    is_ready: bool


@dataclass(frozen=True)
class Library:
    """All data sets, and where those that are fetched or made are kept.

    `dataset` is always what `data.dataset` of a spec says, paths made absolute, and `name` one of `NAMES`.

    Attributes:
        data_dir: The folder for data; None for the user's own cache.
        replacements: Mirrors and checksums in place of those of published files.
    """

    data_dir: Path | None = None
    replacements: tuple[Replacement, ...] = ()

    @cached_property
    def folder(self) -> Path:
        """The folder in which data is kept."""
        if self.data_dir is not None:
            return self.data_dir
        from pooch import os_cache

        return Path(os_cache("clrbench"))

    def measure(self, dataset: str) -> DatasetSizes:
        """Return how large a data set is, without reading its images; nothing is fetched.

        Raises:
            SpecError: If there is no such name, file, folder or function, or the sizes and types do not fit together.
            DataError: If it is not a data set.
        """
        if dataset in CATALOGUE:
            entry = CATALOGUE[dataset]
            return entry.sizes if isinstance(entry, Bundled) else prepared.sizes(self._arrays(entry)) or entry.sizes
        if is_reference(dataset):
            return user_function.measure(dataset)
        path = _existing(dataset)
        if path.is_file():
            return npz.measure(path)
        return npy_folder.measure(path) if npy_folder.is_npy_folder(path) else image_folder.measure(path)

    def load(self, dataset: str, show: Show = in_silence) -> Dataset:
        """Return a data set, read and checked; one that is fetched or made is kept, so that the next load is quick.

        Raises:
            SpecError: As `measure`.
            DataError: If it cannot be had, or is not what it should be.
        """
        if dataset in CATALOGUE:
            return self._load_named(CATALOGUE[dataset], show)
        if is_reference(dataset):
            return make_dataset(dataset, dataset, user_function.read(dataset))
        path = _existing(dataset)
        if path.is_file():
            return make_dataset(str(path), str(path), npz.read(path))
        return self._load_npy(path) if npy_folder.is_npy_folder(path) else self._load_images(path, show)

    def verify(self, name: str) -> Path | None:
        """Check every byte of a data set that has a name, and return its folder; None for one in the package.

        Raises:
            DataError: If it is not there, or damaged.
        """
        entry = CATALOGUE[name]
        if isinstance(entry, Bundled):
            entry.read()
            return None
        found = prepared.verify(self._arrays(entry), name)
        for file in self._files(entry).values():
            path = self.folder / name / file.name
            if path.exists():
                with prepared.disk_errors(path):
                    verify(name, file, path)
                found = True
        if not found:
            raise DataError(f"{name}: nothing of it is in {self.folder / name}; run clrbench data fetch {name}")
        return self.folder / name

    def statuses(self) -> list[Status]:
        """Return what is known of every data set that has a name."""
        return [self.status(name) for name in NAMES]

    def status(self, name: str) -> Status:
        """Return what is known of a data set that has a name."""
        entry = CATALOGUE[name]
        return Status(name, self.measure(name), entry.licence, *self._state(entry))

    def _state(self, entry: Entry) -> tuple[Path | None, str, bool]:
        place = self.folder / entry.name
        if isinstance(entry, Bundled):
            return None, "in the package, verified at every load", True
        if prepared.sizes(self._arrays(entry)):
            return place, "verified", True
        if isinstance(entry, Made):
            return place, "made on first use", True
        if installed := self._installed(entry):
            return installed.folder, "installed, not verified yet", True
        if all((place / file.name).exists() for file in self._files(entry).values()):
            return place, "files there, not verified yet", True
        return place, f"not here; clrbench data fetch {entry.name}", False

    def _load_named(self, entry: Entry, show: Show) -> Dataset:
        if isinstance(entry, Bundled):
            return make_dataset(entry.name, entry.name, entry.read())
        make = partial(entry.make, show) if isinstance(entry, Made) else partial(self._fetch, entry, show)
        return prepared.load_or_make(self._arrays(entry), entry.name, make, show)

    def _fetch(self, entry: Fetched, show: Show) -> Arrays:
        if installed := self._installed(entry):
            return installed.read()
        files = self._files(entry).items()
        return entry.read({key: fetch(entry.name, file, self.folder / entry.name, show) for key, file in files})

    def _installed(self, entry: Fetched) -> Installed | None:
        """Return the copy that a package of the system has put in place, unless the user names other files."""
        is_wanted = entry.installed and entry.installed.is_there() and self._files(entry) == entry.files
        return entry.installed if is_wanted else None

    def _files(self, entry: Fetched | Made) -> Mapping[str, RemoteFile]:
        if isinstance(entry, Made):
            return {}
        replaced = {other.file: other for other in self.replacements if other.dataset == entry.name}
        return {key: replaced[key].apply(file) if key in replaced else file for key, file in entry.files.items()}

    def _arrays(self, entry: Fetched | Made) -> Path:
        """Return the folder of the prepared arrays; other files, or other versions of what made them, give another."""
        if isinstance(entry, Made):
            key = entry.made_with()
        else:
            key = checksum("".join(file.sha256 for file in self._files(entry).values()).encode())[:12]
        return self.folder / entry.name / f"arrays-{key}"

    def _load_images(self, path: Path, show: Show) -> Dataset:
        def make() -> Arrays:
            sizes = image_folder.measure(path)
            with show(f"{path}: decoding images", sizes.train_rows + sizes.test_rows) as advance:
                return image_folder.read(path, advance)

        return prepared.load_or_make(self._own("arrays", path, image_folder.fingerprint(path)), str(path), make, show)

    def _load_npy(self, path: Path) -> Dataset:
        checked = self._own("checksum", path, npy_folder.fingerprint(path))
        return prepared.check_once(checked, str(path), npy_folder.read(path))

    def _own(self, kind: str, path: Path, fingerprint: str) -> Path:
        """Return where something of a user's own files as they are now is kept."""
        key = checksum(f"{path.resolve()}\n{fingerprint}".encode())[:16]
        return self.folder / "own" / f"{kind}-{key}"


def _existing(dataset: str) -> Path:
    path = Path(dataset)
    try:
        exists = dataset != "" and (path.is_file() or path.is_dir())
    except OSError:
        exists = False  # such as a name too long for the file system
    if not exists:
        raise SpecError(
            f"got {dataset!r}, and no such file or folder exists; allowed: {ALLOWED}", key=("data", "dataset")
        )
    return path

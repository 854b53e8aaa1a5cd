"""Every data set by the name or path that a spec gives it: measured, fetched, loaded, verified."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from clrbench import __version__, files
from clrbench.data import decode, image_folder, npy_folder, npz, prepared, user_function
from clrbench.data.cache import default_folder
from clrbench.data.catalogue import CATALOGUE, NAMES, Bundled, Entry, Fetched, Installed, Made
from clrbench.data.content import Arrays, Content, DatasetSizes, make_dataset, measure_arrays
from clrbench.data.description import VERSION, Description, describe, read_description
from clrbench.data.download import RemoteFile, Replacement, fetch, verify
from clrbench.data.foreign import refuse_foreign
from clrbench.data.image_listing import list_images
from clrbench.data.progress import Show, in_silence
from clrbench.data.reading import AS_IT_IS, Reading
from clrbench.data.refusal import decoding
from clrbench.data.split import split_off
from clrbench.errors import DataError, MisfitError, SpecError
from clrbench.files import checksum
from clrbench.own_code import is_reference
from clrbench.own_code.calling import absolute
from clrbench.records import NO_REMARKS, Dataset, Remarks

ALLOWED = (
    f"{', '.join(NAMES)}, the path of an .npz file, of a folder of .npy files (x_train, y_train, x_test, y_test) or of images "
    "(train/<class>/ and test/<class>/); ./file.py:function or package.module:function"
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

    `dataset` is always what `data.dataset` of a spec says, and `name` one of `NAMES`.

    Attributes:
        data_dir: The folder for data; None for the user's own cache.
        replacements: Mirrors and checksums in place of those of published files.
        base: The folder that relative paths start from, such as that of the spec; None for the current one.
    """

    data_dir: Path | None = None
    replacements: tuple[Replacement, ...] = ()
    base: Path | None = None

    @cached_property
    def folder(self) -> Path:
        """The folder in which data is kept."""
        return default_folder() if self.data_dir is None else self.data_dir

    def beside(self, base: Path) -> "Library":
        """Return the same library, where relative paths start from a folder."""
        return replace(self, base=base)

    def measure(self, dataset: str, how: Reading = AS_IT_IS) -> DatasetSizes:
        """Return how large a data set is, without reading its images; nothing is fetched.

        Raises:
            SpecError: If there is no such name, file, folder or function, or the sizes and types do not fit together.
            DataError: If it is not a data set.
        """
        if dataset in CATALOGUE:
            entry = CATALOGUE[dataset]
            _refuse_reading(dataset, how, split=True)
            return entry.sizes if isinstance(entry, Bundled) else prepared.sizes(self._arrays(entry)) or entry.sizes
        if is_reference(dataset):
            _refuse_reading(dataset, how)
            return user_function.measure(self._reference(dataset), self.place, how)
        path = self._existing(dataset)
        if path.is_dir() and not npy_folder.is_npy_folder(path):
            return image_folder.measure(path, how)
        _refuse_reading(dataset, how)
        return npz.measure(path, how) if path.is_file() else npy_folder.measure(path, how)

    def load(self, dataset: str, show: Show = in_silence, how: Reading = AS_IT_IS) -> Dataset:
        """Return a data set, read and checked; one that is fetched or made is kept, so that the next load is quick.

        Raises:
            SpecError: As `measure`.
            DataError: If it cannot be had, or is not what it should be.
        """
        if dataset in CATALOGUE:
            _refuse_reading(dataset, how, split=True)
            return self._load_named(CATALOGUE[dataset], show)
        if is_reference(dataset):
            _refuse_reading(dataset, how)
            reference = self._reference(dataset)
            content = user_function.content(reference, self.place, how)
            return _made(reference, content.arrays, how, content.remarks)
        path = self._existing(dataset)
        if path.is_dir() and not npy_folder.is_npy_folder(path):
            return self._load_images(path, show, how)
        _refuse_reading(dataset, how)
        if path.is_file():
            return _made(str(path), npz.read(path, how), how, Remarks(warned=npz.unread(path)))
        return self._load_npy(path, show, how)

    def is_at_hand(self, dataset: str) -> bool:
        """Return whether a data set can be loaded without fetching or making it, and without calling a function of the user's."""
        if dataset in CATALOGUE:
            entry = CATALOGUE[dataset]
            return isinstance(entry, Bundled) or prepared.sizes(self._arrays(entry)) is not None
        return not is_reference(dataset) and (self.place / dataset).exists()

    def describe(self, dataset: str, how: Reading = AS_IT_IS, show: Show = in_silence) -> Description | None:
        """Return what a data set is; it is looked at once, and what is found is kept.

        Returns:
            None for one that is neither here nor can be read without fetching or making it first.

        Raises:
            SpecError: As `load`.
            DataError: As `load`, but the pixels of memory-mapped files are not all looked at.
        """
        kept = self._kept_description(dataset, how)
        if kept is not None and (found := read_description(kept)) is not None:
            return found
        loaded = self._load_to_describe(dataset, how, show)
        if loaded is None:
            return None
        found = describe(loaded)
        if kept is not None:
            with suppress(OSError):  # it only saves time
                files.make_folder(kept.parent, parents=True)
                files.write_file(kept, found.to_json())
        return found

    def _load_to_describe(self, dataset: str, how: Reading, show: Show) -> Dataset | None:
        entry = CATALOGUE.get(dataset)
        if entry is not None and not isinstance(entry, Bundled):
            return prepared.load(self._arrays(entry), dataset)
        path = None if entry is not None or is_reference(dataset) else self._existing(dataset)
        if path is not None and npy_folder.is_npy_folder(path) and not how.splits:
            # Not read whole here: only `load` checks every pixel, and takes the checksum.
            remarks, read = Remarks(warned=npy_folder.unread(path)), npy_folder.read(path, how)
            return make_dataset(str(path), str(path), read, checksum="", remarks=remarks, as_given=how.as_given)
        return self.load(dataset, show, how)

    def _kept_description(self, dataset: str, how: Reading) -> Path | None:
        """Return where the description of a data set as it is now is kept; None where it is not."""
        if is_reference(dataset):
            return None
        entry = CATALOGUE.get(dataset)
        if isinstance(entry, Bundled):
            key = __version__
        elif entry is not None:
            key = self._arrays(entry).name
        else:
            path = self._existing(dataset)
            if path.is_file():
                with decoding(path, "replace it"):
                    key = files.fingerprint(path.parent, [path.name])
            elif npy_folder.is_npy_folder(path):
                key = f"{npy_folder.fingerprint(path, how)}{npy_folder.unread(path) or ''}"
            else:
                listing = list_images(path, splitting=how.splits)
                about = (decode.VERSION, listing.said(), tuple(listing.warned()))
                key = f"{image_folder.fingerprint_of(listing)}{about}"
        place = dataset if entry is not None else str(self._existing(dataset).resolve())
        return self._own("description", place, f"{VERSION}\n{key}\n{how.words()}").with_suffix(".json")

    @property
    def place(self) -> Path:
        """The folder that relative paths start from, whole."""
        return (self.base or Path()).resolve()

    def _reference(self, dataset: str) -> str:
        """Return a function's name with the path of its file made absolute."""
        return absolute(dataset, self.place)

    def _existing(self, dataset: str) -> Path:
        path = Path(dataset) if self.base is None else self.base / dataset
        try:
            exists = dataset != "" and (path.is_file() or path.is_dir())
        except OSError:
            exists = False  # such as a name too long for the file system
        if not exists:
            raise SpecError(
                f"got {(str(path) if self.base else dataset)!r}, and no such file or folder exists; allowed: {ALLOWED}",
                key=("data", "dataset"),
            )
        if path.is_file():
            refuse_foreign(dataset, path)
        return path

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
            return prepared.load_unpacked(self._arrays(entry), entry.name, entry.checksum, entry.read)

        def make() -> Content:
            content = Content(entry.make(show) if isinstance(entry, Made) else self._fetch(entry, show))
            measure_arrays(entry.name, content.arrays)
            try:
                make_dataset(entry.name, entry.name, content.arrays, checksum="")
            except MisfitError as err:  # labels that are damaged, of which nothing stands in the spec
                raise DataError(str(err)) from err
            return content

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

    def _arrays(self, entry: Entry) -> Path:
        """Return the folder of the prepared arrays; other files, or other versions of what made them, give another."""
        if isinstance(entry, Made):
            key = entry.made_with()
        elif isinstance(entry, Bundled):
            key = entry.checksum[:12]
        else:
            key = checksum("".join(file.sha256 for file in self._files(entry).values()).encode())[:12]
        return self.folder / entry.name / f"arrays-{key}"

    def _load_images(self, path: Path, show: Show, how: Reading) -> Dataset:
        listing = list_images(path, splitting=how.splits)

        def make() -> Content:
            sizes = image_folder.measure(path, how)
            tally: Counter[str] = Counter()
            with show(
                f"{path}: decoding images", sizes.train_rows + sizes.validation_rows + sizes.test_rows
            ) as advance:
                arrays = image_folder.read(path, advance, how, tally)
            said = decode.said(tally)
            if how.resize is not None:
                size = f"{how.resize} x {how.resize}"
                said = (*said, f"every image is centre-cropped and resized to {size} by area averaging (data.resize)")
            return _content(str(path), arrays, how, Remarks(listing.classes, said))

        key = f"{image_folder.fingerprint_of(listing)}\n{decode.VERSION}\n{how.words()}"
        found = prepared.load_or_make(self._own("arrays", str(path.resolve()), key), str(path), make, show)
        said = (*found.remarks.said, *listing.said())
        return replace(found, remarks=replace(found.remarks, said=said, warned=tuple(listing.warned())))

    def _load_npy(self, path: Path, show: Show, how: Reading) -> Dataset:
        place, fingerprint = str(path.resolve()), npy_folder.fingerprint(path, how)
        # [rows, height, width] is taken for images, or not.
        checked = f"{fingerprint} as given" if how.as_given else fingerprint
        arrays = npy_folder.read(path, how)
        if not how.splits:
            own = self._own("checksum", place, checked)
            found = prepared.check_once(own, str(path), arrays, as_given=how.as_given)
        else:
            key = f"{fingerprint}\n{how.words()}"
            found = prepared.load_or_make(
                self._own("arrays", place, key), str(path), lambda: _content(str(path), arrays, how), show
            )
        return replace(found, remarks=replace(found.remarks, warned=npy_folder.unread(path)))

    def _own(self, kind: str, place: str, fingerprint: str) -> Path:
        """Return where something of a user's own files as they are now is kept."""
        key = checksum(f"{place}\n{fingerprint}".encode())[:16]
        return self.folder / "own" / f"{kind}-{key}"


def _content(where: str, arrays: Arrays, how: Reading, remarks: Remarks = NO_REMARKS) -> Content:
    """Return what was read, test rows split off if need be."""
    if not how.splits:
        return Content(arrays, remarks, how.as_given)
    arrays, said = split_off(where, arrays, how)
    return Content(arrays, replace(remarks, said=(*remarks.said, said)), how.as_given)


def _made(where: str, arrays: Arrays, how: Reading, remarks: Remarks = NO_REMARKS) -> Dataset:
    content = _content(where, arrays, how, remarks)
    return make_dataset(where, where, content.arrays, remarks=content.remarks, as_given=how.as_given)


def _refuse_reading(dataset: str, how: Reading, *, split: bool = False) -> None:
    """Raise SpecError where a data set cannot be read as the spec asks for."""
    if split and how.splits:
        raise SpecError(f"{dataset} has test rows of its own; leave this key out", key=("data", "test"))
    if how.resize is not None:
        raise SpecError(
            f"{dataset} is not a folder of images, and only these can be resized; leave this key out",
            key=("data", "resize"),
        )

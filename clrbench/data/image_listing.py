"""Which images a folder holds, by split and class, and what in it is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from clrbench.counted import counted
from clrbench.data.decode import reading
from clrbench.data.refusal import misfit, shown, shown_path

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm"),
)
NPY_NAMES = "x_train.npy, y_train.npy, x_test.npy, y_test.npy"

_USUAL = frozenset({".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".db", ".ini", ".log"})
"""Suffixes of what often lies beside images, and is none."""

_ALLOWED = f"allowed: train/<class>/ and test/<class>/ with images ({', '.join(SUFFIXES)}) in each"
_TESTS = ("test", "tests", "testing")
VALIDATION = "validation"
_OTHER_TESTS = ("val", "valid", VALIDATION, "dev", "eval")
UNUSED_VALIDATION = (
    "without, validation rows are drawn from the training rows (data.validation); validation then looks too good where "
    "rows belong together (a patient, a scene, a day)"
)
MAX_NAMES = 5
"""Names that a message lists before it says how many more there are."""


@dataclass(frozen=True)
class Split:
    """The images of each class of a split, by name, and the names of what is left out.

    Attributes:
        left_out: How many files of each suffix (`""`: none) lie in class folders, or beside them, and are not read.
        nested: The folders within class folders that hold files, as `class/folder`.
    """

    images: Mapping[str, list[str]]
    left_out: Counter[str] = field(default_factory=Counter)
    nested: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """All images, by class and then by name."""
        return [path for images in self.images.values() for path in images]


@dataclass(frozen=True)
class Listing:
    """The images of a folder; `test` is None where a part of `train` is to be split off.

    Attributes:
        validation: Those of a folder `validation/`; None where there is none.
        other_folders: The names of folders beside those of the splits.
    """

    folder: Path
    train: Split
    test: Split | None
    other_folders: tuple[str, ...] = ()
    validation: Split | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of plain strings."""
        return tuple(self.train.images)

    @property
    def paths(self) -> list[str]:
        """All images, those of the training split first."""
        return [path for split in self.splits.values() for path in split.paths]

    def labels(self, split: Split) -> list[int]:
        """Return the class of each image of a split, 0 for the first."""
        return [self.classes.index(name) for name, images in split.images.items() for _ in images]

    def said(self) -> tuple[str, ...]:
        """Return, in words, what is left out and looks as if it were meant so."""
        left_out = {suffix: number for suffix, number in self._left_out().items() if suffix in _USUAL}
        return (f"left out: {_by_suffix(left_out)}",) if left_out else ()

    def warned(self) -> Iterator[str]:
        """Yield what is left out, or missing, and looks unmeant."""
        left_out = {suffix: number for suffix, number in self._left_out().items() if suffix not in _USUAL}
        if left_out:
            number = sum(left_out.values())
            yield (
                f"{counted(number, 'file')} in the class folders {'is' if number == 1 else 'are'} not read: "
                f"{_by_suffix(left_out)}; read are "
                f"{', '.join(SUFFIXES)}: convert or rename the others, or take them away"
            )
        others = [name for name in self.other_folders if name.lower() in _OTHER_TESTS]
        if others:
            advice = (
                f"; to validate on it, rename it {VALIDATION}; {UNUSED_VALIDATION}" if self.validation is None else ""
            )
            yield f"the folder {_listed(others)} is not read{advice}"
        nested = [name for split in self.splits.values() for name in split.nested]
        if nested:
            yield (
                f"folders within class folders are not read: {_listed(nested)}; move their images up into the folder of "
                "their class"
            )
        for split_name, split in self.splits.items():
            missing = [name for name in self.classes if not split.images.get(name)]
            if missing:
                yield (
                    f"{split_name}/ has no images of {len(missing)} of {counted(len(self.classes), 'class')}: "
                    f"{_listed(missing)}; no "
                    f"{split_name} accuracy says anything about them"
                )

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by the name of their folder."""
        found = {"train": self.train, "test": self.test, VALIDATION: self.validation}
        return {name: split for name, split in found.items() if split is not None}

    def _left_out(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for split in self.splits.values():
            total += split.left_out
        return total


def list_images(folder: Path, *, splitting: bool = False) -> Listing:
    """Return the images of a folder: of `train/` and `test/`, or, `splitting`, of the class folders that lie in it.

    Those of `validation/` beside `train/` are added, where there is such a folder.

    Raises:
        MisfitError: If it does not hold classes with images; the message says what to do with what it holds.
    """
    if splitting:
        if has(folder, "test"):
            raise misfit(f"{folder}: has a folder 'test' already; leave data.test out, or rename that folder")
        if not has(folder, "train"):
            return _check(Listing(folder, _list_split(folder, folder), None))
        train = _list_split(folder, folder / "train")
        return _check(Listing(folder, train, None, _other_folders(folder), _list_validation(folder)))
    for split in ("train", "test"):
        if not has(folder, split):
            raise misfit(_no_split(folder, split))
    train, test = (_list_split(folder, folder / split) for split in ("train", "test"))
    return _check(Listing(folder, train, test, _other_folders(folder), _list_validation(folder)))


def _list_validation(folder: Path) -> Split | None:
    return _list_split(folder, folder / VALIDATION) if has(folder, VALIDATION) else None


def _other_folders(folder: Path) -> tuple[str, ...]:
    read = {"train", "test", VALIDATION}
    return tuple(entry.name for entry in _entries(str(folder)) if entry.is_dir() and entry.name not in read)


def has(folder: Path, split: str) -> bool:
    """Return whether a folder has a folder of a split."""
    return (folder / split).is_dir()


def _check(listing: Listing) -> Listing:
    train, folder = listing.train, listing.folder
    where = folder / "train" if has(folder, "train") else folder
    if len(train.images) < 2:
        raise misfit(f"{where}: got one class, {min(train.images)!r}; allowed: at least two to tell apart")
    for name, images in train.images.items():
        if not images:
            found = _by_suffix(_list_class(where / name, name).left_out)
            holds = f" (it holds {found}, which is not read)" if found else ""
            raise misfit(
                f"{shown_path(where / name)}: got a class without images{holds}; add some, or remove the folder"
            )
    for split_name, split in listing.splits.items():
        unknown = [name for name in split.images if name not in train.images]
        if unknown:
            raise misfit(
                f"{folder / split_name}: got the class {unknown[0]!r}, which train/ does not have; allowed: "
                f"{shown(', '.join(train.images))}"
            )
    return listing


def _no_split(folder: Path, split: str) -> str:
    """Return what is wrong with a folder that lacks a split, and the line that mends it for what it holds instead."""
    names = [entry.name for entry in _entries(str(folder)) if entry.is_dir()]
    start = f"{folder}: got no folder {split!r} in it"
    share = f"data: {{dataset: {shown_path(folder)}, test: 20 %}}"
    by_lower_case = {name.lower(): name for name in names}
    if split == "test" or "train" in by_lower_case:
        wanted = (*_TESTS, *_OTHER_TESTS) if split == "test" else ("train",)
        others = [by_lower_case[name] for name in wanted if name in by_lower_case and by_lower_case[name] != split]
        if others:
            there = shown_path(folder / others[0])
            keeping = f"; or keep it to validate on, and split off part of train/ for testing: {share}"
            return (
                f"{start}, but {shown(others[0])!r}; rename it: mv '{there}' '{shown_path(folder / split)}'; {_ALLOWED}"
                f"{keeping if others[0] == VALIDATION else ''}"
            )
    if split == "test":
        return f"{start}; {_ALLOWED}; or split off part of train/ for testing: {share}"
    classes = [name for name in names if _list_class(folder / name, name).images[name]]
    if len(classes) > 1:
        found = f"{counted(len(classes), 'folder')} with images ({_listed(classes)})"
        return f"{start}, but {found}; if these are classes, split off part of each for testing: {share}; {_ALLOWED}"
    return f"{start}; {_ALLOWED}, or {NPY_NAMES}"


def _list_split(root: Path, folder: Path) -> Split:
    """Return the images of the class folders in a folder."""
    found: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter()
    nested: list[str] = []
    for entry in _entries(str(folder)):
        if not entry.is_dir():
            left_out[_suffix(entry.name)] += folder != root
            continue
        one = _list_class(Path(entry.path), entry.name)
        found.update(one.images)
        left_out += one.left_out
        nested += one.nested
    if not any(found.values()):
        got = f"{counted(len(found), 'class folder')} without images" if found else "no class folders"
        also = f", and {VALIDATION}/<class>/ likewise; or take this folder away" if folder.name == VALIDATION else ""
        raise misfit(f"{folder}: got {got}; {_ALLOWED}{also}")
    return Split(found, +left_out, tuple(nested))


def _list_class(folder: Path, name: str) -> Split:
    entries = _entries(str(folder))
    files = [entry for entry in entries if not entry.is_dir()]
    return Split(
        {name: [_regular_file(file) for file in files if _is_image(file.name)]},
        Counter(_suffix(file.name) for file in files if not _is_image(file.name)),
        tuple(f"{name}/{entry.name}" for entry in entries if entry.is_dir() and _entries(entry.path)),
    )


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (`Path.suffix` takes "a." for one with none)


def _by_suffix(numbers: Mapping[str, int]) -> str:
    most = sorted(numbers.items(), key=lambda entry: (-entry[1], entry[0]))
    named = [f"{number} {shown(suffix, 20) if suffix else 'without a suffix'}" for suffix, number in most]
    return _listed(named)


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    more = f" and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
    return ", ".join(shown(name, 80) for name in found[:MAX_NAMES]) + more


def _regular_file(entry: os.DirEntry[str]) -> str:
    """Return the path of a file or of a link to one; to open anything else, such as a pipe, may never end."""
    with reading(entry.path):
        if not entry.is_file() and Path(entry).stat():
            raise OSError("not a regular file")
    return entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return everything in a folder that is not hidden, sorted."""
    with reading(folder):
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=attrgetter("name"))
        for entry in found:
            entry.is_dir()  # raises on a link that leads in a circle
    return found

"""Files of the user's own in one piece, to be laid out on another machine as they lie on this one."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from clrbench.files import write_tree

MAX_FOLDER_BYTES = 200_000_000
"""Of a folder that is sent as a whole."""
MAX_FOLDER_FILES = 5_000

_NOT_SENT = ("__pycache__", "node_modules")
_MARKS = ("pyvenv.cfg", "experiment.json")
"""Files that show a folder to be an environment of Python, or the results of an experiment."""


@dataclass(frozen=True)
class Parcel:
    """Files as they lie together, seen from a folder above all of them.

    Attributes:
        home: The folder of the spec, seen from there; `.` for the one itself.
        files: Their content by path.
        programs: The paths of those that can be executed.
        links: Symbolic links by path, and where each leads.
        is_whole: Whether all of the home folder is there, and not only what is known to be needed.
    """

    home: str
    files: Mapping[str, bytes]
    programs: frozenset[str] = frozenset()
    links: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True

    @cached_property
    def checksum(self) -> str:
        """The SHA-256, in hex, of all of it."""
        found = hashlib.sha256(f"{self.home}\n{self.is_whole}\n".encode())
        for name, content in sorted(self.files.items()):
            digest = hashlib.sha256(content).hexdigest()
            found.update(f"{name}\0{digest}\0{name in self.programs}\n".encode(errors="surrogateescape"))
        found.update(repr(sorted(self.links.items())).encode())
        return found.hexdigest()

    def lay_out(self, place: Path) -> Path:
        """Write it into an empty folder, and return where the home folder is now."""
        home = place / PurePosixPath(self.home)
        home.mkdir(parents=True, exist_ok=True)
        write_tree(place, self.files)
        for name in self.programs:
            path = place / PurePosixPath(name)
            path.chmod(path.stat().st_mode | 0o100)
        for name, target in self.links.items():
            path = place / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
        return home


def pack(
    home: Path, files: Mapping[Path, Path], links: Mapping[Path, str] | None = None, *, is_whole: bool = False
) -> Parcel:
    """Return files as a parcel.

    Args:
        home: The folder of the spec, as an absolute path.
        files: Where each is to lie, as an absolute path, and the file that it is read from.
        links: Symbolic links likewise, and where each leads.
        is_whole: Whether that is all of the home folder.

    Raises:
        OSError: If one of them cannot be read.
    """
    top = Path(os.path.commonpath([home, *files, *(links or {})]))
    found = {place.relative_to(top).as_posix(): source for place, source in files.items()}
    return Parcel(
        home=home.relative_to(top).as_posix(),
        files={name: source.read_bytes() for name, source in found.items()},
        programs=frozenset(name for name, source in found.items() if os.access(source, os.X_OK)),
        links={place.relative_to(top).as_posix(): target for place, target in (links or {}).items()},
        is_whole=is_whole,
    )


def pack_folder(home: Path, named: Iterable[Path], without: Iterable[Path] = ()) -> Parcel | None:
    """Return a whole folder as a parcel; None where it is too large for that.

    Hidden files, environments of Python, results of experiments and bytecode stay behind. Links stay links.

    Args:
        home: The folder, as an absolute path.
        named: Files that are part of it in any case, and as files.
        without: Folders that stay behind.
    """
    links: dict[Path, str] = {}
    files = {path: path for path in named}
    size = 0
    for path in _below(home, {folder.resolve() for folder in without}):
        if path in files:
            continue
        if len(files) + len(links) >= MAX_FOLDER_FILES:
            return None
        if path.is_symlink():
            links[path] = _target(path, home)
        elif os.access(path, os.R_OK):
            size += path.stat().st_size
            if size > MAX_FOLDER_BYTES:
                return None
            files[path] = path
    return pack(home, files, links, is_whole=True)


def _below(folder: Path, without: set[Path]) -> Iterator[Path]:
    """Yield regular files and links below a folder."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.name in _NOT_SENT:
            continue
        if entry.is_symlink() or entry.is_file():
            yield path
        elif entry.is_dir() and _is_sent(path, without):
            yield from _below(path, without)


def _is_sent(folder: Path, without: set[Path]) -> bool:
    readable = os.access(folder, os.R_OK | os.X_OK)
    return readable and folder.resolve() not in without and not any((folder / name).is_file() for name in _MARKS)


def _target(link: Path, home: Path) -> str:
    """Return where a link leads: from where it lies, if that is inside the folder, so that it still does elsewhere."""
    target = link.resolve()
    return os.path.relpath(target, link.parent.resolve()) if target.is_relative_to(home) else str(target)

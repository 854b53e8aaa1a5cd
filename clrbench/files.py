"""Files that are either complete or not there.

Every write goes to a temporary name first, is flushed to the disk, and then takes its place in one step. Where the disk
refuses, an OSError says so, and what was there before is still there.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from clrbench.errors import ClrbenchError

_TEMPORARY = ".part"


@contextmanager
def disk_errors(path: Path, error: type[ClrbenchError], advice: str) -> Iterator[None]:
    """Turn an OSError into an error that names the path, and ends with what the user can do about it."""
    try:
        yield
    except OSError as err:
        reason = err.strerror or f"is the disk full? {err}"
        raise error(f"{path}: cannot be read or written ({reason}); {advice}") from err


def temporary_path(target: Path) -> Path:
    """Return a new name beside `target` for what is to take its place."""
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}{_TEMPORARY}")


def find_temporary(folder: Path, name: str = "*") -> list[Path]:
    """Return what writes in progress, or processes that died, have left in a folder: of one target, or (`*`) of any."""
    return sorted(folder.glob(f".{name}.*{_TEMPORARY}*"))


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that must not exist, and flush it to the disk at the end."""
    with path.open("xb") as file:  # never through something that lies there already, which might be a link
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `target`, on which the caller holds a lock, once it has been filled."""
    make_folder(target.parent)
    temporary = temporary_path(target)
    replaced = temporary.with_name(f"{temporary.name}-replaced")
    try:
        temporary.mkdir()
        yield temporary
        sync(temporary)
        if target.exists():
            target.replace(replaced)
        try:
            temporary.replace(target)
        except OSError:
            if replaced.exists():
                replaced.replace(target)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if target.exists():
            shutil.rmtree(replaced, ignore_errors=True)
    sync(target.parent)


def write_file(target: Path, content: bytes) -> None:
    """Write a file in one step, and remove what a dead process left of it; the caller holds a lock on it."""
    make_folder(target.parent)
    for left in find_temporary(target.parent, target.name):
        left.unlink(missing_ok=True)
    temporary = temporary_path(target)
    try:
        with new_file(temporary) as file:
            file.write(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync(target.parent)


def make_folder(path: Path, *, parents: bool = False) -> None:
    """Make a folder, unless it is there; its parent must be there, unless `parents` are to be made too."""
    if not path.is_dir():
        path.mkdir(parents=parents, exist_ok=True)
        sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file to the disk, or the list of the files in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: Path) -> bytes:
    """Return the content of a file; a pipe or a device, which may never end, is not read."""
    if path.exists() and not path.is_file():
        raise OSError("it is not a regular file")
    return path.read_bytes()


def fingerprint(folder: Path, names: Iterable[str]) -> str:
    """Return a SHA-256, in hex, of the names, sizes and times of files of a folder; it changes when one is written again."""
    digest = hashlib.sha256()
    for name in names:
        status = (folder / name).stat()
        digest.update(os.fsencode(name))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def checksum(content: bytes) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def read_tree(folder: Path, most_bytes: int) -> dict[str, bytes] | None:
    """Return the content of every regular file in a folder and below it, by its path there; None where that is too much.

    A link to a file counts as one. What goes while it is read, or cannot be read, is left out.
    """
    found: dict[str, bytes] = {}
    left = most_bytes
    for path in sorted(folder.rglob("*")):
        try:
            if not path.is_file():
                continue
            left -= path.stat().st_size
            if left < 0:
                return None
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
        except OSError:
            continue
    return found


def write_tree(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, and into folders below it that are made for them."""
    for name, content in contents.items():
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or PurePosixPath(name).is_absolute():
            raise OSError(f"{name!r} is no path inside a folder")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

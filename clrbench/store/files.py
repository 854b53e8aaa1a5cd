"""Files of a results folder: read, written in one step, locked.

Where the disk refuses, or a file is not what was written, a ResultsError names the file and says what to do next, which
is the argument `advice` of everything that reads.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from clrbench import files
from clrbench.errors import ResultsError
from clrbench.records import Json

LOCK_POLL_SECONDS = 0.1

SEAL = "checksum"
"""The last key of a sealed JSON file: the SHA-256 of all the others."""

GONE = "the folder was removed while it was in use, with what was finished in it; run the same command again"
_DISK_ADVICE = "free space, fix permissions or move it; finished runs are kept"

Stamp: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class LockTimes:
    """How many seconds a lock may go without being renewed.

    Attributes:
        lease: Before another machine takes it over, by its own clock; a dead process of this machine loses it at once.
        abandoned: Before it is removed, where the file system cannot exchange names and so cannot hand it over.
        nameless: Before it is removed, where it is still empty: a living owner writes its name right after making it.
    """

    lease: float = 60.0
    abandoned: float = 120.0
    nameless: float = 2.0


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a ResultsError that names the path and a way out."""
    with files.disk_errors(path, ResultsError, _DISK_ADVICE):
        try:
            yield
        except FileNotFoundError as err:
            if path.parent.exists():
                raise
            raise ResultsError(f"{path}: {GONE}") from err


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        ResultsError: It cannot be made. None of it was removed while in use, whatever the system calls it.
    """
    with files.disk_errors(path, ResultsError, _DISK_ADVICE):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def read_errors(path: Path, advice: str) -> Iterator[None]:
    """Turn an error of reading or parsing a file into a ResultsError that names it and ends with the advice."""
    try:
        yield
    except (OSError, ValueError, RecursionError) as err:
        reason = getattr(err, "strerror", None) or err
        raise ResultsError(f"{path}: cannot be read ({reason}); {advice}") from err


@contextmanager
def lock(path: Path, give_up: Callable[[], bool] = lambda: False, times: LockTimes = LockTimes()) -> Iterator[bool]:
    """Hold a lock against other processes, on this machine and on others that share the folder; yield whether it is held.

    A lock is a file with its owner's name, renewed while it is held: it needs no `flock`, which shared folders often lack.
    While another process holds it, `give_up` says again and again whether to stop waiting.
    """
    from filelock import SoftFileLease, Timeout

    lease = SoftFileLease(path, lease_duration=times.lease, poll_interval=LOCK_POLL_SECONDS)
    abandoned = _AbandonedLock(path, times)

    def cancel() -> bool:
        abandoned.remove_if_dead()
        return give_up()

    with disk_errors(path):
        files.make_folder(path.parent)
        with suppress(Timeout):
            lease.acquire(cancel_check=cancel)
    try:
        yield lease.is_locked
    finally:
        lease.release()


class _AbandonedLock:
    """A lock that `SoftFileLease` would wait for without end.

    Its owner died before it wrote its name; or the file system (NFS) cannot exchange names, whoever the owner was.
    """

    def __init__(self, path: Path, times: LockTimes) -> None:
        self._path = path
        self._times = times
        self._seen = (0, 0)
        self._since = 0.0

    def remove_if_dead(self) -> None:
        """Remove the lock if it has stayed the same for too long; call this again and again while waiting."""
        with suppress(FileNotFoundError):
            status = self._path.lstat()
            seen = status.st_ino, status.st_mtime_ns
            longest = self._times.abandoned if status.st_size > 0 else self._times.nameless
            if seen != self._seen:
                self._seen, self._since = seen, time.monotonic()
            elif time.monotonic() - self._since >= longest:
                self._path.unlink()


def refuse_symlinks(root: Path, path: Path) -> None:
    """Raise ResultsError if anything below `root` on the way to `path`, or `path` itself, is a symbolic link."""
    for part in (path, *path.parents):
        if part == root:
            return
        if part.is_symlink():
            advice = "remove it and run the same command again"
            raise ResultsError(f"{part}: is a symbolic link, which is not followed inside a results folder; {advice}")


def write_file(target: Path, content: bytes) -> None:
    """Write a file in one step; the caller holds a lock on it."""
    with disk_errors(target):
        files.write_file(target, content)


def write_folder(target: Path, contents: Mapping[str, bytes]) -> None:
    """Replace a folder in one step by one with these files, written in this order; the caller holds a lock on it."""
    with disk_errors(target), files.new_folder(target) as folder:
        for name, content in contents.items():
            with files.new_file(folder / name) as file:
                file.write(content)


def is_being_replaced(target: Path) -> bool:
    """Return whether a process is between the two renames of `write_folder`, or died there."""
    return not target.exists() and bool(files.find_temporary(target.parent, target.name))


def recover_folder(target: Path, is_complete: Callable[[Path], bool]) -> None:
    """Remove what a dead process left of `write_folder`; a complete folder takes its place at `target` if that is free.

    The caller holds a lock on the folder. `is_complete` is called with its temporary name.
    """
    with disk_errors(target):
        for left in files.find_temporary(target.parent, target.name):
            if not target.exists() and is_complete(left):
                left.replace(target)
            else:
                shutil.rmtree(left, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    with disk_errors(path):
        files.remove(path)


def to_json(content: Mapping[str, Json]) -> bytes:
    """Return plain data as the content of a JSON file."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def to_sealed_json(content: Mapping[str, Json]) -> bytes:
    """Return plain data as the content of a JSON file that ends with a checksum of it all."""
    return to_json({**content, SEAL: _seal(content)})


def read_file(path: Path, advice: str) -> bytes:
    """Return the content of a file."""
    with read_errors(path, advice):
        return files.read_file(path)


def read_checked_file(path: Path, checksum: str, advice: str) -> bytes:
    """Return the content of a file that must have this SHA-256, in hex."""
    content = read_file(path, advice)
    if files.checksum(content) != checksum:
        raise ResultsError(f"{path}: is not what was written, by its checksum; {advice}")
    return content


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """Return the content of a file that must hold a JSON object."""
    with read_errors(path, advice):
        content = json.loads(files.read_file(path))
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: got no JSON object; {advice}")
    return content


def read_sealed_json(path: Path, advice: str) -> dict[str, Any]:
    """Return the content of a file that must be as `to_sealed_json` made it, without the checksum."""
    content = read_json(path, advice)
    if content.pop(SEAL, None) != _seal(content):
        raise ResultsError(f"{path}: is not what was written, by its checksum; {advice}")
    return content


def file_stamp(path: Path, advice: str) -> Stamp:
    """Return the inode, time (ns) and size (bytes) of a file, one of which changes whenever it is written again."""
    with read_errors(path, advice):
        status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _seal(content: Mapping[str, Json]) -> str:
    return files.checksum(json.dumps(content, sort_keys=True).encode())

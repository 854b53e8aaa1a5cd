"""The files of a results folder, sealed JSON among them, and locks that no dead process holds."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import SoftFileLease, Timeout

from clrbench import files
from clrbench.errors import ResultsError

LEASE_SECONDS = 60.0
"""Another machine takes over a lock that was not renewed for so long, by its own clock; a dead process of this one's at once."""

LOCK_POLL_SECONDS = 0.1
ABANDONED_SECONDS = 2 * LEASE_SECONDS
"""A lock that was not renewed for so long is removed, where the file system cannot exchange names and so cannot hand it over."""

NAMELESS_SECONDS = 2.0
"""An owner writes its name into a lock right after making it; a lock that bears none for so long is of a dead process."""

SEAL = "checksum"
GONE = "the folder was removed while it was in use, with what was finished in it; run the same command again"
_ADVICE = "free or unlock the place, or use another; finished runs are kept"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a ResultsError that names the path and a way out."""
    with files.disk_errors(path, ResultsError, _ADVICE):
        try:
            yield
        except FileNotFoundError as err:
            if path.parent.exists():
                raise
            raise ResultsError(f"{path}: {GONE}") from err


@contextmanager
def lock(path: Path, give_up: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """Hold a lock against other processes, on this machine and on others that share the folder.

    A lock is a file with its owner's name, renewed while it is held: it needs no `flock`, which shared folders often lack.

    Args:
        path: Of the lock.
        give_up: Is asked, while another process holds the lock, whether to wait no longer.

    Yields:
        Whether it is held.
    """
    lease = SoftFileLease(path, lease_duration=LEASE_SECONDS, poll_interval=LOCK_POLL_SECONDS)
    abandoned = _Abandoned(path)

    def cancel() -> bool:
        abandoned.clear()
        return give_up()

    with disk_errors(path):
        files.make_folder(path.parent)
        with suppress(Timeout):
            lease.acquire(cancel_check=cancel)
    try:
        yield lease.is_locked
    finally:
        lease.release()


@dataclass
class _Abandoned:
    """Removes a lock of a dead process that `SoftFileLease` waits for without end.

    That is one whose owner died before it wrote its name, and, on a file system that cannot exchange names (NFS), any.
    """

    path: Path
    _seen: tuple[int, int] | None = None
    _since: float = 0.0

    def clear(self) -> None:
        with suppress(FileNotFoundError):
            found = self.path.lstat()
            seen = found.st_ino, found.st_mtime_ns
            if seen != self._seen:
                self._seen, self._since = seen, time.monotonic()
            elif time.monotonic() - self._since >= (ABANDONED_SECONDS if found.st_size > 0 else NAMELESS_SECONDS):
                self.path.unlink()


def refuse_symlinks(root: Path, path: Path) -> None:
    """Raise ResultsError if anything below `root` on the way to `path`, or `path` itself, is a symbolic link."""
    for part in (path, *path.parents):
        if part == root:
            return
        if part.is_symlink():
            raise ResultsError(
                f"{part}: is a symbolic link, which is not followed inside a results folder; remove it and run the same "
                "command again"
            )


def write_file(target: Path, content: bytes) -> None:
    """Write a file in one step; the caller holds a lock on it.

    Raises:
        ResultsError: If the disk refuses.
    """
    with disk_errors(target):
        files.write_file(target, content)


def write_folder(target: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files in one step, in place of whatever lies there; the caller holds a lock on it.

    Args:
        target: The folder.
        contents: What its files hold, by name; they are written in this order.

    Raises:
        ResultsError: If the disk refuses.
    """
    with disk_errors(target), files.new_folder(target) as folder:
        for name, content in contents.items():
            with files.new_file(folder / name) as file:
                file.write(content)


def is_being_replaced(target: Path) -> bool:
    """Return whether another process is about to put a folder into this place, or died while it was."""
    return not target.exists() and bool(files.find_temporary(target.parent, target.name))


def recover_folder(target: Path, is_whole: Callable[[Path], bool]) -> None:
    """Clear what a dead process left of `write_folder`; a whole folder that nothing has taken the place of yet is kept.

    Args:
        target: What was being written; the caller holds a lock on it.
        is_whole: Whether a folder is what was to be written.

    Raises:
        ResultsError: If the disk does not let go of it.
    """
    with disk_errors(target):
        for left in files.find_temporary(target.parent, target.name):
            if not target.exists() and is_whole(left):
                left.replace(target)
            else:
                shutil.rmtree(left, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there.

    Raises:
        ResultsError: If the disk refuses.
    """
    with disk_errors(path):
        files.remove(path)


def to_json(content: Mapping[str, Any]) -> bytes:
    """Return plain data as the content of a JSON file."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with a checksum of it all as its last entry."""
    return {**content, SEAL: _seal(content)}


def read_json(path: Path, remedy: str, *, must_be_sealed: bool = False) -> dict[str, Any]:
    """Return the content of a JSON file.

    Args:
        path: Of the file.
        remedy: What to do where it cannot be read.
        must_be_sealed: Whether it must bear a checksum.

    Raises:
        ResultsError: If it cannot be read, is no JSON object, or bears a checksum that is not its own.
    """
    try:
        content = json.loads(files.read_file(path))
    except (OSError, ValueError, RecursionError) as err:
        raise ResultsError(f"{path}: cannot be read ({err}); {remedy}") from err
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: got no JSON object; {remedy}")
    unsealed = {key: value for key, value in content.items() if key != SEAL}
    if content.get(SEAL, None if must_be_sealed else _seal(unsealed)) != _seal(unsealed):
        raise ResultsError(f"{path}: is not what was written, by its checksum; {remedy}")
    return content


def _seal(content: Mapping[str, Any]) -> str:
    return files.checksum(json.dumps(content, sort_keys=True).encode())

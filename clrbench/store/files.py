"""Files that are whole or not there, and locks that no dead process holds.

Every write goes to a temporary name first, is flushed to the disk, and then takes its place in one step.
"""

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import SoftFileLease, Timeout

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
_ARRIVING = ".part"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into an error that names the path and a way out."""
    try:
        yield
    except OSError as err:
        if isinstance(err, FileNotFoundError) and not path.parent.exists():
            raise ResultsError(f"{path}: {GONE}") from err
        raise ResultsError(
            f"{path}: cannot be written ({err.strerror or err}); free or unlock the place, or use another; finished runs "
            "are kept"
        ) from err


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
        make_folder(path.parent)
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
    """Write a file in one step; whoever writes holds a lock on it, so what a dead process left of it goes.

    Raises:
        ResultsError: If the disk does not take it.
    """
    with disk_errors(target):
        make_folder(target.parent)
        for left in target.parent.glob(f".{target.name}.*{_ARRIVING}"):
            left.unlink(missing_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_ARRIVING}")
        try:
            _write_all(temporary, content)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)


def write_folder(target: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files in one step, in place of whatever lies there; the caller holds a lock on it.

    Args:
        target: The folder.
        contents: Of its files, by name, written in this order.

    Raises:
        ResultsError: If the disk does not take it.
    """
    with disk_errors(target):
        make_folder(target.parent)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}{_ARRIVING}")
        replaced = temporary.with_name(f"{temporary.name}-replaced")
        try:
            temporary.mkdir()
            for name, content in contents.items():
                _write_all(temporary / name, content)
            sync_folder(temporary)
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
        sync_folder(target.parent)


def is_being_replaced(target: Path) -> bool:
    """Return whether another process is about to put a folder into this place, or died while it was."""
    return not target.exists() and any(target.parent.glob(f".{target.name}.*{_ARRIVING}*"))


def recover_folder(target: Path, is_whole: Callable[[Path], bool]) -> None:
    """Clear what a dead process left of `write_folder`; a whole folder that nothing has taken the place of yet is kept.

    Args:
        target: What was being written; the caller holds a lock on it.
        is_whole: Whether a folder is what was to be written.

    Raises:
        ResultsError: If the disk does not let go of it.
    """
    with disk_errors(target):
        for left in sorted(target.parent.glob(f".{target.name}.*{_ARRIVING}*")):
            if not target.exists() and is_whole(left):
                left.replace(target)
            else:
                shutil.rmtree(left, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there.

    Raises:
        ResultsError: If the disk does not let go of it.
    """
    with disk_errors(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Make a folder, unless it is there, in one that must be there, and flush that one to the disk."""
    if not path.is_dir():
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush to the disk which files a folder has."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        content = json.loads(read_bytes(path))
    except (OSError, ValueError, RecursionError) as err:
        raise ResultsError(f"{path}: cannot be read ({err}); {remedy}") from err
    if not isinstance(content, dict):
        raise ResultsError(f"{path}: got no JSON object; {remedy}")
    unsealed = {key: value for key, value in content.items() if key != SEAL}
    if content.get(SEAL, None if must_be_sealed else _seal(unsealed)) != _seal(unsealed):
        raise ResultsError(f"{path}: is not what was written, by its checksum; {remedy}")
    return content


def read_bytes(path: Path) -> bytes:
    """Return the content of a file; a pipe or a device, which may never end, is not read.

    Raises:
        OSError: If it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise OSError("it is no regular file")
    return path.read_bytes()


def checksum(content: bytes) -> str:
    """Return the sha256 of a file's content, in hex."""
    return hashlib.sha256(content).hexdigest()


def _seal(content: Mapping[str, Any]) -> str:
    return checksum(json.dumps(content, sort_keys=True).encode())


def _write_all(path: Path, content: bytes) -> None:
    # Never through something that lies there already, which might be a link.
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

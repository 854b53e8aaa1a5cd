"""Folders on this machine for what another one has sent: they go with the process that made them, however it ends."""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from clrbench.errors import BackendError
from clrbench.files import disk_errors

PREFIX = "clrbench-node-"
NEW_SECONDS = 60.0
"""A folder that is younger may not be locked yet."""
_LOCK = "lock"
_ADVICE = "free or unlock the place, or name another by TMPDIR where the nodes are started"


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """Yield a new folder for a while, which only this user can read."""
    place = new_folder(name)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def new_folder(name: str) -> Path:
    """Return a new folder that goes with this process."""
    with disk_errors(_own().place, BackendError, _ADVICE):
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_own().place))


class _Own:
    """The folder of this process, locked as long as that lives: a process that is killed cannot remove it."""

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        _sweep(parent)
        with disk_errors(parent, BackendError, _ADVICE):
            self.place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            _lock(self.place)
        atexit.register(shutil.rmtree, self.place, ignore_errors=True)


@cache
def _own() -> _Own:
    return _Own()


def _lock(place: Path) -> None:
    """Lock a folder until this process ends, which alone closes the file."""
    fcntl.flock(os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sweep(parent: Path) -> None:
    """Remove what processes of this user have left that are no more."""
    for place in parent.glob(f"{PREFIX}*"):
        # Those of others cannot be opened.
        with suppress(OSError), (place / _LOCK).open("r+", encoding="utf-8") as file:
            if time.time() - os.fstat(file.fileno()).st_mtime < NEW_SECONDS:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)

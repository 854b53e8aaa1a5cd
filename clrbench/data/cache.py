"""Where data is kept that is fetched, made or decoded, unless the user names a folder."""

import os
import stat
import tempfile
from pathlib import Path

from clrbench.errors import DataError


def default_folder() -> Path:
    """Return the user's own cache; for a user without a home folder to write to, a private folder among the temporary files.

    Raises:
        DataError: If that one belongs to somebody else.
    """
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("clrbench")
        if folder.is_absolute() and _can_be_made(folder):
            return folder
    except (RuntimeError, KeyError, OSError):
        pass  # no HOME and no entry of this user in the list of users, or one where this user may not look
    return private_folder(Path(tempfile.gettempdir()) / f"clrbench-{os.getuid()}")


def _can_be_made(folder: Path) -> bool:
    """Return whether a folder is there, or may be made; a container's user often has `/` or nothing for a home."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    return place == folder or (place.is_dir() and os.access(place, os.W_OK | os.X_OK))


def private_folder(folder: Path) -> Path:
    """Return a folder that this user alone can write to; it is made where it is missing.

    Raises:
        DataError: If it is not such a folder: others may write to the place where it lies.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as err:
        raise DataError(
            f"{folder}: cannot be made ({err.strerror}), and this user has no home folder for data; name one with "
            "CLRBENCH_DATA, or --data-dir on the command line"
        ) from err
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise DataError(
            f"{folder}: is not a folder of this user alone, who has no home folder for data; name one with CLRBENCH_DATA, "
            "or --data-dir on the command line"
        )
    return folder

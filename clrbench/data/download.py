"""Published files, fetched and verified: a file that is in its folder is whole and the right one."""

import re
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clrbench import files
from clrbench.data.progress import Advance, Show
from clrbench.data.sources import RemoteFile
from clrbench.errors import DataError

if TYPE_CHECKING:
    import requests

ATTEMPTS = 3
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and between two pieces of an answer."""

PIECE_BYTES = 2**20

MOST_TIMES_THE_SIZE = 2
"""A file that is so many times as large as the published one is another, and not fetched to its end."""


def fetch(dataset: str, file: RemoteFile, folder: Path, show: Show) -> Path:
    """Return the path of a verified file, which is downloaded unless it is there.

    Args:
        dataset: What the file belongs to.
        file: Which one.
        folder: Where it lies or is to lie; only one process at a time may fetch into it.
        show: Shows how far it is, in bytes.

    Raises:
        DataError: If the file that lies there is another one, or nobody gives the right one.
        OSError: If the disk does not take it.
    """
    path = folder / file.name
    if path.exists():
        verify(dataset, file, path)
        return path
    arriving = files.temporary_path(path)  # a folder, as pooch writes files of its own beside the one it fetches
    failures = []
    try:
        for url in file.urls:
            failure = _download(url, file, arriving, show)
            if failure is None:
                files.sync(arriving / file.name)
                (arriving / file.name).replace(path)
                files.sync(folder)
                return path
            failures.append(f"{_without_password(url)} ({failure})")
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    raise DataError(
        f"{dataset}: {file.name} is not in {folder}, and could not be fetched from {'; '.join(failures)}; try again later, "
        f"put the file (sha256 {file.sha256}) there yourself, or name a mirror in the file that CLRBENCH_SOURCES names"
    )


def verify(dataset: str, file: RemoteFile, path: Path) -> None:
    """Check a file against its checksum.

    Raises:
        DataError: If it is another.
        OSError: If it cannot be read.
    """
    from pooch import file_hash

    got = file_hash(str(path))
    if got != file.sha256:
        raise DataError(
            f"{dataset}: {path}: got sha256 {got}, expected {file.sha256}; remove the file, and it is fetched anew, or correct "
            "the checksum in the file that CLRBENCH_SOURCES names"
        )


def _download(url: str, file: RemoteFile, folder: Path, show: Show) -> str | None:
    """Download and verify a file; return why it failed, or None. Only what another try may mend is tried again."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    for attempt in range(1, ATTEMPTS + 1):
        bar = _ByteBar(f"fetching {_without_password(url)}", show, MOST_TIMES_THE_SIZE * file.num_bytes)
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=PIECE_BYTES, timeout=TIMEOUT_SECONDS)
        try:
            pooch.retrieve(url, f"sha256:{file.sha256}", file.name, folder, downloader=downloader)
        except requests.HTTPError as err:
            failure = str(err).partition(" for url")[0]
            if not failure.startswith("5"):
                return failure
        except requests.RequestException as err:
            failure = _reason(err)
        except ValueError as err:
            other = str(err).partition(" but got ")[2].partition(".")[0]
            return f"another file, with sha256 {other}" if other else str(err)
        else:
            return None
        finally:
            bar.close()
        if attempt < ATTEMPTS:
            time.sleep(PAUSE_SECONDS)
    return f"{failure}, tried {ATTEMPTS} times"


def _without_password(url: str) -> str:
    """Return a URL as it may be shown: a company's mirror may want a name and a password in it."""
    return re.sub(r"(?<=://)[^/]*@", "", url)


def _reason(err: "requests.RequestException") -> str:
    """Return the innermost cause, which says what happened; the outer ones say where in the library."""
    cause: object = err
    while isinstance(cause, BaseException) and cause.args:
        inner = getattr(cause.args[-1], "reason", None) or cause.args[-1]
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return str(cause).partition(">: ")[2] or str(cause)


@dataclass
class _ByteBar:
    """What pooch takes for a progress bar of the kind that tqdm makes."""

    what: str
    show: Show
    most_bytes: int
    total: int = 0
    _done: int = 0
    _advance: Advance | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def update(self, num_bytes: int) -> None:
        if self._advance is None:
            self._advance = self._stack.enter_context(self.show(self.what, self.total))
        if self.total > 0:
            num_bytes = min(num_bytes, self.total - self._done)  # the last piece is told as if it were whole
        self._done += num_bytes
        if max(self._done, self.total) > self.most_bytes:
            raise ValueError(f"another file, larger than {self.most_bytes} bytes")
        self._advance(num_bytes)

    def reset(self) -> None:
        """Is called at the end, before all bytes are told once more; there are none left to count."""

    def close(self) -> None:
        self._stack.close()

"""Published files, fetched and verified: a file that is in its folder is complete and the right one."""

import re
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clrbench import files
from clrbench.data.progress import Advance, Show
from clrbench.errors import DataError

if TYPE_CHECKING:
    import requests

ATTEMPTS = 3
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and between two pieces of an answer."""

PIECE_BYTES = 2**20

MAX_SIZE_RATIO = 2
"""A file more than this many times as large as the published one is another, and is not fetched to its end."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: Its name in the data folder.
        urls: Where to fetch it, tried in order.
        sha256: The SHA-256 of its content, in hex.
        num_bytes: Its size in bytes.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str
    num_bytes: int


@dataclass(frozen=True)
class Replacement:
    """What takes the place of a file's URLs and checksum, such as a mirror inside a company.

    Attributes:
        dataset: The name of the data set.
        file: The key of the file there.
        urls: Where to fetch it, tried in order.
        sha256: The SHA-256 of its content, in hex; None where it is that of the published file.
    """

    dataset: str
    file: str
    urls: tuple[str, ...]
    sha256: str | None = None


def replace_files(
    dataset: str, published: Mapping[str, RemoteFile], replacements: tuple[Replacement, ...]
) -> dict[str, RemoteFile]:
    """Return the published files of a data set, by key, as the replacements (of any data set) have them fetched."""
    found = dict(published)
    for other in replacements:
        if other.dataset == dataset:
            file = published[other.file]
            found[other.file] = replace(file, urls=other.urls, sha256=other.sha256 or file.sha256)
    return found


def fetch(dataset: str, file: RemoteFile, folder: Path, show: Show) -> Path:
    """Return the path of a verified file, which is downloaded unless it is there.

    Args:
        dataset: The name of the data set that it belongs to.
        file: What is published.
        folder: The folder for it, locked against other processes.
        show: Shows the progress, in bytes.

    Raises:
        DataError: If the file that is there is another one, or no URL has the right one.
        OSError: If the disk refuses.
    """
    path = folder / file.name
    if path.exists():
        verify(dataset, file, path)
        return path
    temporary = files.temporary_path(path)  # a folder, as pooch writes files of its own beside the one it fetches
    failures = []
    try:
        for url in file.urls:
            failure = _download(url, file, temporary, show)
            if failure is None:
                files.sync(temporary / file.name)
                (temporary / file.name).replace(path)
                files.sync(folder)
                return path
            failures.append(f"{_without_password(url)} ({failure})")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    raise DataError(
        f"{dataset}: {file.name} is not in {folder}, and could not be fetched from {'; '.join(failures)}; try again later, "
        f"put the file (sha256 {file.sha256}) there yourself, or name a mirror in the file that CLRBENCH_SOURCES names"
    )


def verify(dataset: str, file: RemoteFile, path: Path) -> None:
    """Check a file against its checksum.

    Raises:
        DataError: If it is another one.
        OSError: If it cannot be read.
    """
    from pooch import file_hash

    got = file_hash(str(path))
    if got != file.sha256:
        raise DataError(
            f"{dataset}: {path}: got sha256 {got}, expected {file.sha256}; remove the file, and it is fetched again, or correct "
            "the checksum in the file that CLRBENCH_SOURCES names"
        )


def _download(url: str, file: RemoteFile, folder: Path, show: Show) -> str | None:
    """Download and verify a file; return why it failed, or None. Only what another try may mend is tried again."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    for attempt in range(1, ATTEMPTS + 1):
        bar = _ByteBar(f"fetching {_without_password(url)}", show, MAX_SIZE_RATIO * file.num_bytes)
        downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=PIECE_BYTES, timeout=TIMEOUT_SECONDS)
        try:
            pooch.retrieve(url, f"sha256:{file.sha256}", file.name, folder, downloader=downloader)
        except requests.HTTPError as err:
            failure = str(err).partition(" for url")[0]
            if not failure.startswith("5"):
                return failure
        except requests.RequestException as err:
            failure = _cause(err)
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


def _cause(err: "requests.RequestException") -> str:
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
    """A progress bar as pooch calls it, which expects one of tqdm's."""

    what: str
    show: Show
    max_bytes: int
    total: int = 0
    _done: int = 0
    _advance: Advance | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def update(self, num_bytes: int) -> None:
        if self._advance is None:
            self._advance = self._stack.enter_context(self.show(self.what, self.total))
        if self.total > 0:
            num_bytes = min(num_bytes, self.total - self._done)  # pooch counts the last piece as a full one
        self._done += num_bytes
        if max(self._done, self.total) > self.max_bytes:
            raise ValueError(f"another file, larger than {self.max_bytes} bytes")
        self._advance(num_bytes)

    def reset(self) -> None:
        """Do nothing: pooch calls this at the end, before it counts all bytes once more."""

    def close(self) -> None:
        self._stack.close()

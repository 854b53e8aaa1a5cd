"""Published files, fetched and verified: a file that is in its folder is complete and the right one.

A file that cannot be had, or is another one, is a DataError; where the disk refuses, the OSError is left as it is.
"""

import re
import shutil
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clrbench import files
from clrbench.data.progress import Show
from clrbench.errors import DataError

ATTEMPTS = 3
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = (5.0, 30.0)
"""To connect, and between two pieces of an answer."""

PIECE_BYTES = 2**20

MAX_SIZE_RATIO = 2
"""A file more than this many times as large as the published one is another, and is not fetched to its end."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file, its name in the data folder, its URLs in the order they are tried, and its SHA-256 in hex."""

    name: str
    urls: tuple[str, ...]
    sha256: str
    num_bytes: int


def published(url: str, sha256: str, num_bytes: int) -> RemoteFile:
    """Return the file that is published at a URL, under the name that it has there."""
    return RemoteFile(url.rpartition("/")[2], (url,), sha256, num_bytes)


@dataclass(frozen=True)
class Replacement:
    """What takes the place of a file's URLs, and of its SHA-256 unless that is None, such as a mirror inside a company."""

    dataset: str
    file: str
    urls: tuple[str, ...]
    sha256: str | None = None

    def apply(self, file: RemoteFile) -> RemoteFile:
        """Return the published file as it is to be fetched."""
        return replace(file, urls=self.urls, sha256=self.sha256 or file.sha256)


def fetch(dataset: str, file: RemoteFile, folder: Path, show: Show) -> Path:
    """Return the path of a verified file, downloaded unless it is in `folder`, which the caller has locked."""
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
    """Check a file against its checksum."""
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

    downloader = partial(_write_answer, show=show, max_bytes=MAX_SIZE_RATIO * file.num_bytes)
    pooch.get_logger().setLevel("WARNING")
    for attempt in range(1, ATTEMPTS + 1):
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
        if attempt < ATTEMPTS:
            time.sleep(PAUSE_SECONDS)
    return f"{failure}, tried {ATTEMPTS} times"


def _write_answer(url: str, path: str, _pooch: object, *, show: Show, max_bytes: int) -> None:
    """Write what is at a URL to a file, as pooch has it done."""
    import requests

    with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as answer:
        answer.raise_for_status()
        total, done = int(answer.headers.get("content-length", 0)), 0
        with show(f"fetching {_without_password(url)}", total) as advance, Path(path).open("wb") as file:
            for piece in answer.iter_content(PIECE_BYTES):
                done += len(piece)
                if max(done, total) > max_bytes:
                    raise ValueError(f"another file, larger than {max_bytes} bytes")
                file.write(piece)
                advance(len(piece))


def _without_password(url: str) -> str:
    """Return a URL as it may be shown: that of a company's mirror may hold a name and a password."""
    return re.sub(r"(?<=://)[^/]*@", "", url)


def _cause(err: Exception) -> str:
    """Return what the innermost cause says, which is what happened; the outer ones say where in the library."""
    cause: object = err
    while isinstance(cause, BaseException) and cause.args:
        inner = getattr(cause.args[-1], "reason", None) or cause.args[-1]
        if not isinstance(inner, BaseException):
            break
        cause = inner
    return str(cause).partition(">: ")[2] or str(cause)

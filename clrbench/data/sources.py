"""Where published data sets are fetched from, and what replaces that."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        name: Of the file in the data folder.
        urls: Where it is to be had, tried in order.
        sha256: Of its content, in hex.
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
        dataset: Which data set.
        file: Which file of it, by its key there.
        urls: Where it is to be had, tried in order.
        sha256: Of its content, in hex; None where it is that of the published file.
    """

    dataset: str
    file: str
    urls: tuple[str, ...]
    sha256: str | None = None


def replaced(
    dataset: str, files: dict[str, RemoteFile], replacements: tuple[Replacement, ...]
) -> dict[str, RemoteFile]:
    """Return the files of a data set as they are to be fetched.

    Args:
        dataset: Its name.
        files: As published, by key.
        replacements: Of any data set.
    """
    found = dict(files)
    for other in replacements:
        if other.dataset == dataset:
            file = files[other.file]
            found[other.file] = replace(file, urls=other.urls, sha256=other.sha256 or file.sha256)
    return found

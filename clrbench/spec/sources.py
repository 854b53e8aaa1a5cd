"""Where data lies and comes from, as the environment says.

The sources file: YAML -> what replaces the URLs and checksums of published data sets, such as a company's mirror.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, create_model

from clrbench.data import FETCHED_FILES, Library, Replacement
from clrbench.errors import SpecError
from clrbench.spec.part import Part, read_part

_URL = re.compile(r"https?://[^\s/]+/\S*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def _as_urls(value: object) -> tuple[str, ...]:
    urls = value if isinstance(value, list | tuple) else [value]
    if not urls or not all(isinstance(url, str) and url.isprintable() and _URL.fullmatch(url) for url in urls):
        raise ValueError("a URL that starts with http:// or https://, or a list of them")
    return tuple(urls)


def _check_sha256(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError("64 hexadecimal digits")
    return value.lower()


Urls: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_as_urls)]
Sha256: TypeAlias = Annotated[str, AfterValidator(_check_sha256)]


class Source(Part):
    """Where a file is to be had, and its checksum where it is not the published one."""

    url: Urls
    sha256: Sha256 | None = None


def _optional(kind: type[Part]) -> Any:
    return (kind | None, None)


_DATASETS: dict[str, Any] = {
    name: _optional(create_model(f"{name}_files", __base__=Part, **{key: _optional(Source) for key in keys}))
    for name, keys in FETCHED_FILES.items()
}
Sources = create_model("Sources", __base__=Part, **_DATASETS)


def library_from_environment(data_dir: Path | None = None) -> Library:
    """Return all data sets, kept where `CLRBENCH_DATA` says and fetched from where the file that `CLRBENCH_SOURCES` names says.

    Args:
        data_dir: The folder for data in place of that of the environment; without either it is the user's own cache.

    Raises:
        SpecError: If `CLRBENCH_DATA` names a file, or anything in the sources file is not allowed.
    """
    named, sources = os.environ.get("CLRBENCH_DATA"), os.environ.get("CLRBENCH_SOURCES")
    if data_dir is None and named:
        data_dir = Path(named)
        if os.path.isfile(data_dir):  # noqa: PTH113 (`is_file` raises where a name is too long)
            raise SpecError(
                f"CLRBENCH_DATA: got {named!r}, which is a file; allowed: a folder, whether it is there or not"
            )
    return Library(data_dir and data_dir.resolve(), load_sources(Path(sources)) if sources else ())


def load_sources(path: Path) -> tuple[Replacement, ...]:
    """Return what a sources file replaces.

    Raises:
        SpecError: If anything in it is not allowed; the message has one line for each thing found.
    """
    example = "{svhn: {train: {url: https://mirror.example/train_32x32.mat, sha256: ...}}}"
    sources, _ = read_part(path, Sources, f"allowed: such as {example}")
    return tuple(
        Replacement(dataset, key, source.url, source.sha256)
        for dataset, files in sources
        for key, source in files or ()
        if source is not None
    )

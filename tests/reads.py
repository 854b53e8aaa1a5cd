"""Which files a process opens for reading."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

_counting: list[tuple[Path, Counter[str]]] = []


@contextmanager
def counted_reads(root: Path) -> Iterator[Counter[str]]:
    """Count how often each file below a folder is opened for reading meanwhile, by its path from there."""
    _install_hook()
    counter: Counter[str] = Counter()
    _counting.append((root, counter))
    try:
        yield counter
    finally:
        _counting.remove((root, counter))


@cache
def _install_hook() -> None:
    sys.addaudithook(_count)


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _counting:
        return
    path, mode, flags = arguments
    is_read = mode.startswith("r") and "+" not in mode if mode else flags & os.O_ACCMODE == os.O_RDONLY
    if isinstance(path, str) and is_read and not Path(path).is_dir():
        for root, counter in _counting:
            if Path(path).is_relative_to(root):
                counter[Path(path).relative_to(root).as_posix()] += 1

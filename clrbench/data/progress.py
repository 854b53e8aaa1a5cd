"""How data is shown to be on its way; the caller hands in what shows it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Takes how much has been done since the last call."""

Show: TypeAlias = Callable[[str, int], AbstractContextManager[Advance]]
"""Takes a description and the total amount (0 if unknown), and shows progress while its context lasts."""


@contextmanager
def in_silence(_what: str, _total: int) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda _amount: None

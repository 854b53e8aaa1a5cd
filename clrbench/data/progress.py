"""How data is shown to be on its way; what shows it is handed in from above."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Is told how much more has been done since it was last told."""

Show: TypeAlias = Callable[[str, int], AbstractContextManager[Advance]]
"""Shows progress while its context lasts: of what, and how much there is to do in all (0 where that is not known)."""


@contextmanager
def in_silence(_what: str, _total: int) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda _amount: None

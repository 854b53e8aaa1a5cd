"""What a command says, and how its process ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

PLAIN_COLUMNS = 100
"""Width of an answer that no terminal shows."""
Layout: TypeAlias = str | Callable[[int], str]
"""What is printed for people: text as it is, or a function that lays it out for so many columns."""


class ExitCode(IntEnum):
    """The exit codes of the command line."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_ANSWER = 3
    CONDITION_HOLDS = 4
    INTERRUPTED = 130
    TERMINATED = 143


@dataclass(frozen=True)
class Answer:
    """What a command returns; the command line prints one of its two forms.

    Attributes:
        text: For people, the most important sentence first; it may hold the codes that colour it.
        data: The same for programs; what JSON can hold.
        exit_code: The exit code of the process.
    """

    text: Layout
    data: Mapping[str, object]
    exit_code: ExitCode = ExitCode.DONE

    def shown(self, width: int) -> str:
        """Return the text, laid out for so many columns."""
        return self.text if isinstance(self.text, str) else self.text(width)

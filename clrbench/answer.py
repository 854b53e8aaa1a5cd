"""What a command says, and how its process ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


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
        text: For people, the most important sentence first.
        data: The same for programs; what JSON can hold.
        exit_code: The exit code of the process.
    """

    text: str
    data: Mapping[str, object]
    exit_code: ExitCode = ExitCode.DONE

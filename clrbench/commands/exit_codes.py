"""What the condition that `--fail-if` names makes of verdicts: the exit code."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from clrbench.answer import ExitCode

FailIf: TypeAlias = Literal["worse", "not-better"]
"""Any verdict is worse; or not every one counts as better."""


def exit_code(
    fail_if: FailIf | None, *, has_answer: bool, are_worse: Iterable[bool], are_better: Iterable[bool]
) -> ExitCode:
    """Return the exit code of verdicts; where there is no answer, that goes before any condition.

    Args:
        fail_if: The condition that exit code 4 stands for; None for none.
        has_answer: Whether there is any verdict to hold it against.
        are_worse: Of each verdict, whether it is worse.
        are_better: Of each verdict, whether it counts as better.
    """
    if not has_answer:
        return ExitCode.NO_ANSWER
    fails = {None: False, "worse": any(are_worse), "not-better": not all(are_better)}
    return ExitCode.CONDITION_HOLDS if fails[fail_if] else ExitCode.DONE

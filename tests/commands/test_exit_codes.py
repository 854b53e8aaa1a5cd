"""What `--fail-if` makes of verdicts."""

import pytest

from clrbench.answer import ExitCode
from clrbench.commands.exit_codes import FailIf, exit_code


@pytest.mark.parametrize(
    ("fail_if", "verdicts", "code"),
    [
        (None, ["worse"], ExitCode.DONE),
        ("worse", ["better", "worse"], ExitCode.CONDITION_HOLDS),
        ("worse", ["better", "cannot tell"], ExitCode.DONE),
        ("not-better", ["better", "better"], ExitCode.DONE),
        ("not-better", ["better", "equivalent"], ExitCode.CONDITION_HOLDS),
    ],
)
def test_a_condition_is_held_against_every_verdict_once_there_is_an_answer(
    fail_if: FailIf | None, verdicts: list[str], code: ExitCode
) -> None:
    for has_answer, expected in ((True, code), (False, ExitCode.NO_ANSWER)):
        found = exit_code(
            fail_if,
            has_answer=has_answer,
            are_worse=(word == "worse" for word in verdicts),
            are_better=(word == "better" for word in verdicts),
        )
        assert found is expected

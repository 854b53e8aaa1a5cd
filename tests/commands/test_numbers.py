"""Rates and lengths that no run can hold are refused before anything is trained; a run that diverges is told of."""

from pathlib import Path
from typing import Any

import pytest
from command_line import Clrbench, answer, write_spec

RANGE_TEST = {"start_lr": 0.001, "end_lr": 2.0, "duration": "6 epochs", "seeds": 2}


@pytest.mark.parametrize(
    ("schedule", "line_of", "reason"),
    [
        ({"name": "constant", "lr": "1e-50"}, "lr:", "a learning rate from 1e-30 to 1e+30, which float32 can hold"),
        ({"name": "constant", "lr": "1e39"}, "lr:", "a learning rate from 1e-30 to 1e+30, which float32 can hold"),
        ({"name": "exponential_decay", "lr": 0.1, "gamma": 1e-30}, "schedule:", "got 3.16e-120; allowed: 1.18e-38 to"),
        ({"name": "exponential_decay", "lr": "range_test", "gamma": 1e-30}, "schedule:", "allowed: 1.18e-38 to"),
        ({"name": "cosine_restarts", "lr": 0.1, "period": "0.01 epochs"}, "period:", "which is less than a step"),
    ],
)
def test_a_rate_or_a_length_that_no_run_can_hold_is_refused_at_its_line(
    schedule: dict[str, Any], line_of: str, reason: str, tmp_path: Path, clrbench: Clrbench
) -> None:
    path = write_spec(tmp_path, arms={"a": {"schedule": schedule}}, backends=["torch"], range_test=RANGE_TEST)
    done = clrbench("validate", path.name)
    assert done.returncode == 2
    lines = path.read_text().splitlines()
    (number,) = (i for i, line in enumerate(lines, 1) if line.strip().startswith(line_of))
    assert done.stderr.startswith(f"Error: {path.name}:{number}: arms.a.schedule")
    assert reason in done.stderr


def test_where_every_run_diverges_at_once_the_answer_is_none_and_no_warning_is_printed(
    tmp_path: Path, clrbench: Clrbench
) -> None:
    gone = {"schedule": {"name": "constant", "lr": "1e20"}}
    path = write_spec(tmp_path, arms={"constant": gone, "clr": gone}, backends=["torch"], duration="1 epochs", seeds=2)
    done = clrbench("compare", path.name, "--json", "--quiet")
    assert done.returncode == 3
    assert "Warning" not in done.stderr
    found = answer(done)
    assert [(row["runs"], row["diverged"]) for row in found["summary"]] == [(2, 2), (2, 2)]
    assert [row["verdict"] for row in found["verdicts"]] == ["cannot tell"]

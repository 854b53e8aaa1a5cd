"""`clrbench validate`: specs against what is allowed and against their data."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Clrbench, write_spec


def test_validate_says_good_and_repeats_the_warnings(clrbench: Clrbench, tmp_path: Path) -> None:
    done = clrbench("validate", write_spec(tmp_path))
    assert done.returncode == 0
    assert "quick.yaml: good" in done.stdout
    assert "too few seeds" in done.stdout


def test_validate_checks_every_spec_it_is_given(clrbench: Clrbench, tmp_path: Path) -> None:
    good = write_spec(tmp_path)
    (tmp_path / "bad.yaml").write_text("name: x\n")
    done = clrbench("validate", "bad.yaml", good, "missing.yaml")
    assert done.returncode == 2
    assert "quick.yaml: good" in done.stdout
    assert "bad.yaml:1: model: is missing" in done.stderr
    assert "missing.yaml" in done.stderr


def test_schema_is_json(clrbench: Clrbench) -> None:
    schema = json.loads(clrbench("validate", "--schema").stdout)
    assert {"name", "data", "model", "arms", "range_test"} <= set(schema["properties"])


def test_schema_checks_no_spec(clrbench: Clrbench, tmp_path: Path) -> None:
    done = clrbench("validate", "--schema", write_spec(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--schema: got 1 spec as well, but it prints the schema and checks no spec" in done.stderr


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

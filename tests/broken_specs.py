"""Specs that are broken in one place, and their refusal."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from clrbench.errors import SpecError
from clrbench.spec import SpecFile, load_spec

GOOD = """\
name: mnist-mlp
data:
  dataset: mnist
  validation: 5000 rows
model: {name: mlp, hidden: [100, 50], activation: relu}
optimizer: {name: sgd, momentum: 0.9}
batch_size: 100
duration: 12 epochs
seeds: 10
backends: [torch, keras]
baseline: constant
arms:
  constant: {schedule: {name: constant, lr: 0.03}}
  clr:
    schedule: {name: triangular, base_lr: 0.01, max_lr: 0.1, cycles: 3}
targets: {test_accuracy: [0.95, 0.97]}
verdict: {metric: test_accuracy, at: end, margin: 0.001, alpha: 0.05}
range_test: {start_lr: 1e-3, end_lr: 1.0, ramp: linear, duration: 5 epochs, seeds: 3}
"""

INTERNALS = ("function-", "[key]", "tagged", "union", "literal[", "Input should", "Value error", "None", "Length(")
"""What pydantic or Python call things, and no user does."""

SCHEDULES = (
    "constant, piecewise, table, triangular, triangular2, exp_range, exp_range_paper, one_cycle, linear_decay, cosine, "
    "step_decay, exponential_decay, cosine_restarts, polynomial, wsd"
)
METRICS = (
    "test_accuracy, test_balanced_accuracy, test_loss, validation_accuracy, validation_loss, train_accuracy, train_loss"
)
LR = "arms.constant.schedule.lr"
MILESTONES = "arms.constant.schedule.milestones"
TUNE = "arms.constant.tune"
RATES = "2 to 50 different rates greater than 0, such as [0.01, 0.03, 0.1]"
CLR = "arms.clr.schedule"
BOUNDS = "base_lr: 0.01, max_lr: 0.1"
FOUND = "range_test, or bounds found elsewhere, such as {base_lr: 0.01, max_lr: 0.1, steps: 8250}"
SEEDS = "how many seeds (1 to 10000), or a list of them such as [0, 1, 2]"
LENGTH = "a length greater than 0 and at most 1e+08, steps in whole numbers"
UNITS = "a length with a unit (epochs, steps, cycles), such as '2 epochs'"
SPAN_UNITS = "a length with a unit (epochs, steps), such as '2 epochs'"
NAME = "a name of at most 100 letters, digits, '.', '_' and '-', not starting with '.'"


class Broken(NamedTuple):
    old: str
    new: str
    line: int
    key: str
    got: str
    allowed: str


def edited(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1, f"{old!r} is not in the good spec"
    return GOOD.replace(old, new, 1)


def load(folder: Path, text: str) -> SpecFile:
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path)


def refusal(folder: Path, text: str) -> str:
    """Return the one line with which a spec is refused, without the folder."""
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert message.isprintable()
    assert not [word for word in INTERNALS if word in message], message
    return message.removeprefix(f"{folder}/")

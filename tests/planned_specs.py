"""Specs whose runs are planned, without data at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from specs import CONSTANT, read_spec

from clrbench.data import DatasetSizes
from clrbench.planning.runs import (
    training_runs,
)
from clrbench.spec import Spec, SpecFile

SIZES = DatasetSizes(train_rows=1_100, test_rows=300, image_shape=(2, 2, 1))
"""With 100 rows for validation and a batch size of 100, an epoch has 10 steps."""

SPEC: dict[str, Any] = {
    "data": {"dataset": "mnist", "validation": "100 rows"},
    "optimizer": {"name": "sgd", "momentum": 0.9},
    "duration": "5 epochs",
    "seeds": [7, 3],
    "arms": {"constant": CONSTANT},
}


def cyclic(**keys: Any) -> dict[str, Any]:
    """Return an arm; its keys are those of the schedule, but for those that an arm itself holds."""
    own = {key: keys.pop(key) for key in ("batch_size", "optimizer", "duration", "baseline") if key in keys}
    rates = {} if "bounds" in keys else {"base_lr": 0.01, "max_lr": 0.1}
    return {"schedule": {"name": "triangular", **rates, **keys}, **own}


def load(folder: Path, **changes: Any) -> SpecFile:
    return read_spec(folder, **{**SPEC, **changes})


def make(folder: Path, **changes: Any) -> Spec:
    return load(folder, **changes).spec


def evaluations(spec: Spec) -> dict[str, list[int]]:
    return {run.arm: list(run.evaluation_steps) for run in training_runs(spec, SIZES, ("torch",), {})}

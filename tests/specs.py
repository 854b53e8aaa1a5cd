"""The spec that tests start from, as the content of a file and as a `Spec`."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from clrbench.spec import Spec, SpecFile, load_spec

CONSTANT: dict[str, Any] = {"schedule": {"name": "constant", "lr": 0.1}}
CLR: dict[str, Any] = {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 2}}

MINIMAL: dict[str, Any] = {
    "name": "test",
    "data": {"dataset": "mnist"},
    "model": {"name": "mlp"},
    "batch_size": 100,
    "duration": "4 epochs",
    "arms": {"constant": CONSTANT, "clr": CLR},
}

WAYS: dict[str, dict[str, Any]] = {
    "linear": {"start_lr": 1e-3, "end_lr": 1.0},
    "exponential": {"start_lr": 1e-4, "end_lr": 3.0, "ramp": "exponential"},
    "found": {},
}
"""Ways to ask for a range test, which must lead to the same rates."""


def spec_content(**changes: Any) -> dict[str, Any]:
    """Return a copy of the content of a minimal spec; whole top-level keys are replaced, and None leaves one out."""
    content = copy.deepcopy({**MINIMAL, **changes})
    return {key: value for key, value in content.items() if value is not None}


def make_spec(**changes: Any) -> Spec:
    """Return a `Spec`; see `spec_content`."""
    return Spec.model_validate(spec_content(**changes))


def write_spec(folder: Path, **changes: Any) -> Path:
    """Write `spec.yaml` into a folder and return its path; see `spec_content`."""
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec_content(**changes), sort_keys=False), encoding="utf-8")
    return path


def read_spec(folder: Path, **changes: Any) -> SpecFile:
    """Write a spec into a folder and load it, for tests of files, lines and messages; see `spec_content`."""
    return load_spec(write_spec(folder, **changes))

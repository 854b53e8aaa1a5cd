"""The real command line, in processes of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Clrbench = Callable[..., subprocess.CompletedProcess[str]]

QUICK: dict[str, Any] = {
    "name": "quick",
    "data": {"dataset": "mnist", "validation": "500 rows", "train_rows": 1000, "test_rows": 500},
    "model": {"name": "mlp", "hidden": [16]},
    "optimizer": {"name": "sgd", "momentum": 0.9, "update_rule": "shared"},
    "batch_size": 50,
    "duration": "4 epochs",
    "seeds": 2,
    "backends": ["torch", "keras"],
    "arms": {
        "constant": {"schedule": {"name": "constant", "lr": 0.05}},
        "clr": {"schedule": {"name": "triangular", "base_lr": 0.01, "max_lr": 0.1, "cycles": 2}},
    },
    "targets": {"test_accuracy": [0.5, 0.99]},
    "range_test": {"start_lr": 0.001, "end_lr": 2.0, "duration": "6 epochs", "seeds": 2},
}


def run_clrbench(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clrbench", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def write_spec(folder: Path, **changes: Any) -> Path:
    """Write the quick spec, top-level keys changed, and return its path."""
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump({**QUICK, **changes}, sort_keys=False))
    return path


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """Return what `--json` printed."""
    assert done.returncode in {0, 3}, done.stderr
    return json.loads(done.stdout)

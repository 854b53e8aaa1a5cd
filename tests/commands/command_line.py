"""The real command line, in processes of its own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from warm_start import server

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

_SERVER_IS_FREE = threading.Lock()


def run_clrbench(
    *arguments: object, folder: Path, cold: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own.

    Args:
        *arguments: What follows `clrbench`.
        folder: The working folder.
        cold: Whether in a new interpreter, rather than in a fork of one that has imported the packages clrbench needs;
            the two differ in the order of sets of texts, too, so results to be made twice are first made cold.
        **environment: Further environment variables.
    """
    command = [sys.executable, "-m", "clrbench", *map(str, arguments)]
    around = {**os.environ, **environment}
    # The server runs one at a time, and interpreters take some variables to heart only when they start.
    if cold or "PYTHONPATH" in environment or sys.platform != "linux" or not _SERVER_IS_FREE.acquire(blocking=False):
        return subprocess.run(command, cwd=folder, env=around, capture_output=True, text=True, timeout=300, check=False)
    with TemporaryDirectory() as outputs:
        stdout, stderr = Path(outputs, "stdout"), Path(outputs, "stderr")
        try:
            code = server().run(command[3:], folder, around, (str(stdout), str(stderr)))
        finally:
            _SERVER_IS_FREE.release()
        return subprocess.CompletedProcess(command, code, stdout.read_text(), stderr.read_text())


def write_spec(folder: Path, **changes: Any) -> Path:
    """Write the quick spec, top-level keys changed, and return its path."""
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump({**QUICK, **changes}, sort_keys=False))
    return path


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """Return what `--json` printed."""
    assert done.returncode in {0, 3}, done.stderr
    return json.loads(done.stdout)

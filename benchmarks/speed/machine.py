"""What the benchmarks were measured with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import pandas as pd

from clrbench import __version__, backends
from clrbench.execution.provenance import CPU_INFO, processor

PEERS = ("torch", "tensorflow", "keras", "lightning", "pytorch-ignite", "fastai", "numpy", "pandas")


def describe(threads: int, *, on_cuda: bool) -> pd.DataFrame:
    """Return `what` and `value`, a row each: processor and GPU, and the version of every package that was measured."""
    gpu = {"GPU": backends.load("torch").build("cuda")["device_name"]} if on_cuda else {}
    rows = {
        "processor": _name(),
        **gpu,
        "cores": str(os.cpu_count()),
        "threads": str(threads),
        "Python": platform.python_version(),
        "clrbench": __version__,
        **{name: found for name in PEERS if (found := _version(name))},
    }
    return pd.DataFrame(list(rows.items()), columns=["what", "value"])


def _name() -> str:
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.exists() else []
    names = [value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name"]
    return names[0] if names else processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""With what a run was made, as far as it may explain a difference between two runs of one spec.

Nothing here names a user, a computer or a folder, so that results can be handed on.
"""

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from clrbench import __version__, backends
from clrbench.planning.plan import PROTOCOL
from clrbench.records import Provenance, SplitSizes, Standardisation, TrainPlan

VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "GLIBC_TUNABLES",
    "KERAS_BACKEND",
    "KMP_DETERMINISTIC_REDUCTION",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_DYNAMIC",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_DYNAMIC",
    "OMP_NUM_THREADS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTORCH_MPS_FAST_MATH",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_SET_ONEDNN_FPMATH_MODE",
    "TF_XLA_FLAGS",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "VECLIB_MAXIMUM_THREADS",
    "XLA_FLAGS",
)
"""Environment variables that change numbers, and no others: the rest is the user's own business."""

_PLAIN_VALUE = re.compile(r"[\w :;,.=+-]{0,200}", re.ASCII)
_CPU_INFO = Path("/proc/cpuinfo")
_CPU_MODEL_KEYS = ("cpu family", "model", "stepping")


@dataclass(frozen=True)
class Circumstances:
    """How a run is made, as far as nothing but its task says so.

    Attributes:
        backend: What trains it.
        device: cpu, cuda or mps.
        threads: Threads of its own.
        executor: What carries it out.
        git_commit: Of the folder that the spec lies in, or None.
        data_checksum: sha256 of the data set.
    """

    backend: str
    device: str
    threads: int
    executor: str
    git_commit: str | None
    data_checksum: str


def describe(how: Circumstances, plan: TrainPlan) -> Provenance:
    """Return the provenance of a run that this process makes.

    Args:
        how: What its task says.
        plan: What is trained.

    Raises:
        BackendError: If the backend cannot be loaded.
    """
    rows = plan.rows
    return Provenance(
        versions=versions(how.backend),
        protocol=PROTOCOL,
        python=platform.python_version(),
        machine=platform.machine(),
        system=platform.system(),
        libc=" ".join(platform.libc_ver()).strip() or None,
        processor=processor(),
        logical_cpus=os.cpu_count(),
        build=backends.load(how.backend).build(how.device),
        environment=variables(os.environ),
        git_commit=how.git_commit,
        device=how.device,
        threads=how.threads,
        executor=how.executor,
        data_checksum=how.data_checksum,
        rows=SplitSizes(train=len(rows.train), validation=len(rows.validation), test=len(rows.test)),
        standardisation=_as_lists(plan.standardisation),
    )


def versions(backend: str) -> dict[str, str]:
    """Return the versions that a pair must share: of this package, numpy and the packages of a backend.

    Raises:
        BackendError: If the backend cannot be loaded.
    """
    return {"clrbench": __version__, "numpy": np.__version__, **backends.load(backend).versions()}


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of `VARIABLES` that are set; a value that could hold a path is only said to be there.

    Args:
        environment: Every variable, by its name.
    """
    found = {name: environment[name] for name in VARIABLES if name in environment}
    return {name: value if _PLAIN_VALUE.fullmatch(value) else "(not shown)" for name, value in found.items()}


@cache
def processor() -> str:
    """Return the model of the processor, as the system names it."""
    return _linux_processor() or _mac_processor() or platform.processor() or platform.machine() or "unknown"


def _linux_processor() -> str:
    try:
        first = _CPU_INFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return ""
    entries = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())}
    if "model name" not in entries:
        return ""
    # The name alone is the same for several generations on many a virtual machine.
    numbers = ", ".join(f"{key} {entries[key]}" for key in _CPU_MODEL_KEYS if key in entries)
    return f"{entries['model name']} ({numbers})" if numbers else entries["model name"]


def _mac_processor() -> str:
    if platform.system() != "Darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


@dataclass(frozen=True)
class Change:
    """An entry of the provenance in which two runs differ.

    Attributes:
        entry: Its keys from the top, with dots between them.
        before: What the one run has there; None for nothing.
        after: What the other one has.
    """

    entry: str
    before: Any
    after: Any


NO_EXPLANATION = ("git_commit", "executor")
"""Entries that change no number: the commit is that of the user's own folder."""


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return the entries in which two runs differ and that both of them recorded, or could have.

    Args:
        before: The provenance of the one run.
        after: That of the other.
    """
    return [
        change
        for key in before
        if key in after and key not in NO_EXPLANATION
        for change in _changes(key, before[key], after[key])
    ]


def unrecorded(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the entries that an older version did not record of the one run, but a newer one of the other.

    Args:
        before: The provenance of the run of the older version.
        after: That of the other.
    """
    return [key for key in after if key not in before]


def _changes(entry: str, before: Any, after: Any) -> list[Change]:
    if before == after:
        return []
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [Change(entry, before, after)]
    keys = dict.fromkeys([*before, *after])
    return [change for key in keys for change in _changes(f"{entry}.{key}", before.get(key), after.get(key))]


def _as_lists(standardisation: Standardisation | None) -> dict[str, list[float]] | None:
    if standardisation is None:
        return None
    return {"mean": standardisation.mean.tolist(), "deviation": standardisation.deviation.tolist()}

"""What a run was made with, as far as it may explain a difference between two runs of one spec.

Nothing here names a user, a computer or a folder, so that results can be handed on.
"""

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from clrbench import __version__, backends
from clrbench.planning.plan import PROTOCOL
from clrbench.records import Json, Provenance, SplitSizes, TrainPlan
from clrbench.spec.train import SCRIPT

VARIABLES = """
    ATEN_CPU_CAPABILITY CUBLAS_WORKSPACE_CONFIG DNNL_DEFAULT_FPMATH_MODE DNNL_MAX_CPU_ISA GLIBC_TUNABLES
    KERAS_BACKEND KMP_DETERMINISTIC_REDUCTION MKL_CBWR MKL_DEBUG_CPU_TYPE MKL_DYNAMIC MKL_ENABLE_INSTRUCTIONS
    MKL_NUM_THREADS NPY_DISABLE_CPU_FEATURES NVIDIA_TF32_OVERRIDE OMP_DYNAMIC OMP_NUM_THREADS
    ONEDNN_DEFAULT_FPMATH_MODE ONEDNN_MAX_CPU_ISA OPENBLAS_CORETYPE OPENBLAS_NUM_THREADS PYTHONHASHSEED
    PYTORCH_MPS_FAST_MATH TF_CUDNN_DETERMINISTIC TF_DETERMINISTIC_OPS TF_ENABLE_ONEDNN_OPTS
    TF_SET_ONEDNN_FPMATH_MODE TF_XLA_FLAGS TORCH_ALLOW_TF32_CUBLAS_OVERRIDE VECLIB_MAXIMUM_THREADS XLA_FLAGS
"""
"""Environment variables that change numbers, and no others: the rest is the user's own business."""

_PLAIN_VALUE = re.compile(r"[\w :;,.=+-]{0,200}", re.ASCII)
CPU_INFO = Path("/proc/cpuinfo")
_CPU_MODEL_KEYS = ("cpu family", "model", "stepping")

NO_EXPLANATION = ("git_commit", "executor")
"""Entries that change no number: the commit is that of the user's own folder."""


@dataclass(frozen=True)
class Circumstances:
    """What a run is made with, as far as its worker cannot find it out.

    Attributes:
        device: cpu, cuda or mps.
        executor: The name of the executor that the run is made by.
        git_commit: The commit that the folder of the spec is at; None outside of git.
        data_checksum: sha256, in hex, of the data set.
    """

    backend: str
    device: str
    threads: int
    executor: str
    git_commit: str | None
    data_checksum: str


def describe(how: Circumstances, plan: TrainPlan) -> Provenance:
    """Return the provenance of a run that this process makes."""
    rows, scale = plan.rows, plan.standardisation
    return replace(
        describe_script(how),
        build=backends.load(how.backend).build(how.device),
        environment=variables(os.environ),
        rows=SplitSizes(train=len(rows.train), validation=len(rows.validation), test=len(rows.test)),
        standardisation=None if scale is None else {"mean": scale.mean.tolist(), "deviation": scale.deviation.tolist()},
    )


def describe_script(how: Circumstances) -> Provenance:
    """Return the provenance of a run that a script makes: nothing of its environment, and no rows, which nobody counts."""
    return Provenance(
        versions=versions(how.backend),
        protocol=PROTOCOL,
        python=platform.python_version(),
        machine=platform.machine(),
        system=platform.system(),
        libc=" ".join(platform.libc_ver()).strip() or None,
        processor=processor(),
        logical_cpus=os.cpu_count(),
        build={},
        environment={},
        git_commit=how.git_commit,
        device=how.device,
        threads=how.threads,
        executor=how.executor,
        data_checksum=how.data_checksum,
        rows=SplitSizes(train=0, validation=0, test=0),
        standardisation=None,
    )


def versions(backend: str) -> dict[str, str]:
    """Return the versions of clrbench, numpy and the packages of a backend, which the runs of a pair must share."""
    if backend == SCRIPT:  # which uses numpy or not
        return {"clrbench": __version__}
    return {"clrbench": __version__, "numpy": np.__version__, **backends.load(backend).versions()}


def variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return those of `VARIABLES` that are set; a value that could hold a path is not shown."""
    found = {name: environment[name] for name in VARIABLES.split() if name in environment}
    return {name: value if _PLAIN_VALUE.fullmatch(value) else "(not shown)" for name, value in found.items()}


@cache
def processor(cpu_info: Path = CPU_INFO) -> str:
    """Return the model of the processor, as the system names it."""
    return _linux_processor(cpu_info) or _mac_processor() or platform.processor() or platform.machine() or "unknown"


def _linux_processor(cpu_info: Path) -> str:
    try:
        first = cpu_info.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
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
    return _output("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")


@cache
def git_commit(folder: Path) -> str | None:
    """Return the commit that a folder is at; None outside of git."""
    return _output("git", "rev-parse", "HEAD", folder=folder) or None


def _output(*command: str, folder: Path | None = None) -> str:
    """Return what a command prints; nothing where it cannot be run."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def changes(before: Provenance, after: Provenance) -> dict[str, tuple[Json, Json]]:
    """Return the entries, of those that may change numbers, in which two runs differ, with both values.

    An entry is named by its keys from the top, with dots between them; its value is None where it is not set.
    """
    one, other = asdict(before), asdict(after)
    keys = (key for key in one if key not in NO_EXPLANATION)
    return {entry: values for key in keys for entry, values in _changes(key, one[key], other[key])}


def _changes(entry: str, before: Json, after: Json) -> Iterator[tuple[str, tuple[Json, Json]]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(f"{entry}.{key}", before.get(key), after.get(key))
    elif before != after:
        yield entry, (before, after)

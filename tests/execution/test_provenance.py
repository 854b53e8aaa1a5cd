"""What run.json says of how a run was made."""

import getpass
import json
import os
import platform
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fakes import PROVENANCE, make_plan

from clrbench import backends
from clrbench.execution import provenance
from clrbench.execution.provenance import Circumstances, changes, describe, variables
from clrbench.planning.plan import PROTOCOL
from clrbench.records import SplitRows, Standardisation

HOW = Circumstances("torch", "cpu", 2, "local", None, "abc")


def rows(number: int) -> Any:
    return np.arange(number, dtype=np.int32)


PLAN = make_plan(
    1,
    [1],
    rows=SplitRows(rows(5), rows(3), rows(4)),
    standardisation=Standardisation(np.array([0.5], np.float32), np.array([0.25], np.float32)),
)


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    backend = SimpleNamespace(versions=lambda: {"torch": "2"}, build=lambda device: {"compiled_for": device})
    monkeypatch.setattr(backends, "load", lambda name: {"torch": backend}[name])
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("CLRBENCH_SECRET", "private")
    return asdict(describe(HOW, PLAN))


def test_provenance_says_what_made_the_run(described: dict[str, Any]) -> None:
    assert list(described["versions"]) == ["clrbench", "numpy", "torch"]
    expected = {
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "logical_cpus": os.cpu_count(),
        "build": {"compiled_for": "cpu"},
        "git_commit": None,
        "device": "cpu",
        "threads": 2,
        "executor": "local",
        "data_checksum": "abc",
        "rows": {"train": 5, "validation": 3, "test": 4},
        "standardisation": {"mean": [0.5], "deviation": [0.25]},
        "network": None,
    }
    assert {key: described[key] for key in expected} == expected
    assert described.keys() - expected.keys() == {"versions", "libc", "processor", "environment"}
    assert described["environment"]["MKL_CBWR"] == "AVX2"
    assert len(described["processor"]) > 2
    assert json.loads(json.dumps(described)) == described


def test_provenance_names_no_user_computer_or_folder(described: dict[str, Any]) -> None:
    values = set(_leaves(described))
    assert not values & {getpass.getuser(), platform.node(), "private"}
    assert not [value for value in values if "/" in value]


def _leaves(content: Any) -> list[str]:
    if isinstance(content, dict):
        return [leaf for value in content.values() for leaf in _leaves(value)]
    return [str(content)]


def test_only_listed_variables_are_kept_and_paths_are_not_shown() -> None:
    environment = {
        "HOME": "/home/ada",
        "OMP_NUM_THREADS": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "XLA_FLAGS": "--xla_dump_to=/home/ada/dump",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
        "MKL_CBWR": r"C:\Users\ada",
    }
    assert variables(environment) == {
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "MKL_CBWR": "(not shown)",
        "OMP_NUM_THREADS": "1",
        "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
        "XLA_FLAGS": "(not shown)",
    }


CPU = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1

processor\t: 1
model name\t: another
"""


@pytest.fixture
def name_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what the processor is called where /proc/cpuinfo holds a text, or is not there."""
    monkeypatch.setattr(platform, "system", lambda: "Other")
    monkeypatch.setattr(platform, "processor", lambda: "as the platform says")

    def name(text: str | None) -> str:
        if text is not None:
            (tmp_path / "cpuinfo").write_text(text)
        return provenance.processor(tmp_path / "cpuinfo")

    return name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CPU, "AMD EPYC (cpu family 25, model 17, stepping 1)"),
        ("model name : ARM\n", "ARM"),
        ("Features : fp asimd\n", "as the platform says"),
        (None, "as the platform says"),
    ],
)
def test_the_processor_is_named_as_well_as_the_system_can(name_processor: Any, text: str | None, expected: str) -> None:
    assert name_processor(text) == expected


def test_a_mac_names_its_processor(name_processor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(provenance.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="Apple M2\n"))
    assert name_processor(None) == "Apple M2"


def test_changes_are_named_by_their_keys_and_missing_variables_count_as_not_set() -> None:
    before = replace(PROVENANCE, versions={"torch": "2.5"}, environment={"MKL_CBWR": "AVX2"}, git_commit="a")
    after = replace(PROVENANCE, versions={"torch": "2.6"}, environment={"XLA_FLAGS": "x"}, git_commit="b")
    assert changes(before, after) == {
        "versions.torch": ("2.5", "2.6"),
        "environment.MKL_CBWR": ("AVX2", None),
        "environment.XLA_FLAGS": (None, "x"),
    }
    assert changes(before, before) == {}


def test_what_changes_no_number_is_no_change() -> None:
    assert changes(PROVENANCE, replace(PROVENANCE, git_commit="b", executor="elsewhere")) == {}

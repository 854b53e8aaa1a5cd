"""Processors and memory that a container allows, by the files of cgroup versions 1 and 2."""

from pathlib import Path

import pytest

from clrbench import machine


def cgroup(root: Path, text: str, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "self").write_text(text)
    return root / "self"


V2: dict[str, tuple[str, dict[str, str], float | None, int | None]] = {
    "container": ("0::/\n", {"cpu_dot_max": "150000 100000\n", "memory_dot_max": "536870912\n"}, 1.5, 2**29),
    "no limit": ("0::/\n", {"cpu_dot_max": "max 100000\n", "memory_dot_max": "max\n"}, None, None),
    "own group": ("0::/a/b\n", {"a__b__cpu_dot_max": "50000 100000", "a__b__memory_dot_max": "1000"}, 0.5, 1000),
    "the group above": ("0::/a/b\n", {"a__cpu_dot_max": "200000 100000", "a__memory_dot_max": "99"}, 2.0, 99),
    "the least of all": (
        "0::/a/b\n",
        {"a__cpu_dot_max": "200000 100000", "a__b__cpu_dot_max": "300000 100000", "cpu_dot_max": "max 100000"},
        2.0,
        None,
    ),
    "path of the host": ("0::/docker/abc\n", {"cpu_dot_max": "400000 100000"}, 4.0, None),
    "nothing": ("", {}, None, None),
    "nonsense": ("0::/\n", {"cpu_dot_max": "lots", "memory_dot_max": "some more"}, None, None),
    "no period": ("0::/\n", {"cpu_dot_max": "100000 0"}, None, None),
}
V1: dict[str, tuple[str, dict[str, str], float | None, int | None]] = {
    "container of version 1": (
        "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n",
        {
            "cpu__cpu_dot_cfs_quota_us": "250000",
            "cpu__cpu_dot_cfs_period_us": "100000",
            "memory__memory_dot_limit_in_bytes": "268435456",
        },
        2.5,
        2**28,
    ),
    "version 1 without a quota": (
        "3:cpu,cpuacct:/\n",
        {"cpu__cpu_dot_cfs_quota_us": "-1", "cpu__cpu_dot_cfs_period_us": "100000"},
        None,
        None,
    ),
    "joined controllers": (
        "3:cpu,cpuacct:/y\n",
        {"cpu,cpuacct__y__cpu_dot_cfs_quota_us": "100000", "cpu,cpuacct__y__cpu_dot_cfs_period_us": "100000"},
        1.0,
        None,
    ),
}


@pytest.mark.parametrize(("text", "files", "cpus", "num_bytes"), (V2 | V1).values(), ids=V2 | V1)
def test_what_a_container_allows(
    text: str, files: dict[str, str], cpus: float | None, num_bytes: int | None, tmp_path: Path
) -> None:
    of = cgroup(tmp_path, text, **files)
    assert machine.cpu_quota(of, tmp_path) == cpus
    assert machine.memory_limit(of, tmp_path) == num_bytes


@pytest.mark.parametrize(("quota", "expected"), [(0.3, 1), (1.5, 1), (2.0, 2), (None, 8), (64.0, 8)])
def test_a_quota_counts_whole_processors(quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "cpu_quota", lambda *_: quota)
    assert machine.available_cpus() == expected


def test_memory_is_that_of_the_container_where_it_is_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory_limit", lambda *_: None)
    physical = machine.memory_bytes()
    assert physical > 10**8
    for limit in (10**7, 2**62):
        monkeypatch.setattr(machine, "memory_limit", lambda *_, limit=limit: limit)
        assert machine.memory_bytes() == min(limit, physical)

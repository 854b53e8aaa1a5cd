"""What this machine, or the container that this process runs in, allows: processors and memory."""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

CGROUP_FILE = Path("/proc/self/cgroup")
CGROUP_ROOT = Path("/sys/fs/cgroup")


def available_cpus() -> int:
    """Return how many processors this process may keep busy, at least 1: a quota of 1.5 of them counts as 1."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(CGROUP_FILE, CGROUP_ROOT)
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def memory_bytes() -> int:
    """Return how much memory this process may use: that of the machine, or of its container where that is less."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = memory_limit(CGROUP_FILE, CGROUP_ROOT)
    return physical if limit is None else min(physical, limit)


@cache
def cpu_quota(cgroup_file: Path, root: Path) -> float | None:
    """Return the processors' time that a cgroup, of version 1 or 2, allows, in processors; None for all of it."""
    quotas = []
    for folder in _folders(cgroup_file, root, "cpu"):
        match _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]:
            case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period) > 0:
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


@cache
def memory_limit(cgroup_file: Path, root: Path) -> int | None:
    """Return the memory that a cgroup, of version 1 or 2, allows, in bytes; None for all of it."""
    limits = []
    for folder in _folders(cgroup_file, root, "memory"):
        match _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes"):
            case [limit] if limit.isdecimal() and int(limit) > 0:
                limits.append(int(limit))
    return min(limits, default=None)


def _folders(cgroup_file: Path, root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the cgroups that this process is in, and of those above them.

    In a container the path that the process is told may be that of the host, which is not there; the root is always looked at.
    """
    lines = ""
    with suppress(OSError, UnicodeDecodeError):
        lines = cgroup_file.read_text(encoding="ascii")
    for line in lines.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top = root
        elif controller in controllers.split(","):
            top = root / controller if (root / controller).is_dir() else root / controllers
        else:
            continue
        place = top / path.lstrip("/")
        yield from (place, *(parent for parent in place.parents if parent.is_relative_to(top)))
    yield from (root, root / controller)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []

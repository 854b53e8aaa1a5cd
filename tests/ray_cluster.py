"""A Ray cluster of two nodes on the loopback address, in a process of its own; as a program, that process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "of-the-tests-" * 4,
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_local_fs_capacity_threshold": "0",
}
"""Environment variables of the cluster, and of every command that uses it; its objects may not go to disk."""


class RayCluster:
    """Two nodes of one CPU each; a driver on this machine belongs to the first."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._line()

    def kill_node(self) -> None:
        """Kill the second node, as if its machine had lost power."""
        self._tell("kill")

    def add_node(self) -> None:
        """Start another second node."""
        self._tell("add")

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        assert self._line() == what

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the cluster has ended"
        return line


@contextmanager
def ray_cluster(folder: Path) -> Iterator[RayCluster]:
    """Run a cluster for a while."""
    with (
        (folder / "cluster.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        ) as process,
    ):
        try:
            yield RayCluster(process)
        finally:
            process.communicate(timeout=120)


def ray_processes() -> set[int]:
    """Return the processes of any Ray on this machine, but those that have ended."""
    return {process.pid for process in _processes() if process.is_of_ray}


def ray_workers(command: int) -> list[int]:
    """Return those of the Ray that a command has started for itself that make runs, wait for one, or are starting.

    Ray's agents look like them, but the whole Ray of a machine ends with one.
    """
    processes = list(_processes())
    raylets = {process.pid for process in processes if process.is_raylet and process.parent == command}
    return sorted(process.pid for process in processes if process.parent in raylets and process.is_worker)


@dataclass(frozen=True)
class _Process:
    """A process of this machine, as /proc describes it."""

    pid: int
    parent: int
    name: str
    command: str

    @property
    def is_raylet(self) -> bool:
        return self.name == "raylet"

    @property
    def has_title(self) -> bool:
        return self.name.startswith("ray::") or self.command.startswith("ray::")

    @property
    def is_of_ray(self) -> bool:
        return self.has_title or self.name in {"raylet", "gcs_server"}

    @property
    def is_worker(self) -> bool:
        if self.has_title:
            return "Agent" not in self.command
        return not self.is_raylet and "default_worker.py" in self.command


def _processes() -> Iterator[_Process]:
    """Yield the processes of this machine that have not ended."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().partition("(")[2].rpartition(")")
            command = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if state != "Z":
            yield _Process(int(status.parent.name), int(parent), name, command)


def addresses(processes: set[int]) -> set[str]:
    """Return the addresses that processes of this machine listen on, as /proc/net writes them."""
    inodes = set()
    for process in processes:
        for link in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):
                inodes.add(str(link.readlink()))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                found.add(local.partition(":")[0])
    return found


def _run() -> None:
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    ray_constants.ENABLE_RAY_CLUSTER = False
    size = {"num_cpus": 1, "object_store_memory": 100_000_000, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    second = cluster.add_node(**size)
    print(cluster.address, flush=True)
    for line in sys.stdin:
        if line == "kill\n":
            cluster.remove_node(second, allow_graceful=False)
        else:
            second = cluster.add_node(**size)
        print(line, end="", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _run()

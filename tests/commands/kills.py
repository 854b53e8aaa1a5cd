"""Experiments killed at random instants and started again, until they are finished; their tables must not show it."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from command_line import QUICK
from ray_cluster import ray_workers

KINDS = ("kill all", "kill parent", "kill worker", "terminate", "interrupt")
LONGEST_SECONDS = 600.0

NOISY: dict[str, Any] = {"name": "mlp", "hidden": [32], "dropout": 0.3, "batch_norm": True}
_WORKER_OF_A_DEAD_PARENT = re.compile(
    r"Traceback \(most recent call last\):\n(?:  .*\n)*    preparation_data = reduction\.pickle\.load\(from_parent\)\n"
    r"(?:  .*\n)*EOFError: Ran out of input\n"
)
"""What Python says in a worker whose parent is killed while it hands over what to do; no line of clrbench has run in it yet."""

CHANGES: dict[str, dict[str, Any]] = {
    "momentum": {"model": NOISY},
    "adam": {"model": NOISY, "optimizer": {"name": "adam"}},
    "stream": {"model": NOISY, "data": {**QUICK["data"], "pipeline": "stream"}},
    "cnn": {"model": {"name": "cnn", "dropout": 0.2, "batch_norm": True}, "data": {**QUICK["data"], "train_rows": 300}},
    "range test": {"arms": {"clr": {"schedule": {"name": "triangular", "bounds": "range_test", "cycles": 2}}}},
    "nesterov": {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}},
    "tuned": {"arms": {"a": {"schedule": {"name": "constant", "lr": [0.01, 0.05]}}, **QUICK["arms"]}},
}
"""What makes a spec of each name of the quick one."""


def write_kill_spec(folder: Path, changes: str, backend: str, duration: str) -> Path:
    """Write one of the specs, and return its path."""
    spec = {**QUICK, "duration": duration, "seeds": 1, "backends": [backend], **CHANGES[changes]}
    path = folder / f"{changes.replace(' ', '-')}-{backend}.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


@dataclass
class Killer:
    """Runs one spec again and again.

    Attributes:
        spec: Its path.
        out: Where its results go.
        program: The command line, as `fakes.command` returns it.
        rng: Decides when and how.
        executor: What makes the runs.
    """

    spec: Path
    out: Path
    program: tuple[str, ...]
    rng: random.Random
    executor: str = "local"

    def run(self, kills: int) -> int:
        """Run the spec until it is finished; return how often it was killed, `kills` times at most."""
        done = 0
        while True:
            process = self.start()
            if done < kills and not self._ends_within(process, self._patience(process)):
                self.kill(process, self.rng.choice(KINDS))
                done += 1
                continue
            _, errors = process.communicate(timeout=LONGEST_SECONDS)
            assert process.returncode == 0, errors
            assert "Traceback" not in errors, errors
            return done

    def start(self) -> "subprocess.Popen[str]":
        """Start the command."""
        options = ["--out", str(self.out), "--workers", "2"]
        if self.executor != "local":
            options += ["--executor", self.executor]
        command = [*self.program, "compare", str(self.spec), *options]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def _patience(self, process: "subprocess.Popen[str]") -> float:
        """Wait, most often, until a run is under way; return for how long to let it be."""
        if self.rng.random() < 0.2:
            # Not within the first second: that is Python's own start, which answers Ctrl-C in its own way.
            return self.rng.uniform(1, 5)
        self.wait_until(lambda: process.poll() is not None or self._is_under_way())
        return self.rng.uniform(0, 3)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, for a minute at most."""
        deadline = time.monotonic() + 60
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _is_under_way(self) -> bool:
        return any(path.name.startswith(("torch", "keras")) for path in self.out.glob("**/.locks/*.lease"))

    def _ends_within(self, process: "subprocess.Popen[str]", seconds: float) -> bool:
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        return process.poll() is not None

    def kill(self, process: "subprocess.Popen[str]", how: str) -> None:
        """Kill or stop the command in one of `KINDS`, and check what it says."""
        if how == "kill all":
            os.killpg(process.pid, signal.SIGKILL)
        elif how == "kill worker":
            workers = ray_workers(process.pid) if self.executor == "ray" else children(process.pid)
            os.kill(self.rng.choice(workers or [process.pid]), signal.SIGKILL)
        elif how == "kill parent":
            process.kill()
        elif how == "terminate":
            process.terminate()
        else:
            os.killpg(process.pid, signal.SIGINT)
        # On Ray, what a dead worker was at is made by another one, and the command goes on to its end.
        goes_on = how == "kill worker" and self.executor == "ray"
        try:
            _, errors = process.communicate(timeout=LONGEST_SECONDS if goes_on else 60)
        except subprocess.TimeoutExpired as err:
            raise AssertionError(f"{how}: the command, or a process that it left, had not ended in time") from err
        if how == "kill parent":
            errors = _WORKER_OF_A_DEAD_PARENT.sub("", errors)
        assert "Traceback" not in errors, errors
        allowed = {"terminate": {143, 0, -15}, "interrupt": {130, 0, -2}, "kill worker": {1, 0, -9}}.get(how, {-9})
        assert process.returncode in allowed, (how, process.returncode, errors)


def children(pid: int) -> list[int]:
    """Return the worker processes of a command."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", "spawn_main"], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def tables(folder: Path) -> dict[str, bytes]:
    """Return every CSV file that holds no clock, and every result in JSON, by its path."""
    paths = [*folder.rglob("*.csv"), *folder.rglob("bounds.json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths) if path.name != "timing.csv"}


def leftovers(folder: Path) -> Iterator[Path]:
    """Yield what dead processes left, and nobody cleared away."""
    yield from folder.rglob("*.part*")
    yield from folder.rglob(".checkpoints/*")
    yield from folder.rglob(".locks/*")

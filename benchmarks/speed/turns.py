"""Contenders in processes of their own; they take turns, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import IO

from speed.cases import CLRBENCH, Case
from speed.table import Measured

NUM_TURNS = 9
PEERS = {"torch": "speed.torch_peers", "keras": "speed.keras_peers"}
CONVOLUTIONS_ONLY = ("minimal loop, channels_last",)
DENSE_ONLY = ("Lightning", "Ignite", "fastai", "matrix products alone")
PROCESSOR_ONLY = (*DENSE_ONLY, *CONVOLUTIONS_ONLY)


class _Child:
    """A contender in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], name: str, errors: IO[str]) -> None:
        self._process, self._name, self._errors = process, name, errors

    def epoch(self) -> float:
        """Have it train for an epoch; return the seconds that this took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            self._errors.seek(0)
            raise RuntimeError(f"{self._name} ended: {self._errors.read()[-2000:]}")
        return float(answer)


def contenders(backend: str, case: Case) -> list[str]:
    """Return the names of those that can train a case, clrbench first."""
    names: Mapping[str, object] = import_module(PEERS[backend]).CONTENDERS
    left_out = {*(CONVOLUTIONS_ONLY if case.model == "mlp" else DENSE_ONLY)}
    if case.device != "cpu":
        left_out.update(PROCESSOR_ONLY)
    return [name for name in names if name not in left_out]


def measure(backend: str, case: Case, num_turns: int = NUM_TURNS) -> Iterator[Measured]:
    """Yield images a second of clrbench beside those of each other contender, medians over the turns."""
    seconds = take_turns(backend, case, contenders(backend, case), num_turns)
    speeds = {name: case.num_rows / statistics.median(epochs) for name, epochs in seconds.items()}
    for name, speed in speeds.items():
        if name != CLRBENCH:
            question = f"{backend}, {case.name}: {name}"
            yield Measured(question, speeds[CLRBENCH], speed, "images/s")


def take_turns(backend: str, case: Case, names: Sequence[str], num_turns: int) -> dict[str, list[float]]:
    """Return the seconds of every epoch of every contender, after one each to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as stack:
        children = {name: stack.enter_context(_started(backend, name, case)) for name in names}
        for child in children.values():
            child.epoch()
        for turn in range(num_turns):
            order = names if turn % 2 else names[::-1]
            for name in order:
                seconds[name].append(children[name].epoch())
    return seconds


@contextmanager
def _started(backend: str, name: str, case: Case) -> Iterator[_Child]:
    threads = str(case.threads)
    settings = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TF_CPP_MIN_LOG_LEVEL": "3"}
    asked = [backend, name, case.model, str(case.batch_size), threads, case.device]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "speed.turns", *asked],
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield _Child(process, name, errors)
        finally:
            process.kill()


def serve(backend: str, name: str, case: Case) -> None:
    """Train an epoch for every line of stdin, and write its seconds to stdout, where nothing else arrives."""
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    os.dup2(2, 1)
    epoch = import_module(PEERS[backend]).CONTENDERS[name](case)
    for _ in sys.stdin:
        print(epoch(), file=answers, flush=True)


if __name__ == "__main__":
    backend, name, model, batch_size, threads, device = sys.argv[1:]
    serve(backend, name, Case(model, int(batch_size), int(threads), device))

"""Whole commands: their seconds and the memory of their largest process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from speed import table
from speed.made_runs import Shape, write_experiment
from speed.table import Measured

_Seconds: TypeAlias = Callable[[], float]

_SMALL_PROCESS = Path(__file__).with_name("small_process.py")

NUM_STARTS = 15
STOCK_PAIRS = 2
"""So many stock pairs are trained; ten take the start and five times as long."""

FEW, MANY = 100, 1_000
"""Runs of the two experiments whose reports are set beside each other."""

_ARTICLE_ARMS = """arms:
  constant: {schedule: {name: constant, lr: 0.1}}
  clr: {schedule: {name: triangular, base_lr: 0.001, max_lr: 0.006, step_size: 2000 steps}, batch_size: 2000}
"""
ARTICLE = (
    "name: ten-pairs\ndata: {dataset: mnist, validation: 0 rows}\n"
    "model: {name: mlp, hidden: [100, 50], activation: softmax}\noptimizer: {name: adam}\nbatch_size: 100\n"
    f"duration: 15 epochs\nseeds: 10\nbackends: [keras]\n{_ARTICLE_ARMS}"
)
EQUAL_RUNS = (
    "name: equal-runs\ndata: {dataset: mnist}\nmodel: {name: mlp}\noptimizer: {name: sgd, momentum: 0.9}\n"
    "batch_size: 100\nduration: 12 epochs\nseeds: 8\nbackends: [torch]\n"
    "arms: {constant: {schedule: {name: constant, lr: 0.03}}}\n"
)
LARGE_ROWS, LARGE_TEST_ROWS = 73_257, 26_032
LARGE = (
    "name: large\ndata: {{dataset: large.npz}}\nmodel: {{name: cnn}}\noptimizer: {{name: sgd}}\nbatch_size: 100\n"
    "duration: 20 steps\nseeds: 1\nbackends: [{backend}]\narms: {{constant: {{schedule: {{name: constant, lr: 0.01}}}}}}\n"
)


@dataclass(frozen=True)
class Bench:
    """Where experiments are made, and whether clrbench comes before what it is set beside, or after it."""

    place: Path
    ours_first: bool


@dataclass(frozen=True)
class Finished:
    """What a command took: seconds by the clock, and bytes of the largest process of its own and of those it started."""

    seconds: float
    peak_bytes: int


def run(command: Sequence[str], place: Path) -> Finished:
    """Run a command in a folder to its end.

    Raises:
        RuntimeError: If it fails; with what it printed.
    """
    log = (place / "command.log").resolve()
    measured = subprocess.run(
        [sys.executable, _SMALL_PROCESS, log, *command], cwd=place, stdout=subprocess.PIPE, check=True
    )
    seconds, peak_bytes, code = json.loads(measured.stdout)
    if code:
        raise RuntimeError(f"{' '.join(command)}: exit code {code}: {log.read_text()[-2000:]}")
    return Finished(seconds, peak_bytes)


def clrbench(*words: str) -> list[str]:
    """Return a command of clrbench."""
    return [sys.executable, "-m", "clrbench", *words]


def starts(bench: Bench) -> Iterator[Measured]:
    """Yield how long commands take that train nothing."""
    place = bench.place
    spec = _written(place, "article.yaml", ARTICLE)
    for name, command in ((table.HELP, ("--help",)), (table.VALIDATE, ("validate", spec))):
        run(clrbench(*command), place)
        seconds = [run(clrbench(*command), place).seconds for _ in range(NUM_STARTS)]
        yield Measured(name, statistics.median(seconds), None, "s")


def ten_pairs(bench: Bench) -> Iterator[Measured]:
    """Yield how long ten pairs of the article take: in one `compare`, and as a stock script one after another."""
    place = bench.place
    spec, script = _written(place, "article.yaml", ARTICLE), str(Path(__file__).with_name("stock_pairs.py"))

    def ours() -> float:
        return run(clrbench("compare", spec, "--quiet", "--out", _fresh(place, "ten")), place).seconds

    def theirs() -> float:
        whole = run([sys.executable, script, str(STOCK_PAIRS)], place).seconds
        pairs = sum(json.loads((place / "command.log").read_text().splitlines()[-1]))
        return float(whole - pairs + pairs * 10 / STOCK_PAIRS)

    yield Measured(table.TEN_PAIRS, *_in_turn(ours, theirs, ours_first=bench.ours_first), "s")


def two_workers(bench: Bench) -> Iterator[Measured]:
    """Yield how long eight equal runs take with two workers and with one."""
    place = bench.place
    spec = _written(place, "equal.yaml", EQUAL_RUNS)

    def with_workers(number: int) -> float:
        words = ("--workers", str(number), "--threads", "1", "--out", _fresh(place, f"workers{number}"))
        return run(clrbench("compare", spec, "--quiet", *words), place).seconds

    seconds = _in_turn(lambda: with_workers(2), lambda: with_workers(1), ours_first=bench.ours_first)
    yield Measured(table.TWO_WORKERS, *seconds, "s")


def demo(bench: Bench) -> Iterator[Measured]:
    """Yield where the time of the demo goes, how long its report takes, and a second `compare`."""
    place = bench.place
    out = _fresh(place, "demo")
    whole = run(clrbench("compare", "--quiet", "--out", out), place).seconds
    (root,) = (path.parent for path in Path(out).rglob("summary.csv"))
    yield Measured(table.DEMO_SHARE, 1 - _training_seconds(root) / _workers() / whole, None, "share")
    again = [run(clrbench("compare", "--quiet", "--out", out), place).seconds for _ in range(5)]
    yield Measured(table.SECOND_COMPARE, statistics.median(again), None, "s")
    yield Measured(table.DEMO_REPORT, statistics.median(_report(root, place).seconds for _ in range(3)), None, "s")


def reports(bench: Bench) -> Iterator[Measured]:
    """Yield what each further run costs a report, between an experiment of few runs and one of many."""
    place = bench.place
    found = []
    for number in (FEW, MANY):
        root = place / f"made-{number}"
        if not (root / "experiment.json").exists():
            write_experiment(Shape(root.name, 10, number // 10, 20), place)
        reported = [_report(root, place) for _ in range(3)]
        found.append(
            (statistics.median(one.seconds for one in reported), statistics.median(one.peak_bytes for one in reported))
        )
    (few_seconds, few_bytes), (many_seconds, many_bytes) = found
    yield Measured(table.RUN_SECONDS, (many_seconds - few_seconds) / (MANY - FEW), None, "s")
    yield Measured(table.RUN_BYTES, (many_bytes - few_bytes) / (MANY - FEW), None, "bytes")


def memory(bench: Bench) -> Iterator[Measured]:
    """Yield the memory of the largest process of `compare` on images as many and as large as those of SVHN."""
    place = bench.place
    data = place / "large.npz"
    if not data.exists():
        rng = np.random.default_rng(0)
        x_train, x_test = (rng.integers(0, 256, (rows, 32, 32, 3), np.uint8) for rows in (LARGE_ROWS, LARGE_TEST_ROWS))
        y_train, y_test = ((np.arange(rows) % 10).astype(np.uint8) for rows in (LARGE_ROWS, LARGE_TEST_ROWS))
        np.savez(data, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    for name, backend in ((table.KERAS_MEMORY, "keras"), (table.TORCH_MEMORY, "torch")):
        spec = _written(place, f"large-{backend}.yaml", LARGE.format(backend=backend))
        words = ("--quiet", "--workers", "1", "--threads", "2", "--out", _fresh(place, f"large-{backend}"))
        yield Measured(name, run(clrbench("compare", spec, *words), place).peak_bytes, None, "bytes")


def _report(root: Path, place: Path) -> Finished:
    """Have the report of an experiment written anew."""
    (root / ".written.json").unlink(missing_ok=True)
    return run(clrbench("report", str(root)), place)


def _training_seconds(root: Path) -> float:
    """Return the seconds of training and evaluation of all runs of an experiment, those that found its rates among them."""
    timings = [json.loads(path.read_text())["timing"] for path in root.rglob("run.json")]
    return float(sum(one["train_seconds"] + one["evaluation_seconds"] for one in timings))


def _workers() -> int:
    return os.cpu_count() or 1


def _in_turn(ours: _Seconds, theirs: _Seconds, *, ours_first: bool) -> tuple[float, float]:
    if ours_first:
        return ours(), theirs()
    other = theirs()
    return ours(), other


def _written(place: Path, name: str, text: str) -> str:
    (place / name).write_text(text, encoding="utf-8")
    return name


def _fresh(place: Path, name: str) -> str:
    number = 1 + sum(1 for _ in place.glob(f"{name}-run*"))
    return str(place / f"{name}-run{number}")

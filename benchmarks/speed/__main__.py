"""Run the benchmarks once more, and write what all repetitions came to: `make bench`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from speed import commands, machine, plot, table, turns
from speed.cases import Case

ROOT = Path(__file__).parents[2]
THREADS = 2

Part: TypeAlias = Callable[[commands.Bench], Iterator[table.Measured]]


def loops(backend: str, model: str, batch_size: int, device: str = "cpu") -> Part:
    """Return what measures training loops; the order of contenders alternates from turn to turn."""
    return lambda _: turns.measure(backend, Case(model, batch_size, THREADS, device))


PARTS: Mapping[str, Part] = {
    "torch-mlp-100": loops("torch", "mlp", 100),
    "torch-mlp-2000": loops("torch", "mlp", 2000),
    "torch-cnn": loops("torch", "cnn", 100),
    "keras-mlp-100": loops("keras", "mlp", 100),
    "keras-mlp-2000": loops("keras", "mlp", 2000),
    "keras-cnn": loops("keras", "cnn", 100),
    "ten-pairs": commands.ten_pairs,
    "two-workers": commands.two_workers,
    "demo": commands.demo,
    "reports": commands.reports,
    "starts": commands.starts,
    "memory": commands.memory,
}
"""What is measured, a part after another; the rows of the table stand in this order."""

ON_CUDA: Mapping[str, Part] = {
    "torch-mlp-100-cuda": loops("torch", "mlp", 100, "cuda"),
    "torch-mlp-2000-cuda": loops("torch", "mlp", 2000, "cuda"),
    "torch-cnn-cuda": loops("torch", "cnn", 100, "cuda"),
}
"""What is measured where it is asked for by name."""


def main() -> None:
    """Measure the parts asked for, and write tables and plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "benchmarks")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where experiments are made")
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *ON_CUDA], default=list(PARTS))
    options = parser.parse_args()
    for folder in (options.out, options.folder):
        folder.mkdir(parents=True, exist_ok=True)
    repetition, today = table.next_repetition(options.out), datetime.now(UTC).date().isoformat()
    bench = commands.Bench(options.folder.resolve(), ours_first=repetition % 2 == 1)
    for part in options.only:
        measured = list({**PARTS, **ON_CUDA}[part](bench))
        table.append(options.out, measured, repetition, today)
        for one in measured:
            print(f"{one.name}: {table.figure_text(one.ours, one.unit)}", flush=True)
    on_cuda = not ON_CUDA.keys().isdisjoint(options.only)
    table.append_machine(options.out, machine.describe(THREADS, on_cuda=on_cuda), repetition)
    written = table.write(options.out)
    plot.draw(pd.read_csv(options.out / table.REPETITIONS_FILE), options.out / "benchmarks.png")
    print(table.table_text(written))


if __name__ == "__main__":
    main()

"""What was measured, what it comes to over the repetitions, and how it is said; needs pandas alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

Unit: TypeAlias = Literal["images/s", "s", "bytes", "share"]

NOT_MEASURED = "Not measured yet: `make bench`, a few times, on a machine that does nothing else."

REPETITIONS_FILE, TABLE_FILE, MACHINE_FILE = "repetitions.csv", "benchmarks.csv", "machine.csv"
REPETITION_COLUMNS = ("repetition", "date", "name", "ours", "theirs", "unit")


@dataclass(frozen=True)
class Measured:
    """A figure of clrbench, and that of what stands beside it; None where the goal is a figure, not a ratio."""

    name: str
    ours: float
    theirs: float | None
    unit: Unit


@dataclass(frozen=True)
class Goal:
    """What a figure should reach: a ratio, better by so many times, or clrbench's own figure at most so large."""

    limit: float
    of: Literal["ratio", "ours"]

    def is_met(self, worst: float) -> bool:
        """Return whether the worst repetition reaches it."""
        return worst >= self.limit if self.of == "ratio" else worst <= self.limit


def _loops() -> Iterator[tuple[str, Goal]]:
    peers = {
        "torch": ("DataLoader and CyclicLR", (1.9, 3.0)),
        "keras": ("fit with a callback", (4.0, 3.2)),
    }
    for backend, (peer, ratios) in peers.items():
        for batch_size, ratio in zip((100, 2000), ratios, strict=True):
            yield f"{backend}, mlp, batch {batch_size}: {peer}", Goal(ratio, "ratio")
            yield f"{backend}, mlp, batch {batch_size}: minimal loop", Goal(0.95, "ratio")
        yield f"{backend}, cnn, batch 100: minimal loop", Goal(0.95, "ratio")


TEN_PAIRS = "keras: compare of ten pairs: ten stock pairs one after another"
TWO_WORKERS = "torch: compare of 8 equal runs with two workers: with one"
DEMO_REPORT = "tables, plots and page of the demo"
RUN_SECONDS = "report, each further run: time"
RUN_BYTES = "report, each further run: memory"
SECOND_COMPARE = "a second compare of the demo"
DEMO_SHARE = "of the demo, all but training and evaluation"
HELP, VALIDATE = "clrbench --help", "clrbench validate"
KERAS_MEMORY = "keras, 73,257 x 32 x 32 x 3: peak memory"
TORCH_MEMORY = "torch, 73,257 x 32 x 32 x 3: peak memory"

GOALS: Mapping[str, Goal] = {
    **dict(_loops()),
    TEN_PAIRS: Goal(6.0, "ratio"),
    TWO_WORKERS: Goal(1.8, "ratio"),
    DEMO_REPORT: Goal(3.0, "ours"),
    SECOND_COMPARE: Goal(1.5, "ours"),
    DEMO_SHARE: Goal(0.15, "ours"),
    HELP: Goal(0.15, "ours"),
    VALIDATE: Goal(0.4, "ours"),
    RUN_SECONDS: Goal(0.005, "ours"),
    RUN_BYTES: Goal(50e3, "ours"),
    KERAS_MEMORY: Goal(1.5e9, "ours"),
    TORCH_MEMORY: Goal(1.0e9, "ours"),
}
"""Of the names that have one; the other rows stand there for comparison."""


def ratios(rows: pd.DataFrame) -> pd.Series[float]:
    """Return how many times better clrbench was in each row: faster, sooner, smaller; nan where nothing stands beside it."""
    is_rate = rows["unit"] == "images/s"
    return (rows["ours"] / rows["theirs"]).where(is_rate, rows["theirs"] / rows["ours"])


def summary(repetitions: pd.DataFrame) -> pd.DataFrame:
    """Return a row a name, over all its repetitions: medians, and the worst and best of what its goal is about.

    Where there is no goal, that is the ratio; `met` says whether the worst repetition reaches the goal.
    """
    rows = repetitions.assign(ratio=ratios(repetitions))
    return pd.DataFrame([_row(str(name), group) for name, group in rows.groupby("name", sort=False)])


def _row(name: str, group: pd.DataFrame) -> dict[str, object]:
    goal = GOALS.get(name)
    figure = "ours" if group["theirs"].isna().all() else "ratio"
    assert goal is None or goal.of == figure, name
    values = group[figure].sort_values(ascending=figure == "ratio").tolist()
    return {
        "name": name,
        **{column: group[column].median() for column in ("ours", "theirs")},
        "unit": group["unit"].iloc[0],
        "ratio": group["ratio"].median(),
        "goal": goal.limit if goal else float("nan"),
        "met": "" if goal is None else "yes" if goal.is_met(values[0]) else "no",
        "worst": values[0],
        "best": values[-1],
        "repetitions": len(group),
    }


def append(folder: Path, measured: Sequence[Measured], repetition: int, date: str) -> None:
    """Add rows to the repetitions in a folder."""
    rows = [[repetition, date, one.name, one.ours, one.theirs, one.unit] for one in measured]
    new = pd.DataFrame(rows, columns=list(REPETITION_COLUMNS)).astype({"theirs": float})
    _append(folder / REPETITIONS_FILE, new)


def append_machine(folder: Path, machine: pd.DataFrame, repetition: int) -> None:
    """Add what a repetition was measured with, `what` and `value`, to the file in a folder."""
    columns = ["repetition", "what", "value"]
    _append(folder / MACHINE_FILE, machine.assign(repetition=repetition)[columns])


def _append(path: Path, new: pd.DataFrame) -> None:
    new.to_csv(path, mode="a", header=not path.exists(), index=False, float_format="%.6g")


def next_repetition(folder: Path) -> int:
    """Return the number of the repetition to be made, from 1 on."""
    path = folder / REPETITIONS_FILE
    return int(pd.read_csv(path)["repetition"].max()) + 1 if path.exists() else 1


def write(folder: Path) -> pd.DataFrame:
    """Write the table of the repetitions in a folder, and return it."""
    table = summary(pd.read_csv(folder / REPETITIONS_FILE))
    table.to_csv(folder / TABLE_FILE, index=False, float_format="%.4g")
    return read(folder)


def read(folder: Path) -> pd.DataFrame:
    """Return the table in a folder."""
    return pd.read_csv(folder / TABLE_FILE, keep_default_na=False, na_values={"theirs": "", "ratio": "", "goal": ""})


def table_text(table: pd.DataFrame) -> str:
    """Return the table in Markdown."""
    lines = [
        "| clrbench: beside it | clrbench | beside it | ratio | worst to best | goal | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        unit, has_ratio = row["unit"], row["ratio"] == row["ratio"]
        shown = times if has_ratio else lambda value, unit=unit: figure_text(value, unit)
        goal = "" if row["goal"] != row["goal"] else f"{'>=' if has_ratio else '<='} {shown(row['goal'])}"
        cells = [
            row["name"],
            figure_text(row["ours"], unit),
            figure_text(row["theirs"], unit) if has_ratio else "",
            times(row["ratio"]) if has_ratio else "",
            f"{shown(row['worst'])} to {shown(row['best'])}",
            goal,
            row["met"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def times(ratio: float) -> str:
    """Return a ratio as text."""
    return f"{ratio:.2f}x"


def figure_text(value: float, unit: str) -> str:
    """Return a figure with its unit."""
    match unit:
        case "images/s":
            return f"{float(f'{value:.3g}'):,.0f}/s"
        case "bytes":
            return f"{value / 1e9:.2f} GB" if value >= 1e8 else f"{value / 1e3:.0f} kB"
        case "share":
            return f"{100 * value:.0f} %"
        case _:
            return f"{value:.0f} s" if value >= 100 else f"{value:.2f} s" if value >= 0.1 else f"{1e3 * value:.1f} ms"


def machine_text(machine: pd.DataFrame) -> str:
    """Return in one line what the repetitions were measured with; which of them, where that differs."""
    said: dict[str, list[str]] = {}
    for repetition, rows in machine.groupby("repetition", sort=False):
        words = "; ".join(f"{what} {value}" for what, value in zip(rows["what"], rows["value"], strict=True))
        said.setdefault(words, []).append(str(repetition))
    if len(said) == 1:
        return f"{next(iter(said))}."
    return " ".join(f"Repetition {', '.join(numbers)}: {words}." for words, numbers in said.items())

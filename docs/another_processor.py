"""What the experiments came to on another processor, beside what is committed: `results/another-processor/findings.csv`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

FINDINGS = Path(__file__).parents[1] / "results" / "another-processor" / "findings.csv"
METRICS = ("test_accuracy", "test_loss")


def findings() -> pd.DataFrame:
    """Return one row per comparison, as `experiments/reproduce.py` writes it, and whether its verdict is the `same`."""
    found = pd.read_csv(FINDINGS)
    return found.assign(same=found["verdict"] == found["committed_verdict"])


def counts() -> str:
    """Return in how many comparisons of each experiment the verdict is the same."""
    found = findings()
    groups = [*found.groupby("experiment", sort=False), ("all", found)]
    rows = [
        [name if name == "all" else f"`{name}`", *(_same(group[group["metric"] == metric]) for metric in METRICS)]
        for name, group in groups
    ]
    return _table(["experiment", "same verdict in accuracy", "in loss"], rows)


def differing() -> str:
    """Return the comparisons in accuracy whose verdict is another one."""
    found = findings()
    rows = [
        [
            f"`{row['experiment']}`",
            f"{row['backend']}: {row['candidate']} - {row['baseline']}",
            effect(row, "committed_"),
            effect(row),
        ]
        for row in found[~found["same"] & (found["metric"] == "test_accuracy")].to_dict("records")
    ]
    return _table(["experiment", "difference in points", "committed", "on the other processor"], rows)


def effect(row: Mapping[Any, Any], prefix: str = "") -> str:
    """Return difference, interval and verdict of a row of `comparison.csv`, in points of accuracy or in nats."""
    scale, digits = (100, 2) if row["metric"].endswith("accuracy") else (1, 3)
    mean, low, high = (
        f"{scale * row[f'{prefix}{name}']:+.{digits}f}" for name in ("mean_difference", "ci_low", "ci_high")
    )
    return f"{mean} [{low}, {high}] {row[f'{prefix}verdict']}"


def _same(rows: pd.DataFrame) -> str:
    return f"{rows['same'].sum()} of {len(rows)}"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))

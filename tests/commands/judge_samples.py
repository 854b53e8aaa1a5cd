"""Results of others for `clrbench judge`, as tables and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from clrbench.analysis.own_results import Asked
from clrbench.analysis.own_verdicts import OwnJudgement, OwnVerdict, Rules
from clrbench.commands.judge import judged
from clrbench.store.own_table import read_own_table

BASE = [0.71, 0.74, 0.72, 0.75, 0.73, 0.76, 0.70, 0.77]
GAIN = [0.03, 0.01, 0.02, 0.04, 0.02, 0.03, 0.01, 0.02]
NEW = [round(base + gain, 4) for base, gain in zip(BASE, GAIN, strict=True)]
RULES = Rules()


def long(base: Any = BASE, new: Any = NEW, **columns: Any) -> pd.DataFrame:
    rows = [("base", seed, value) for seed, value in enumerate(base)] + [
        ("new", seed, value) for seed, value in enumerate(new)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "accuracy"]).assign(**columns)


def save(folder: Path, table: pd.DataFrame | str | bytes, name: str = "results.csv", **options: Any) -> Path:
    path = folder / name
    if isinstance(table, pd.DataFrame):
        table.to_csv(path, index=False, na_rep="nan", **options)
    else:
        path.write_bytes(table.encode() if isinstance(table, str) else table)
    return path


def found(*paths: Path, rules: Rules = RULES, **asked: Any) -> OwnJudgement:
    return judged([read_own_table(path) for path in paths], Asked(**asked), rules)


def only(judgement: OwnJudgement) -> OwnVerdict:
    (verdict,) = judgement.verdicts
    return verdict

"""The picture of the bake-off: the regret of every setting, a line of points a rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from finders.summary import OURS, REGRETS

# Of Okabe and Ito, told apart by people who see two colours; the shapes differ too.
COLOURS = {"ours": "#0072B2", "peers": "#D55E00"}
SHAPES = {"ours": "o", "peers": "D"}
SMALLEST = 1e-3
"""Regrets up to this stand at the left edge, on a scale that is linear below it."""


def draw(rows: pd.DataFrame, settings: pd.DataFrame, path: Path) -> None:
    """Draw and save it, with constants on the left and CLR on the right."""
    can_learn = settings.loc[settings["best_constant"].notna(), "setting"]
    rows = rows[rows["setting"].isin(can_learn)]
    rules = list(dict.fromkeys(rows["rule"]))
    figure = Figure(figsize=(10, 1.6 + 0.36 * len(rules)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, (name, column) in zip((left, right), REGRETS.items(), strict=True):
        _draw(axes, rows, rules, column)
        axes.set_title(f"trained as {'a constant' if name == 'constant' else name}")
    left.set_yticks(range(len(rules)), rules)
    left.set_ylim(len(rules) - 0.4, -0.6)
    figure.supxlabel("regret in test accuracy (fraction; the axis is linear below .001)", fontsize="medium")
    figure.suptitle(
        f"Accuracy lost against the best rate of brute force, {len(can_learn)} settings; bar: their mean, gains counted"
    )
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _draw(axes: Axes, rows: pd.DataFrame, rules: list[str], column: str) -> None:
    for place, rule in enumerate(rules):
        regret = np.maximum(rows.loc[rows["rule"] == rule, column].dropna(), 0)
        kind = "ours" if rule.startswith(OURS) else "peers"
        spread = np.random.default_rng(place).uniform(-0.22, 0.22, len(regret))
        axes.scatter(
            regret,
            place + spread,
            s=16,
            alpha=0.6,
            linewidths=0,
            color=COLOURS[kind],
            marker=SHAPES[kind],
            clip_on=False,
        )
        mean = rows.loc[rows["rule"] == rule, column].mean()
        axes.vlines(max(mean, 0), place - 0.4, place + 0.4, color="black", linewidth=2)
    axes.set_xscale("symlog", linthresh=SMALLEST)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 1e-3, 1e-2, 1e-1, 1], ["≤ 0", ".001", ".01", ".1", "1"])
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)

"""The picture of the benchmarks: how many times faster clrbench is than what stands beside it, repetition by repetition."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from speed.table import GOALS, ratios

# Of Okabe and Ito, told apart by people who see two colours; the shapes differ too.
FASTER, SLOWER, GOAL = "#0072B2", "#D55E00", "black"


def draw(repetitions: pd.DataFrame, path: Path) -> None:
    """Draw and save it: a row a name that has a ratio, a point a repetition, a bar where its goal is."""
    rows = repetitions.assign(ratio=ratios(repetitions)).dropna(subset="ratio")
    names = list(dict.fromkeys(rows["name"]))
    figure = Figure(figsize=(10, 1.6 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        found = rows.loc[rows["name"] == name, "ratio"]
        for is_faster, colour, shape in ((True, FASTER, "o"), (False, SLOWER, "D")):
            shown = found[(found >= 1) == is_faster]
            axes.scatter(shown, [place] * len(shown), s=22, color=colour, marker=shape, alpha=0.7, linewidths=0)
        if name in GOALS:
            axes.vlines(GOALS[str(name)].limit, place - 0.4, place + 0.4, color=GOAL, linewidth=2)
    axes.axvline(1, color="0.5", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    ticks = [0.25, 0.5, 1, 2, 4, 8, 16]
    axes.set_xticks(ticks, [f"{tick:g}x" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("speed of clrbench as a multiple of the other's; left of 1x it is slower")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    keys = {"repetition, at least as fast": (FASTER, "o"), "repetition, slower": (SLOWER, "D"), "goal": (GOAL, "|")}
    for key, (colour, shape) in keys.items():
        if key != "goal" or not GOALS.keys().isdisjoint(names):
            axes.plot([], [], shape, color=colour, label=key)
    figure.legend(loc="outside lower right", ncols=len(keys), frameon=False)
    figure.suptitle("clrbench beside its peers and its limits")
    figure.savefig(path, dpi=120, metadata={"Software": None})

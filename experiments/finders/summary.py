"""What `finders.csv` comes to, a row a rule, and its words in Markdown; needs pandas alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

REGRETS = {"constant": "regret_constant", "CLR": "regret_clr"}
OURS = "clrbench"
EQUAL = "equal updates"
MAX_MEDIAN, MAX_NINETY, MAX_WORST = 0.005, 0.02, 0.03
"""What a regret should not exceed; the worst one may be two of its standard errors where seeds spread."""

FIRM_SPREAD = 0.01
"""Standard deviation over seeds at the best rate up to which they do not."""


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of finders.csv and of settings.csv."""
    return pd.read_csv(folder / "finders.csv"), pd.read_csv(folder / "settings.csv")


def summary(rows: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """Return a row a rule, in the order of `rows`: over the settings that some rate can teach, and the others."""
    can_learn = settings.loc[settings["best_constant"].notna(), "setting"]
    return pd.DataFrame(
        [
            {"rule": rule, **dict(_figures(group[group["setting"].isin(can_learn)], settings))}
            | {"refused_hopeless": int(group.loc[~group["setting"].isin(can_learn), "refused"].sum())}
            for rule, group in rows.groupby("rule", sort=False)
        ]
    )


def _figures(rows: pd.DataFrame, settings: pd.DataFrame) -> Iterator[tuple[str, float]]:
    answered = rows[~rows["refused"]]
    spreads = settings.set_index("setting").loc[answered["setting"]]
    yield "settings", len(rows)
    yield "answered", len(answered)
    for name, column in REGRETS.items():
        regret = answered[column]
        figures = {"mean": regret.mean(), "median": regret.median(), "90": regret.quantile(0.9), "worst": regret.max()}
        yield from ((f"{name.lower()}_{figure}", round(float(value), 6)) for figure, value in figures.items())
        errors = answered[f"error_{name.lower()}"]
        limit = (
            (2 * errors).clip(lower=MAX_WORST).where(spreads[f"sd_{name.lower()}"].to_numpy() > FIRM_SPREAD, MAX_WORST)
        )
        yield f"{name.lower()}_past_limit", int((regret > limit).sum())
    yield "trainings", 10 * len(answered)
    yield "diverged", int(answered["diverged"].sum())
    yield "collapsed", int(answered["collapsed"].sum())
    yield "mean_updates", round(float(rows["updates"].mean()), 1)


def summary_text(table: pd.DataFrame, num_hopeless: int) -> str:
    """Return the summary as a table in Markdown."""
    figures = "mean | median | 90 % | worst"
    lines = [
        f"| rule | answered | constant: {figures} | CLR: {figures} | diverged | no better than guessing "
        f"| hopeless refused | updates, mean |",
        "|---" * 14 + "|",
    ]
    for row in table.to_dict("records"):
        regrets = [
            f"{row[f'{name.lower()}_{figure}']:.4f}" for name in REGRETS for figure in ("mean", "median", "90", "worst")
        ]
        cells = [row["rule"], f"{row['answered']} of {row['settings']}", *regrets]
        cells += [f"{row['diverged']} of {row['trainings']}", f"{row['collapsed']} of {row['trainings']}"]
        cells += [f"{row['refused_hopeless']} of {num_hopeless}", f"{row['mean_updates']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def hopeless(settings: pd.DataFrame) -> int:
    """Return how many settings no rate can teach."""
    return int(settings["best_constant"].isna().sum())


def goals_text(table: pd.DataFrame) -> str:
    """Return, a line each, which of the goals were met."""
    ours = table[table["rule"].str.startswith(OURS)]
    peers = table[table["rule"].str.endswith(EQUAL)]
    return "\n".join(_goals(ours, peers))


def _goals(ours: pd.DataFrame, peers: pd.DataFrame) -> Iterator[str]:
    for name in REGRETS:
        column = name.lower()
        median, ninety = ours[f"{column}_median"].max(), ours[f"{column}_90"].max()
        yield f"- {name}, median at most {MAX_MEDIAN}: {median:.4f}, {_met(median <= MAX_MEDIAN)}."
        yield f"- {name}, 90 % at most {MAX_NINETY}: {ninety:.4f}, {_met(ninety <= MAX_NINETY)}."
        past = int(ours[f"{column}_past_limit"].max())
        yield (
            f"- {name}, worst at most {MAX_WORST} (two standard errors where the seeds of the best rate spread by more than "
            f"{FIRM_SPREAD}): {_met(past == 0)}" + (f", {past} of {ours['settings'].max()} past it." if past else ".")
        )
        mean = ours[f"{column}_mean"].max()
        better = peers.loc[peers[f"{column}_mean"] <= mean, "rule"].tolist()
        yield f"- {name}, mean below that of every peer's rule at equal updates: {mean:.4f}, " + (
            f"missed: not below {', '.join(better)}."
            if better
            else f"met: the lowest of theirs is {_lowest(peers, column)}."
        )


def _lowest(peers: pd.DataFrame, column: str) -> str:
    best = peers.sort_values(f"{column}_mean").iloc[0]
    return f"{best[f'{column}_mean']:.4f} ({best['rule']})"


def _met(reached: bool) -> str:
    return "met" if reached else "missed"


MARGIN = 0.005
"""Accuracies nearer than this count as equal."""


def wins_text(rows: pd.DataFrame) -> str:
    """Return in how many settings each peer's rule beats clrbench without a range, and loses, by more than `MARGIN`."""
    lines = [
        "| rule, against clrbench without a range | constant: better, worse | CLR: better, worse |",
        "|---|---|---|",
    ]
    ours = rows[rows["rule"] == f"{OURS}, no range"].set_index("setting")
    for rule, group in rows[~rows["rule"].str.startswith(OURS)].groupby("rule", sort=False):
        cells = [str(rule)]
        for column in REGRETS.values():
            more = group.set_index("setting")[column] - ours[column]
            cells.append(f"{(more < -MARGIN).sum()}, {(more > MARGIN).sum()}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def readme_text(table: pd.DataFrame, settings: pd.DataFrame) -> str:
    """Return the bake-off in one sentence."""
    ours = table[table["rule"] == f"{OURS}, no range"].iloc[0]
    peers = table[~table["rule"].str.startswith(OURS)]
    points = {name: (100 * ours[f"{name}_mean"], 100 * peers[f"{name}_mean"].min()) for name in ("constant", "clr")}
    return (
        f"Accuracy below brute force on {len(settings) - hopeless(settings)} small problems, known when its last rules were "
        f"chosen, in points: constant rate "
        f"{points['constant'][0]:.1f} (best of {len(peers)} LR-finder rules: {points['constant'][1]:.1f}), CLR "
        f"{points['clr'][0]:.1f} (theirs: {points['clr'][1]:.1f}); see the [bake-off](docs/finders.md)."
    )

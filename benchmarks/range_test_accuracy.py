"""How far the bounds of a range test lie from the truth, over simulated curves whose peak and onset are known.

Prints tables in Markdown. The curves are those of `tests/data/range_test_curves.py`; the same seed gives the same tables.

    python benchmarks/range_test_accuracy.py
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data"))

from range_test_curves import REASONS, kinds, simulate, without_answer

from clrbench.range_test import suggest_bounds

NARROW_DECADES = 0.15
CURVES_A_REASON = 40
BY = {
    "rows": "{} validation rows",
    "ramp": "{} ramp",
    "points": "{} points",
    "seeds": "{} seed(s)",
    "fall": "behind the peak: {}",
}


def errors(count: int, seed: int) -> pd.DataFrame:
    """Return a row a curve: what it is made of, and how far its bounds lie from the truth, in decades."""
    rng = np.random.default_rng(seed)
    rows = []
    for kind in kinds(rng, count):
        curve = simulate(rng, kind)
        found = suggest_bounds(curve.lr, curve.loss, curve.accuracy)
        row = {**vars(kind), "top": curve.plateau_decades, "reason": found.reason}
        if found.max_lr is not None and found.base_lr is not None:
            row["max_lr error"] = np.log10(found.max_lr / curve.max_lr)
            row["base_lr error"] = np.log10(found.base_lr / curve.base_lr)
            row["base_lr error in max_lr"] = (found.base_lr - curve.base_lr) / curve.max_lr
            row["beside the level part"] = abs(np.log10(np.clip(found.max_lr, *curve.level) / found.max_lr))
        rows.append(row)
    return pd.DataFrame(rows)


def max_lr_row(name: str, rows: pd.DataFrame) -> str:
    """Return a line of the table on max_lr."""
    error = rows["max_lr error"].dropna()
    size = error.abs()
    return (
        f"| {name} | {len(rows)} | {rows['reason'].notna().sum()} | {size.median():.3f} | {size.quantile(0.95):.3f} "
        f"| {100 * (size <= 0.15).mean():.0f} % | {error.quantile(0.05):+.2f} to {error.quantile(0.95):+.2f} |"
    )


def max_lr_table(rows: pd.DataFrame) -> str:
    """Return the errors of max_lr: of narrow tops by what the curves are made of, of wide ones, and of all."""
    narrow = rows[rows["top"] <= NARROW_DECADES]
    lines = [
        "| curves | number | refused | median | 95 % within | within 0.15 | middle 90 %, signed |",
        "|---|---|---|---|---|---|---|",
        max_lr_row(f"top of at most {NARROW_DECADES} decades", narrow),
    ]
    for by, words in BY.items():
        lines += [max_lr_row(f"- {words.format(value)}", group) for value, group in narrow.groupby(by)]
    lines.append(max_lr_row("wider top", rows[rows["top"] > NARROW_DECADES]))
    lines.append(max_lr_row("all", rows))
    return "\n".join(lines)


def base_lr_table(rows: pd.DataFrame) -> str:
    """Return the errors of base_lr by ramp and rise."""
    lines = [
        "| ramp, rise | median, decades | 90 % within | median, in max_lr | 90 % within |",
        "|---|---|---|---|---|",
    ]
    for (ramp, rise), group in rows.dropna(subset="base_lr error").groupby(["ramp", "rise"]):
        decades, share = group["base_lr error"], group["base_lr error in max_lr"]
        lines.append(
            f"| {ramp}, {rise} | {decades.median():+.2f} | {decades.abs().quantile(0.9):.2f} "
            f"| {share.median():+.3f} | {share.abs().quantile(0.9):.3f} |"
        )
    return "\n".join(lines)


def refusals_table(seed: int) -> str:
    """Return how many curves without an answer are refused, and for the reason they were made for."""
    rng = np.random.default_rng(seed)
    lines = ["| no answer because | curves | refused | for that reason |", "|---|---|---|---|"]
    for reason in REASONS:
        curves = [without_answer(rng, reason, kind) for kind in kinds(rng, CURVES_A_REASON)]
        found = [suggest_bounds(curve.lr, curve.loss, curve.accuracy).reason for curve in curves]
        refused = sum(text is not None for text in found)
        lines.append(
            f"| {reason} | {len(curves)} | {refused} | {sum((text or '').startswith(reason) for text in found)} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = errors(arguments.curves, arguments.seed)
    wide = rows[rows["top"] > NARROW_DECADES].dropna(subset="max_lr error")
    print(f"`max_lr`, errors in decades:\n\n{max_lr_table(rows)}\n")
    print(
        f"Of the answers on wider tops {100 * (wide['beside the level part'] == 0).mean():.0f} % lie in the level part, the "
        f"others beside it by {wide['beside the level part'].max():.2f} decades at most.\n"
    )
    print(f"`base_lr`:\n\n{base_lr_table(rows)}\n\nRefusals:\n\n{refusals_table(arguments.seed)}")


if __name__ == "__main__":
    main()

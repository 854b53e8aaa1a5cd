"""How good the rates of `clrbench.rates` are to train at, against the best that brute force finds, over many small problems.

Trainings are made once and kept under --folder; a rule is then scored in minutes. Prints tables in Markdown.

    python benchmarks/rates.py --half tuned
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rate_trials import CYCLES, Key, Trials, constants, lattice
from settings import HALVES, TOY, Setting

from clrbench.planning.plan import split_rows
from clrbench.rates import Outcome, Problem, Rates, Request, Run
from clrbench.rates.course import next_step
from clrbench.records import DoubleArray

CHOOSING_SEEDS = (1_000_000, 1_000_001, 1_000_002)
MEASURING_SEEDS = (0, 1, 2, 3, 4)
WAYS: Mapping[str, tuple[float | None, float | None, str]] = {
    "linear": (1e-3, 1.0, "linear"),
    "exponential": (1e-4, 3.0, "exponential"),
    "found, linear": (None, None, "linear"),
    "found, exponential": (None, None, "exponential"),
}

DECADES = range(-20, 5, 4)
"""Places of the lattice at which brute force begins."""

MEASURED = ("regret", "error", "ours", "sd", "regret_clr", "error_clr", "clr", "sd_clr")


def problem_of(setting: Setting, way: str) -> Problem:
    """Return what the rules are told of a setting."""
    start, end, ramp = WAYS[way]
    dataset = setting.dataset()
    rows = split_rows(setting.run(0).data, dataset)
    return Problem(
        class_counts=tuple(np.bincount(dataset.y_train[rows.validation], minlength=dataset.num_classes).tolist()),
        num_classes=dataset.num_classes,
        sweep_steps=setting.sweep_steps,
        seeds=CHOOSING_SEEDS,
        arm_steps=setting.num_steps,
        ramp="linear" if ramp == "linear" else "exponential",
        start_lr=start,
        end_lr=end,
    )


def answer(trials: Trials, problem: Problem, *, sweeps: bool) -> Rates:
    """Return what the rules come to, trainings made as they ask for them; without sweeps these show a flat curve."""
    evidence: dict[Run, Outcome] = {}
    while isinstance(step := next_step(problem, evidence), Request):
        if step.stage == "sweep" and not sweeps:
            for run in step.runs:
                level = np.full(run.num_steps, problem.floor.accuracy)
                evidence[run] = Outcome(-np.log(level), np.arange(1.0, run.num_steps + 1), -np.log(level), level)
            continue
        found = trials.get([_key(run, problem) for run in step.runs])
        evidence |= {run: _outcome(run, made, problem) for run, made in zip(step.runs, found, strict=True)}
    return step


def _key(run: Run, problem: Problem) -> Key:
    """Return the training that begins with a run, the longest one where that is possible."""
    whole = problem.arm_steps or run.num_steps
    if run.kind == "constant":
        rate = on_lattice(run.high)
        return Key("constant", rate, rate, run.seed, whole)
    if run.kind == "triangular":
        low, high = on_lattice(run.low), on_lattice(run.high)
        if round(whole * run.cycles / CYCLES) == run.num_steps:
            return Key("triangular", low, high, run.seed, whole)
        return Key("triangular", low, high, run.seed, run.num_steps, run.cycles)
    return Key(run.kind, run.low, run.high, run.seed, run.num_steps)


def on_lattice(lr: float) -> float:
    """Return the rate of the lattice to six digits, in place of three."""
    place = round(4 * math.log10(lr))
    exact = lattice(place, place)[0]
    return exact if abs(exact / lr - 1) < 0.01 else lr


def _outcome(run: Run, made: Mapping[str, DoubleArray], problem: Problem) -> Outcome:
    """Return the first updates of a training."""
    there = made["steps"] <= run.num_steps
    loss = made["validation_loss"][there]
    accuracy = made["validation_balanced" if problem.floor.uses_balanced_accuracy else "validation_accuracy"][there]
    train_loss = made["train_loss"]
    if len(train_loss) != run.num_steps:
        # Only the first is kept; what stands for the others ends where validation does.
        alive = (
            run.num_steps if np.isfinite(loss).all() else int(made["steps"][there][np.isfinite(loss)].max(initial=1))
        )
        train_loss = np.where(np.arange(run.num_steps) < alive, train_loss[0], np.nan)
    return Outcome(train_loss, made["steps"][there], loss, accuracy)


@dataclass(frozen=True)
class Truth:
    """What brute force found of a setting, in accuracy on test rows.

    Attributes:
        best: Mean over the measuring seeds at the rate that is best on the choosing seeds.
        spread: Standard deviation over these seeds.
    """

    lr: float
    best: float
    spread: float
    values: DoubleArray


def best_constant(trials: Trials, metric: str) -> Truth:
    """Return the best constant rate of the lattice: chosen on some seeds, measured on others."""
    # In one stack each, which takes a tenth of the time of one after the other.
    trials.get(constants(trials, DECADES, CHOOSING_SEEDS[:1]))
    decades = {place: _validation(trials, constants(trials, [place], CHOOSING_SEEDS[:1]), metric) for place in DECADES}
    centre = max(decades, key=lambda place: decades[place])
    places = set(range(centre - 3, centre + 4))
    while True:
        trials.get(constants(trials, sorted(places), CHOOSING_SEEDS))
        found = {
            place: _validation(trials, constants(trials, [place], CHOOSING_SEEDS), metric) for place in sorted(places)
        }
        best = max(found, key=lambda place: found[place])
        more = set(range(best - 2, best + 3)) - places
        if not more:
            break
        places |= more
    trials.get(constants(trials, range(best - 1, best + 2), MEASURING_SEEDS))
    values = measured(trials, constants(trials, [best], MEASURING_SEEDS), metric)
    return Truth(lattice(best, best)[0], float(values.mean()), float(values.std(ddof=1)), values)


def triangle_keys(trials: Trials, low: float, high: float, seeds: Iterable[int]) -> list[Key]:
    """Return the keys of four triangles over the length of an arm."""
    return [Key("triangular", low, high, seed, trials.setting.num_steps) for seed in seeds]


def best_triangles(trials: Trials, metric: str, centre: float) -> Truth:
    """Return the best upper bound, the lower one being a tenth of it; likewise chosen and measured."""
    place = round(4 * math.log10(centre))
    keys = {
        high: triangle_keys(trials, lattice(high - 4, high - 4)[0], lattice(high, high)[0], CHOOSING_SEEDS)
        for high in range(place - 2, place + 6)
    }
    trials.get([key for of_one in keys.values() for key in of_one])
    found = {high: _validation(trials, of_one, metric) for high, of_one in keys.items()}
    best = max(found, key=lambda high: found[high])
    low_lr, high_lr = lattice(best - 4, best - 4)[0], lattice(best, best)[0]
    values = measured(trials, triangle_keys(trials, low_lr, high_lr, MEASURING_SEEDS), metric)
    return Truth(high_lr, float(values.mean()), float(values.std(ddof=1)), values)


def _validation(trials: Trials, keys: Sequence[Key], metric: str) -> float:
    """Return the mean over seeds of accuracy at the end, on validation rows; a run that diverged counts 0."""
    return float(np.mean([np.nan_to_num(made[f"validation_{metric}"][-1]) for made in trials.get(keys)]))


def measured(trials: Trials, keys: Sequence[Key], metric: str) -> DoubleArray:
    """Return accuracy on test rows at the end, by seed; 0 where a run diverged."""
    return np.array([np.nan_to_num(made[f"test_{metric}"][-1]) for made in trials.get(keys)])


def score(setting: Setting, folder: Path, *, sweeps: bool) -> list[dict[str, object]]:
    """Return a row for each way of asking for a range test."""
    trials = Trials(setting, folder)
    metric = "balanced" if problem_of(setting, "linear").floor.uses_balanced_accuracy else "accuracy"
    rows: list[dict[str, object]] = []
    truth = None if setting.hopeless else best_constant(trials, metric)
    cycles = None if truth is None else best_triangles(trials, metric, truth.lr)
    for way in WAYS:
        problem = problem_of(setting, way)
        found = answer(trials, problem, sweeps=sweeps)
        row: dict[str, object] = {
            "setting": setting.name,
            "way": way,
            "cost": found.updates / problem.plain_updates,
            "steps": found.num_steps / setting.num_steps,
            "constant_lr": found.constant_lr,
            "base_lr": found.base_lr,
            "max_lr": found.max_lr,
            "sweep_max_lr": found.sweep_max_lr,
            "reason": found.reason,
            "hopeless": setting.hopeless,
        }
        if truth is not None and cycles is not None:
            row |= {"best": truth.best, "best_lr": truth.lr, "sd": truth.spread, "best_max_lr": cycles.lr}
            row |= {"best_clr": cycles.best, "sd_clr": cycles.spread}
            if found.constant_lr is not None:
                rate = on_lattice(found.constant_lr)
                key = [Key("constant", rate, rate, seed, setting.num_steps) for seed in MEASURING_SEEDS]
                ours = measured(trials, key, metric)
                error = (ours - truth.values).std(ddof=1) / math.sqrt(len(ours))
                row |= {"regret": truth.best - ours.mean(), "error": error, "ours": ours.mean()}
            if found.max_lr is not None and found.triangle_base_lr is not None:
                low, high = on_lattice(found.triangle_base_lr), on_lattice(found.max_lr)
                ours = measured(trials, triangle_keys(trials, low, high, MEASURING_SEEDS), metric)
                error = (ours - cycles.values).std(ddof=1) / math.sqrt(len(ours))
                row |= {"regret_clr": cycles.best - ours.mean(), "error_clr": error, "clr": ours.mean()}
        rows.append(row)
    return rows


def summary(table: pd.DataFrame) -> str:
    """Return the figures of all settings, by way and together, as lines of a table."""
    parts = [f"{name}: median | 90 % | worst | past the limit" for name in ("constant", "CLR")]
    lines = [f"| way | answered | {' | '.join(parts)} | updates / sweep |", "|---" * 11 + "|"]
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *MEASURED])))
    real = table[~table["hopeless"]]
    for way, rows in [*real.groupby("way", sort=False), ("all", real)]:
        cells = [str(way), f"{rows['constant_lr'].notna().sum()} of {len(rows)}"]
        for regret, spread, error in (("regret", "sd", "error"), ("regret_clr", "sd_clr", "error_clr")):
            values = rows[regret].dropna()
            limit = np.where(rows[spread] <= 0.01, 0.03, np.maximum(0.03, 2 * rows[error]))
            cells += [
                f"{values.median():.4f}",
                f"{values.quantile(0.9):.4f}",
                f"{values.max():.4f}",
                str((rows[regret] > limit).sum()),
            ]
        cells.append(f"{rows['cost'].mean():.2f}, at most {rows['cost'].max():.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    hopeless = table[table["hopeless"]]
    lines += ["", f"Hopeless: {hopeless['constant_lr'].isna().sum()} of {len(hopeless)} refused."]
    lines.append(f"Ways agree (within a factor of 2, or .005 in accuracy): {agreement(real)}.")
    return "\n".join(lines)


def agreement(real: pd.DataFrame) -> str:
    """Return in how many settings all ways lead to the same constant, and to the same bounds."""
    texts = []
    for name, lr, accuracy in (("constant", "constant_lr", "ours"), ("CLR", "max_lr", "clr")):
        agree = [
            rows[lr].max() <= 2 * rows[lr].min() or rows[accuracy].max() - rows[accuracy].min() <= 0.005
            for _, rows in real.dropna(subset=[lr]).groupby("setting")
        ]
        texts.append(f"{name} {sum(agree)} of {len(agree)}")
    return ", ".join(texts)


def main() -> None:
    """Score the rules on the settings asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=[*HALVES, "toy"], default="tuned")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "build" / "rates")
    parser.add_argument("--only", help="settings whose name holds this text")
    parser.add_argument("--made", action="store_true", help="leave out settings of which nothing has been made yet")
    parser.add_argument("--no-sweeps", action="store_true", help="take sweeps for flat: only base_lr comes from them")
    arguments = parser.parse_args()
    settings = (TOY,) if arguments.half == "toy" else HALVES[arguments.half]
    rows = []
    for setting in settings:
        if arguments.only and arguments.only not in setting.name:
            continue
        if arguments.made and not Trials(setting, arguments.folder).path.exists():
            continue
        rows += score(setting, arguments.folder, sweeps=not arguments.no_sweeps)
    table = pd.DataFrame(rows)
    with pd.option_context("display.width", 250, "display.max_columns", 30, "display.max_rows", 200):
        print(table.drop(columns="hopeless").to_string(index=False, float_format=lambda value: f"{value:.4g}"))
    print(f"\n{summary(table)}")


if __name__ == "__main__":
    main()

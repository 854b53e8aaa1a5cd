"""Runs of a range test -> its curve, the bounds they suggest, and what to say of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clrbench.analysis.metrics_table import TRAIN_COLUMNS, VALIDATION_COLUMNS, metrics_table
from clrbench.errors import ResultsError
from clrbench.range_test import suggest_bounds
from clrbench.report.plot_style import to_png
from clrbench.report.range_test_plot import is_exponential, range_test_figure
from clrbench.report.text_curve import TextAxis, text_curve
from clrbench.spec import Spec
from clrbench.store import BOUNDS, ResultsFolder, StoredRun

LENGTH_MAX_LR_DECADES = 0.15
LENGTH_BASE_LR_DECADES = 0.3
LENGTH_BASE_LR_SHARE = 0.05
"""So far may the bounds at half the length lie from those at the whole one, and still hold.

0.15 decades (a factor of 1.4) is what `max_lr` of 19 in 20 simulated curves of known peak lies within, so a smaller
difference says nothing; an onset, where a curve bends slowly, is known half as well. The first points of a linear ramp lie
a decade apart: there noise alone moves `base_lr` by more, but by less than this share of `max_lr`.
"""

CURVE_COLUMNS = ("backend", "seed", "step", "lr", *TRAIN_COLUMNS, *VALIDATION_COLUMNS)

HALF_CURVE = "curve-half.csv"


def curve_table(runs: Sequence[StoredRun]) -> pd.DataFrame:
    """Return every update's raw loss and accuracy, and the validation values where there are any, else nan."""
    return pd.concat([_run_curve(run) for run in runs], ignore_index=True)


def _run_curve(run: StoredRun) -> pd.DataFrame:
    validation = run.evaluations.set_index("step")[list(VALIDATION_COLUMNS)]
    steps = run.steps.astype(dict.fromkeys(("lr", *TRAIN_COLUMNS), np.float32))
    table = steps.join(validation, on="step")
    spec = run.info["spec"]
    return table.assign(backend=spec["backend"], seed=spec["seed"])[list(CURVE_COLUMNS)]


@dataclass(frozen=True)
class RangeTestReport:
    """What a range test came to.

    Attributes:
        folder: Where its results lie.
        curve: Its curve, all backends and seeds.
        bounds: By backend, what `bounds.json` says.
        next_command: What to try where there is no answer.
    """

    folder: ResultsFolder
    curve: pd.DataFrame
    bounds: dict[str, dict[str, Any]]
    next_command: str

    @property
    def has_answer(self) -> bool:
        """Whether every backend has bounds."""
        return all(found["reason"] is None for found in self.bounds.values())

    @property
    def text(self) -> str:
        """The bounds or the refusal of each backend, then the curve as text."""
        lines = []
        for backend, found in self.bounds.items():
            lines.append(self._sentence(backend, found))
            if "half_length" in found:
                lines.append(_half_length_words(found, found["half_length"]))
        if not self.has_answer:
            lines.append(f"Next: {self.next_command}")
        for backend in self.bounds:
            lines += ["", *self._curve_lines(backend)]
        return "\n".join([*lines, "", f"Curve, bounds and plot: {self.folder.root}"])

    @property
    def data(self) -> dict[str, Any]:
        """The bounds as plain data."""
        return {"backends": self.bounds, "results": str(self.folder.root)}

    def _sentence(self, backend: str, found: dict[str, Any]) -> str:
        if found["reason"] is not None:
            return f"{backend}: no bounds can be named: {found['reason']}"
        return (
            f"{backend}: base_lr {found['base_lr']:g}, max_lr {found['max_lr']:g}; as a constant rate "
            f"{found['constant_lr']:g}. From {found['seeds']} seeds."
        )

    def _curve_lines(self, backend: str) -> list[str]:
        curve = self.curve[self.curve["backend"] == backend]
        points = _accuracy_column(curve)
        mean = curve.dropna(subset=[points]).groupby("lr", sort=True)[points].mean()
        rates = mean.index.to_numpy()
        x_axis = TextAxis("learning rate", log=is_exponential(curve))
        y_axis = TextAxis(f"{points.replace('_', ' ')} (fraction)")
        return [text_curve(rates, {backend: mean.to_numpy()}, x_axis=x_axis, y_axis=y_axis)]


def write_range_test(folder: ResultsFolder, spec: Spec, next_command: str) -> RangeTestReport:
    """Write curve, bounds and plot of a range test from its run files, and return what they say.

    Args:
        folder: Of the range test.
        spec: The experiment, resolved; runs that it does not ask for are left out.
        next_command: What to try where there is no answer.

    Raises:
        ResultsError: If no run is finished, or the disk does not take the files.
    """
    with folder.tables_lock():
        runs = [
            run
            for backend in spec.backends
            for run in folder.indexed_runs()
            if run.info["spec"]["backend"] == backend and run.info["spec"]["seed"] in spec.range_test.seeds
        ]
        if not runs:
            raise ResultsError(f"{folder.root}: no run is finished; run `clrbench range-test` again")
        curve = curve_table(runs)
        backends = dict.fromkeys(curve["backend"])
        bounds = {name: _bounds(_of_backend(runs, name)) for name in backends}
        halves = {name: _half_length_runs(folder.half_length(), _of_backend(runs, name)) for name in backends}
        for name, half in halves.items():
            if half:
                bounds[name]["half_length"] = _compare_lengths(bounds[name], _bounds(half))
        folder.write_table("curve.csv", curve)
        if any(halves.values()):
            folder.write_table(HALF_CURVE, curve_table([run for half in halves.values() for run in half]))
        else:
            folder.remove(HALF_CURVE)
        folder.write_json(BOUNDS, bounds)
        folder.write_bytes("range_test.png", to_png(range_test_figure(curve, bounds)))
    return RangeTestReport(folder, curve, bounds, next_command)


def _of_backend(runs: list[StoredRun], backend: str) -> list[StoredRun]:
    return [run for run in runs if run.info["spec"]["backend"] == backend]


def _half_length_runs(folder: ResultsFolder, runs: list[StoredRun]) -> list[StoredRun]:
    """Return the run at half the length of each of these; none where one is not there, or was made otherwise."""
    there = folder.indexed_runs() if folder.has_runs() else []
    found = [half for run in runs for half in there if _settings(half) == _settings(run, at_half_length=True)]
    return found if len(found) == len(runs) else []


def _settings(run: StoredRun, *, at_half_length: bool = False) -> dict[str, Any]:
    """Return what decides the numbers of a run, as far as it can change while an experiment keeps its folder."""
    spec = {key: value for key, value in run.info["spec"].items() if key != "evaluation_steps"}
    steps = spec["num_steps"] // 2 if at_half_length else spec["num_steps"]
    return {**spec, "num_steps": steps, "data_checksum": run.info["provenance"]["data_checksum"]}


def _compare_lengths(whole: dict[str, Any], half: dict[str, Any]) -> dict[str, Any]:
    """Return the bounds at half the length, and whether those at the whole length hold."""
    holds = whole["reason"] is None and half["reason"] is None and _agree(whole, half)
    return {"base_lr": half["base_lr"], "max_lr": half["max_lr"], "reason": half["reason"], "holds": holds}


def _agree(whole: dict[str, Any], half: dict[str, Any]) -> bool:
    max_decades, base_decades = (abs(math.log10(half[name] / whole[name])) for name in ("max_lr", "base_lr"))
    base_share = abs(half["base_lr"] - whole["base_lr"]) / whole["max_lr"]
    base_agrees = base_decades <= LENGTH_BASE_LR_DECADES or base_share <= LENGTH_BASE_LR_SHARE
    return max_decades <= LENGTH_MAX_LR_DECADES and base_agrees


def _half_length_words(whole: dict[str, Any], half: dict[str, Any]) -> str:
    if half["reason"] is not None:
        what = half["reason"].split(":")[0]
        if whole["reason"] is not None:
            return f"At half the length none can be named either ({what})."
        return f"At half the length no bounds can be named ({what}): they depend on the length; trust the longer test."
    if whole["reason"] is not None:
        return (
            f"At half the length: base_lr {half['base_lr']:g}, max_lr {half['max_lr']:g}; trust the longer test, which "
            "names none."
        )
    judgement = "the bounds hold" if half["holds"] else "the bounds depend on the length; trust the longer test"
    return (
        f"At half the length: base_lr {half['base_lr']:g} instead of {whole['base_lr']:g}, max_lr {half['max_lr']:g} "
        f"instead of {whole['max_lr']:g}: {judgement}."
    )


def _bounds(runs: list[StoredRun]) -> dict[str, Any]:
    """Return what the seeds of one backend suggest, rates to three significant digits."""
    points = [metrics_table("", [run]) for run in runs]
    longest = max(points, key=lambda table: table["lr"].notna().sum())
    accuracy = _accuracy_column(pd.concat(points))
    found = suggest_bounds(
        longest["lr"].to_numpy(np.float64),
        np.array([table["train_loss"] for table in points]),
        np.array([table[accuracy] for table in points]),
    )
    return {
        "base_lr": _rounded(found.base_lr),
        "max_lr": _rounded(found.max_lr),
        "reason": found.reason,
        "constant_lr": _rounded(found.suggested_constant),
        "seeds": len(runs),
        "accuracy": accuracy,
        "seed_base_lr": [_rounded(value) for value in found.seed_base_lr],
        "seed_max_lr": [_rounded(value) for value in found.seed_max_lr],
        "loss_rules": {name: _rounded(value) for name, value in found.rules.items()},
        "stopped": [
            {"seed": run.info["spec"]["seed"], "reason": run.info["reason"]} for run in runs if run.info["reason"]
        ],
    }


def _accuracy_column(table: pd.DataFrame) -> str:
    return "validation_accuracy" if table["validation_accuracy"].notna().any() else "train_accuracy"


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")

"""What training at a suggestion comes to, against the best that brute force finds: the rows of `finders.csv`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from rate_trials import Key, Trials
from rates import MEASURING_SEEDS, Truth, answer, best_constant, best_triangles, on_lattice, problem_of, triangle_keys
from settings import Setting

from clrbench.chance import Floor
from clrbench.records import DoubleArray
from finders.rules import OURS, Suggestion

DIGITS = 6


@dataclass(frozen=True)
class Row:
    """One setting and rule.

    Attributes:
        suggestion: The constant rate; nan where the rule refuses, as all that follows from it.
        regret_constant: Accuracy at the best constant rate less that at the suggestion, both over the measuring seeds.
        regret_clr: Likewise of triangles, from `base_lr` to `max_lr`.
        diverged: Of the measuring trainings, five constants and five CLR, how many diverged.
        collapsed: Likewise how many diverged or ended no better than guessing.
        refused: Whether the rule gives no rate.
        updates: What coming to the suggestion took.
        error_constant: Standard error of the regret, over the paired seeds; `error_clr` likewise.
    """

    setting: str
    rule: str
    suggestion: float
    base_lr: float
    max_lr: float
    regret_constant: float = math.nan
    regret_clr: float = math.nan
    diverged: int = 0
    collapsed: int = 0
    refused: bool = False
    updates: int = 0
    accuracy_constant: float = math.nan
    accuracy_clr: float = math.nan
    error_constant: float = math.nan
    error_clr: float = math.nan


@dataclass(frozen=True)
class SettingRow:
    """What brute force found of a setting: nan of one that no rate can teach.

    Attributes:
        metric: `accuracy`, or `balanced` where classes are unequal; of test rows.
        plain_updates: Of clrbench's sweeps alone, the seeds together.
        sd_constant: Standard deviation over the measuring seeds at the best constant rate.
    """

    setting: str
    group: str
    optimizer: str
    model: str
    data: str
    metric: str
    num_steps: int
    plain_updates: int
    best_lr: float = math.nan
    best_constant: float = math.nan
    sd_constant: float = math.nan
    best_max_lr: float = math.nan
    best_clr: float = math.nan
    sd_clr: float = math.nan


COLUMNS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True)
class Measured:
    """What the measuring trainings reached on test rows, nan where one diverged, and what it is held against.

    Attributes:
        constants: float64[seeds], as `triangles`.
        best_constants: float64[seeds], at the best constant rate; `best_triangles` likewise.
        guessing: What guessing does not exceed.
    """

    constants: DoubleArray
    triangles: DoubleArray
    best_constants: DoubleArray
    best_triangles: DoubleArray
    guessing: float


def make_row(setting: str, suggestion: Suggestion, measured: Measured | None) -> Row:
    """Return the row of a suggestion; without measurements where it refuses, or where nothing can be learned."""
    row = Row(
        setting=setting,
        rule=suggestion.rule,
        suggestion=suggestion.constant_lr or math.nan,
        base_lr=suggestion.base_lr or math.nan,
        max_lr=suggestion.max_lr or math.nan,
        refused=suggestion.constant_lr is None,
        updates=suggestion.updates,
    )
    if measured is None:
        return row
    regret_constant, error_constant = _regret(measured.best_constants, measured.constants)
    regret_clr, error_clr = _regret(measured.best_triangles, measured.triangles)
    both = np.concatenate([measured.constants, measured.triangles])
    return replace(
        row,
        regret_constant=regret_constant,
        regret_clr=regret_clr,
        diverged=int(np.isnan(both).sum()),
        collapsed=int((~(both > measured.guessing)).sum()),
        accuracy_constant=round(_mean(measured.constants), DIGITS),
        accuracy_clr=round(_mean(measured.triangles), DIGITS),
        error_constant=error_constant,
        error_clr=error_clr,
    )


class Scorer:
    """Scores suggestions for one setting, whose trainings are kept in a folder."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting = setting
        self.trials = Trials(setting, folder)
        problem = problem_of(setting, next(iter(OURS)))
        self.plain_updates = problem.plain_updates
        self.metric = "balanced" if problem.floor.uses_balanced_accuracy else "accuracy"
        self._truths: tuple[Truth, Truth] | None = None
        if not setting.hopeless:
            constant = best_constant(self.trials, self.metric)
            self._truths = constant, best_triangles(self.trials, self.metric, constant.lr)

    def ours(self) -> list[Suggestion]:
        """Return what clrbench suggests, asked in each of its ways."""
        found = []
        for way, rule in OURS.items():
            rates = answer(self.trials, problem_of(self.setting, way), sweeps=True)
            places = (rates.constant_lr, rates.triangle_base_lr, rates.max_lr)
            constant, low, high = (None if rate is None else on_lattice(rate) for rate in places)
            found.append(Suggestion(rule, constant, low, high, rates.updates))
        return found

    def rows(self, suggestions: Sequence[Suggestion]) -> list[Row]:
        """Return the rows of suggestions, all trainings made at once."""
        self.trials.get([key for one in suggestions for keys in self._keys(one) for key in keys])
        return [self._row(one) for one in suggestions]

    def setting_row(self, group: str) -> SettingRow:
        """Return what brute force found."""
        setting, model = self.setting, dict(self.setting.model)
        row = {
            "setting": setting.name,
            "group": group,
            "optimizer": _optimizer_words(dict(setting.optimizer)),
            "model": _model_words(model),
            "data": setting.data,
            "metric": self.metric,
            "num_steps": setting.num_steps,
            "plain_updates": self.plain_updates,
        }
        if self._truths is not None:
            constant, clr = self._truths
            row |= {"best_lr": constant.lr, "best_constant": constant.best, "sd_constant": constant.spread}
            row |= {"best_max_lr": clr.lr, "best_clr": clr.best, "sd_clr": clr.spread}
        return SettingRow(**row)  # type: ignore[arg-type]

    def _keys(self, suggestion: Suggestion) -> tuple[list[Key], list[Key]]:
        """Return the keys of its constants and of its triangles, by measuring seed; none where nothing can be learned."""
        constant, low, high = suggestion.constant_lr, suggestion.base_lr, suggestion.max_lr
        if constant is None or low is None or high is None or self._truths is None:
            return [], []
        steps = self.setting.num_steps
        constants = [Key("constant", constant, constant, seed, steps) for seed in MEASURING_SEEDS]
        return constants, triangle_keys(self.trials, low, high, MEASURING_SEEDS)

    def _row(self, suggestion: Suggestion) -> Row:
        if self._truths is None or suggestion.constant_lr is None:
            return make_row(self.setting.name, suggestion, None)
        constants, triangles = (self._measured(keys) for keys in self._keys(suggestion))
        best_constants, best_triangles = (truth.values for truth in self._truths)
        measured = Measured(constants, triangles, best_constants, best_triangles, self._guessing())
        return make_row(self.setting.name, suggestion, measured)

    def _measured(self, keys: Sequence[Key]) -> DoubleArray:
        """Return accuracy on test rows at the end, by seed; nan where a run diverged."""
        return np.array([made[f"test_{self.metric}"][-1] for made in self.trials.get(keys)])

    def _guessing(self) -> float:
        """Return what guessing reaches on the test rows, and three standard errors more."""
        dataset = self.setting.dataset()
        counts = tuple(np.bincount(dataset.y_test, minlength=dataset.num_classes).tolist())
        floor = Floor(counts, dataset.num_classes)
        return floor.accuracy + 3 * floor.error(floor.accuracy)


def _mean(values: DoubleArray) -> float:
    """Return the mean over seeds; a run that diverged counts 0, as in the search for the best."""
    return float(np.nan_to_num(values).mean())


def _regret(best: DoubleArray, reached: DoubleArray) -> tuple[float, float]:
    """Return the mean over seeds of what is lost, and its standard error."""
    lost = np.nan_to_num(best) - np.nan_to_num(reached)
    return round(float(lost.mean()), DIGITS), round(float(lost.std(ddof=1)) / math.sqrt(len(lost)), DIGITS)


def _optimizer_words(optimizer: Mapping[str, object]) -> str:
    if optimizer["name"] != "sgd" or "momentum" not in optimizer:
        return str(optimizer["name"])
    return "nesterov" if optimizer.get("nesterov") else "momentum"


def _model_words(model: Mapping[str, object]) -> str:
    if model["name"] == "cnn":
        return "cnn"
    if not model["hidden"]:
        return "logistic"
    parts = ["batch norm" if model.get("batch_norm") else "", str(model.get("activation", "relu"))]
    parts.append("dropout" if model.get("dropout") else "")
    return " ".join(["mlp", *filter(None, parts)])


def table(rows: Sequence[Row] | Sequence[SettingRow]) -> pd.DataFrame:
    """Return rows as a table."""
    return pd.DataFrame([asdict(row) for row in rows])

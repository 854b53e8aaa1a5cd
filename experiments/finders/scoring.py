"""What training at a suggestion comes to, against the best that brute force finds: the rows of `finders.csv`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from finders.rules import OURS, Suggestion
from rate_trials import Key, Trials
from rates import MEASURING_SEEDS, Truth, answer, best_constant, best_triangles, on_lattice, problem_of, triangle_keys
from settings import Setting

from clrbench.chance import Floor
from clrbench.records import DoubleArray

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
    """

    setting: str
    rule: str
    suggestion: float
    base_lr: float
    max_lr: float
    regret_constant: float
    regret_clr: float
    diverged: int
    collapsed: int
    refused: bool
    updates: int
    accuracy_constant: float
    accuracy_clr: float


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


class Scorer:
    """Scores suggestions for one setting, whose trainings are kept in a folder."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting = setting
        self.trials = Trials(setting, folder)
        problem = problem_of(setting, next(iter(OURS)))
        self.plain_updates = problem.plain_updates
        self.metric = "balanced" if problem.floor.balanced else "accuracy"
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
        refused = suggestion.constant_lr is None
        rates = (suggestion.constant_lr, suggestion.base_lr, suggestion.max_lr)
        row = {
            "setting": self.setting.name,
            "rule": suggestion.rule,
            **dict(zip(("suggestion", "base_lr", "max_lr"), (rate or math.nan for rate in rates), strict=True)),
            "refused": refused,
            "updates": suggestion.updates,
        }
        nothing = {"regret_constant": math.nan, "regret_clr": math.nan, "diverged": 0, "collapsed": 0}
        row |= {**nothing, "accuracy_constant": math.nan, "accuracy_clr": math.nan}
        if not refused and self._truths is not None:
            constants, triangles = (self._measured(keys) for keys in self._keys(suggestion))
            best_constant, best_clr = (truth.best for truth in self._truths)
            both = np.concatenate([constants, triangles])
            row |= {
                "regret_constant": round(best_constant - _mean(constants), DIGITS),
                "regret_clr": round(best_clr - _mean(triangles), DIGITS),
                "diverged": int(np.isnan(both).sum()),
                "collapsed": int((~(both > self._guessing())).sum()),
                "accuracy_constant": round(_mean(constants), DIGITS),
                "accuracy_clr": round(_mean(triangles), DIGITS),
            }
        return Row(**row)  # type: ignore[arg-type]

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

"""The trainings behind `rates.py`: made once, kept on disk, read as trials."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import one_by_one
import stacked
import torch
from settings import Setting

from clrbench.layers import Conv
from clrbench.planning.plan import make_plan
from clrbench.planning.runs import TRAINING_DIVERGENCE_FACTOR
from clrbench.records import DoubleArray

torch.set_num_threads(1)

CYCLES = 4
MAX_STACK = 96
PROTOCOL = 1


@dataclass(frozen=True)
class Key:
    """One training: a constant rate, triangles from `low` to `high`, or a ramp from `low` to `high`."""

    kind: Literal["constant", "triangular", "linear", "exponential"]
    low: float
    high: float
    seed: int
    num_steps: int
    cycles: int = CYCLES

    def lr(self) -> DoubleArray:
        """Return the rate of every update, float64[num_steps]."""
        share = np.arange(self.num_steps) / max(self.num_steps - 1, 1)
        match self.kind:
            case "constant":
                return np.full(self.num_steps, self.high)
            case "linear":
                return self.low + (self.high - self.low) * share
            case "exponential":
                return np.geomspace(self.low, self.high, self.num_steps)
            case "triangular":
                half = self.num_steps / self.cycles / 2
                distance = np.abs(np.arange(self.num_steps) / half % 2 - 1)
                return self.low + (self.high - self.low) * (1 - distance)

    def evaluation_steps(self) -> list[int]:
        """Return after how many updates it is evaluated."""
        points = {"constant": 20, "triangular": 2 * self.cycles}.get(self.kind, min(100, self.num_steps))
        steps = {round(self.num_steps * point / points) for point in range(1, points + 1)}
        if self.kind == "constant":
            steps |= {early for early in (10, 15, 20, 25, 30) if early < self.num_steps}
        return sorted(steps)

    def test_steps(self) -> list[int]:
        """Return after how many updates test rows are looked at."""
        if self.kind in {"linear", "exponential"}:
            return []
        return [round(self.num_steps * quarter / 4) for quarter in (2, 4)]


class Trials:
    """All trainings of a setting, made when they are first asked for."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.setting = setting
        self.path = folder / f"{setting.name.replace(' ', '-').replace(',', '')}.json"
        self.seconds = 0.0
        problem = json.loads(json.dumps({**asdict(setting), "protocol": PROTOCOL}))
        self._made: dict[str, dict[str, list[float]]] = {}
        if self.path.exists():
            kept = json.loads(self.path.read_text())
            if kept["setting"] == problem:
                self._made = kept["made"]
                self.seconds = kept["seconds"]
        self._problem = problem

    def get(self, keys: Sequence[Key]) -> list[dict[str, DoubleArray]]:
        """Return what each training left behind: `steps` of its evaluations, and the fields of `stacked.Outcome`."""
        missing = [key for key in dict.fromkeys(keys) if repr(key) not in self._made]
        groups: dict[tuple[str, int], list[Key]] = {}
        for key in missing:
            ramp = "ramp" if key.kind in {"linear", "exponential"} else key.kind
            groups.setdefault((f"{ramp} {key.cycles}", key.num_steps), []).append(key)
        for group in groups.values():
            for start in range(0, len(group), MAX_STACK):
                self._make(group[start : start + MAX_STACK])
        if missing:
            self._keep()
        return [{name: np.array(values, float) for name, values in self._made[repr(key)].items()} for key in keys]

    def _make(self, keys: list[Key]) -> None:
        started = time.process_time()
        dataset = self.setting.dataset()
        runs = {key.seed: make_plan(self.setting.run(key.seed, key.num_steps), dataset) for key in keys}
        plans = [replace(runs[key.seed], lr=key.lr().astype(np.float32)) for key in keys]
        limit = TRAINING_DIVERGENCE_FACTOR * math.log(dataset.num_classes)
        if keys[0].kind in {"linear", "exponential"}:
            limit /= 100
        steps = keys[0].evaluation_steps()
        is_dense = not any(isinstance(layer, Conv) for layer in plans[0].layers)
        train = stacked.train if is_dense else one_by_one.train
        found = train(plans, dataset, steps, keys[0].test_steps(), limit)
        for key, outcome in zip(keys, found, strict=True):
            values = {name: np.round(array, 5).tolist() for name, array in vars(outcome).items()}
            if key.kind in {"constant", "triangular"}:
                values["train_loss"] = values["train_loss"][:1]
            self._made[repr(key)] = {"steps": list(map(float, steps)), **values}
        self.seconds += time.process_time() - started

    def _keep(self) -> None:
        partial = self.path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"setting": self._problem, "seconds": self.seconds, "made": self._made}))
        partial.replace(self.path)


def lattice(low: int, high: int) -> list[float]:
    """Return the rates 10 ** (n / 4), to six digits, for n from `low` to `high`."""
    return [float(f"{10 ** (n / 4):.6g}") for n in range(low, high + 1)]


def constants(trials: Trials, places: Iterable[int], seeds: Iterable[int]) -> list[Key]:
    """Return the keys of constants at lattice places for seeds."""
    seeds = tuple(seeds)
    return [
        Key("constant", rate, rate, seed, trials.setting.num_steps)
        for place in places
        for rate in lattice(place, place)
        for seed in seeds
    ]
